"""What a Recorder tells of an epoch that is not as it should be, each kind once."""

import sys
from typing import final

import pyarrow as pa
import pyarrow.compute as pc

_PACKAGES = ("lossan", "lossan_torch", "lossan_keras")


@final
class Irregularities:
    """Knows what was told, and the labels of the epoch before."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._labels: tuple[pa.Array, pa.Array] | None = None

    def of(self, table: pa.Table, missed: pa.Array, n_repeated: int) -> list[str]:
        """Return a message for each kind of irregularity that an epoch is the first to show.

        Parameters
        ----------
        table : Table
            The epoch's records, one a sample.
        missed : Array
            Ids of known samples that it lacks.
        n_repeated : int
            How many further records there were.
        """
        infinite = int(pc.sum(pc.is_inf(table["loss"])).as_py() or 0)
        found = {
            "missed": len(missed)
            and f"{len(missed)} known samples were not recorded, first {missed[0].as_py()!r}; they "
            "count as not observed.",
            "repeated": n_repeated
            and f"{n_repeated} records repeat a sample; the last of each counts.",
            "infinite": infinite
            and f"{infinite} losses are infinite; analysing needs --invalid mask.",
            **{name: _improbable(name, table) for name in ("label_prob", "predicted_prob")},
            "unlabelled": _unlabelled(table),
            "relabelled": self._relabelled(table),
        }
        fresh = [kind for kind, message in found.items() if message and kind not in self._told]
        self._told.update(fresh)
        return [f"{found[kind]} (Told once.)" for kind in fresh]

    def _relabelled(self, table: pa.Table) -> str:
        """Tell of samples whose label is not that of the epoch before: no log can hold both."""
        if "label" not in table.column_names:
            return ""
        ids, labels = (table[name].combine_chunks() for name in ("sample_id", "label"))
        before, self._labels = self._labels, (ids, labels)
        if before is None:
            return ""
        same = ids.equals(before[0])
        earlier = before[1] if same else before[1].take(pc.index_in(ids, value_set=before[0]))
        if pa.types.is_null(earlier.type) or pa.types.is_null(labels.type):
            return ""
        rows = pc.indices_nonzero(pc.fill_null(pc.not_equal(labels, earlier), False))
        if not len(rows):
            return ""
        first = rows[0].as_py()
        return (
            f"{len(rows)} samples have another label than in the epoch before, first "
            f"{ids[first].as_py()!r}: {earlier[first].as_py()!r}, then {labels[first].as_py()!r}. "
            "A sample has one label: a log of both cannot be analysed."
        )


def _unlabelled(table: pa.Table) -> str:
    missing = table["label"].null_count if "label" in table.column_names else 0
    if not missing:
        return ""
    return f"{missing} samples have no label; are the ids those of the labels?"


def _improbable(name: str, table: pa.Table) -> str:
    if name not in table.column_names:
        return ""
    ends = pc.min_max(table[name])
    low, high = ends["min"].as_py(), ends["max"].as_py()
    if low is None or not (low < 0 or high > 1):  # NaN where nothing was observed
        return ""
    return (
        f"{name} goes from {low:g} to {high:g}; a probability is from 0 to 1, and a log of others "
        "cannot be analysed."
    )


def outside() -> int:
    """Return how far up the stack the caller's own code is, for a warning to point at."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _PACKAGES:
        frame, level = frame.f_back, level + 1
    return level
