"""A log's Parquet files cut into units of bounded size, for many hands."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lossan.build import Draft
from lossan.columns import plain_column
from lossan.errors import Fault, LogError, OptionError
from lossan.io._footer import BATCH_ROWS
from lossan.io._long import read_long
from lossan.io._metadata import KEY, parse_metadata
from lossan.io._options import ReadOptions
from lossan.io._parts import Parts, Progress, open_parts, wanted
from lossan.io._source import ITSELF, Part, arrow_errors, parts_of
from lossan.io._types import Columns, is_list, to_float32
from lossan.io._wide import read_wide
from lossan.losslog import FLOAT_CHANNELS

_EPOCH = "epoch"


@dataclass(frozen=True)
class Unit:
    """Row groups of one file that one worker takes.

    Parameters
    ----------
    part : Part
    groups : tuple of int
    """

    part: Part
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Cut:
    """A log of Parquet files, cut into units.

    Parameters
    ----------
    units : list of Unit
    parts : Parts
    metadata : dict
    """

    units: list[Unit]
    parts: Parts
    metadata: dict[str, object]


@contextmanager
def cut_log(source: str, options: ReadOptions, *, unit_rows: int) -> Iterator[Cut]:
    """Open a log and cut it into units of about so many rows.

    Raises
    ------
    LogError
        With every fault of its files' schemas.
    OptionError
        For a log that cannot be cut: NPZ, or one that is piped in.
    """
    with parts_of(source) as parts:
        if not isinstance(parts, list):
            raise OptionError(
                f"{source} is NPZ, which is read whole; write it as Parquet first: "
                f"lossan convert {source} LOG.parquet"
            )
        if not all(part.can_be_sent for part in parts):
            raise OptionError(f"{source} is a pipe; this engine reads it twice. Give it as a file.")
        whole = [_whole(part) for part in parts]
        opened, stored = open_parts(whole, options)
        metadata = parse_metadata(stored.get(KEY), whole[0].name)
        yield Cut([u for p in whole for u in _units(p, unit_rows)], opened, metadata)


def _whole(part: Part) -> Part:
    """Name a file by its whole path, for workers may run in other folders."""
    source = part.source
    return replace(part, source=source.absolute()) if isinstance(source, Path) else part


def _units(part: Part, unit_rows: int) -> Iterator[Unit]:
    with arrow_errors(part.name):
        footer = part.footer()
    groups: list[int] = []
    rows = 0
    for number, group in enumerate(footer.groups):
        groups.append(number)
        rows += group.rows
        if rows >= unit_rows:
            yield Unit(part, tuple(groups))
            groups, rows = [], 0
    if groups:
        yield Unit(part, tuple(groups))


def unit_batches(unit: Unit, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Decode some columns of a unit, on the calling thread."""
    with arrow_errors(unit.part.name):
        yield from unit.part.batches(unit.part.footer(), list(unit.groups), columns)


def plain_batch(unit: Unit, batch: pa.RecordBatch, parts: Parts) -> pa.RecordBatch:
    """Return a batch by the fields' own names, each of the type that readers make of it.

    Columns that it does not have are left out.
    """
    faults: list[Fault] = []
    found: dict[str, pa.Array] = {}
    single = parts.columns.single.items()
    for field, name in ((f, c) for f, c in single if c in batch.schema.names):
        column = batch.column(name)
        if is_list(column.type):
            found[field] = column
        elif field in ("loss", *FLOAT_CHANNELS):
            found[field] = pa.array(to_float32(column))
        else:
            plain = plain_column(field, column, faults)
            if plain is None:
                raise LogError(unit.part.name, faults)
            found[field] = plain
    if not _wide(parts) and _EPOCH not in parts.columns.single:
        found[_EPOCH] = pa.repeat(pa.scalar(unit.part.epoch, pa.int64()), batch.num_rows)
    for names in parts.columns.numbered.values():
        found |= {name: batch.column(name) for name in names if name in batch.schema.names}
    return pa.RecordBatch.from_pydict(found)


@dataclass(frozen=True)
class _Gathered:
    """Batches by the fields' own names, such as `plain_batch` makes, in place of files."""

    held: list[pa.RecordBatch]
    columns: Columns

    @property
    def n_rows(self) -> int:
        return sum(batch.num_rows for batch in self.held)

    @property
    def ranges(self) -> dict[str, tuple[int, int] | None]:
        return {field: _range(self.held, field) for field in ("sample_id", _EPOCH)}

    def batches(
        self,
        columns: list[str],
        progress: Progress | None = None,  # noqa: ARG002 - as of files
    ) -> Iterator[tuple[Part, pa.RecordBatch]]:
        """Yield the batches in their order, in pieces that stay in the cache."""
        for batch in self.held:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield Part(ITSELF, None), batch.slice(start, BATCH_ROWS).select(columns)


def read_gathered(batches: list[pa.RecordBatch], parts: Parts, options: ReadOptions) -> Draft:
    """Make a draft of batches that hold all rows of their samples."""
    wide = _wide(parts)
    fields = [*parts.columns.single, *([] if wide else [_EPOCH])]
    gathered = _Gathered(batches, replace(parts.columns, single={f: f for f in fields}))
    return read_wide(gathered, None) if wide else read_long(gathered, options, None)


def unit_columns(parts: Parts) -> list[str]:
    """Return the columns of a log that are to be decoded."""
    return wanted(parts.columns)


def _wide(parts: Parts) -> bool:
    return parts.columns.layout == "wide"


def _range(batches: list[pa.RecordBatch], field: str) -> tuple[int, int] | None:
    if field not in batches[0].schema.names or not pa.types.is_integer(
        batches[0].schema.field(field).type
    ):
        return None
    ends = [pc.min_max(batch.column(field)).as_py() for batch in batches]
    low = [end["min"] for end in ends if end["min"] is not None]
    high = [end["max"] for end in ends if end["max"] is not None]
    return (min(low), max(high)) if low else None
