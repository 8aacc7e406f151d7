"""Wide Parquet, a row per sample: list columns or numbered ones."""

from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.build import Draft, plain_column
from lossan.errors import Fault, LogError
from lossan.io._parts import Progress, Rows, wanted
from lossan.io._source import Part
from lossan.io._static import Categories
from lossan.io._types import SPARSE, to_float32
from lossan.losslog import FLOAT_CHANNELS, STATIC_FIELDS, Coded


def read_wide(parts: Rows, progress: Progress | None) -> Draft:
    """Gather a wide log in one pass."""
    reader = _WideReader(parts)
    for part, batch in parts.batches(wanted(parts.columns), progress):
        reader.add(part, batch)
    return reader.draft()


@final
class _Grid:
    """An epoch-major array that grows in epochs when a longer list comes."""

    def __init__(self, empty: Any, dtype: type, n_samples: int) -> None:
        self._empty, self._dtype, self._n_samples = empty, dtype, n_samples
        self._blocks: list[NDArray[Any]] = []  # one where no list is longer than the first ones
        self.n_epochs = 0

    def put(self, start: int, values: NDArray[Any]) -> None:
        """Write a block of shape (n_epochs, n_rows) from a row on."""
        if more := max(len(values) - self.n_epochs, 0):
            block: NDArray[Any] = np.empty((more, self._n_samples), self._dtype)
            block[:, :start] = self._empty
            self._blocks.append(block)
            self.n_epochs += more
        rows = slice(start, start + values.shape[1])
        for block in self._blocks:
            here, values = values[: len(block)], values[len(block) :]
            block[: len(here), rows] = here
            block[len(here) :, rows] = self._empty

    def matrix(self, n_epochs: int, n_rows: int) -> NDArray[Any]:
        """Return the array of shape (n_epochs, n_rows)."""
        if self.n_epochs < n_epochs or not self._blocks:
            shape = (n_epochs - self.n_epochs, self._n_samples)
            self._blocks.append(np.full(shape, self._empty, self._dtype))
        whole = self._blocks[0] if len(self._blocks) == 1 else np.concatenate(self._blocks)
        return np.ascontiguousarray(whole[:, :n_rows])


def _joined(chunks: list[pa.Array]) -> pa.Array:
    """Concatenate chunks of one type; those that are empty throughout take it on."""
    kind = next((c.type for c in chunks if c.null_count < len(c)), chunks[0].type)
    return pa.concat_arrays([c.cast(kind) for c in chunks])


@final
class _WideReader:
    def __init__(self, parts: Rows) -> None:
        self._columns, self._n_rows = parts.columns, 0
        self._n_values = 0  # of lists of unequal length
        there = {*parts.columns.single, *parts.columns.numbered}
        self._faults: list[Fault] = []
        self._loss = _Grid(np.nan, np.float32, parts.n_rows)
        self._channels = {
            f: _Grid(np.nan, np.float32, parts.n_rows) for f in FLOAT_CHANNELS if f in there
        }
        self._predicted = _Grid(-1, np.int32, parts.n_rows) if "predicted" in there else None
        self._categories = Categories()
        self._plain: dict[str, list[pa.Array]] = {
            f: [] for f in ("sample_id", *STATIC_FIELDS) if f in there
        }

    def add(self, part: Part, batch: pa.RecordBatch) -> None:
        """Take in a batch of samples."""
        for field, chunks in self._plain.items():
            column = batch.column(self._columns.single[field])
            plain = plain_column(field, column, self._faults)
            if plain is None:
                raise LogError(part.name, self._faults)
            chunks.append(plain)
        self._loss.put(self._n_rows, self._block(part, batch, "loss"))
        for field, grid in self._channels.items():
            grid.put(self._n_rows, self._block(part, batch, field))
        if self._predicted is not None:
            self._predicted.put(self._n_rows, self._block(part, batch, "predicted"))
        self._n_rows += batch.num_rows

    def draft(self) -> Draft:
        """Return what was gathered; samples still in the order of the rows."""
        n_epochs = self._loss.n_epochs
        for field, grid in (*self._channels.items(), ("predicted", self._predicted)):
            if grid is not None and grid.n_epochs > n_epochs:
                message = f"{field} has {grid.n_epochs} epochs in some row, loss {n_epochs}."
                self._faults.append(Fault("shape", message))
        plain = {
            f: _joined(chunks) if chunks else pa.array([], pa.int64())
            for f, chunks in self._plain.items()
        }
        return Draft(
            sample_id=plain.pop("sample_id"),
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
            numbers = to_float32(values)
            gaps = np.isnan(numbers)
            return np.where(gaps, np.float32(np.nan), numbers) if gaps.any() else numbers
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
