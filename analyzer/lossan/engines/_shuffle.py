"""All rows of a sample to one bucket, buckets in the order of the ids."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.engines._spill import Spill, one_batch
from lossan.engines._tasks import Tasks
from lossan.errors import Fault, LogError
from lossan.io import Cut, Parts, ReadOptions, Unit, plain_batch, unit_batches, unit_columns

UNIT_ROWS = 1 << 22
"""Rows that a worker holds while it sorts them to buckets."""
BUCKET_CELLS = 1 << 23
"""Losses of a bucket, about."""
_SAMPLED = 1 << 20  # ids that the bounds of the buckets are taken from
_MOST_EPOCHS = 1 << 16
_SHORT = 64  # bytes of an id that cost little
_COMPARED = 1 << 26  # bytes of ids that are compared at a time


@dataclass(frozen=True)
class Seen:
    """What a first look at a unit found.

    Parameters
    ----------
    ids : pyarrow.Array
        Every so manieth id.
    epochs : set of int
    length : int
        Losses of the longest list, in a wide log.
    """

    ids: pa.Array
    epochs: frozenset[int]
    length: int


@dataclass(frozen=True)
class Plan:
    """How the rows of a log go to buckets.

    Parameters
    ----------
    parts : Parts
        What the columns mean.
    options : ReadOptions
    metadata : dict
        The log's own.
    bounds : pyarrow.Array
        Ascending ids, or how they begin: bucket b holds those from bounds[b - 1] up to below
        bounds[b].
    epochs : ndarray of int64
        All epochs of the log, ascending; empty for a wide one.
    n_epochs : int
    spill : Spill
    early_epochs : int or None
    channels : tuple of str
        What the detector reads beside the losses.
    """

    parts: Parts
    options: ReadOptions
    metadata: dict[str, object]
    bounds: pa.Array
    epochs: NDArray[np.int64]
    n_epochs: int
    spill: Spill
    early_epochs: int | None
    channels: tuple[str, ...]

    @property
    def epoch_numbers(self) -> NDArray[np.int64]:
        """The epochs' own numbers, shape (n_epochs,)."""
        if self.parts.columns.numbers:
            return np.array(self.parts.columns.numbers)
        return self.epochs if len(self.epochs) else np.arange(1, self.n_epochs + 1)

    @property
    def n_buckets(self) -> int:
        """How many buckets there are."""
        return len(self.bounds) + 1


@dataclass(frozen=True)
class Fragment:
    """A file with some rows of every bucket, a batch each.

    Parameters
    ----------
    name : str
    counts : ndarray of int64
        Rows by bucket.
    """

    name: str
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Survey:
    """What a first look at the whole log found.

    Parameters
    ----------
    ids : pyarrow.Array
        A sample of the ids, with repetitions.
    epochs : ndarray of int64
        Ascending; empty for a wide log.
    n_epochs : int
    """

    ids: pa.Array
    epochs: NDArray[np.int64]
    n_epochs: int


