"""The losses of a long log while it is read: an array an epoch, rows of one matrix if it can be."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Plan:
    """How many cells the files' statistics let one expect; the rows may show otherwise.

    Parameters
    ----------
    epochs : range
        Empty where nothing is known.
    capacity : int
        Slots an epoch.
    """

    epochs: range
    capacity: int


@final
class Slabs:
    """One array an epoch, each with a cell a slot; rows of one matrix as far as was planned."""

    def __init__(
        self, empty: Any, dtype: type, plan: Plan, clearer: ThreadPoolExecutor | None = None
    ) -> None:
        self._empty, self._dtype, self._plan, self._clearer = empty, dtype, plan, clearer
        self._cleared: tuple[int, Future[None]] | None = None  # the row that comes next, probably
        self._capacity = plan.capacity
        self._matrix: NDArray[Any] = np.empty((len(plan.epochs), plan.capacity), dtype)
        self.by_epoch: dict[int, NDArray[Any]] = {}
        self.n_cells = 0

    def put(self, epoch: int, slots: NDArray[np.int64], values: NDArray[Any], need: int) -> None:
        """Write values to the cells of an epoch; of equal slots the last one wins."""
        slab = self.by_epoch.get(epoch)
        if slab is None or len(slab) < need:
            slab = self.by_epoch[epoch] = self._room(epoch, slab, need)
        slab[slots] = values

    def _room(self, epoch: int, slab: NDArray[Any] | None, need: int) -> NDArray[Any]:
        if slab is None and need <= self._plan.capacity and epoch in self._plan.epochs:
            self.n_cells += self._plan.capacity
            return self._row(epoch - self._plan.epochs.start)
        self._capacity = max(self._capacity, need + need // 2 if slab is not None else need)
        grown: NDArray[Any] = np.full(self._capacity, self._empty, self._dtype)
        self.n_cells += len(grown)
        if slab is not None:
            self.n_cells -= len(slab)
            grown[: len(slab)] = slab
        return grown

    def _row(self, number: int) -> NDArray[Any]:
        """Return an empty row; the next one is emptied meanwhile.

        Memory never touched before costs more than to write to it, on some machines by far.
        """
        row: NDArray[Any] = self._matrix[number]
        ready, self._cleared = self._cleared, None
        if ready is not None:
            ready[1].result()
        if ready is None or ready[0] != number:
            row[:] = self._empty
        after = number + 1
        if (
            self._clearer
            and after < len(self._matrix)
            and after + self._plan.epochs.start not in self.by_epoch
        ):
            self._cleared = after, self._clearer.submit(self._matrix[after].fill, self._empty)
        return row

    def gather(
        self, epochs: list[int], slots: NDArray[np.int64], *, in_place: bool
    ) -> NDArray[Any]:
        """Return the cells of slots, shape (n_epochs, n_slots), holding them only once.

        ``in_place`` says that the slots are the first ones, in their order.
        """
        planned = all(s.base is self._matrix for s in self.by_epoch.values())
        if planned and len(epochs) == len(self._plan.epochs):
            n = len(slots)
            if not in_place:
                for row in self._matrix:
                    row[:n] = row[slots]
            return self._matrix[:, :n]
        matrix: NDArray[Any] = np.empty((len(epochs), len(slots)), self._dtype)
        for row, epoch in zip(matrix, epochs, strict=True):
            slab = self.by_epoch.pop(epoch)
            inside = slots < len(slab)
            row[:] = self._empty
            row[inside] = slab[slots[inside]]
        return matrix
