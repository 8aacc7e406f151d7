"""Long Parquet, a row per (sample, epoch), streamed into one array an epoch."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.build import Draft, duplicate_fault
from lossan.columns import null_fault, plain_column
from lossan.errors import Fault, LogError
from lossan.io._options import ReadOptions
from lossan.io._parts import Progress, Rows, wanted
from lossan.io._slabs import Plan, Slabs
from lossan.io._slots import IntegerSlots, RangeSlots, SlotIndex, StringSlots, hashes_of
from lossan.io._source import ITSELF, Part
from lossan.io._static import Categories, StaticColumn
from lossan.io._types import SPARSE, to_float32
from lossan.losslog import FLOAT_CHANNELS, STATIC_FIELDS, Coded
from lossan.order import one_nan

# A NaN that no data holds (data NaN are made canonical): "no row gave this cell anything".
_ABSENT = np.array([0x7FC0DEAD], np.uint32).view(np.float32)[0]
_ABSENT_BITS = np.uint32(0x7FC0DEAD)
_AHEAD = 4  # batches whose slots are found before their cells are written
_BLOCK = 1 << 16  # cells looked at in one go: what comes of it stays in the cache
_PREPARED = 2  # batches whose ids are checked and hashed before their slots are looked up


def read_long(parts: Rows, options: ReadOptions, progress: Progress | None) -> Draft:
    """Gather a long log in one pass."""
    with (
        ThreadPoolExecutor(1) as preparer,
        ThreadPoolExecutor(1) as writer,
        ThreadPoolExecutor(1) as clearer,
    ):
        reader = _LongReader(parts, writer, clearer)
        waiting: deque[Future[_Prepared]] = deque()
        for part, batch in parts.batches(wanted(parts.columns), progress):
            waiting.append(preparer.submit(reader.prepare, part, batch))
            if len(waiting) > _PREPARED:
                reader.add(waiting.popleft().result())
        for prepared in waiting:
            reader.add(prepared.result())
        return reader.draft(options)


@dataclass(frozen=True, eq=False)
class _Group:
    """The usable rows of a batch; which ones they are if not all; of strings their hashes."""

    ids: pa.Array
    epochs: "_Epochs"
    rows: NDArray[np.intp] | None
    hashes: NDArray[np.int64] | None


_Epochs = NDArray[np.integer[Any]] | int  # of each row, or of all
_Prepared = tuple[Part, pa.RecordBatch, list[_Group]]


@final
class _LongReader:
    """Takes in batches in any order of rows.

    While ids are looked up a thread hashes those to come and another writes the cells.
    """

    def __init__(
        self, parts: Rows, writer: ThreadPoolExecutor, clearer: ThreadPoolExecutor
    ) -> None:
        self._parts, self._writer = parts, writer
        self._writing: deque[Future[None]] = deque()
        self._faults: list[Fault] = []
        self._range, plan = _expect(parts)
        if self._range is not None:
            self._range.prepare(clearer)
        self._index: SlotIndex | None = self._range
        self._loss = Slabs(_ABSENT, np.float32, plan, clearer)
        fields = parts.columns.single
        self._channels = {
            f: Slabs(np.nan, np.float32, plan, clearer) for f in FLOAT_CHANNELS if f in fields
        }
        self._predicted = Slabs(-1, np.int32, plan, clearer) if "predicted" in fields else None
        self._categories = Categories()
        self._static = {f: StaticColumn(f) for f in STATIC_FIELDS if f in fields}
        self._rows = 0
        self._null_ids = self._null_epochs = 0

    def prepare(self, part: Part, batch: pa.RecordBatch) -> _Prepared:
        """Find the usable rows of a batch, and hash their ids; for one thread alone."""
        return part, batch, list(self._groups(part, batch))

    def add(self, prepared: _Prepared) -> None:
        """Scatter a batch into the slabs."""
        part, batch, groups = prepared
        for group in groups:
            slots, epochs, rows = self._slots(group), group.epochs, group.rows
            self._rows += len(slots)
            need = self._index.capacity if self._index is not None else 0
            # by one thread, so in order: of repeated rows the last counts
            work = self._writer.submit(self._scatter, part, batch, epochs, slots, rows, need)
            self._writing.append(work)
            self._wait(_AHEAD)

    def _wait(self, left: int) -> None:
        while len(self._writing) > left:
            self._writing.popleft().result()

    def _scatter(
        self,
        part: Part,
        batch: pa.RecordBatch,
        epochs: _Epochs,
        slots: NDArray[np.int64],
        rows: NDArray[np.intp] | None,
        need: int,
    ) -> None:
        taken = rows if rows is None else pa.array(rows)
        for epoch, at in _by_epoch(epochs):
            self._put(part, batch, epoch, slots if at is None else slots[at], taken, at, need)
            self._guard()
        for field, column in self._static.items():
            values = _column(batch, self._parts.columns.single[field], taken)
            plain = plain_column(field, values, self._faults)
            if plain is None:
                raise LogError(part.name, self._faults)
            column.add(slots, plain, need)

    def _put(
        self,
        part: Part,
        batch: pa.RecordBatch,
        epoch: int,
        slots: NDArray[np.int64],
        taken: pa.Array | None,
        at: NDArray[np.intp] | None,
        need: int,
    ) -> None:
        names = self._parts.columns.single

        def values(field: str) -> Any:
            column = _column(batch, names[field], taken)
            return column if at is None else column.take(pa.array(at))

        self._loss.put(epoch, slots, one_nan(to_float32(values("loss"))), need)
        for field, slabs in self._channels.items():
            slabs.put(epoch, slots, to_float32(values(field)), need)
        if self._predicted is not None:
            plain = plain_column("predicted", values("predicted"), self._faults)
            if plain is None:
                raise LogError(part.name, self._faults)
            self._predicted.put(epoch, slots, self._categories.codes(plain), need)

    def _groups(self, part: Part, batch: pa.RecordBatch) -> Iterator[_Group]:
        """Yield the usable rows, none where there are none."""
        names = self._parts.columns.single
        ids = plain_column("sample_id", batch.column(names["sample_id"]), self._faults)
        read = names.get("epoch") in batch.schema.names
        if not read and part.epoch is not None and ids is not None and not ids.null_count:
            yield _Group(ids, part.epoch, None, hashes_of(ids))
            return
        epochs = (
            _whole_numbers(batch.column(names["epoch"]), self._faults)
            if read
            else pa.array(np.full(batch.num_rows, part.epoch, np.int64))
        )
        if ids is None or epochs is None:
            raise LogError(part.name, self._faults)
        self._null_ids += ids.null_count
        self._null_epochs += epochs.null_count
        if not (ids.null_count or epochs.null_count):
            yield _Group(ids, epochs.to_numpy(), None, hashes_of(ids))
            return
        usable = ids.is_valid().to_numpy(False) & epochs.is_valid().to_numpy(False)
        rows = np.flatnonzero(usable)
        taken = pa.array(rows)
        if len(rows):
            ids = ids.take(taken)
            yield _Group(ids, epochs.take(taken).to_numpy(), rows, hashes_of(ids))

    def _slots(self, group: _Group) -> NDArray[np.int64]:
        ids = group.ids
        if self._index is None:
            integer = pa.types.is_integer(ids.type)
            self._index = IntegerSlots() if integer else StringSlots()
        if self._range is not None and not self._range.covers(ids):
            message = "its statistics contradict its rows (an id outside their range)."
            raise LogError(ITSELF, [Fault("damaged", message)])
        return self._index.lookup(ids, group.hashes)

    def _guard(self) -> None:
        """Refuse epochs that would cost far more cells than there are rows, before they do."""
        if self._loss.n_cells > max(SPARSE * self._rows, 1 << 24):
            message = (
                f"the epoch column has {len(self._loss.by_epoch)} distinct values or more; is it a "
                "step counter? Name the column with the epochs by --epoch-column."
            )
            raise LogError(ITSELF, [Fault("epochs", message)])

    def draft(self, options: ReadOptions) -> Draft:
        """Put samples and epochs in order and tell what was wrong with the rows."""
        self._wait(0)
        slabs = self._loss.by_epoch
        epochs = sorted(slabs)
        need = self._index.capacity if self._index is not None else 0
        cells, used, complete = _filled(list(slabs.values()), need)
        self._tell_nulls()
        if cells < self._rows and options.duplicates == "error":
            self._faults.append(duplicate_fault(self._rows - cells, self._first_duplicate()))
        ids, slots = (
            self._index.ascending(used)
            if self._index is not None
            else (pa.array([], pa.int64()), np.empty(0, np.int64))
        )
        self._faults += [f for c in self._static.values() if (f := c.fault(ids, slots))]
        # those of a range that are all used are in their order by their making
        in_place = (self._range is not None and len(slots) == need) or np.array_equal(
            slots, np.arange(len(slots))
        )
        self._index = None  # as large as the ids, and of no more use
        loss = self._loss.gather(epochs, slots, in_place=in_place)
        if not complete:
            for row in loss:
                row[row.view(np.uint32) == _ABSENT_BITS] = np.nan
        return Draft(
            sample_id=ids,
            loss=loss,
            epochs=np.array(epochs, np.int64),
            static={f: c.take(slots) for f, c in self._static.items()},
            channels={
                f: c.gather(epochs, slots, in_place=in_place) for f, c in self._channels.items()
            },
            predicted=None
            if self._predicted is None
            else Coded(
                self._predicted.gather(epochs, slots, in_place=in_place), self._categories.values()
            ),
            faults=self._faults,
        )

    def _tell_nulls(self) -> None:
        for name, count in (("sample_id", self._null_ids), ("epoch", self._null_epochs)):
            if count:
                self._faults.append(null_fault(name, count))

    def _first_duplicate(self) -> str:
        """Find, in a second pass, the first row that repeats an earlier one."""
        seen = Slabs(False, bool, Plan(range(0), 0))
        names = self._parts.columns.single
        columns = [names[f] for f in ("sample_id", "epoch") if f in names]
        for part, batch in self._parts.batches(columns):
            for group in self._groups(part, batch):
                slots = self._slots(group)
                need = self._index.capacity if self._index is not None else 0
                repeats = []
                for epoch, at in _by_epoch(group.epochs):
                    rows = np.arange(len(slots)) if at is None else at
                    first_here = np.zeros(len(rows), bool)
                    first_here[np.unique(slots[rows], return_index=True)[1]] = True
                    slab = seen.by_epoch.get(epoch)
                    known = np.zeros(len(rows), bool)
                    if slab is not None:
                        inside = slots[rows] < len(slab)
                        known[inside] = slab[slots[rows][inside]]
                    repeats += [(int(r), epoch) for r in rows[known | ~first_here][:1]]
                    seen.put(epoch, slots[rows], np.ones(len(rows), bool), need)
                if repeats:
                    row, epoch = min(repeats)
                    return f"sample {group.ids[row].as_py()!r} at epoch {epoch}"
        return "not found again"  # pragma: no cover - the file changed between the passes


def _filled(slabs: list[NDArray[Any]], need: int) -> tuple[int, NDArray[np.bool_], bool]:
    """Return how many cells hold a loss, which slots hold any, and whether these hold all."""

    def given(slab: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray(slab.view(np.uint32) != _ABSENT_BITS)

    def count(slab: NDArray[Any]) -> int:
        blocks = (slab[start : min(start + _BLOCK, need)] for start in range(0, need, _BLOCK))
        return sum(int(np.count_nonzero(given(block))) for block in blocks)

    with ThreadPoolExecutor() as pool:
        counts = list(pool.map(count, slabs))
    if all(count == need for count in counts):
        return sum(counts), np.ones(need, bool), True
    used = np.zeros(need, bool)
    for slab in slabs:
        there = given(slab[:need])
        used[: len(there)] |= there
    return sum(counts), used, sum(counts) == np.count_nonzero(used) * len(slabs)


def _column(batch: pa.RecordBatch, name: str, taken: pa.Array | None) -> pa.Array:
    column = batch.column(name)
    return column if taken is None else column.take(taken)


def _whole_numbers(column: pa.Array, faults: list[Fault]) -> pa.Array | None:
    """Bring epochs to signed integers; those that are stay as they are, there are many."""
    signed = pa.types.is_signed_integer(column.type)
    return column if signed else plain_column("epoch", column, faults)


def _by_epoch(epochs: _Epochs) -> Iterator[tuple[int, NDArray[np.intp] | None]]:
    """Yield each epoch with its rows, None for all of them; rows keep their order."""
    if isinstance(epochs, int):
        yield epochs, None
        return
    low, high = int(epochs.min()), int(epochs.max())
    if low == high:
        yield low, None
        return
    epochs = epochs.astype(np.int64, copy=False)
    # numpy sorts 16-bit integers by radix, several times as fast as wider ones
    narrow = (epochs - low).astype(np.uint16) if high - low < 1 << 16 else epochs
    order = np.argsort(narrow, kind="stable")
    ordered = epochs[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
        yield int(ordered[start]), order[start:stop]


def _expect(parts: Rows) -> tuple[RangeSlots | None, Plan]:
    """Plan for what the files' statistics say; use ids as addresses where they fill their range."""
    ids, epochs = parts.ranges["sample_id"], parts.ranges["epoch"]
    # More epoch numbers than rows tell nothing.
    few = epochs is not None and epochs[1] - epochs[0] < parts.n_rows
    known = range(epochs[0], epochs[1] + 1) if epochs and few else range(0)
    expected = -(-parts.n_rows // max(2, len(known)))
    dense = None
    if ids is not None and ids[1] - ids[0] + 1 <= expected + expected // 2:
        dense = RangeSlots(ids[0], ids[1] - ids[0] + 1)
    capacity = dense.capacity if dense else expected if known else 0
    if len(known) * capacity > 2 * parts.n_rows:  # as many epoch numbers as rows, say
        known = range(0)
    return dense, Plan(known, capacity)