def survey(tasks: Tasks, cut: Cut) -> Survey:
    """Look at the ids and epochs of a log."""
    step = max(1, cut.parts.n_rows // _SAMPLED)
    found = list(tasks.map("looking", _look, (cut.parts, step), cut.units))
    numbers = cut.parts.columns.numbers
    epochs = np.array(sorted(frozenset().union(*(one.epochs for one in found))), np.int64)
    length = max((one.length for one in found), default=0)
    ids = _joined([one.ids for one in found])
    return Survey(ids, epochs, len(epochs) or len(numbers) or length)


def bounds_of(ids: pa.Array, n_buckets: int) -> pa.Array:
    """Return ascending ids that cut samples into buckets of about equal size.

    Of a long text no more than tells it from the bound before: one long id is no reason to compare
    all ids that far.

    Examples
    --------
    >>> bounds_of(pa.array(["a", "b", "c" * 100_000]), 3).to_pylist() == [b"b", b"c" * 64]
    True
    """
    ordered = ids.take(pc.sort_indices(ids))
    places = np.arange(1, n_buckets) * len(ordered) // n_buckets
    bounds = pc.unique(ordered.take(pa.array(places)))
    if pa.types.is_integer(bounds.type):
        return bounds
    names = bounds.cast(pa.large_binary()).to_pylist()
    short = [_shortened(one, before) for before, one in pairwise([b"", *names])]
    return pa.array(short, pa.large_binary())


def _shortened(name: bytes, before: bytes) -> bytes:
    """Cut a name that is long where it differs from a lesser one."""
    if len(name) <= _SHORT:
        return name
    ends = (i for i, (a, b) in enumerate(zip(before, name, strict=False), 1) if a != b)
    return name[: max(_SHORT, next(ends, len(before) + 1))]


def _joined(chunks: list[pa.Array]) -> pa.Array:
    """Concatenate ids; those that are null throughout have no type of their own."""
    held = [c for c in chunks if len(c)]
    return pa.concat_arrays(held) if held else pa.array([], pa.int64())


def _look(common: tuple[Parts, int], unit: Unit) -> Seen:
    parts, step = common
    single, long = parts.columns.single, parts.columns.layout == "long"
    other = single.get("epoch" if long else "loss")
    ids: list[pa.Array] = []
    epochs: set[int] = set()
    rows = length = 0
    for batch in unit_batches(unit, [c for c in (single["sample_id"], other) if c]):
        taken = pa.array(np.arange(-rows % step, batch.num_rows, step))
        column = batch.select([single["sample_id"]]).take(taken)
        ids.append(plain_batch(unit, column, parts).column("sample_id").drop_null())
        if long and other:
            epochs |= set(pc.unique(batch.column(other)).drop_null().to_pylist())
            _check_epochs(unit, len(epochs))
        elif other:
            longest = pc.max(pc.list_value_length(batch.column(other))).as_py()
            length = max(length, longest or 0)
        rows += batch.num_rows
    if long and not other and unit.part.epoch is not None:
        epochs = {unit.part.epoch}
    return Seen(_joined(ids), frozenset(epochs), length)


def _check_epochs(unit: Unit, count: int) -> None:
    if count > _MOST_EPOCHS:
        message = (
            f"the epoch column has {count} distinct values or more; is it a step counter? Name the "
            "column with the epochs by --epoch-column."
        )
        raise LogError(unit.part.name, [Fault("epochs", message)])


def shuffle(plan: Plan, numbered: tuple[int, Unit]) -> list[Fragment]:
    """Sort the rows of a unit to buckets, as many at a time as a worker may hold."""
    number, unit = numbered
    held: list[pa.RecordBatch] = []
    fragments: list[Fragment] = []
    rows = 0
    for batch in unit_batches(unit, unit_columns(plan.parts)):
        held.append(plain_batch(unit, batch, plan.parts))
        rows += batch.num_rows
        if rows >= UNIT_ROWS:
            fragments.append(_write(plan, f"rows-{number}-{len(fragments)}", held))
            held, rows = [], 0
    if held:
        fragments.append(_write(plan, f"rows-{number}-{len(fragments)}", held))
    return fragments


def _write(plan: Plan, name: str, held: list[pa.RecordBatch]) -> Fragment:
    table = _narrow(pa.Table.from_batches(_of_one_type(held)), plan.epochs)
    held.clear()
    bucket = bucket_of(plan.bounds, table.column("sample_id").combine_chunks())
    order = np.argsort(bucket, kind="stable")  # and rows keep their order within a bucket
    counts = np.bincount(bucket, minlength=plan.n_buckets)
    stops = np.cumsum(counts)

    def batches() -> Iterator[pa.RecordBatch]:
        for start, stop in zip(stops - counts, stops, strict=True):
            yield one_batch(table.take(pa.array(order[start:stop])))

    plan.spill.write_batches(name, table.schema, batches())
    return Fragment(name, counts)


def _narrow(table: pa.Table, epochs: NDArray[np.int64]) -> pa.Table:
    """Keep epochs in as few bytes as they need: there is one in every row."""
    small = np.iinfo(np.int16)
    if not len(epochs) or epochs[0] < small.min or epochs[-1] > small.max:
        return table
    place = table.column_names.index("epoch")
    return table.set_column(place, "epoch", table.column("epoch").cast(pa.int16()))


def _of_one_type(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Give columns that are null throughout a batch the type they have elsewhere."""
    kinds = {
        field.name: field.type
        for batch in batches
        for field in batch.schema
        if batch.column(field.name).null_count < batch.num_rows
    }
    schema = pa.schema([(f.name, kinds.get(f.name, f.type)) for f in batches[0].schema])
    return [batch.cast(schema) for batch in batches]


def bucket_of(bounds: pa.Array, ids: pa.Array) -> NDArray[np.uint16]:
    """Return the bucket of each id; rows without one go to the first, and are told there.

    Examples
    --------
    >>> bucket_of(pa.array([10, 20]), pa.array([9, 10, None, 25])).tolist()
    [0, 1, 0, 2]
    """
    if not len(bounds):
        return np.zeros(len(ids), np.uint16)
    if pa.types.is_integer(ids.type):
        values = pc.fill_null(ids, np.iinfo(np.int64).min).to_numpy()
        return np.searchsorted(bounds.to_numpy(), values, side="right").astype(np.uint16)
    edges = bounds.cast(pa.large_binary()).to_numpy(zero_copy_only=False).astype("S")
    rows = max(1, _COMPARED // edges.itemsize)
    found = [_place(edges, ids.slice(start, rows)) for start in range(0, len(ids), rows)]
    return np.concatenate(found) if found else np.zeros(0, np.uint16)


def _place(edges: NDArray[np.bytes_], ids: pa.Array) -> NDArray[np.uint16]:
    """Return how many edges each text reaches; what goes beyond the longest edge cannot tell."""
    texts = pc.fill_null(ids, "").cast(pa.large_binary())
    cut = pc.binary_slice(texts, 0, edges.itemsize).to_numpy(zero_copy_only=False)
    return np.searchsorted(edges, cut.astype("S"), side="right").astype(np.uint16)
