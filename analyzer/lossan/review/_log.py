"""The audit log of a review: every decision, one after another, in a file that only grows."""

from collections.abc import Iterable, Mapping
from json import JSONDecoder
from pathlib import Path
from typing import final

from pydantic import ValidationError
from pydantic_core import from_json

from lossan.errors import DecisionsError
from lossan.io import LineFile
from lossan.review._decision import Decision

DECISIONS = "decisions.jsonl"
"""The audit log's name in the folder of findings."""
_TOLD = 10  # faults that a message lists


@final
class DecisionLog:
    """Decisions in a file that several processes may append to; made by `open`.

    A line that was cut off, by a crash or a full disk, was never acknowledged: it stays in the
    file, does not count, and the next decision begins on a new line.
    """

    def __init__(self, file: LineFile, fingerprint: str | None) -> None:
        self._file, self._fingerprint = file, fingerprint
        self._decisions: list[Decision] = []
        self._by_id: dict[str, Decision] = {}
        self._read_to = self._n_lines = self._n_cut = 0
        self._tail_is_cut = False
        self.refresh()

    @classmethod
    def open(cls, path: Path, *, fingerprint: str | None, create: bool = True) -> "DecisionLog":
        """Read a log of decisions.

        Parameters
        ----------
        path : Path
        fingerprint : str or None
            Of the findings the decisions must be of; with None, of whichever findings the first
            one is.
        create : bool
            Make the file where there is none.

        Raises
        ------
        DecisionsError
            When it cannot be read, when lines of it are no decisions, or of other findings.
        OutputError
            When it cannot be made.
        """
        file = LineFile(path)
        if create:
            file.create()
        elif not path.exists():
            raise DecisionsError(
                f"{path}: there is no such file. Decisions are made by: lossan review FINDINGS_DIR "
                "--images DIR"
            )
        return cls(file, fingerprint)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._file.path

    @property
    def fingerprint(self) -> str | None:
        """Of the findings that the decisions are of; None where that is open yet."""
        return self._fingerprint

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """All decisions, in the order they were made, each once."""
        return tuple(self._decisions)

    @property
    def n_cut(self) -> int:
        """How many lines were cut off and do not count."""
        return self._n_cut + self._tail_is_cut

    def append(self, decision: Decision) -> bool:
        """Keep a decision: when this returns it is on disk.

        Returns
        -------
        bool
            False when a decision with its id is there already.

        Raises
        ------
        DecisionsError
            When it is of other findings, or takes back what its reader did not decide.
        OutputError
            When it could not be kept.
        """
        return self.extend([decision]) == 1

    def extend(self, decisions: Iterable[Decision]) -> int:
        """Keep decisions: when this returns all of them are on disk.

        Returns
        -------
        int
            How many were not there already, by their ids.

        Raises
        ------
        DecisionsError, OutputError
            As `append`; then none of them was added.
        """
        with self._file.locked():
            self.refresh()
            new: dict[str, Decision] = {}
            for decision in decisions:
                if decision.id not in self._by_id and decision.id not in new:
                    self._check(decision, new)
                    new[decision.id] = decision
            if new:
                self._file.append(b"\n".join(d.model_dump_json().encode() for d in new.values()))
                self.refresh()
            else:
                self._file.sync()  # whoever wrote them may have died before doing so
        return len(new)

    def refresh(self) -> None:
        """Read what other processes have appended since.

        Raises
        ------
        DecisionsError
            As `open`.
        """
        *lines, tail = self._file.read(self._read_to).split(b"\n")
        found, faults, cut = [], [], 0
        for number, line in enumerate([*lines, tail], self._n_lines + 1):
            try:
                found.append(_parse(line))
            except _CutError:
                cut += number <= self._n_lines + len(lines)
            except ValueError as error:
                faults.append(f"line {number}: {error}")
        if faults:
            raise DecisionsError(self._told(faults))
        decisions = [decision for decision in found if decision is not None]
        self._refuse_others(decisions)
        self._read_to += sum(len(line) + 1 for line in lines)
        self._n_lines += len(lines)
        self._n_cut += cut
        # Whole but for its line end, the last line counts; it is read again once that has come.
        self._tail_is_cut = bool(tail) and _is_cut(tail)
        for decision in decisions:
            if decision.id not in self._by_id:
                self._by_id[decision.id] = decision
                self._decisions.append(decision)

    def _check(self, decision: Decision, others: Mapping[str, Decision]) -> None:
        self._refuse_others([decision])
        if decision.undoes is None:
            return
        undone = self._by_id.get(decision.undoes) or others.get(decision.undoes)
        if undone is None or undone.reader != decision.reader:
            whose = "there is none" if undone is None else f"it is one of {undone.reader!r}"
            raise DecisionsError(
                f"{decision.reader!r} cannot take back the decision {decision.undoes!r}: {whose}."
            )

    def _refuse_others(self, decisions: list[Decision]) -> None:
        if self._fingerprint is None and decisions:
            self._fingerprint = decisions[0].fingerprint
        others = [d for d in decisions if d.fingerprint != self._fingerprint]
        if others:
            raise DecisionsError(
                f"{self.path}: {len(others):,} of {len(decisions):,} decisions are of other "
                f"findings: theirs have the fingerprint {others[0].fingerprint}, these "
                f"{self._fingerprint}. Analyse again as it was done for the review, or move the "
                "file away and review these findings anew."
            )

    def _told(self, faults: list[str]) -> str:
        more = f"\n  and {len(faults) - _TOLD:,} more" if len(faults) > _TOLD else ""
        return (
            f"{self.path}: {len(faults):,} lines are not decisions. Restore the file from a copy, "
            "or mend these lines:\n  " + "\n  ".join(faults[:_TOLD]) + more
        )


class _CutError(Exception):
    """A line that is only the beginning of one."""


def _parse(line: bytes) -> Decision | None:
    """Return the decision in a line, None for an empty one."""
    if not line.strip():
        return None
    if _is_cut(line):
        raise _CutError
    try:
        return Decision.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from error


def _is_cut(line: bytes) -> bool:
    """Tell whether a line is the beginning of a JSON object, not a whole one and nothing else."""
    text = line.rstrip(b"\0")  # what a power cut may leave where a write had not come
    if not text:
        return True
    if text[:1] != b"{":
        return False
    return _begins(text.decode("utf-8", "ignore"))  # a character cut in its middle is dropped


def _begins(text: str) -> bool:
    try:
        JSONDecoder().raw_decode(text)
    except RecursionError:
        return False  # whatever it is, no decision nests so deep
    except ValueError:
        pass
    else:
        return False  # whole, whatever follows it
    try:
        from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return False
    return True
