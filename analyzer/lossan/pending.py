"""The records of an open epoch: kept by the training thread, put in order by one of its own."""

import os
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.errors import RecorderError
from lossan.order import stable_order

Column: TypeAlias = NDArray[Any] | pa.Array
"""Values of some records: integers and floats as numpy arrays, anything else as Arrow's."""

_BLOCK = 1 << 16  # records that are handed over at a time
_AHEAD = 8  # blocks that may wait; then recording waits too
_KEPT = 1 << 22  # records that may be kept before those recorded again are dropped


@final
class Pending:
    """Records in the order in which they came.

    The training thread only keeps what it is given. A thread makes tables of it meanwhile, and
    drops records of samples that were recorded again where they become many: four million records,
    or four of each sample, are kept at most. Calls do not overlap: the Recorder sees to it. Each
    column is of one kind throughout.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lossan-recorder")
        self._process = os.getpid()
        self.clear()

    @property
    def forked(self) -> bool:
        """Whether this is a process forked from the one that made it, which has no such thread."""
        return os.getpid() != self._process

    def check_process(self) -> None:
        """Raise a RecorderError in a forked process, where waiting for the thread has no end."""
        if self.forked:
            raise RecorderError(
                f"the Recorder was made in process {self._process}; this is process {os.getpid()}, "
                "forked from it, and nothing of it would reach the log. Make a Recorder in each "
                "process, for a log of its own, and put the logs together by lossan merge."
            )

    def clear(self) -> None:
        """Forget all records."""
        self.n = 0
        self._open: list[Mapping[str, Column]] = []
        self._n_open = 0
        self._waiting: deque[Future[None]] = deque()
        self._tables: list[pa.Table] = []
        self._n_kept, self._most, self._n_repeated = 0, _KEPT, 0

    def add(self, batch: Mapping[str, Column], n: int) -> None:
        """Keep a batch of n records."""
        self._open.append(batch)
        self.n += n
        self._n_open += n
        if self._n_open >= _BLOCK:
            self._hand_over()

    def table(self) -> tuple[pa.Table, int]:
        """Return the last record of each sample, ascending by id, and how many others there were.

        The records are still there afterwards.
        """
        self._hand_over()
        self._wait(0)
        self._thread.submit(self._drop_repeated).result()
        return self._tables[0], self._n_repeated

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _hand_over(self) -> None:
        if self._open:
            self._waiting.append(self._thread.submit(self._take, self._open))
            self._open, self._n_open = [], 0
            self._wait(_AHEAD)

    def _wait(self, left: int) -> None:
        while len(self._waiting) > left:
            self._waiting.popleft().result()

    def _take(self, batches: list[Mapping[str, Column]]) -> None:
        start = 0
        for stop in range(1, len(batches) + 1):
            if stop == len(batches) or _kinds(batches[stop]) != _kinds(batches[start]):
                table = _joined(batches[start:stop])
                self._tables.append(table)
                self._n_kept += len(table)
                start = stop
        if self._n_kept > self._most:
            self._drop_repeated()
            self._most = max(_KEPT, 4 * self._n_kept)

    def _drop_repeated(self) -> None:
        table = pa.concat_tables(self._tables, promote_options="default").combine_chunks()
        table, repeated = last_of_each(table)
        self._tables, self._n_kept = [table], len(table)
        self._n_repeated += repeated


def last_of_each(table: pa.Table) -> tuple[pa.Table, int]:
    """Sort by id and keep the last record of each sample; say how many were dropped."""
    ids = table["sample_id"].combine_chunks()
    rows = _last_rows(ids)
    return table.take(pa.array(rows)), len(ids) - len(rows)


def _last_rows(ids: pa.Array) -> NDArray[np.intp]:
    if pa.types.is_integer(ids.type):
        numbers = ids.to_numpy()
        low, high = int(numbers.min()), int(numbers.max())
        if high - low < 2 * len(numbers):  # as addresses: of equal ones the last stays
            place = np.full(high - low + 1, -1, np.intp)
            place[numbers - low] = np.arange(len(numbers))
            return place[place >= 0]
    rows = stable_order(ids)
    ordered = ids.take(pa.array(rows))
    last = pc.not_equal(ordered[:-1], ordered[1:]).to_numpy(zero_copy_only=False)
    found: NDArray[np.intp] = rows[np.append(last, True).astype(bool)]
    return found


def _kinds(batch: Mapping[str, Column]) -> dict[str, Any]:
    return {name: v.type if isinstance(v, pa.Array) else v.dtype for name, v in batch.items()}


def _joined(batches: list[Mapping[str, Column]]) -> pa.Table:
    columns = {}
    for name, first in batches[0].items():
        parts = [batch[name] for batch in batches]
        arrow = isinstance(first, pa.Array)
        columns[name] = pa.concat_arrays(parts) if arrow else pa.array(np.concatenate(parts))
    return pa.table(columns)
