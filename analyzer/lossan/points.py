"""Features of many samples, wherever they are, and the sums that k-means takes of them.

Samples are worked on in blocks of fixed size that stay in the cache, standardised there and then:
no second copy of the features is ever held. Sums are put together in the order of the blocks, the
blocks of a chunk first, then the chunks: neither the number of threads nor whether the chunks lie
in memory, on disk or on other machines changes a digit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, Self, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from lossan import blocks
from lossan.blocks import map_blocks

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.integer[Any]]
Part = Callable[[slice], Array]
"""Returns the features of a slice of the samples, shape (n_features, n)."""

CHUNK = 32 * blocks.BLOCK
"""Samples whose sums are put together before they meet those of others."""


@dataclass(frozen=True)
class Moments:
    """Means and standard deviations of features, mergeable.

    Parameters
    ----------
    n : int
    mean, squares : ndarray of float64
        Shape (n_features,): the mean and the sum of squared deviations from it.
    low, high : ndarray of float64
        Shape (n_features,).
    """

    n: int
    mean: Array
    squares: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, block: Array) -> "Moments":
        """Return the moments of features of shape (n_features, n)."""
        mean = block.mean(axis=1)
        apart = (row - middle for row, middle in zip(block, mean, strict=True))
        squares = np.array([np.square(row, out=row).sum() for row in apart])
        return cls(block.shape[1], mean, squares, block.min(axis=1), block.max(axis=1))

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of both together (Chan, Golub, LeVeque 1979)."""
        n = self.n + other.n
        apart = other.mean - self.mean
        return Moments(
            n,
            self.mean + apart * (other.n / n),
            self.squares + other.squares + apart**2 * (self.n / n * other.n),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    @property
    def varies(self) -> Mask:
        """Shape (n_features,): whether a feature is more than one value."""
        return self.high > self.low

    @property
    def spread(self) -> Array:
        """Shape (n_features,): the standard deviation; 1 for a constant feature.

        That has a deviation of rounding errors, not of anything to divide by.
        """
        return np.where(self.varies, np.sqrt(self.squares / self.n), 1.0)


@dataclass(frozen=True)
class Split:
    """How many samples fall to the second of two centroids, and which features they have.

    Parameters
    ----------
    n_second : int
    sums : ndarray of float64
        Shape (n_features,): the sums of their features.
    """

    n_second: int
    sums: Array

    def merge(self, other: "Split") -> "Split":
        """Return the split of both together."""
        return Split(self.n_second + other.n_second, self.sums + other.sums)


@dataclass(frozen=True)
class Scale:
    """How features are brought to the units of the centroids.

    Parameters
    ----------
    shift, factor : ndarray of float64
        Shape (n_features,): a point is (feature - shift) * factor.
    """

    shift: Array
    factor: Array

    def points(self, values: Array) -> Array:
        """Return features of shape (n_features, n) as points."""
        points = values - self.shift[:, None]
        points *= self.factor[:, None]
        return points


@dataclass(frozen=True)
class Centroids:
    """Two centroids.

    Parameters
    ----------
    scale : Scale
    places : ndarray of float64
        Shape (2, n_features), in the units of the scale.
    """

    scale: Scale
    places: Array

    def second(self, values: Array) -> Mask:
        """Tell which samples, of features of shape (n_features, n), are nearer to the second."""
        found = np.empty(values.shape[1], bool)
        plane = self._plane()

        def one(block: slice) -> None:
            found[block] = _beyond(values[:, block], *plane)

        map_blocks(one, values.shape[1])
        return found

    def _plane(self) -> tuple[Array, float]:
        """Return the plane in the middle between both: features weighed, and a limit.

        Weighed there and then, features need not be brought to the units of the centroids first.
        """
        towards = self.places[1] - self.places[0]
        weights = towards * self.scale.factor
        middle = towards * (self.places[0] + self.places[1]) / 2 + weights * self.scale.shift
        return weights, float(middle.sum())

    def beyond(self, values: Array) -> Mask:
        """Tell which samples are nearer to the centroid with the greater first feature."""
        second = self.second(values)
        return second if self.places[1, 0] > self.places[0, 0] else ~second

    def split(self, part: Part, n: int) -> Split:
        """Sum what is nearer to the second, of at most `CHUNK` samples or several chunks."""
        plane = self._plane()

        def one(block: slice) -> Split:
            values = part(block)
            rows = np.flatnonzero(_beyond(values, *plane))
            return Split(len(rows), values.take(rows, axis=1).sum(axis=1))

        return fold(_in_chunks(map_blocks(one, n)))


class Points(Protocol):
    """Features of many samples, wherever they are."""

    @property
    def n(self) -> int:
        """How many samples there are."""

    def moments(self) -> Moments:
        """Return the moments of all."""

    def take(self, rows: Rows) -> Array:
        """Return the features of some rows, ascending; shape (n_features, n_rows)."""

    def split(self, centroids: Centroids) -> Split:
        """Tell how all fall to two centroids."""

    def extremes(self, feature: int) -> tuple[int, int]:
        """Return the rows with the least and the greatest value of a feature, the first of each."""


@final
class Local:
    """Features in memory, or made block by block of what is there.

    Parameters
    ----------
    part : callable
        Returns the finite features of a slice of the samples, shape (n_features, n), until a
        thread asks for others.
    take : callable
        Returns those of some rows.
    n : int
    """

    def __init__(self, part: Part, take: Callable[[Rows], Array], n: int) -> None:
        self.part, self.take, self.n = part, take, n

    @classmethod
    def held(cls, values: Array) -> Self:
        """Return points of features held in memory, shape (n_features, n)."""
        return cls(held(values), lambda rows: values[:, rows], values.shape[1])

    def moments(self) -> Moments:
        """Return the moments of all."""
        return moments(self.part, self.n)

    def split(self, centroids: Centroids) -> Split:
        """Tell how all fall to two centroids."""
        return centroids.split(self.part, self.n)

    def extremes(self, feature: int) -> tuple[int, int]:
        """Return the rows with the least and the greatest value of a feature."""
        values = np.concatenate(map_blocks(lambda block: self.part(block)[feature].copy(), self.n))
        return int(values.argmin()), int(values.argmax())


def held(values: Array) -> Part:
    """Return what gives parts of features held in memory."""
    return lambda block: values[:, block]


class _Mergeable(Protocol):
    def merge(self, other: Self) -> Self: ...


_M = TypeVar("_M", bound=_Mergeable)


def fold(parts: Sequence[_M]) -> _M:
    """Merge parts in their order."""
    return reduce(lambda one, other: one.merge(other), parts)


def _in_chunks(parts: list[_M]) -> list[_M]:
    """Merge the blocks of each chunk."""
    size = CHUNK // blocks.BLOCK
    return [fold(parts[start : start + size]) for start in range(0, len(parts), size)]


def moments(part: Part, n: int) -> Moments:
    """Return the moments of the features of n samples."""
    return fold(_in_chunks(map_blocks(lambda block: Moments.of(part(block)), n)))


def _beyond(values: Array, weights: Array, limit: float) -> Mask:
    """Return which samples lie beyond a plane.

    The sum is written out: a BLAS may add in another order for another number of threads.
    """
    along = values[0] * weights[0]
    weighed = np.empty_like(along)
    for feature, weight in zip(values[1:], weights[1:], strict=True):
        np.multiply(feature, weight, out=weighed)
        along += weighed
    return np.asarray(along > limit)
