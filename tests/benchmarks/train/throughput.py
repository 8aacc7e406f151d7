"""Images a second of ``lossan train --adapter torch`` beside a bare PyTorch loop.

``python tests/benchmarks/train/throughput.py LABELS --images DIR [--device cuda]``; with a GPU and
600 photographs a few minutes. Both train the same network from scratch on the same images with the
same optimiser, precision, batches and workers; the bare loop reads by torchvision's transforms,
records nothing and checks nothing. In turn, several rounds; the first epoch of each is left out, as
it warms caches and chooses convolutions.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from lossan.training import read_samples
from lossan_torch.models import build_model, torchvision


class Photographs(Dataset):
    """Images and labels, as a reader of PyTorch's tutorials would have them."""

    def __init__(self, files: list[Path], labels: list[int], size: int) -> None:
        torchvision()
        from torchvision import transforms

        self.files, self.labels = files, labels
        steps = [transforms.Resize((size, size)), transforms.RandomHorizontalFlip()]
        steps += [transforms.RandomVerticalFlip(), transforms.PILToTensor()]
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = Image.open(self.files[index]).convert("RGB")
        return self.transform(image), self.labels[index]


def bare(options: argparse.Namespace) -> list[float]:
    """Return the seconds of each epoch of a loop that only trains."""
    samples, _ = read_samples(options.labels, options.images)
    device = torch.device(options.device)
    model = build_model(options.model, len(samples.classes), "none", options.image_size)
    model = model.to(device, memory_format=torch.channels_last).train()
    optimiser = torch.optim.Adam(model.parameters(), 5e-5)
    loader = DataLoader(
        Photographs(samples.files, samples.labels.tolist(), options.image_size),
        batch_size=options.batch_size,
        shuffle=True,
        num_workers=options.workers,
        pin_memory=device.type == "cuda",
        drop_last=len(samples) % options.batch_size == 1,
    )
    half = device.type == "cuda" and torch.cuda.is_bf16_supported()
    seconds = []
    for _ in range(options.epochs):
        began = time.perf_counter()
        for pixels, labels in loader:
            inputs = pixels.to(device, non_blocking=True).float().div_(127.5).sub_(1)
            targets = labels.to(device, non_blocking=True)
            with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
                outputs = model(inputs.contiguous(memory_format=torch.channels_last))
            parts = [outputs] if isinstance(outputs, torch.Tensor) else outputs
            losses = [torch.nn.functional.cross_entropy(part.float(), targets) for part in parts]
            optimiser.zero_grad(set_to_none=True)
            (losses[0] + 0.4 * sum(losses[1:])).backward()
            optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return seconds


def ours(options: argparse.Namespace, record: str) -> list[float]:
    """Return the seconds of each epoch of ``lossan train``, as its history has them."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "run.parquet"
        given = ["train", options.labels, "-o", log, "--adapter", "torch", "--record", record]
        named = ["images", "device", "model", "image_size", "batch_size", "workers", "epochs"]
        more = [(f"--{n.replace('_', '-')}", getattr(options, n)) for n in named]
        flat = [part for pair in more if pair[1] is not None for part in pair]
        command = [sys.executable, "-m", "lossan", *given, "--weights", "none", *flat]
        subprocess.run([str(part) for part in command], check=True)
        history = json.loads(log.with_name("run.parquet.history.json").read_text())
        return [entry["seconds"] for entry in history["epochs"]]


def main() -> None:
    """Print images a second, the median over epochs and rounds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("labels", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--model", default="inception_v3")
    parser.add_argument("--image-size", type=int, default=550)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    n = len(read_samples(options.labels, options.images)[0])
    works = {
        "bare loop": lambda: bare(options),
        "lossan train": lambda: ours(options, "train"),
        "lossan train --record eval, two passes": lambda: ours(options, "eval"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(options.rounds):
        for name, work in works.items():
            seconds[name] += work()[1:]
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    base = medians["bare loop"]
    name = torch.cuda.get_device_name() if options.device == "cuda" else options.device
    size = f"{options.image_size} x {options.image_size}"
    print(f"{options.model} at {size}, {n} images, batch {options.batch_size}, on {name}\n")
    print("| | images a second | time beside the bare loop |\n|---|---|---|")
    for key, found in medians.items():
        print(f"| {key} | {n / found:.2f} | {found / base:.3f} |")


if __name__ == "__main__":
    main()
