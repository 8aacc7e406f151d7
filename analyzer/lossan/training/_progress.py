"""How far a training came, on standard error: a bar on a terminal, plain lines otherwise."""

import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from time import monotonic
from typing import Any, Self, final

_LINES, _DRAWINGS = 10.0, 0.2  # seconds between plain lines, and between drawings of a bar


@final
class Progress:
    """Running loss and accuracy of an epoch, with the time that is left of it.

    A context, so that a bar is taken away whatever ends the epoch.

    Parameters
    ----------
    epoch, n_epochs : int
        The epoch from 0 on, and how many there are.
    n_samples : int
        How many samples the epoch shows.
    """

    def __init__(self, epoch: int, n_epochs: int, n_samples: int) -> None:
        self._title, self._epochs_left = f"epoch {epoch + 1}/{n_epochs}", n_epochs - epoch - 1
        self._done = 0
        self._loss = self._correct = 0.0
        self._bar: Any = _bar() if sys.stderr.isatty() else None
        self._seconds = _LINES if self._bar is None else _DRAWINGS
        self._epoch_began = monotonic()
        self._begin(self._title, n_samples)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def due(self) -> bool:
        """Tell whether it is time to show something; until then sums may stay on a GPU."""
        return monotonic() - self._shown >= self._seconds

    def update(self, n: int, loss: float, correct: float) -> None:
        """Add batches: how many samples, the sum of their losses, how many were right."""
        self._done += n
        self._loss += loss
        self._correct += correct
        self._show(self._line(), self._done)

    def over(self, batches: Iterable[Any], what: str, n_samples: int) -> Iterator[Any]:
        """Pass batches on, whose first part is of a sample each, and show how many have been."""
        done, title = 0, f"{self._title}, {what}"
        self._begin(title, n_samples)
        for batch in batches:
            yield batch
            done += len(batch[0])
            self._show(title, done)

    def end(self, test: dict[str, Any] | None = None) -> dict[str, Any]:
        """Print the epoch's line and return its figures."""
        self.__exit__()
        seconds = monotonic() - self._epoch_began
        line = self._line()
        if test:
            line += f", test loss {test['test_loss']:.4f}, accuracy {test['test_accuracy']:.2%}"
        line += f", {_time(seconds)}"
        if self._epochs_left:
            line += f", about {_time(seconds * self._epochs_left)} to the end"
        print(line, file=sys.stderr, flush=True)
        return {**self._figures(), **(test or {}), "seconds": round(seconds, 3)}

    def _figures(self) -> dict[str, float]:
        """Return the mean loss, in nats, and the accuracy so far."""
        n = max(self._done, 1)
        return {"train_loss": self._loss / n, "train_accuracy": self._correct / n}

    def _line(self) -> str:
        figures = self._figures()
        loss, accuracy = figures["train_loss"], figures["train_accuracy"]
        return f"{self._title}: loss {loss:.4f}, accuracy {accuracy:.2%}"

    def _begin(self, title: str, n_samples: int) -> None:
        self._total, self._began = n_samples, monotonic()
        self._shown = self._began
        if self._bar is not None:
            self._bar.reset(self._bar.task_ids[0], total=n_samples, description=title)
            self._bar.refresh()

    def _show(self, title: str, done: int) -> None:
        if not self.due():
            return
        self._shown = monotonic()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, description=title, refresh=True)
            return
        left = (self._shown - self._began) / done * (self._total - done)
        share = f"{done} of {self._total}"
        print(f"{title}, {share}, {_time(left)} left", file=sys.stderr, flush=True)


def _time(seconds: float) -> str:
    """Return seconds as people read them.

    Examples
    --------
    >>> _time(59.4), _time(3723)
    ('59 s', '1:02:03')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return str(timedelta(seconds=round(seconds)))


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    bar = RichProgress(
        TextColumn("{task.description}"),
        *columns,
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,  # by a thread, which processes that read images would be forked from
    )
    bar.add_task("")
    bar.start()
    return bar
