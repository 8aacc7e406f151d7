"""Work on many samples in blocks of fixed size that stay in the cache, on all cores."""

import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

_T = TypeVar("_T")

BLOCK = 1 << 15
"""Samples of a block; what is summed by blocks depends on it."""
_FEW = 4  # blocks that are done sooner than threads are started


def map_blocks(work: Callable[[slice], _T], n: int, size: int | None = None) -> list[_T]:
    """Do work on each block of n samples, on all cores; return what it returns, in order.

    Of work that takes few steps blocks should be larger: threads wait for each other at each step.
    """
    blocks = list(cut(n, size or BLOCK))
    if len(blocks) <= _FEW:
        return [work(block) for block in blocks]
    with ThreadPoolExecutor(min(len(blocks), os.cpu_count() or 1)) as pool:
        return list(pool.map(work, blocks))


_memory = threading.local()


def scratch(name: str, shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Return memory of this thread, with anything in it, until it asks by this name again.

    To have it anew for each block may cost as much as the work: the system takes it back between
    two blocks, and clears every page once more.
    """
    size, kind = math.prod(shape), np.dtype(dtype)
    key = f"{name} {kind.str}"
    found: NDArray[Any] | None = getattr(_memory, key, None)
    if found is None or len(found) < size:
        found = np.empty(size, kind)
        setattr(_memory, key, found)
    return found[:size].reshape(shape)


def cut(stop: int, size: int, start: int = 0) -> Iterator[slice]:
    """Cut samples into blocks, the last of which may be smaller."""
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))
