"""One tree of errors; whatever a user can mend is a `LossanError`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any


class LossanError(Exception):
    """Anything wrong with what was given; the command line turns it into exit code 2."""


class LogError(LossanError):
    """A loss log that cannot be used, with every fault found in it.

    Parameters
    ----------
    where : str
        The log, as the user named it.
    faults : sequence of Fault
        What is wrong with it, at least one.
    """

    def __init__(self, where: str, faults: Sequence["Fault"]) -> None:
        self.where = where
        self.faults = tuple(faults)
        super().__init__(fault_text(where, self.faults))

    def __reduce__(self) -> tuple[type["LogError"], tuple[str, tuple["Fault", ...]]]:
        """Let it be sent from one process to another."""
        return type(self), (self.where, self.faults)


class DetectorError(LossanError):
    """A detector that is not there, lacks what it needs or cannot work on this log."""


class OptionError(LossanError):
    """An option or argument outside what is allowed."""


class TableError(LossanError):
    """A labels or findings table that cannot be used."""


class DecisionsError(LossanError):
    """Decisions that cannot be read, kept or applied."""


class RecorderError(LossanError):
    """A call of the Recorder that would lose or falsify what was recorded."""


class OutputError(LossanError):
    """A result that could not be written; nothing half-written stays behind."""

    @classmethod
    def from_os_error(cls, path: object, error: OSError) -> "OutputError":
        """Say which file could not be written and why."""
        reason = error.strerror or str(error)
        return cls(f"cannot write {path}: {reason}. Nothing was left half-written.")


class RecordingWarning(UserWarning):
    """Something about a recording that its user should know, though nothing was lost."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a log.

    Parameters
    ----------
    code : str
        A stable name, such as ``"duplicate"``.
    message : str
        The value, where it stood, what is allowed and what to do.
    count : int
        How many rows or samples it concerns.
    """

    code: str
    message: str
    count: int = 1

    def inside(self, where: str) -> "Fault":
        """Say in which of several files or logs it is."""
        return replace(self, message=f"{where}: {self.message}")


def each_of(calls: Iterable[Callable[[], Any]]) -> list[Any]:
    """Call each, as reading several files, and tell at once of all that fail.

    Raises
    ------
    LossanError
        What one call raised, or one with the messages of several.
    """
    done, errors = [], []
    for call in calls:
        try:
            done.append(call())
        except LossanError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        lines = "\n".join(f"  {i}. {error}" for i, error in enumerate(errors, 1))
        raise LossanError(f"{len(errors)} things that were given cannot be used:\n{lines}")
    return done


def fault_text(where: str, faults: Sequence[Fault]) -> str:
    """Put all faults of a log into one message."""
    if len(faults) == 1:
        return f"{where}: {faults[0].message}"
    lines = "\n".join(f"  {i}. {fault.message}" for i, fault in enumerate(faults, 1))
    return f"{where} has {len(faults)} faults:\n{lines}"


def hint(name: str, options: Iterable[str], *, word: str = "allowed") -> str:
    """Name the options, by `word` what they are, and the one that was probably meant.

    Examples
    --------
    >>> hint("kmean", ["kmeans", "mean_loss"])
    "allowed: kmeans, mean_loss. Did you mean 'kmeans'?"
    """
    allowed = sorted(options)
    text = f"{word}: {', '.join(allowed)}."
    close = get_close_matches(str(name), allowed, n=1)
    return f"{text} Did you mean {close[0]!r}?" if close else text


def some_of(names: Sequence[str], most: int = 5) -> str:
    """Name the first of many, and say how many more there are.

    Examples
    --------
    >>> some_of(["a", "b"]), some_of(list("abcdefg"))
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
