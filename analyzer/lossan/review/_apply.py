"""Corrected labels: what a labels table becomes by the outcomes of a review."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lossan.errors import DecisionsError, OptionError, hint, some_of
from lossan.io import LabelsTable
from lossan.review._decision import Decision, Name
from lossan.review._outcomes import Outcome

_TOLD = 10  # samples that a message lists
_DONE = {
    "keep": "kept",
    "relabel": "relabelled",
    "unsure": "left unsure",
    "exclude": "excluded",
    None: "conflict",
}
ADDED = ("original_label", "reason")


@dataclass(frozen=True, eq=False)
class Applied:
    """Corrected labels.

    Parameters
    ----------
    labels : LabelsTable
        With the columns ``label``, ``original_label`` and ``reason``.
    counts : mapping of str to int
        How many samples were ``kept``, ``relabelled``, ``left unsure``, ``excluded``, or left as
        they were in a ``conflict``.
    new_labels : tuple of str
        Labels given that no sample of the table had.
    """

    labels: LabelsTable
    counts: Mapping[str, int]
    new_labels: tuple[str, ...]


def apply_decisions(
    labels: LabelsTable,
    outcomes: Mapping[Name, Outcome],
    *,
    conflicts: str = "error",
    keep_excluded: bool = False,
) -> Applied:
    """Correct a labels table by the outcomes of a review.

    A sample gets the label that was decided, and the reason; unsure ones keep theirs. Samples
    without a decision stay as they are. ``original_label`` is what the label was before the first
    correction, so that a corrected table may be corrected again: the same outcomes change nothing.
    Ids and labels are compared as text, so that the CSV's 7 is the log's 7.

    Parameters
    ----------
    labels : LabelsTable
        As `lossan.io.read_labels` reads it; not modified.
    outcomes : mapping of sample id to Outcome
    conflicts : {"error", "keep"}
        Whether samples on which readers differ are an error or keep their label.
    keep_excluded : bool
        Whether excluded samples stay in the table, with their label.

    Raises
    ------
    DecisionsError
        With all faults at once: conflicts, samples that are not in the table or have another label
        there than the readers saw, labels that do not fit the column.
    """
    if conflicts not in ("error", "keep"):
        raise OptionError(f"conflicts is {conflicts!r}; {hint(conflicts, ('error', 'keep'))}")
    draft = _Draft(labels)
    known = {str(label) for label in draft.label}
    for sample, outcome in outcomes.items():
        draft.take(str(sample), outcome, conflicts)
    if draft.faults:
        raise DecisionsError(_told(labels.name, draft.faults))
    given = {str(draft.label[row]) for row in draft.relabelled}
    return Applied(
        labels=draft.table(keep_excluded),
        counts=Counter(_DONE[outcome.action] for outcome in outcomes.values()),
        new_labels=tuple(sorted(given - known)),
    )


class _Draft:
    """The columns that change, as lists, and all faults found."""

    def __init__(self, labels: LabelsTable) -> None:
        self._labels = labels
        self._corrected = _is_corrected(labels)
        column = labels.table["label"].combine_chunks()
        kind = column.type
        self._kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        self.label: list[Any] = column.to_pylist()
        self._original: list[Any] = self._list("original_label", self.label)
        self._reason: list[Any] = self._list("reason", [""] * len(self.label))
        ids = labels.column("sample_id").to_pylist()
        self._rows = {str(sample): row for row, sample in enumerate(ids)}
        self.relabelled: list[int] = []
        self._excluded: list[int] = []
        self.faults: dict[str, list[str]] = {}

    def _list(self, field: str, otherwise: list[Any]) -> list[Any]:
        return self._labels.table[field].to_pylist() if self._corrected else list(otherwise)

    def take(self, sample: str, outcome: Outcome, conflicts: str) -> None:
        """Give a sample its outcome, or note why it cannot have it."""
        if outcome.action is None and conflicts == "error":
            said = ", ".join(map(_said, outcome.decisions))
            self._fault("conflict", f"{sample!r} ({said})")
        row = self._rows.get(sample)
        if row is None:
            if not (self._corrected and outcome.action == "exclude"):  # else it is gone already
                self._fault("unknown", repr(sample))
            return
        decided = outcome.label if outcome.action == "relabel" else outcome.given_label
        if self._fits(row, outcome.given_label, decided):
            self._relabel(row, sample, decided)
        else:
            seen, there = str(outcome.given_label), str(self.label[row])
            self._fault("given", f"{sample!r} ({seen!r}, here {there!r})")
        if outcome.action == "exclude":
            self._excluded.append(row)
        self._reason[row] = reason(outcome)

    def _fits(self, row: int, seen: Name | None, decided: Name | None) -> bool:
        """Tell whether the readers saw the label that the table has or, corrected, once had."""
        here = str(self.label[row])
        if seen is None or str(seen) == here:
            return True
        return self._corrected and (str(seen) == str(self._original[row]) or str(decided) == here)

    def _relabel(self, row: int, sample: str, label: Name | None) -> None:
        if label is None or str(label) == str(self.label[row]):
            return
        try:
            value = pa.scalar(str(label)).cast(self._kind).as_py()
        except pa.ArrowInvalid:
            self._fault("type", f"{sample!r} ({label!r})")
            return
        self.relabelled.append(row)
        self.label[row] = value

    def _fault(self, kind: str, text: str) -> None:
        self.faults.setdefault(kind, []).append(text)

    def table(self, keep_excluded: bool) -> LabelsTable:
        """Return the corrected table."""
        labels = self._labels.with_column("label", pa.array(self.label, self._kind))
        labels = labels.with_column("original_label", pa.array(self._original, self._kind))
        labels = labels.with_column("reason", pa.array(self._reason, pa.large_string()))
        if keep_excluded or not self._excluded:
            return labels
        gone = pa.array(sorted(self._excluded), pa.int64())
        left = pc.invert(pc.is_in(pa.array(range(len(self.label)), pa.int64()), value_set=gone))
        return LabelsTable(labels.table.filter(left), labels.name)


def reason(outcome: Outcome) -> str:
    """Say in words how a sample came to its label."""
    done = _DONE[outcome.action]
    if outcome.adjudicator is not None:
        return f"adjudicated by {outcome.adjudicator}: {done}"
    *others, last = sorted(outcome.readers)
    readers = f"{', '.join(others)} and {last}" if others else last
    return f"{done} between {readers}" if outcome.action is None else f"{done} by {readers}"


def _said(decision: Decision) -> str:
    what = "" if decision.label is None else f" {decision.label!r}"
    return f"{decision.reader}: {decision.action}{what}"


def _is_corrected(labels: LabelsTable) -> bool:
    there = [field for field in ADDED if labels.has(field)]
    if len(there) == 1:
        raise DecisionsError(
            f"{labels.name} has a column {there[0]!r} of its own, which the correction would "
            "write. Rename that column."
        )
    return bool(there)


_KINDS = {
    "conflict": (
        "samples on which readers differ; adjudicate them in lossan review, or give "
        "--conflicts keep to leave their labels as they are"
    ),
    "unknown": "samples with decisions that are not in the table",
    "given": "samples have another label in the table than the readers saw",
    "type": "samples were given a label that the table's column of labels cannot hold",
}


def _told(name: str, faults: dict[str, list[str]]) -> str:
    lines = []
    for kind, text in _KINDS.items():
        if samples := faults.get(kind):
            lines.append(f"{len(samples):,} {text}: {some_of(samples, _TOLD)}.")
    return f"{name} cannot be corrected; nothing was written.\n  " + "\n  ".join(lines)
