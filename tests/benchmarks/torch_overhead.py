"""What recording costs a PyTorch training step, side by side with the same step without it.

``python tests/benchmarks/torch_overhead.py [--steps 40] [--device cpu]``
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from _measure import table

from lossan_torch import TorchRecorder, record_evaluation

BATCH, CLASSES = 32, 10


def network() -> torch.nn.Module:
    """Build a small convolutional network: a step costs about what a small real one does."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(32, 64, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(64, CLASSES),
    )


def main() -> None:
    """Print the median over neighbouring steps, and over neighbouring passes that evaluate."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.manual_seed(0)
    model = network().to(device)
    optimiser = torch.optim.SGD(model.parameters(), 1e-3)
    images = torch.randn(BATCH, 3, 75, 75, device=device)
    targets = torch.randint(0, CLASSES, (BATCH,), device=device)

    def train(recorder: TorchRecorder | None, ids: range) -> None:
        logits = model(images)
        if recorder is not None:
            recorder.record(ids, logits=logits, targets=targets)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(logits, targets).backward()
        optimiser.step()

    def evaluate(recorder: TorchRecorder | None, ids: range) -> None:
        if recorder is not None:
            record_evaluation(recorder, model, [(ids, images, targets)])
            return
        model.eval()
        with torch.no_grad():
            model(images)
        model.train()

    rows = []
    for name, work in (("training step", train), ("step of an evaluation pass", evaluate)):
        base, extra = compare(work, options.steps, device)
        times = f"{1e3 * base:.2f}", f"{1e3 * (base + extra):.2f}"
        rows.append([name, *times, f"{extra / base:.2%}"])
    table(
        f"PyTorch, batch {BATCH} at 75 x 75, {device} (target for training: below 2%)",
        ["", "without recording, ms", "with, end_epoch shared out, ms", "overhead"],
        rows,
    )


def compare(
    work: Callable[[TorchRecorder | None, range], None], steps: int, device: torch.device
) -> tuple[float, float]:
    """Return the median seconds of a step and what recording adds, from steps in turn."""

    def step(recorder: TorchRecorder | None, number: int) -> float:
        began = time.perf_counter()
        work(recorder, range(number * BATCH, (number + 1) * BATCH))
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    with tempfile.TemporaryDirectory() as folder:
        recorder = TorchRecorder(Path(folder) / "run.parquet")
        plain, recorded = [], []
        for number in range(steps):
            plain.append(step(None, number))
            recorded.append(step(recorder, number))
        began = time.perf_counter()
        recorder.end_epoch()
        ending = (time.perf_counter() - began) / steps
    extra = statistics.median(r - p for r, p in zip(recorded, plain, strict=True)) + ending
    return statistics.median(plain), extra


if __name__ == "__main__":
    main()
