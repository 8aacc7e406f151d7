"""Fields with one value a sample, gathered from rows that may repeat them at every epoch."""

from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.errors import Fault


@final
class StaticColumn:
    """The first value seen of each slot, and how many slots were given another one later.

    Parameters
    ----------
    name : str
        The field's name, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._row_of = np.full(0, -1, np.int64)  # slot -> row of the pool, -1 = none yet
        self._pool: list[pa.Array] = []
        self._n = 0
        self._contradicted: NDArray[np.int64] = np.empty(0, np.int64)

    def add(self, slots: NDArray[np.int64], values: pa.Array, capacity: int) -> None:
        """Take in a batch: null says nothing, a first value is kept, others are compared."""
        if capacity > len(self._row_of):
            room = np.full(max(capacity, 2 * len(self._row_of)), -1, np.int64)
            room[: len(self._row_of)] = self._row_of
            self._row_of = room
        if values.null_count:
            valid = values.is_valid()
            slots, values = slots[valid.to_numpy(zero_copy_only=False)], values.filter(valid)
        if not len(values):
            return  # a column that is empty throughout has no type of its own either
        self._keep_first(slots, values)
        differs = pc.not_equal(values, self._take(self._row_of[slots]))
        if pc.any(differs).as_py():
            wrong = slots[differs.to_numpy(zero_copy_only=False)]
            self._contradicted = np.union1d(self._contradicted, wrong)

    def take(self, slots: NDArray[np.int64]) -> pa.Array:
        """Return the values of slots, null where none was given."""
        rows = np.full(len(slots), -1, np.int64)
        inside = slots < len(self._row_of)
        rows[inside] = self._row_of[slots[inside]]
        return self._take(pa.array(rows, mask=rows < 0))

    def fault(self, ids: pa.Array, slots: NDArray[np.int64]) -> Fault | None:
        """Tell how many samples were given more than one value, and name the first."""
        count = len(self._contradicted)
        if count == 0:
            return None
        first = ids[int(np.flatnonzero(np.isin(slots, self._contradicted))[0])].as_py()
        return Fault(
            f"{self.name}_changes",
            f"{self.name} changes between the epochs of {count} sample{'s' * (count > 1)}, first "
            f"{first!r}; a sample has one {self.name}. Write the one that holds in every row.",
            count,
        )

    def _keep_first(self, slots: NDArray[np.int64], values: pa.Array) -> None:
        fresh = np.flatnonzero(self._row_of[slots] < 0)
        if not len(fresh):
            return
        # A slot may stand several times in one batch: the row that wins the write is kept.
        self._row_of[slots[fresh]] = fresh
        kept = fresh[self._row_of[slots[fresh]] == fresh]
        self._row_of[slots[kept]] = self._n + np.arange(len(kept))
        self._pool.append(values.take(pa.array(kept)))
        self._n += len(kept)

    def _take(self, rows: NDArray[np.int64] | pa.Array) -> pa.Array:
        if not self._pool:
            return pa.nulls(len(rows), pa.large_string())
        if len(self._pool) > 1:
            self._pool = [pa.concat_arrays(self._pool)]
        return self._pool[0].take(pa.array(rows) if isinstance(rows, np.ndarray) else rows)


@final
class Categories:
    """Numbers for class names as they turn up; few of them, however many rows."""

    def __init__(self) -> None:
        self._code_of: dict[object, int] = {}
        self._kind: pa.DataType = pa.large_string()

    def codes(self, values: pa.Array) -> NDArray[np.int32]:
        """Return the codes of values, -1 for null."""
        if values.null_count < len(values):
            self._kind = values.type
        encoded = values.dictionary_encode()
        codes = self._code_of
        table = [codes.setdefault(v, len(codes)) for v in encoded.dictionary.to_pylist()]
        lookup = np.array([*table, -1], np.int32)
        return lookup[pc.fill_null(encoded.indices, len(table)).to_numpy(zero_copy_only=False)]

    def values(self) -> pa.Array:
        """Return the class names in the order of their codes."""
        return pa.array(list(self._code_of), self._kind)
