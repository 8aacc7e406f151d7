"""The Parquet parts of a log as one stream of batches, with their columns and statistics."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol, final

import pyarrow as pa

from lossan.errors import Fault, LogError
from lossan.io._bounds import Group
from lossan.io._footer import Footer
from lossan.io._metadata import KEY, parse_metadata
from lossan.io._options import ReadOptions, find_columns
from lossan.io._source import ITSELF, Part, arrow_errors
from lossan.io._types import Columns, check_types, family
from lossan.losslog import STATIC_FIELDS

Progress = Callable[[int, int], None]
"""Called with the rows read so far and the rows there are."""

_TAKEN = 1 << 24  # bytes that a row group is decoded ahead
_NUMBERS = {f"{whole}{kind}" for whole in ("", "list of ") for kind in ("integer", "number")}


class Rows(Protocol):
    """What a reader takes a log from: files, or batches that are there already."""

    @property
    def columns(self) -> Columns:
        """Which columns hold which field."""

    @property
    def n_rows(self) -> int:
        """How many rows there are."""

    @property
    def ranges(self) -> dict[str, tuple[int, int] | None]:
        """The least and the greatest sample id and epoch, where they are known integers."""

    def batches(
        self, columns: list[str], progress: Progress | None = None
    ) -> Iterator[tuple[Part, pa.RecordBatch]]:
        """Yield batches in their order."""


@dataclass(frozen=True)
class Parts:
    """The opened parts of a log, all of one layout.

    Parameters
    ----------
    parts : list of Part
    columns : Columns
    n_rows : int
        As the footers state it.
    schema : pyarrow.Schema
        Of the first part.
    """

    parts: list[Part]
    columns: Columns
    n_rows: int
    schema: pa.Schema
    ranges: dict[str, tuple[int, int] | None]

    def batches(
        self, columns: list[str], progress: Progress | None = None
    ) -> Iterator[tuple[Part, pa.RecordBatch]]:
        """Yield batches in their order, the next row groups decoded meanwhile on all cores."""
        done = 0
        cores = (os.cpu_count() or 1) if all(p.can_be_shared for p in self.parts) else 1
        with ThreadPoolExecutor(cores) as pool:
            # one more than cores, so that none waits for what was decoded to be taken
            for part, batch in _ahead(self._row_groups(columns), pool, cores + 1):
                yield part, batch
                done += batch.num_rows
                if progress is not None:
                    progress(done, self.n_rows)

    def _row_groups(self, columns: list[str]) -> Iterator["_RowGroup"]:
        for part in self.parts:
            with arrow_errors(part.name):
                footer = part.footer()
            for number, group in enumerate(footer.groups):
                epoch = self._epoch_of(group)
                if epoch is None:
                    yield _RowGroup(part, footer, number, columns)
                else:  # logs are written epoch by epoch: nothing of that column need be decoded
                    others = [c for c in columns if c != self.columns.single["epoch"]]
                    yield _RowGroup(replace(part, epoch=epoch), footer, number, others)

    def _epoch_of(self, group: Group) -> int | None:
        """Return the epoch of all rows of a row group of a long log, where it is known."""
        name = self.columns.single.get("epoch")
        if self.columns.layout != "long" or name not in group.chunks:
            return None
        return group.chunks[name].constant


@final
class _RowGroup:
    """Batches of one row group, a handful at a time."""

    def __init__(self, part: Part, footer: Footer, number: int, columns: list[str]) -> None:
        self.part = part
        self._open = (footer, number, columns)
        self._batches: Iterator[pa.RecordBatch] | None = None

    def take(self) -> list[pa.RecordBatch]:
        """Decode the next batches, of some megabytes in all; none are left if it is empty."""
        taken: list[pa.RecordBatch] = []
        size = 0
        with arrow_errors(self.part.name):
            if self._batches is None:
                footer, number, columns = self._open
                self._batches = self.part.batches(footer, [number], columns)
            for batch in self._batches:
                taken.append(batch)
                size += batch.nbytes
                if size > _TAKEN:
                    break
        return taken


def _ahead(
    groups: Iterator[_RowGroup], pool: ThreadPoolExecutor, depth: int
) -> Iterator[tuple[Part, pa.RecordBatch]]:
    """Yield the batches of row groups in turn while those to come are being decoded."""
    waiting = deque((g, pool.submit(g.take)) for g in islice(groups, depth))
    while waiting:
        group, decoding = waiting.popleft()
        while batches := decoding.result():
            decoding = pool.submit(group.take)
            for batch in batches:
                yield group.part, batch
        waiting.extend((g, pool.submit(g.take)) for g in islice(groups, 1))


def open_parts(parts: list[Part], options: ReadOptions) -> tuple[Parts, dict[bytes, bytes]]:
    """Read every footer, find the columns and check that the parts agree."""
    faults: list[Fault] = []
    first: tuple[Columns, pa.Schema, str] | None = None
    metadata: dict[bytes, bytes] = {}
    n_rows = 0
    ranges: dict[str, tuple[int, int] | None] = {}
    modes: dict[str, str] = {}
    for part in parts:
        part_faults: list[Fault] = []
        opened = _open(part, options, part_faults)
        if opened is None:
            if len(parts) > 1:
                part_faults = [fault.inside(part.name) for fault in part_faults]
            faults += part_faults
            continue
        footer, schema, columns, recorded = opened
        if recorded is not None:
            modes.setdefault(recorded, part.name)
        if first is None:
            first, metadata = (columns, schema, part.name), schema.metadata or {}
            ranges = dict.fromkeys(("sample_id", "epoch"))
        else:
            faults += _disagreements(first, columns, schema, part.name)
        n_rows += footer.n_rows
        _widen(ranges, part, footer, schema, columns, is_first=n_rows == footer.n_rows)
    if len(modes) > 1:
        shown = ", ".join(f"{mode} ({name})" for mode, name in sorted(modes.items()))
        message = f"its parts were recorded in different ways: {shown}. Analyse them apart."
        faults.append(Fault("recorded", message))
    if faults or first is None:
        raise LogError(parts[0].name if len(parts) == 1 else ITSELF, faults)
    return Parts(parts, first[0], n_rows, first[1], ranges), metadata


def _open(
    part: Part, options: ReadOptions, faults: list[Fault]
) -> tuple[Footer, pa.Schema, Columns, str | None] | None:
    """Return a part's footer, schema, columns and how it was recorded; None where it has faults."""
    try:
        with arrow_errors(part.name):
            footer = part.footer()
            schema = part.schema(footer)
        recorded = parse_metadata((schema.metadata or {}).get(KEY), part.name).get("recorded")
    except LogError as error:
        faults += error.faults
        return None
    columns = find_columns(schema, options, epoch_in_path=part.epoch is not None, faults=faults)
    if columns is not None:
        check_types(schema, columns, faults)
    if faults or columns is None:
        return None
    return footer, schema, columns, recorded if isinstance(recorded, str) else None


