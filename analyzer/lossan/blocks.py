"""Work on many samples in blocks of fixed size that stay in the cache, on all cores."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")

BLOCK = 1 << 15
"""Samples of a block; what is summed by blocks depends on it."""
_FEW = 4  # blocks that are done sooner than threads are started


def map_blocks(work: Callable[[slice], _T], n: int) -> list[_T]:
    """Do work on each block of n samples, on all cores; return what it returns, in order."""
    blocks = list(_blocks(n))
    if len(blocks) <= _FEW:
        return [work(block) for block in blocks]
    with ThreadPoolExecutor(min(len(blocks), os.cpu_count() or 1)) as pool:
        return list(pool.map(work, blocks))


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, BLOCK):
        yield slice(start, min(start + BLOCK, n))
