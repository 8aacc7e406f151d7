"""k-means with k = 2 on millions of samples, the same to the last digit on any number of threads.

Samples are worked on in blocks of fixed size that stay in the cache, standardised there and then:
no second copy of the features is ever held. Sums are put together in the order of the blocks.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
_T = TypeVar("_T")

_BLOCK = 1 << 14
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


@final
class Scaled:
    """Features in blocks, brought to zero mean and unit variance on the way.

    Parameters
    ----------
    values : ndarray of float64
        Shape (n_features, n), finite.
    shift, factor : ndarray of float64
        Shape (n_features,).
    """

    def __init__(self, values: Array, shift: Array, factor: Array) -> None:
        self.values, self.shift, self.factor = values, shift[:, None], factor[:, None]
        self.n = values.shape[1]

    def take(self, rows: NDArray[np.integer[Any]]) -> "Scaled":
        """Return the points of some rows."""
        return Scaled(self.values[:, rows], self.shift[:, 0], self.factor[:, 0])

    def block(self, block: slice) -> Array:
        """Return a block of the points, shape (n_features, n)."""
        points = self.values[:, block] - self.shift
        points *= self.factor
        return points

    def split(self, centroids: Array, second: Mask) -> Split:
        """Tell whom each point is nearer to, True for the second, and sum both parts up."""

        def one(block: slice) -> Split:
            points = self.block(block)
            second[block] = _nearer(points, centroids)
            return _summed(points, second[block])

        first, *rest = _map(one, self.n)
        for other in rest:
            first = first.merge(other)
        return first


def moments(values: Array) -> Moments:
    """Return the moments of features of shape (n_features, n)."""
    first, *rest = _map(lambda block: Moments.of(values[:, block]), values.shape[1])
    for other in rest:
        first = first.merge(other)
    return first


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
    found = moments(values)
    spread = found.spread if standardise else np.ones(len(values))
    points = Scaled(values, found.mean if standardise else np.zeros(len(values)), 1 / spread)
    variance = found.squares / found.n / spread**2
    settle = _Settling(max_iter, tol * float(variance.mean()))
    rng = np.random.default_rng(seed)
    start = points
    if points.n > _SUBSAMPLE:
        start = points.take(np.sort(rng.choice(points.n, _SUBSAMPLE, replace=False, shuffle=False)))
        if not (np.ptp(start.values, axis=1) > 0).any():
            feature = values[int(np.argmax(found.varies))]
            start = points.take(np.array([feature.argmin(), feature.argmax()]))
    tries = [settle.from_(start, _plus_plus(start, rng)) for _ in range(n_init)]
    best = max(tries, key=lambda t: t.explained)
    if start is not points:
        best = settle.from_(points, best.centroids)
    return best.second


@dataclass(frozen=True)
class _Settled:
    centroids: Array
    second: Mask
    explained: float


@dataclass(frozen=True)
class _Settling:
    """Lloyd's iterations.

    Parameters
    ----------
    max_iter : int
    tol : float
        Centroids that move by a squared distance of at most this have settled.
    """

    max_iter: int
    tol: float

    def from_(self, points: Scaled, centroids: Array) -> _Settled:
        second = np.empty(points.n, bool)
        for _ in range(self.max_iter):
            split = points.split(centroids, second)
            moved = float(((split.centroids - centroids) ** 2).sum())
            centroids = split.centroids
            if moved == 0.0:  # the parts fit their centroids already
                return _Settled(centroids, second, split.explained)
            if moved <= self.tol:
                break
        return _Settled(centroids, second, points.split(centroids, second).explained)


def _plus_plus(points: Scaled, rng: np.random.Generator) -> Array:
    """Choose a point at random, and a second with a chance that grows with its distance."""
    first = _point(points, int(rng.integers(points.n)))
    far = _distances(points, first)
    reached = np.cumsum(far)
    drawn = np.searchsorted(reached, rng.random(_TRIALS) * reached[-1], side="right")
    candidates = [_point(points, min(int(row), points.n - 1)) for row in drawn]
    left = [np.minimum(far, _distances(points, c)).sum() for c in candidates]
    return np.stack([first, candidates[int(np.argmin(left))]])


def _point(points: Scaled, row: int) -> Array:
    return points.block(slice(row, row + 1))[:, 0]


def _distances(points: Scaled, point: Array) -> Array:
    found = np.empty(points.n)
    for block in _blocks(points.n):
        found[block] = ((points.block(block) - point[:, None]) ** 2).sum(axis=0)
    return found


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
