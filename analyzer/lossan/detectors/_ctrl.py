"""CTRL: clusters of loss curves, chosen by a search."""

from collections.abc import Iterator
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from lossan.detectors._base import Context, Detection, Detector
from lossan.detectors._scored import check_apart
from lossan.losslog import LossLog
from lossan.signals import filled, label_probs, losses, n_classes

_SMOOTH = 5  # epochs of the moving average
_SAMPLED = 2000  # curves the silhouette is computed on: it is quadratic
_ROUNDED = 1e-7  # of the highest: what float32 keeps of a loss
_APART = 1e-3  # of the highest level, far more than rounding makes of it
_WINDOWS, _CLUSTERS = (1, 2, 4), (2, 3)


@final
class Ctrl(Detector):
    """Cluster the loss curves of each class in several windows and let the windows vote.

    How many windows, clusters, suspicious clusters and votes is chosen by the silhouette of the
    split times how much better its clean part is fitted. The score adds the share of votes for
    wrong and, at half its weight, the mean of the clipped losses, squeezed below 1; flags first.
    """

    name: ClassVar[str] = "ctrl"
    summary: ClassVar[str] = "clusters of loss curves per class, chosen by silhouette"
    reference: ClassVar[str] = "Yue and Jha 2022 (CTRL), algorithm 1"

    def detect(self, log: LossLog, context: Context) -> Detection:
        """Search and flag.

        Raises
        ------
        DetectorError
            When fewer than two samples can be scored, or all look alike.
        """
        rows = np.flatnonzero(context.features.scorable)
        k = max(n_classes(log) or 2, 2)
        loss = filled(losses(log)[rows])
        check_apart(self.name, loss.mean(axis=1))
        curves = _smoothed(np.clip(loss, None, 2 * np.log(k)))
        codes = np.zeros(len(rows), int) if log.coded_label is None else log.coded_label.codes[rows]
        fitted = filled(label_probs(log)[rows])[:, -1] > 0.5
        best, votes_of_best = -np.inf, np.zeros(len(rows))
        flags = np.zeros(len(rows), bool)
        for votes, noisy in _candidates(curves, codes, context.seed):
            merit = _merit(curves, noisy, fitted, loss.mean(axis=1), context.seed)
            if merit > best:
                best, flags, votes_of_best = merit, noisy, votes
        level = curves.mean(axis=1)
        score = np.full(log.n_samples, np.nan)
        score[rows] = flags + 0.5 * votes_of_best + 0.25 * level / (1 + np.abs(level))
        flagged = np.zeros(log.n_samples, bool)
        flagged[rows] = flags
        return Detection(score=score, flagged=flagged)


def _candidates(
    curves: NDArray[np.float64], codes: NDArray[np.integer], seed: int
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Yield the share of noisy votes and the flags of each setting of the search."""
    from sklearn import config_context
    from threadpoolctl import threadpool_limits

    for windows in (w for w in _WINDOWS if w <= curves.shape[1]):
        parts = np.array_split(np.arange(curves.shape[1]), windows)
        for clusters in _CLUSTERS:
            # once for all classes: to find the threads' libraries costs more than to cluster a few
            # curves, and so do sklearn's checks of what is known to be right
            with (
                threadpool_limits(limits=1),
                config_context(assume_finite=True, skip_parameter_validation=True),
            ):
                found = [_ranks(curves[:, p], codes, clusters, seed) for p in parts]
            ranks = np.stack(found, axis=1)
            for suspicious in range(1, clusters):
                clean = (ranks >= suspicious).sum(axis=1)
                for needed in range(1, windows // 2 + 2):
                    yield 1 - clean / windows, clean < needed


def _ranks(
    curves: NDArray[np.float64], codes: NDArray[np.integer], clusters: int, seed: int
) -> NDArray[np.int64]:
    """Return each curve's cluster, per class, 0 being the one with the highest loss."""
    ranks = np.full(len(curves), clusters - 1)
    for rows in _by_class(codes):
        distinct, which = np.unique(curves[rows], axis=0, return_inverse=True)
        if len(distinct) < clusters:
            continue  # too few to cluster: taken for clean
        labels: NDArray[np.integer]
        if _each_alone(distinct, clusters):
            labels, levels = which.reshape(-1), distinct.sum(axis=1)
        else:
            labels, levels = _clustered(curves[rows], clusters, seed)
        ranks[rows] = np.argsort(np.argsort(-levels))[labels]
    return ranks


def _by_class(codes: NDArray[np.integer]) -> list[NDArray[np.intp]]:
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def _each_alone(distinct: NDArray[np.float64], clusters: int) -> bool:
    """Tell whether every curve surely is a cluster of its own, which k-means need not find out.

    Of levels that nearly agree rounding may decide.
    """
    levels = np.sort(distinct.sum(axis=1))
    return len(levels) == clusters and bool(np.diff(levels).min() > _APART * np.abs(levels).max())


def _clustered(
    curves: NDArray[np.float64], clusters: int, seed: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return each curve's cluster, and the level of each cluster's centre."""
    from sklearn.cluster import KMeans

    model = KMeans(clusters, n_init=3, random_state=seed).fit(curves)
    return model.labels_, model.cluster_centers_.sum(axis=1)


def _merit(
    curves: NDArray[np.float64],
    noisy: NDArray[np.bool_],
    fitted: NDArray[np.bool_],
    level: NDArray[np.float64],
    seed: int,
) -> float:
    from sklearn.metrics import silhouette_score

    if noisy.sum() < 2 or (~noisy).sum() < 2:
        return -np.inf
    chosen = np.random.default_rng(seed).permutation(len(curves))[:_SAMPLED]
    if len(np.unique(noisy[chosen])) < 2:
        return -np.inf
    apart = float(silhouette_score(curves[chosen], noisy[chosen]))
    accuracy = (fitted[~noisy].mean() + 1e-3) / (fitted[noisy].mean() + 1e-3)
    losses_apart = (level[noisy].mean() + 1e-6) / (level[~noisy].mean() + 1e-6)
    return apart * float(accuracy) * float(losses_apart)


def _smoothed(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the moving average, without the digits that sums leave behind and no loss has.

    Equal curves, such as those above the clip, would be told apart by them.
    """
    width = min(_SMOOTH, curves.shape[1])
    total = np.cumsum(np.pad(curves, ((0, 0), (1, 0))), axis=1)
    made = (total[:, width:] - total[:, :-width]) / width
    unit = _ROUNDED * float(np.abs(made).max(initial=0.0)) or 1.0
    return np.asarray(np.round(made / unit) * unit)
