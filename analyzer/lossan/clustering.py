"""k-means with k = 2 on any number of samples, the same to the last digit wherever they are.

Samples are worked on in blocks of fixed size that stay in the cache, standardised there and then:
no second copy of the features is ever held. Sums are put together in the order of the blocks, the
blocks of a chunk first, then the chunks: neither the number of threads nor whether the chunks lie
in memory, on disk or on other machines changes a digit.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, Self, TypeVar, final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
_T = TypeVar("_T")

_BLOCK = 1 << 14
CHUNK = 64 * _BLOCK
"""Samples whose sums are put together before they meet those of others."""
_SUBSAMPLE = 50_000  # enough to place two centroids to about a hundredth of a deviation
_TRIALS = 2  # candidates for the second centroid, as in scikit-learn: 2 + log(k)


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
        squares = ((block - mean[:, None]) ** 2).sum(axis=1)
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
    """How the samples fall to two centroids.

    Parameters
    ----------
    counts : ndarray of int64
        Shape (2,).
    sums : ndarray of float64
        Shape (2, n_features), in the units of the centroids.
    """

    counts: NDArray[np.int64]
    sums: Array

    def merge(self, other: "Split") -> "Split":
        """Return the split of both together."""
        return Split(self.counts + other.counts, self.sums + other.sums)

    @property
    def centroids(self) -> Array:
        """Shape (2, n_features): the means of both parts."""
        return self.sums / np.maximum(self.counts, 1)[:, None]

    @property
    def explained(self) -> float:
        """The squares that the split explains: inertia is a constant less this."""
        return float((self.sums * self.centroids).sum())


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

        def one(block: slice) -> None:
            found[block] = _nearer(self.scale.points(values[:, block]), self.places)

        _map(one, values.shape[1])
        return found

    def beyond(self, values: Array) -> Mask:
        """Tell which samples are nearer to the centroid with the greater first feature."""
        second = self.second(values)
        return second if self.places[1, 0] > self.places[0, 0] else ~second

    def split(self, values: Array) -> Split:
        """Sum both parts of a chunk of at most `CHUNK` samples, or of several laid end to end."""

        def one(block: slice) -> Split:
            points = self.scale.points(values[:, block])
            return _summed(points, _nearer(points, self.places))

        return fold(_in_chunks(_map(one, values.shape[1])))


class Points(Protocol):
    """Features of many samples, wherever they are."""

    @property
    def n(self) -> int:
        """How many samples there are."""

    def moments(self) -> Moments:
        """Return the moments of all."""

    def take(self, rows: NDArray[np.integer[Any]]) -> Array:
        """Return the features of some rows, ascending; shape (n_features, n_rows)."""

    def split(self, centroids: Centroids) -> Split:
        """Tell how all fall to two centroids."""

    def extremes(self, feature: int) -> tuple[int, int]:
        """Return the rows with the least and the greatest value of a feature, the first of each."""


@final
class Held:
    """Features held in memory.

    Parameters
    ----------
    values : ndarray of float64
        Shape (n_features, n), finite.
    """

    def __init__(self, values: Array) -> None:
        self.values = values
        self.n = values.shape[1]

    def moments(self) -> Moments:
        """Return the moments of all."""
        return moments(self.values)

    def take(self, rows: NDArray[np.integer[Any]]) -> Array:
        """Return the features of some rows, shape (n_features, n_rows)."""
        return self.values[:, rows]

    def split(self, centroids: Centroids) -> Split:
        """Tell how all fall to two centroids."""
        return centroids.split(self.values)

    def extremes(self, feature: int) -> tuple[int, int]:
        """Return the rows with the least and the greatest value of a feature."""
        return int(self.values[feature].argmin()), int(self.values[feature].argmax())


class _Mergeable(Protocol):
    def merge(self, other: Self) -> Self: ...


_M = TypeVar("_M", bound=_Mergeable)


def fold(parts: Sequence[_M]) -> _M:
    """Merge parts in their order."""
    return reduce(lambda one, other: one.merge(other), parts)


def _in_chunks(blocks: list[_M]) -> list[_M]:
    """Merge the blocks of each chunk."""
    size = CHUNK // _BLOCK
    return [fold(blocks[start : start + size]) for start in range(0, len(blocks), size)]


def moments(values: Array) -> Moments:
    """Return the moments of features of shape (n_features, n)."""
    return fold(_in_chunks(_map(lambda b: Moments.of(values[:, b]), values.shape[1])))


def two_means(
    values: Array,
    seed: int,
    *,
    standardise: bool = True,
    max_iter: int = 300,
    tol: float = 1e-4,
    n_init: int = 10,
) -> Mask:
    """Run k-means, k = 2: find good centroids on a subsample, let them settle on all samples.

    Parameters
    ----------
    values : ndarray of float64
        Shape (n_features, n), finite, with two different points at least.
    seed : int
    standardise : bool
        Whether features are brought to zero mean and unit variance.
    max_iter, tol, n_init
        As in scikit-learn's `KMeans`.

    Returns
    -------
    ndarray of bool
        Shape (n,): which samples are of the second cluster.

    References
    ----------
    Lloyd 1982; the start: Arthur and Vassilvitskii 2007 (k-means++).

    Examples
    --------
    >>> two_means(np.array([[0.0, 5.0, 0.1, 5.1]]), seed=0).astype(int).tolist() in (
    ...     [0, 1, 0, 1], [1, 0, 1, 0])
    True
    """
    points = Held(values)
    found = fit_two_means(
        points,
        points.moments(),
        seed,
        standardise=standardise,
        max_iter=max_iter,
        tol=tol,
        n_init=n_init,
    )
    return found.second(values)


def fit_two_means(
    points: Points,
    found: Moments,
    seed: int,
    *,
    standardise: bool = True,
    max_iter: int = 300,
    tol: float = 1e-4,
    n_init: int = 10,
) -> Centroids:
    """Find the centroids of `two_means` for samples wherever they are.

    Parameters
    ----------
    points : Points
    found : Moments
        Of all points.
    seed, standardise, max_iter, tol, n_init
        As for `two_means`.

    Returns
    -------
    Centroids
    """
    n_features = len(found.mean)
    spread = found.spread if standardise else np.ones(n_features)
    scale = Scale(found.mean if standardise else np.zeros(n_features), 1 / spread)
    variance = found.squares / found.n / spread**2
    settle = _Settling(scale, max_iter, tol * float(variance.mean()))
    rng = np.random.default_rng(seed)
    start = Held(_sample(points, found, rng))
    scaled = scale.points(start.values)
    tries = [settle.from_(start, _plus_plus(scaled, rng)) for _ in range(n_init)]
    best = max(tries, key=lambda t: t.explained).centroids
    return best if points.n <= _SUBSAMPLE else settle.from_(points, best.places).centroids


def _sample(points: Points, found: Moments, rng: np.random.Generator) -> Array:
    """Return the features of enough samples to find good centroids; of all where they are few."""
    if points.n <= _SUBSAMPLE:
        return points.take(np.arange(points.n))
    rows = np.sort(rng.choice(points.n, _SUBSAMPLE, replace=False, shuffle=False))
    values = points.take(rows)
    if (np.ptp(values, axis=1) > 0).any():
        return values
    return points.take(np.sort(points.extremes(int(np.argmax(found.varies)))))


@dataclass(frozen=True)
class _Settled:
    centroids: Centroids
    explained: float


@dataclass(frozen=True)
class _Settling:
    """Lloyd's iterations.

    Parameters
    ----------
    scale : Scale
    max_iter : int
    tol : float
        Centroids that move by a squared distance of at most this have settled.
    """

    scale: Scale
    max_iter: int
    tol: float

    def from_(self, points: Points, places: Array) -> _Settled:
        for _ in range(self.max_iter):
            split = points.split(Centroids(self.scale, places))
            moved = float(((split.centroids - places) ** 2).sum())
            places = split.centroids
            if moved == 0.0:  # the parts fit their centroids already
                return _Settled(Centroids(self.scale, places), split.explained)
            if moved <= self.tol:
                break
        settled = Centroids(self.scale, places)
        return _Settled(settled, points.split(settled).explained)


def _plus_plus(points: Array, rng: np.random.Generator) -> Array:
    """Choose a point at random, and a second with a chance that grows with its distance."""
    n = points.shape[1]
    first = points[:, int(rng.integers(n))]
    far = _distances(points, first)
    reached = np.cumsum(far)
    drawn = np.searchsorted(reached, rng.random(_TRIALS) * reached[-1], side="right")
    candidates = [points[:, min(int(row), n - 1)] for row in drawn]
    left = [np.minimum(far, _distances(points, c)).sum() for c in candidates]
    return np.stack([first, candidates[int(np.argmin(left))]])


def _distances(points: Array, point: Array) -> Array:
    distances: Array = ((points - point[:, None]) ** 2).sum(axis=0)
    return distances


def _nearer(points: Array, centroids: Array) -> Mask:
    """Return which points are nearer to the second centroid.

    The sum is written out: a BLAS may add in another order for another number of threads.
    """
    towards = centroids[1] - centroids[0]
    middle = float((towards * (centroids[0] + centroids[1])).sum()) / 2
    along = points[0] * towards[0]
    for feature, weight in zip(points[1:], towards[1:], strict=True):
        along += feature * weight
    return np.asarray(along > middle)


def _summed(points: Array, second: Mask) -> Split:
    total = points.sum(axis=1)
    inside = (points * second).sum(axis=1)
    n_second = int(np.count_nonzero(second))
    counts = np.array([len(second) - n_second, n_second])
    return Split(counts, np.stack([total - inside, inside]))


def _map(work: Callable[[slice], _T], n: int) -> list[_T]:
    blocks = list(_blocks(n))
    if len(blocks) == 1:
        return [work(blocks[0])]
    with ThreadPoolExecutor(min(len(blocks), os.cpu_count() or 1)) as pool:
        return list(pool.map(work, blocks))


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, _BLOCK):
        yield slice(start, min(start + _BLOCK, n))
