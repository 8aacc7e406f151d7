"""What recording costs a PyTorch training step, side by side with the same step without it.

``python tests/benchmarks/torch_overhead.py [--steps 40] [--device cpu]``
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from _measure import table

from lossan_torch import TorchRecorder

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
    """Print the median ratio of neighbouring steps."""
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

    def step(recorder: TorchRecorder | None, number: int) -> float:
        began = time.perf_counter()
        logits = model(images)
        if recorder is not None:
            recorder.record(
                range(number * BATCH, (number + 1) * BATCH), logits=logits, targets=targets
            )
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(logits, targets).backward()
        optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    with tempfile.TemporaryDirectory() as folder:
        recorder = TorchRecorder(Path(folder) / "run.parquet", recorded="train")
        plain, recorded = [], []
        for number in range(options.steps):
            plain.append(step(None, number))
            recorded.append(step(recorder, number))
        began = time.perf_counter()
        recorder.end_epoch()
        ending = (time.perf_counter() - began) / options.steps
    base = statistics.median(plain)
    extra = statistics.median(r - p for r, p in zip(recorded, plain, strict=True)) + ending
    table(
        f"PyTorch step, batch {BATCH} at 75 x 75, {device} (target: below 2%)",
        ["", "milliseconds", "overhead"],
        [
            ["without recording", f"{1e3 * base:.2f}", ""],
            [
                "with recording, end_epoch shared out",
                f"{1e3 * (base + extra):.2f}",
                f"{extra / base:.2%}",
            ],
        ],
    )


if __name__ == "__main__":
    main()
