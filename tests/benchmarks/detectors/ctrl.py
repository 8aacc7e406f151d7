"""CTRL (Yue, Jha 2022, arXiv 2208.08464), written from the published procedure.

Losses are clamped at 2 ln K and smoothed over 5 epochs. Within each given class and each of
w windows of epochs, k-means makes k clusters; a sample in one of the s highest gets a vote against
it. A sample is clean where at least t windows vote for it. Among all (k, s, w, t) of the published
search the one with the highest silhouette times accuracy times loss ratio is taken.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

SMOOTHED = 5
SAMPLED = 5_000
"""Members of a class the silhouette is computed from: it is quadratic in them."""

Setting = tuple[int, int, int, int]


def settings(n_epochs: int) -> Iterator[Setting]:
    """Yield (k, s, w, t) of the published search."""
    for k in (2, 3):
        for s in range(1, k):
            for w in (1, 2, 4):
                if w <= n_epochs:
                    yield from ((k, s, w, t) for t in range(1, w // 2 + 2))


def ctrl(
    loss: NDArray[np.float64],
    given: NDArray[np.int64],
    correct: NDArray[np.bool_],
    n_classes: int,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores and flags.

    Parameters
    ----------
    loss : ndarray of float64
        Shape (n, n_epochs).
    given : ndarray of int64
        Shape (n,): the given labels.
    correct : ndarray of bool
        Shape (n,): whether the last epoch's network predicts the given label.
    n_classes : int

    Notes
    -----
    The method flags and does not rank. Here the number of votes ranks, and among equals the mean
    of the clamped losses.
    """
    curves = smooth(np.minimum(loss, 2 * np.log(n_classes)))
    members = [rows for c in range(n_classes) if len(rows := np.flatnonzero(given == c)) >= 3]
    places: dict[tuple[int, int], NDArray[np.int64]] = {}
    best_value, best = -np.inf, None
    for k, s, w, t in settings(loss.shape[1]):
        if (k, w) not in places:
            places[k, w] = standing(curves, members, k, w)
        against = (places[k, w] < s).sum(axis=0)
        noisy = against > w - t
        value = quality(curves, members, noisy, correct)
        if value > best_value:
            best_value, best = value, (against, noisy)
    if best is None:  # no setting divides any class
        best = (np.zeros(len(given), np.int64), np.zeros(len(given), bool))
    mean = curves.mean(axis=1)
    return best[0] + 0.5 * mean / max(mean.max(), 1e-12), best[1]


def smooth(loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return moving averages; the first one stands for the epochs before it, as published."""
    # the published window of 5 needs more than 5 epochs
    size = min(SMOOTHED, loss.shape[1] - 1)
    total = np.cumsum(loss, axis=1)
    means = (total[:, size:] - total[:, :-size]) / size
    return np.concatenate([np.repeat(means[:, :1], size, axis=1), means], axis=1)


def standing(
    curves: NDArray[np.float64], members: list[NDArray[np.int64]], k: int, w: int
) -> NDArray[np.int64]:
    """Return the place of each sample's cluster, 0 = the highest losses; shape (w, n)."""
    bounds = [int(i * curves.shape[1] / w) for i in range(w + 1)]
    places = np.full((w, len(curves)), k)  # what is in no cluster stands below all of them
    for window in range(w):
        for rows in members:
            part = curves[rows, bounds[window] : bounds[window + 1]]
            if len(np.unique(part, axis=0)) < k:
                continue
            clusters = KMeans(k, random_state=0, n_init=10).fit(part)
            order = np.argsort(-clusters.cluster_centers_.sum(axis=1))
            places[window, rows] = np.argsort(order)[clusters.labels_]
    return places


def quality(
    curves: NDArray[np.float64],
    members: list[NDArray[np.int64]],
    noisy: NDArray[np.bool_],
    correct: NDArray[np.bool_],
) -> float:
    """Return silhouette x accuracy on the clean x last loss of the noisy over that of the clean."""
    if noisy.all() or not noisy.any():
        return -np.inf
    silhouettes, accuracies = [], []
    for rows in members:
        if (~noisy[rows]).any():
            accuracies.append(correct[rows][~noisy[rows]].mean())
        drawn = rows[:: max(1, len(rows) // SAMPLED)]
        if 1 < len(drawn) - noisy[drawn].sum() < len(drawn):
            silhouettes.append(silhouette_score(curves[drawn], noisy[drawn]))
    if not silhouettes:
        return -np.inf
    last = curves[:, -1]
    ratio = last[noisy].mean() / max(last[~noisy].mean(), 1e-12)
    return float(np.mean(silhouettes) * np.mean(accuracies) * ratio)
