"""k-means with k = 2 on any number of samples, the same to the last digit wherever they are."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from lossan.points import Array, Centroids, Local, Mask, Moments, Points, Scale

_SUBSAMPLE = 50_000  # enough to place two centroids to about a hundredth of a deviation
_TRIALS = 2  # candidates for the second centroid, as in scikit-learn: 2 + log(k)


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
    points = Local.held(values)
    centroids = fit_two_means(
        points,
        points.moments(),
        seed,
        standardise=standardise,
        max_iter=max_iter,
        tol=tol,
        n_init=n_init,
    )
    return centroids.second(values)


def fit_two_means(
    points: Points,
    moments: Moments,
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
    moments : Moments
        Of all points.
    seed, standardise, max_iter, tol, n_init
        As for `two_means`.

    Returns
    -------
    Centroids
    """
    n_features = len(moments.mean)
    spread = moments.spread if standardise else np.ones(n_features)
    scale = Scale(moments.mean if standardise else np.zeros(n_features), 1 / spread)
    variance = moments.squares / moments.n / spread**2
    limits = max_iter, tol * float(variance.mean())
    rng = np.random.default_rng(seed)
    sample = _sample(points, moments, rng)
    start = Local.held(sample)
    few = _Settling(start, start.moments(), scale, *limits)
    scaled = scale.points(sample)
    starts = [_plus_plus(scaled, rng) for _ in range(n_init)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        tries = list(pool.map(lambda places: few.split(few.from_(places)), starts))
    best = max(tries, key=lambda half: half.explained)
    if points.n <= _SUBSAMPLE:
        return Centroids(scale, best.places)
    # the fewer samples are nearer to the second, the fewer are summed
    places = best.places if best.n_second <= start.n / 2 else best.places[::-1]
    return Centroids(scale, _Settling(points, moments, scale, *limits).from_(places))


def _sample(points: Points, moments: Moments, rng: np.random.Generator) -> Array:
    """Return the features of enough samples to find good centroids; of all where they are few."""
    if points.n <= _SUBSAMPLE:
        return points.take(np.arange(points.n))
    rows = np.sort(rng.choice(points.n, _SUBSAMPLE, replace=False, shuffle=False))
    values = points.take(rows)
    if (np.ptp(values, axis=1) > 0).any():
        return values
    return points.take(np.sort(points.extremes(int(np.argmax(moments.varies)))))


@dataclass(frozen=True)
class _Halves:
    """Samples that fell to two centroids.

    Parameters
    ----------
    places : ndarray of float64
        Shape (2, n_features): the centroids.
    n_second : int
    means : ndarray of float64
        Shape (2, n_features): of both parts.
    explained : float
        The squares that the split explains: inertia is a constant less this.
    """

    places: Array
    n_second: int
    means: Array
    explained: float


@dataclass(frozen=True)
class _Settling:
    """Lloyd's iterations.

    Parameters
    ----------
    points : Points
    moments : Moments
        Of all points.
    scale : Scale
    max_iter : int
    tol : float
        Centroids that move by a squared distance of at most this have settled.
    """

    points: Points
    moments: Moments
    scale: Scale
    max_iter: int
    tol: float

    def from_(self, places: Array) -> Array:
        for _ in range(self.max_iter):
            means = self.split(places).means
            moved = float(((means - places) ** 2).sum())
            places = means
            if moved <= self.tol:
                break
        return places

    def split(self, places: Array) -> _Halves:
        found = self.points.split(Centroids(self.scale, places))
        counts = np.array([self.points.n - found.n_second, found.n_second])
        shift, factor = self.scale.shift, self.scale.factor
        total = self.points.n * (self.moments.mean - shift) * factor
        second = (found.sums - found.n_second * shift) * factor
        sums = np.stack([total - second, second])
        means = sums / np.maximum(counts, 1)[:, None]
        return _Halves(places, found.n_second, means, float((sums * means).sum()))


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
