"""Which samples to look at, in which order."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import numpy as np
import pyarrow as pa

from lossan.errors import OptionError, hint
from lossan.review._decision import Name, Order

if TYPE_CHECKING:
    import pandas as pd

Findings: TypeAlias = "pd.DataFrame | pa.Table"
ORDERS: tuple[str, ...] = get_args(Order)


def queue(
    findings: Findings, *, order: str, only_flagged: bool = True, top: int | None = None
) -> list[Name]:
    """Return the ids of the samples to look at.

    Parameters
    ----------
    findings : DataFrame or pyarrow.Table
        Most suspicious first, as `read_findings` returns them.
    order : {"suspicion", "class-pair", "group"}
        By score; by given and suggested label, the most frequent pair first; or all samples of a
        group together, the group with the most suspicious one first. Inside a pair or a group the
        most suspicious come first.
    only_flagged : bool
    top : int, optional
        Only so many, the most suspicious ones whatever the order.

    Raises
    ------
    OptionError
        For another order.
    """
    if order not in _KEYS:
        raise OptionError(f"the order is {order!r}; {hint(order, ORDERS)}")
    table = as_table(findings)
    rows = np.flatnonzero(table["flagged"].to_numpy()) if only_flagged else np.arange(len(table))
    shown = table.take(pa.array(rows[:top], pa.int64()))
    ids: list[Name] = shown["sample_id"].to_pylist()
    keys = _KEYS[order](shown)
    return [ids[row] for row in sorted(range(len(ids)), key=keys.__getitem__)]


def refuse_telling_order(order: str, *, blinded: bool) -> None:
    """Refuse to hide labels in an order that shows them.

    Raises
    ------
    OptionError
        For a blinded review by class pairs.
    """
    if blinded and order == "class-pair":
        raise OptionError(
            "--order class-pair shows which labels are given, which --blinded hides; blinded, the "
            "order is suspicion or group."
        )


def as_table(findings: Findings) -> pa.Table:
    """Return findings as an Arrow table."""
    if isinstance(findings, pa.Table):
        return findings
    return pa.Table.from_pandas(findings, preserve_index=False)


def _by_suspicion(shown: pa.Table) -> list[Any]:
    return list(range(len(shown)))


def _by_pair(shown: pa.Table) -> list[Any]:
    given, suggested = (_column(shown, field) for field in ("label", "suggested_label"))
    pairs = list(zip(given, suggested, strict=True))
    places: dict[Any, list[int]] = {}
    for row, pair in enumerate(pairs):
        places.setdefault(pair, []).append(row)
    return [(-len(places[pair]), places[pair][0]) for pair in pairs]


def _by_group(shown: pa.Table) -> list[Any]:
    groups = _column(shown, "group")
    first: dict[Any, int] = {}
    for row, group in enumerate(groups):
        first.setdefault(group, row)
    return [row if group is None else first[group] for row, group in enumerate(groups)]


def _column(shown: pa.Table, field: str) -> list[Any]:
    return shown[field].to_pylist() if field in shown.column_names else [None] * len(shown)


_KEYS: dict[str, Callable[[pa.Table], list[Any]]] = {
    "suspicion": _by_suspicion,
    "class-pair": _by_pair,
    "group": _by_group,
}
