"""What each epoch of a training came to, in a small file beside the log."""

import json
import math
import sys
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lossan.errors import LossanError
from lossan.io import atomic_file, remove_unfinished
from lossan.training._samples import SampleSet


@final
class History:
    """Per-epoch figures, written whole after each epoch; made once the log is held.

    Parameters
    ----------
    log : Path
        The log they belong to; the history is ``LOG.history.json``.
    keep : int
        How many epochs of an earlier history to keep.
    test : SampleSet, optional
        What is tested on after each epoch.
    """

    def __init__(self, log: Path, *, keep: int = 0, test: SampleSet | None = None) -> None:
        self.path = history_file(log)
        remove_unfinished(self.path)
        self.epochs: list[dict[str, Any]] = []
        self._told = False
        # so that runs on different test sets are not taken for a pair
        self._about = {} if test is None else {"test_set": test.test_fingerprint}
        if keep and self.path.exists():
            self.epochs = read_history(log)[:keep]

    def add(self, **figures: Any) -> dict[str, Any]:
        """Add an epoch's figures and write the file; what is not finite is null in it."""
        entry = {"epoch": len(self.epochs) + 1, **_finite(figures)}
        self.epochs.append(entry)
        whole = {**self._about, "epochs": self.epochs}
        content = json.dumps(whole, indent=2, allow_nan=False)
        with atomic_file(self.path) as file:
            file.write(content.encode())
        self._tell(entry)
        return entry

    def _tell(self, entry: dict[str, Any]) -> None:
        """Say once that a training diverged: it goes on, and its log is of no use."""
        if self._told or not any(k.endswith("_loss") and v is None for k, v in entry.items()):
            return
        self._told = True
        print(
            f"note: the loss of epoch {entry['epoch']} is not finite: the training diverged; give "
            "a smaller --lr.",
            file=sys.stderr,
            flush=True,
        )


def history_file(log: Path) -> Path:
    """Return where the history of a log stands."""
    return log.with_name(log.name + ".history.json")


def read_history(log: Path) -> list[dict[str, Any]]:
    """Read the figures of each epoch that stand beside a log; None for what is not finite.

    Raises
    ------
    LossanError
        When there is no history, or it is none.
    """
    epochs = _read(log)["epochs"]
    return [_finite(entry) for entry in epochs]


def read_test_set(log: Path) -> str | None:
    """Return the fingerprint of the test set of a log's history; None where it holds none.

    Raises
    ------
    LossanError
        When there is no history, or it is none.
    """
    found = _read(log).get("test_set")
    return found if isinstance(found, str) else None


def _read(log: Path) -> dict[str, Any]:
    path = history_file(log)
    try:
        history: dict[str, Any] = json.loads(path.read_text())
        epochs = history["epochs"]
    except OSError as error:
        raise LossanError(
            f"{path} cannot be read ({error.strerror}); `lossan train LABELS -o {log}` writes it."
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LossanError(f"{path} is not a history that lossan wrote ({error!r}).") from error
    if not isinstance(epochs, list) or not all(isinstance(entry, dict) for entry in epochs):
        raise LossanError(f"{path} is not a history that lossan wrote: epochs is no list of them.")
    return history


def _finite(figures: dict[str, Any]) -> dict[str, Any]:
    """Return figures with None for what JSON has no number for; older files hold NaN."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in figures.items()
    }


def evaluation_figures(loss: float, right: NDArray[np.bool_]) -> dict[str, Any]:
    """Return what an epoch came to on the test set.

    Parameters
    ----------
    loss : float
        The sum of the losses, in nats.
    right : ndarray of bool
        Shape (n_samples,): which samples were classified rightly, in the order of the test set.
        Kept as hexadecimal digits of packed bits, so that runs can be compared sample by sample.

    Examples
    --------
    >>> evaluation_figures(1.0, np.array([True, False]))
    {'test_loss': 0.5, 'test_accuracy': 0.5, 'test_n': 2, 'test_right': '80'}
    """
    return {
        "test_loss": loss / len(right),
        "test_accuracy": float(np.mean(right)),
        "test_n": len(right),
        "test_right": np.packbits(right).tobytes().hex(),
    }


def right_of(entry: dict[str, Any]) -> NDArray[np.bool_] | None:
    """Return which test samples an epoch classified rightly, None where that was not kept.

    Examples
    --------
    >>> right_of(evaluation_figures(1.0, np.array([True, False]))).tolist()
    [True, False]
    """
    if "test_right" not in entry:
        return None
    packed = np.frombuffer(bytes.fromhex(entry["test_right"]), np.uint8)
    if len(packed) != -(-entry["test_n"] // 8):  # numpy would make up the rest
        raise ValueError(f"test_right has {len(packed)} bytes for {entry['test_n']} samples")
    return np.unpackbits(packed, count=entry["test_n"]).astype(bool)
