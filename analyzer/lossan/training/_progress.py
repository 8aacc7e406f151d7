"""How far a training came, on standard error: a bar on a terminal, plain lines otherwise."""

import sys
from time import monotonic
from typing import Any, final

_SECONDS = 10.0  # between plain lines


@final
class Progress:
    """Running loss and accuracy of an epoch, with the time that is left of it.

    Parameters
    ----------
    epoch, n_epochs : int
        The epoch from 0 on, and how many there are.
    n_samples : int
        How many samples the epoch shows.
    """

    def __init__(self, epoch: int, n_epochs: int, n_samples: int) -> None:
        self._title = f"epoch {epoch + 1}/{n_epochs}"
        self._total, self._done = n_samples, 0
        self._loss = self._correct = 0.0
        self._began = self._last = monotonic()
        self._bar: Any = _bar(self._title, n_samples) if sys.stderr.isatty() else None

    def update(self, n: int, loss: float, correct: float) -> None:
        """Add a batch: how many samples, the sum of their losses, how many were right."""
        self._done += n
        self._loss += loss
        self._correct += correct
        now = monotonic()
        if self._bar is not None:
            self._bar.update(0, completed=self._done, description=self._line())
        elif now - self._last >= _SECONDS:
            self._last = now
            left = (now - self._began) / self._done * (self._total - self._done)
            share = f"{self._done} of {self._total}"
            print(f"{self._line()}, {share}, {left:.0f} s left", file=sys.stderr, flush=True)

    def end(self, test: dict[str, Any] | None = None) -> dict[str, Any]:
        """Print the epoch's line and return its figures."""
        if self._bar is not None:
            self._bar.stop()
        seconds = monotonic() - self._began
        figures = self.figures()
        line = self._line()
        if test:
            line += f", test loss {test['test_loss']:.4f}, accuracy {test['test_accuracy']:.2%}"
        print(f"{line}, {seconds:.0f} s", file=sys.stderr, flush=True)
        return {**figures, **(test or {}), "seconds": round(seconds, 3)}

    def figures(self) -> dict[str, float]:
        """Return the mean loss, in nats, and the accuracy so far."""
        n = max(self._done, 1)
        return {"train_loss": self._loss / n, "train_accuracy": self._correct / n}

    def _line(self) -> str:
        figures = self.figures()
        loss, accuracy = figures["train_loss"], figures["train_accuracy"]
        return f"{self._title}: loss {loss:.4f}, accuracy {accuracy:.2%}"


def _bar(title: str, total: int) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    bar = RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    bar.add_task(title, total=total)
    bar.start()
    return bar
