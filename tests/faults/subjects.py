"""What the faults are done to: a recording and trainings whose logs are known beforehand."""

import csv
import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.random
import pyarrow.parquet as pq

import lossan
from lossan.cli import run
from lossan.io import recording_folder
from lossan.recorder import Recorder

SAMPLES, EPOCHS, TRAINED = 40, 12, 5
Say = Callable[[tuple[str, int]], None]
HERE = str(Path(__file__).parent)


def losses(epoch: int, shift: float = 0.0) -> np.ndarray:
    """Return the loss of every sample at an epoch, from 0 on."""
    return np.arange(SAMPLES) + 1000.0 * epoch + shift


def record(path: Path, say: Say, epochs: int = EPOCHS, shift: float = 0.0, **how: Any) -> None:
    """Record until the log has all epochs, telling of each that has ended."""
    with Recorder(path, recorded="train", **(how or {"resume": True})) as recorder:
        say(("opened", recorder.n_epochs))
        for epoch in range(recorder.n_epochs, epochs):
            order = np.random.default_rng(epoch).permutation(SAMPLES)
            for part in np.array_split(order, 3):
                recorder.record(part, losses(epoch, shift)[part])
            recorder.end_epoch()
            say(("ended", epoch + 1))


def train(path: Path, say: Say, adapter: str, labels: Path, *more: str) -> None:
    """Run ``lossan train --resume``, telling of each epoch that is recorded and checkpointed."""
    module = __import__(f"lossan_{adapter}.train", fromlist=["train"])
    _tell(Recorder, "__init__", lambda recorder, *_: say(("opened", recorder.n_epochs)))
    _tell(Recorder, "end_epoch", lambda recorder: say(("ended", recorder.n_epochs)))
    _tell(module._Training, "save", lambda _, epochs: say(("saved", epochs)))
    code = run([*train_command(path, adapter, labels), *more])
    if code:
        sys.exit(code)


def train_command(path: Path, adapter: str, labels: Path) -> list[str]:
    """Return the command line of a training that takes a moment."""
    network = ["--adapter", adapter, "--model", f"subjects:tiny_{adapter}", "--weights", "none"]
    size = ["--image-size", "8", "--epochs", str(TRAINED), "--batch-size", "8", "--lr", "0.01"]
    rest = ["--workers", "1" if adapter == "keras" else "0", "--device", "cpu", "--resume"]
    return ["train", str(labels), "-o", str(path), *network, *size, *rest]


def _tell(owner: Any, name: str, tell: Callable[..., None]) -> None:
    """Let a method tell of each call after it returned."""
    inner = getattr(owner, name)

    def told(self: Any, *arguments: Any, **named: Any) -> Any:
        result = inner(self, *arguments, **named)
        tell(self, *arguments)
        return result

    setattr(owner, name, told)


def tiny_torch(num_classes: int) -> Any:
    """Return a network with batch norm and dropout, so that resuming must restore chance."""
    from torch import nn

    head = [nn.Flatten(), nn.Dropout(0.2), nn.Linear(256, num_classes)]
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), *head)


def tiny_keras(num_classes: int) -> Any:
    """Return the same network in Keras."""
    from keras import Sequential, layers

    body = [layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()]
    head = [layers.Flatten(), layers.Dropout(0.2), layers.Dense(num_classes)]
    return Sequential([layers.Input((8, 8, 3)), *body, *head])


def digits(folder: Path, count: int = 24) -> Path:
    """Write real digits, 0 and 1, as PNG files and return their labels table."""
    from PIL import Image
    from sklearn.datasets import load_digits

    folder.mkdir(parents=True, exist_ok=True)
    pixels, labels = load_digits(n_class=2, return_X_y=True)
    table = folder / "labels.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sample_id", "path", "label"])
        for i in range(count):
            grey = (pixels[i].reshape(8, 8) * 255 / 16).astype(np.uint8)
            Image.fromarray(grey).save(folder / f"{i}.png")
            writer.writerow([f"d{i:03d}", f"{i}.png", ["zero", "one"][labels[i]]])
    return table


