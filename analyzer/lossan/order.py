"""The ascending order of sample ids, and putting values in it."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.blocks import map_blocks, scratch

Order = NDArray[np.intp]

_FEW_BYTES, _MANY = 24, 10_000  # where sorting by words costs less than Arrow's comparisons


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
    # UTF-8 bytes have the order of the code points; Arrow, whose sort is stable, compares them
    order = _text_order(ids.cast(pa.large_string())) if len(ids) > _MANY else None
    return pc.sort_indices(ids).to_numpy().astype(np.intp) if order is None else order


def _text_order(ids: pa.Array) -> Order | None:
    """Return the order of strings that differ in few places: by eight bytes at a time.

    None where they differ in many, of which Arrow compares only the first that tell.
    """
    least, most = (
        np.frombuffer(value.as_buffer() or b"", np.uint8) for value in pc.min_max(ids).values()
    )
    shorter = min(len(least), len(most))
    differ = np.flatnonzero(least[:shorter] != most[:shorter])
    same = int(differ[0]) if len(differ) else shorter
    lengths = np.diff(_offsets(ids))
    longest = int(lengths.max())
    if longest - same > _FEW_BYTES:
        return None
    raw = pc.binary_slice(ids.cast(pa.large_binary()), same, longest)
    words = padded(raw, -(-(longest - same) // 8) * 8).view(">u8")
    # of equal bytes, but for zeros, the shorter is first
    order = np.argsort(lengths, kind="stable")
    for word in words.T[::-1]:
        order = order[np.argsort(word[order].astype(np.uint64), kind="stable")]
    return order


def padded(raw: pa.Array, width: int) -> NDArray[np.uint8]:
    """Return the bytes of each string as a row of ``width`` bytes, zeros at its end.

    Parameters
    ----------
    raw : pyarrow.Array
        Of large_binary, none longer than the width; shape (n,).
    width : int

    Returns
    -------
    ndarray of uint8
        Shape (n, width).
    """
    offsets = _offsets(raw)
    rows = np.zeros((len(raw), width), np.uint8)
    if offsets[0] == offsets[-1]:
        return rows
    text = np.frombuffer(raw.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    lengths = np.diff(offsets)
    if (lengths == lengths[0]).all():
        rows[:, : lengths[0]] = text.reshape(len(raw), -1)
    else:
        rows[np.arange(width) < lengths[:, None]] = text
    return rows


def _offsets(texts: pa.Array) -> NDArray[np.int64]:
    """Return where each of large strings begins in their bytes, and the last one ends."""
    offsets = np.frombuffer(texts.buffers()[1], np.int64)
    return offsets[texts.offset : texts.offset + len(texts) + 1]


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


def epoch_major(values: NDArray[Any], *, copy: bool = True) -> NDArray[np.float32]:
    """Return numbers of shape (n_samples, n_epochs) as (n_epochs, n_samples), and so in memory.

    Block by block, or most of it would be spent on waiting for memory; what is too large becomes
    infinite, and any NaN the one that fingerprints know.
    """
    there = values.T
    matrix: NDArray[np.float32]
    if not copy and there.flags.c_contiguous and there.flags.writeable and there.dtype == "f4":
        matrix = there
    else:
        matrix = np.empty(there.shape, np.float32)

    def one(block: slice) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            if matrix is not there:
                matrix[:, block] = there[:, block]
            for epoch in matrix[:, block]:
                if (clean := one_nan(epoch)) is not epoch:
                    epoch[:] = clean

    map_blocks(one, len(values))
    return matrix


_SEGMENT = 1 << 13  # samples that are turned at a time


def whole_segments(n_samples: int) -> int:
    """Return how many samples, at least as many as given, `turned` can turn."""
    return -(-n_samples // _SEGMENT) * _SEGMENT


def turned(rows: NDArray[Any]) -> NDArray[Any]:
    """Turn an array of shape (n_samples, n_epochs) in place; shape (n_epochs, n_samples).

    First each segment of the samples by itself, then the epochs of all segments to where they
    belong, along the cycles of their permutation.

    Parameters
    ----------
    rows : ndarray
        Contiguous, of as many samples as `whole_segments` says.
    """
    n_samples, n_epochs = rows.shape
    n_segments = n_samples // _SEGMENT

    def one(block: slice) -> None:
        room = scratch("turned", (n_epochs, _SEGMENT), rows.dtype)
        for start in range(block.start, block.stop, _SEGMENT):
            segment = rows[start : start + _SEGMENT]
            np.copyto(room, segment.T)
            segment.reshape(room.shape)[:] = room

    map_blocks(one, n_samples)
    parts = rows.reshape(n_segments * n_epochs, _SEGMENT)
    moved = bytearray(len(parts))
    for first in range(len(parts)):
        if moved[first]:
            continue
        kept, place = parts[first].copy(), first
        while True:
            moved[place] = True
            epoch, segment = divmod(place, n_segments)
            source = segment * n_epochs + epoch
            if source == first:
                break
            parts[place] = parts[source]
            place = source
        parts[place] = kept
    return rows.reshape(n_epochs, n_samples)


def one_nan(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return numbers any NaN of which is the one that fingerprints know; themselves without one."""
    with np.errstate(invalid="ignore", over="ignore"):
        if not np.isnan(values.sum()):  # one pass, and no more memory
            return values
    return np.where(np.isnan(values), np.float32(np.nan), values)


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
