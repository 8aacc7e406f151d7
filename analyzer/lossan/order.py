"""The ascending order of sample ids, and putting values in it."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Order = NDArray[np.intp]


def stable_order(ids: pa.Array) -> Order:
    """Return the ascending order of ids: integers by value, strings by code point.

    Parameters
    ----------
    ids : pyarrow.Array
        Of int64 or strings, without nulls; shape (n,).

    Returns
    -------
    ndarray of int
        Shape (n,): the rows, of equal ids in their own order.
    """
    if pa.types.is_integer(ids.type):
        values = ids.to_numpy()
        order = _dense_order(values)
        return np.argsort(values, kind="stable") if order is None else order
    # Arrow compares UTF-8 bytes, whose order is that of the code points; its sort is stable.
    return pc.sort_indices(ids).to_numpy().astype(np.intp)


def select_rows(matrix: NDArray[Any], rows: Order) -> NDArray[Any]:
    """Return these samples of every epoch, in this order; in place where it is all of them.

    Parameters
    ----------
    matrix : ndarray
        Shape (n_epochs, n_samples).
    rows : ndarray of int
    """
    if len(rows) == matrix.shape[1] and matrix.flags.writeable:
        room = threading.local()  # memory used again costs no page faults

        def reorder(epoch: NDArray[Any]) -> None:
            if not hasattr(room, "epoch"):
                room.epoch = np.empty_like(epoch)
            np.take(epoch, rows, out=room.epoch, mode="clip")  # "raise" would copy once more
            epoch[:] = room.epoch

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(reorder, matrix))
        return matrix
    return np.ascontiguousarray(matrix[:, rows])


def _dense_order(ids: NDArray[np.int64]) -> Order | None:
    """Return the order of distinct integers that fill half of their range, without sorting them."""
    n = len(ids)
    low, high = (int(ids.min()), int(ids.max())) if n else (0, 0)
    if n == 0 or high - low >= 2 * n:
        return None
    row_of = np.full(high - low + 1, -1, np.intp)
    row_of[ids - low] = np.arange(n)
    order = row_of[row_of >= 0]
    return order if len(order) == n else None  # of equal ids one row alone is there
