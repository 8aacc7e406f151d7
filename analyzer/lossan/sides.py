"""On which side of a plane samples lie, remembered: of most, the next plane need not ask again.

Between two of Lloyd's iterations the plane between the centroids hardly moves. A sample farther
from the last one than it can have come nearer lies where it lay; only of the others, and of those
whose features are to be summed, features are made once more. Not a digit differs from asking all
of them (the idea, for distances to centroids: Elkan 2003, "Using the triangle inequality to
accelerate k-means").
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
from numpy.typing import NDArray

from lossan import blocks, points
from lossan.blocks import cut, map_blocks, scratch
from lossan.points import (
    Array,
    Centroids,
    Local,
    Mask,
    Moments,
    Part,
    Plane,
    Rows,
    Split,
    fold_blocks,
)

_MOST = 127
_ROUNDING = 1e-12  # of sums of a few features, and far more than these can be wrong by
_WORTH = 4  # features of one sample out of so many cost less than those of all


@dataclass(frozen=True)
class _Seen:
    """What is known of a chunk: how far its samples lie from a plane, in steps, rounded down.

    Parameters
    ----------
    plane : Plane
    step : float
    """

    plane: Plane
    step: float

    def reach(self, plane: Plane, low: Array, high: Array) -> float:
        """Return how many steps nearer another plane may be to features from low to high."""
        turned = plane.weights - self.plane.weights
        middle, half = (low + high) / 2, (high - low) / 2
        moved = np.abs(turned) @ half + abs(turned @ middle - (plane.limit - self.plane.limit))
        sizes = np.abs(plane.weights) + np.abs(self.plane.weights)
        unsure = sizes @ np.maximum(np.abs(low), np.abs(high))
        unsure += abs(plane.limit) + abs(self.plane.limit)
        return float(moved + _ROUNDING * unsure) / self.step


@final
class Remembered(Local):
    """Features that are made anew whenever they are asked for, so for as few as will do.

    Parameters
    ----------
    part, take, n
        As for `Local`.
    first : callable
        Returns the first feature of a slice of the samples, for less than all of them.
    """

    def __init__(
        self, part: Part, take: Callable[[Rows], Array], n: int, first: Callable[[slice], Array]
    ) -> None:
        super().__init__(part, take, n)
        self._first = first
        self._codes: NDArray[np.int8] = np.zeros(n, np.int8)
        self._seen: dict[int, _Seen] = {}
        self._ranges: dict[int, tuple[Array, Array]] = {}

    def moments(self) -> Moments:
        """Return the moments of all."""
        ranges: dict[int, tuple[Array, Array]] = {}

        def one(block: slice) -> Moments:
            found = Moments.of(self.part(block))
            ranges[block.start] = found.low, found.high
            return found

        found = fold_blocks(one, self.n)
        for chunk in cut(self.n, points.CHUNK):
            low, high = zip(*(ranges[block.start] for block in _blocks(chunk)), strict=True)
            self._ranges[chunk.start] = np.min(low, axis=0), np.max(high, axis=0)
        return found

    def split(self, centroids: Centroids) -> Split:
        """Tell how all fall to two centroids."""
        plane = centroids.plane
        seen = _Seen(plane, centroids.apart / 2 / _MOST)
        known = map_blocks(lambda chunk: self._split_few(chunk, plane), self.n, points.CHUNK)

        def one(block: slice) -> Split:
            few = known[block.start // points.CHUNK]
            if few is not None:
                return few[block.start % points.CHUNK // blocks.BLOCK]
            values = self.part(block)
            beyond = plane.beyond(values)
            found = Split.of(values, beyond > 0)
            self._keep(block, beyond, seen)
            return found

        found = fold_blocks(one, self.n)
        for chunk, few in zip(cut(self.n, points.CHUNK), known, strict=True):
            if few is None and seen.step > 0:
                self._seen[chunk.start] = seen
        return found

    def second(self, samples: slice, centroids: Centroids) -> Mask:
        """Tell which samples, all of one chunk, are nearer to the second centroid."""
        near = self._near(samples, centroids.plane)
        if near is None or np.count_nonzero(near) * _WORTH > len(near):
            return super().second(samples, centroids)
        found = self._codes[samples] > 0
        rows = np.flatnonzero(near)
        if len(rows):
            found[rows] = centroids.plane.beyond(self.take(rows + samples.start)) > 0
        return found

    def first(self, samples: slice) -> Array:
        """Return the first feature of some samples, shape (n,)."""
        return self._first(samples)

    def _split_few(self, chunk: slice, plane: Plane) -> list[Split] | None:
        """Return the splits of the blocks of a chunk by the features of few, None if not of few."""
        wanted = self._near(chunk, plane)
        if wanted is None:
            return None
        wanted |= self._codes[chunk] > 0
        rows = np.flatnonzero(wanted)
        if len(rows) * _WORTH > len(wanted):
            return None
        values = self.take(rows + chunk.start)
        second = plane.beyond(values) > 0
        starts = [block.start - chunk.start for block in _blocks(chunk)]
        cuts = [*np.searchsorted(rows, starts), len(rows)]
        return [Split.of(values[:, s:e], second[s:e]) for s, e in pairwise(cuts)]

    def _keep(self, block: slice, beyond: Array, seen: _Seen) -> None:
        """Keep how far samples lie beyond a plane, which is used up."""
        if seen.step > 0:
            np.divide(beyond, seen.step, out=beyond)
            np.clip(beyond, -_MOST, _MOST, out=beyond)
            np.copyto(self._codes[block], beyond, casting="unsafe")

    def _near(self, samples: slice, plane: Plane) -> Mask | None:
        """Return which samples of a chunk may lie on either side of a plane; None where all may."""
        start = samples.start // points.CHUNK * points.CHUNK
        seen, between = self._seen.get(start), self._ranges.get(start)
        if seen is None or between is None:
            return None
        reach = seen.reach(plane, *between)
        if not reach < _MOST:
            return None
        codes = self._codes[samples]
        distance = np.abs(codes, out=scratch("distance", codes.shape, np.int8))
        return np.asarray(distance <= int(reach))


def _blocks(chunk: slice) -> list[slice]:
    return list(cut(chunk.stop, blocks.BLOCK, chunk.start))
