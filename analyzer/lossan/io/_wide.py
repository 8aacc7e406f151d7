"""Wide Parquet, a row per sample: list columns or numbered ones."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.build import Draft
from lossan.columns import plain_column
from lossan.errors import Fault, LogError
from lossan.io._grid import Grid, IdOrder, Places
from lossan.io._parts import Progress, Rows, wanted
from lossan.io._source import Part
from lossan.io._static import Categories
from lossan.io._types import SPARSE, to_float32
from lossan.losslog import FLOAT_CHANNELS, STATIC_FIELDS, Coded
from lossan.order import one_nan


def read_wide(parts: Rows, progress: Progress | None) -> Draft:
    """Gather a wide log in one pass, its samples in the order of their ids where that is known."""
    ids = parts.ranges["sample_id"]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        if ids is not None and ids[1] - ids[0] + 1 == parts.n_rows:
            others = any(field in parts.columns.single for field in STATIC_FIELDS)
            order = IdOrder(ids[0], parts.n_rows, pool, remember=others)
            reader = _WideReader(parts, pool, order)
            if reader.read(progress):
                return reader.draft()
        reader = _WideReader(parts, pool, None)
        reader.read(progress)
        return reader.draft()


def _joined(chunks: list[pa.Array]) -> pa.Array:
    """Concatenate chunks of one type; those that are empty throughout take it on."""
    kind = next((c.type for c in chunks if c.null_count < len(c)), chunks[0].type)
    return pa.concat_arrays([c.cast(kind) for c in chunks])


@final
class _WideReader:
    def __init__(self, parts: Rows, pool: ThreadPoolExecutor, order: IdOrder | None) -> None:
        self._parts, self._columns, self._order = parts, parts.columns, order
        self._n_rows = 0
        self._n_values = 0  # of lists of unequal length
        there = {*parts.columns.single, *parts.columns.numbered}
        self._faults: list[Fault] = []
        self._loss = Grid(np.nan, np.float32, parts.n_rows, pool)
        self._channels = {
            f: Grid(np.nan, np.float32, parts.n_rows, pool) for f in FLOAT_CHANNELS if f in there
        }
        self._predicted = Grid(-1, np.int32, parts.n_rows, pool) if "predicted" in there else None
        self._categories = Categories()
        self._plain: dict[str, list[pa.Array]] = {
            f: [] for f in ("sample_id", *STATIC_FIELDS) if f in there
        }

    def read(self, progress: Progress | None) -> bool:
        """Take in all rows; return whether their ids were what they were said to be."""
        for part, batch in self._parts.batches(wanted(self._columns), progress):
            if not self._add(part, batch):
                return False
        return self._order is None or self._order.whole

    def _add(self, part: Part, batch: pa.RecordBatch) -> bool:
        plain: dict[str, pa.Array] = {}
        for field in self._plain:
            column = batch.column(self._columns.single[field])
            plain[field] = plain_column(field, column, self._faults)
            if plain[field] is None:
                raise LogError(part.name, self._faults)
        done = self._n_rows
        places: Places | None = slice(done, done + batch.num_rows)
        if self._order is not None:
            places = self._order.places(plain.pop("sample_id"))
        if places is None:
            return False
        for field, column in plain.items():
            self._plain[field].append(column)
        self._loss.put(places, self._block(part, batch, "loss"), done)
        for field, grid in self._channels.items():
            grid.put(places, self._block(part, batch, field), done)
        if self._predicted is not None:
            self._predicted.put(places, self._block(part, batch, "predicted"), done)
        self._n_rows += batch.num_rows
        return True

    def draft(self) -> Draft:
        """Return what was gathered; samples in the order of the rows, or of the ids if known."""
        n_epochs = self._loss.n_epochs
        for field, grid in (*self._channels.items(), ("predicted", self._predicted)):
            if grid is not None and grid.n_epochs > n_epochs:
                message = f"{field} has {grid.n_epochs} epochs in some row, loss {n_epochs}."
                self._faults.append(Fault("shape", message))
        plain = {
            f: _joined(chunks) if chunks else pa.array([], pa.int64())
            for f, chunks in self._plain.items()
        }
        ids = plain.pop("sample_id")
        if self._order is not None:
            ids, plain = self._order.ids, {f: self._order.put(c) for f, c in plain.items()}
        return Draft(
            sample_id=ids,
            loss=self._loss.matrix(n_epochs, self._n_rows),
            epochs=np.array(self._columns.numbers or range(1, n_epochs + 1), np.int64),
            static=plain,
            channels={f: g.matrix(n_epochs, self._n_rows) for f, g in self._channels.items()},
            predicted=None
            if self._predicted is None
            else Coded(self._predicted.matrix(n_epochs, self._n_rows), self._categories.values()),
            faults=self._faults,
        )

    def _block(self, part: Part, batch: pa.RecordBatch, field: str) -> NDArray[Any]:
        """Return a channel of a batch, (n_epochs, n_rows): as numbers, or as codes of classes."""
        if field in self._columns.numbered:
            columns = self._columns.numbered[field]
            return np.stack([self._values(part, batch.column(c), field) for c in columns])
        return self._list_block(part, batch.column(self._columns.single[field]), field)

    def _values(self, part: Part, values: pa.Array, field: str) -> NDArray[Any]:
        if field != "predicted":
            return one_nan(to_float32(values))
        plain = plain_column(field, values, self._faults)
        if plain is None:
            raise LogError(part.name, self._faults)
        return self._categories.codes(plain)

    def _guard(self, part: Part, field: str, n_rows: int, width: int, n_values: int) -> None:
        """Refuse lists of which few are so long that the others would cost far more than they are.

        As in a long log, before they do.
        """
        self._n_values += n_values
        cells = (self._n_rows + n_rows) * max(width, self._loss.n_epochs)
        if cells > SPARSE * self._n_values + (1 << 24):
            message = (
                f"a row of {field} has {width:,} epochs, far more than most; are they steps? Write "
                "a value an epoch."
            )
            raise LogError(part.name, [Fault("epochs", message)])

    def _list_block(self, part: Part, lists: pa.Array, field: str) -> NDArray[Any]:
        if pa.types.is_fixed_size_list(lists.type) and not lists.null_count:
            width = lists.type.list_size
            flat = self._values(part, lists.flatten(), field)
            return flat.reshape(len(lists), width).T
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        flat = self._values(part, lists.flatten(), field)
        width = int(lengths.max(initial=0))
        self._guard(part, field, len(lists), width, len(flat))
        if len(flat) == len(lists) * width:
            return flat.reshape(len(lists), width).T
        block = np.full((len(lists), width), -1 if field == "predicted" else np.nan, flat.dtype)
        block[np.arange(width) < lengths[:, None]] = flat
        return block.T