def inputs(folder: Path) -> None:
    """Write what commands work on, and results of earlier ones, which they replace."""
    rng = np.random.default_rng(0)
    for name, offset in (("a.parquet", 0), ("b.parquet", SAMPLES)):
        ids = np.arange(SAMPLES) + offset
        labels = dict(zip(ids.tolist(), rng.integers(0, 2, SAMPLES).tolist(), strict=True))
        with Recorder(folder / name, recorded="train", labels=labels) as recorder:
            for _ in range(4):
                recorder.record(ids, rng.gamma(1.0, size=SAMPLES))
                recorder.end_epoch()
    rows = [f"{i},{i}.png,{'no' if i % 2 else 'yes'}" for i in range(SAMPLES)]
    (folder / "labels.csv").write_text("\n".join(["sample_id,path,label", *rows]) + "\n")
    with standing_in(folder):
        succeed("analyze", "a.parquet", "-o", "findings")
        succeed("convert", "b.parquet", "old.npz")


def succeed(*command: str) -> None:
    """Run a command line that must succeed, without a word."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = run(command)
    assert code == 0, f"lossan {' '.join(command)}: {said.getvalue()}"


@contextmanager
def standing_in(folder: Path) -> Iterator[None]:
    """Let commands name files by their place in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def without_flushing() -> Iterator[None]:
    """Spare the disk what a test that cuts no power has no use for."""
    with mock.patch.object(os, "fsync"):
        yield


def quiet() -> None:
    """Send what a subject prints to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def stored(path: Path) -> dict[int, dict[Any, float]]:
    """Read the epochs that are on disk, without lossan: epoch to sample to loss.

    Raises
    ------
    AssertionError
        When a sample stands twice in an epoch, or an epoch lacks samples of another.
    """
    folder = recording_folder(path)
    files = [path] if path.exists() else sorted(folder.glob("epoch-*.parquet"))
    found: dict[int, dict[Any, float]] = {}
    for file in files:
        rows = pq.ParquetFile(file).read(columns=["sample_id", "epoch", "loss"]).to_pydict()
        keys = list(zip(rows["sample_id"], rows["epoch"], strict=True))
        twice = [key for key, count in Counter(keys).items() if count > 1]
        assert not twice, f"{file.name} holds {twice[0]} twice"
        for (sample, epoch), loss in zip(keys, rows["loss"], strict=True):
            assert sample not in found.get(epoch, {}), f"epoch {epoch} stands in two files"
            found.setdefault(epoch, {})[sample] = loss
    ragged = [
        epoch for epoch, rows in found.items() if len(rows) != len(next(iter(found.values())))
    ]
    assert not ragged, f"epochs {ragged} lack samples"
    return found


def expected(epochs: int = EPOCHS, shift: float = 0.0) -> dict[int, dict[Any, float]]:
    """Return what the log of `record` must hold."""
    return {e + 1: dict(enumerate(losses(e, shift).tolist())) for e in range(epochs)}


def check_log(path: Path, least: int, most: int, whole: dict[int, dict[Any, float]]) -> int:
    """Hold a log to its promise and return how many epochs it holds.

    Parameters
    ----------
    path : Path
        The log, closed or in recording.
    least : int
        How many epochs were said to have ended.
    most : int
        Mostly one more, which may have reached the disk in the moment before it was said.
    whole : dict
        What the log holds at the end of an undisturbed run.
    """
    found = stored(path)
    assert sorted(found) == list(range(1, len(found) + 1)), f"epochs {sorted(found)} have a gap"
    assert least <= len(found) <= most, f"{len(found)} epochs on disk, not {least} to {most}"
    wrong = [epoch for epoch, rows in found.items() if rows != whole[epoch]]
    assert not wrong, f"epochs {wrong} hold other losses than were recorded"
    if len(found) >= 2:
        there = path if path.exists() else recording_folder(path)
        assert lossan.read_log(there).n_epochs == len(found)
    return len(found)


def check_complete(path: Path, whole: dict[int, dict[Any, float]], *beside: str) -> None:
    """Hold a log that was completed to what an undisturbed run gives, and nothing beside it."""
    assert path.exists(), "resuming completed no log"
    check_log(path, len(whole), len(whole), whole)
    left = sorted(p.name for p in path.parent.iterdir() if p.name not in (path.name, *beside))
    assert not left, f"left behind: {', '.join(left)}"