def _disagreements(
    first: tuple[Columns, pa.Schema, str], columns: Columns, schema: pa.Schema, name: str
) -> list[Fault]:
    """Tell where a part means another thing by its columns than the first part does."""
    expected, expected_schema, expected_name = first
    if (columns.layout, columns.single, columns.numbered) != (
        expected.layout,
        expected.single,
        expected.numbered,
    ):
        fields = set(columns.single) ^ set(expected.single)
        what = f"the columns {', '.join(sorted(fields))}" if fields else "its layout"
        message = f"{name} and {expected_name} differ in {what}; all parts must have the same."
        return [Fault("schema", message)]
    faults = []
    for column in wanted(columns):
        kind, other = schema.field(column).type, expected_schema.field(column).type
        if not _alike(kind, other):
            message = (
                f"{column} is {other} in {expected_name} and {kind} in {name}; all parts must "
                "have the same type. Cast one."
            )
            faults.append(Fault("schema", message))
    return faults


def _alike(kind: pa.DataType, other: pa.DataType) -> bool:
    """Tell whether two types can be one column: an empty one fits any, and numbers mix."""
    held = {family(kind), family(other)}
    return len(held) == 1 or held <= _NUMBERS or any("null" in name for name in held)


def _widen(
    ranges: dict[str, tuple[int, int] | None],
    part: Part,
    footer: Footer,
    schema: pa.Schema,
    columns: Columns,
    *,
    is_first: bool,
) -> None:
    """Extend the known ranges of ids and epochs by a part's statistics, or forget them."""
    for field, known in list(ranges.items()):
        found: tuple[int, int] | None = None
        if columns.layout == "wide" and field == "epoch":
            pass  # its rows hold them all
        elif field == "epoch" and "epoch" not in columns.single and part.epoch is not None:
            found = (part.epoch, part.epoch)
        else:
            found = _range(footer, schema, columns.single.get(field, ""))
        if is_first:
            ranges[field] = found
        elif found is None or known is None:
            ranges[field] = None
        else:
            ranges[field] = (min(known[0], found[0]), max(known[1], found[1]))


def _range(footer: Footer, schema: pa.Schema, column: str) -> tuple[int, int] | None:
    kind = schema.field(column).type if schema.names.count(column) == 1 else pa.null()
    if not pa.types.is_integer(kind):
        return None
    low, high = [], []
    signed = pa.types.is_signed_integer(kind)
    for group in footer.groups:
        ends = group.chunks[column].ends if column in group.chunks else None
        if ends is None or not {len(end) for end in ends} <= {4, 8}:
            return None
        low.append(int.from_bytes(ends[0], "little", signed=signed))
        high.append(int.from_bytes(ends[1], "little", signed=signed))
    known = bool(low) and min(low) <= max(high)
    return (min(low), max(high)) if known else None


def wanted(columns: Columns) -> list[str]:
    """Return the columns to decode."""
    order = ["sample_id", "epoch", "loss", *STATIC_FIELDS]
    single = sorted(columns.single, key=lambda f: order.index(f) if f in order else len(order))
    return [columns.single[f] for f in single] + [n for ns in columns.numbered.values() for n in ns]
