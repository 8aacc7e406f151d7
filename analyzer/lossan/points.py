"""Features of many samples, wherever they are, and the sums that k-means takes of them.

Samples are worked on in blocks of fixed size that stay in the cache, standardised there and then:
no second copy of the features is ever held. Sums are put together in the order of the blocks, the
blocks of a chunk first, then the chunks: neither the number of threads nor whether the chunks lie
in memory, on disk or on other machines changes a digit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from lossan import blocks
from lossan.blocks import map_blocks, scratch

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
        mean, apart = block.mean(axis=1), scratch("apart", block.shape)
        np.subtract(block, mean[:, None], out=apart)
        squares = np.square(apart, out=apart).sum(axis=1)
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

    @classmethod
    def of(cls, values: Array, second: Mask) -> "Split":
        """Return the split of features of shape (n_features, n)."""
        rows = np.flatnonzero(second)
        return cls(len(rows), values.take(rows, axis=1).sum(axis=1))

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
class Plane:
    """The plane in the middle between two centroids.

    Features weighed by it need not be brought to the units of the centroids first.

    Parameters
    ----------
    weights : ndarray of float64
        Shape (n_features,).
    limit : float
    """

    weights: Array
    limit: float

    def beyond(self, values: Array) -> Array:
        """Return how far features of shape (n_features, n) lie beyond, until asked again.

        Above 0 they are nearer to the second centroid. The sum goes feature by feature: a BLAS may
        add in another order for another number of threads.
        """
        weighed, along = scratch("weighed", values.shape), scratch("along", values.shape[1:])
        np.multiply(values, self.weights[:, None], out=weighed)
        np.add.reduce(weighed, axis=0, out=along)
        along -= self.limit
        return along


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

        def one(block: slice) -> None:
            found[block] = self.plane.beyond(values[:, block]) > 0

        map_blocks(one, values.shape[1])
        return found

    @cached_property
    def plane(self) -> Plane:
        """The plane in the middle between both."""
        towards = self.places[1] - self.places[0]
        weights = towards * self.scale.factor
        middle = towards * (self.places[0] + self.places[1]) / 2 + weights * self.scale.shift
        return Plane(weights, float(middle.sum()))

    @property
    def apart(self) -> float:
        """How far beyond the plane the second centroid lies, and the first before it, together."""
        return float(((self.places[1] - self.places[0]) ** 2).sum())

    @property
    def ascend(self) -> bool:
        """Whether the second centroid has the greater first feature."""
        return bool(self.places[1, 0] > self.places[0, 0])

    def split(self, part: Part, n: int) -> Split:
        """Sum what is nearer to the second, of at most `CHUNK` samples or several chunks."""

        def one(block: slice) -> Split:
            values = part(block)
            return Split.of(values, self.plane.beyond(values) > 0)

        return fold_blocks(one, n)


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

    def second(self, samples: slice, centroids: Centroids) -> Mask:
        """Tell which samples, all of one chunk, are nearer to the second centroid."""
        return np.asarray(centroids.plane.beyond(self.part(samples)) > 0)

    def first(self, samples: slice) -> Array:
        """Return the first feature of some samples, shape (n,)."""
        return self.part(samples)[0]

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


def fold_blocks(one: Callable[[slice], _M], n: int) -> _M:
    """Put together what a function says of each block."""
    return fold(_in_chunks(map_blocks(one, n)))


def moments(part: Part, n: int) -> Moments:
    """Return the moments of the features of n samples."""
    return fold_blocks(lambda block: Moments.of(part(block)), n)
