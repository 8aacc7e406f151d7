"""Blocks of samples into an epoch-major array: in the order of the rows, or in that of the ids."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.blocks import cut
from lossan.io._slots import RangeSlots
from lossan.order import turned, whole_segments

_AT_ONCE = 1 << 15  # rows

Places = slice | NDArray[np.int64]
"""Where the rows of a batch go: one after another, or each to a place of its own."""


@final
class IdOrder:
    """The order of ids that are each integer once, from the least one on, in rows of any order.

    Parameters
    ----------
    least : int
    n_samples : int
    pool : ThreadPoolExecutor
        Lists the ids meanwhile.
    remember : bool
        Whether other columns are to be put in this order, which takes the memory of the ids.
    """

    def __init__(
        self, least: int, n_samples: int, pool: ThreadPoolExecutor, *, remember: bool
    ) -> None:
        self._range = RangeSlots(least, n_samples)
        self._range.prepare(pool)
        self._used = np.zeros(n_samples, bool)
        self._places: list[Places] | None = [] if remember else None

    def places(self, ids: pa.Array) -> Places | None:
        """Return where the rows of a batch go, None where an id is not what ids were to be."""
        if ids.null_count or not pa.types.is_integer(ids.type) or not self._range.covers(ids):
            return None
        places = self._range.lookup(ids)
        found: Places = places
        if len(places) and (np.diff(places) == 1).all():
            found = slice(int(places[0]), int(places[-1]) + 1)
        self._used[found] = True
        if self._places is not None:
            self._places.append(found)
        return found

    @property
    def whole(self) -> bool:
        """Whether every id has come; of as many rows as ids, none has then come twice."""
        return bool(self._used.all())

    @property
    def ids(self) -> pa.Array:
        """All ids, ascending."""
        return self._range.ascending(self._used)[0]

    def put(self, column: pa.Array) -> pa.Array:
        """Bring a column from the order of the rows to that of the ids."""
        row_of = np.empty(len(column), np.int64)
        row = 0
        for places in self._places or ():
            n = places.stop - places.start if isinstance(places, slice) else len(places)
            row_of[places] = np.arange(row, row + n)
            row += n
        return column.take(pa.array(row_of))


@final
class Grid:
    """An array of shape (n_epochs, n_samples) that grows in epochs when a longer list comes.

    Rows that go each to a place of its own are written whole and turned in the end: a place is
    then gone to once, not once an epoch.

    Parameters
    ----------
    empty : object
        What stands where nothing was put.
    dtype : type
    n_samples : int
    pool : ThreadPoolExecutor
        For rows written side by side.
    """

    def __init__(self, empty: Any, dtype: type, n_samples: int, pool: ThreadPoolExecutor) -> None:
        self._empty, self._dtype, self._n_samples, self._pool = empty, dtype, n_samples, pool
        self._blocks: list[NDArray[Any]] = []  # one where no list is longer than the first ones
        self._rows: NDArray[Any] | None = None  # or these, of shape (n_samples and more, n_epochs)
        self.n_epochs = 0

    def put(self, places: Places, values: NDArray[Any], done: int) -> None:
        """Write a block of shape (n_epochs, n_rows), after as many rows as are done."""
        if not done and len(values) and not isinstance(places, slice):
            self._rows = np.empty((whole_segments(self._n_samples), len(values)), self._dtype)
            self.n_epochs = len(values)
        if self._rows is not None:
            if len(values) == self.n_epochs:
                self._write(self._rows, places, values)
                return
            self._turn()
        if more := max(len(values) - self.n_epochs, 0):
            block: NDArray[Any] = np.empty((more, self._n_samples), self._dtype)
            if done:
                block[:] = self._empty
            self._blocks.append(block)
            self.n_epochs += more
        for block in self._blocks:
            here, values = values[: len(block)], values[len(block) :]
            block[: len(here), places] = here
            block[len(here) :, places] = self._empty

    def _write(self, rows: NDArray[Any], places: Places, values: NDArray[Any]) -> None:
        given = _as_items(np.ascontiguousarray(values.T))
        items = _as_items(rows)
        if isinstance(places, slice):
            items[places] = given
            return

        def one(part: slice) -> None:
            items[places[part]] = given[part]

        list(self._pool.map(one, cut(len(given), _AT_ONCE)))

    def matrix(self, n_epochs: int, n_rows: int) -> NDArray[Any]:
        """Return the array of shape (n_epochs, n_rows)."""
        self._turn()
        if self.n_epochs < n_epochs or not self._blocks:
            shape = (n_epochs - self.n_epochs, self._n_samples)
            self._blocks.append(np.full(shape, self._empty, self._dtype))
        whole = self._blocks[0] if len(self._blocks) == 1 else np.concatenate(self._blocks)
        return whole[:, :n_rows]

    def _turn(self) -> None:
        if self._rows is not None:
            self._blocks = [turned(self._rows)[:, : self._n_samples]]
            self._rows = None


def _as_items(rows: NDArray[Any]) -> NDArray[np.void]:
    """Return each row as one item, which numpy copies at once."""
    return rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0]
