"""Labels of one class that stand on another where hardly any stand the other way round.

Classes that look alike are mistaken for each other, both ways, by annotators as by a network. Among
the samples of which it is surer than of most of their class hardly a hard one is left: where labels
of one class are still found there, and those of the other class on the first are not, samples of
the one were named the other: mistakes for one class rather than another. A network that has come to
expect the wrong name contradicts such labels mildly, so that nothing else shows them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossan.detectors._pair_counts import BINS, PairCounts, looked_up

Vector = NDArray[np.float64]
Keys = NDArray[np.int64]

_HALF = BINS // 2  # the surer half of the samples taken for a class: hard ones are in the other
_SUREST = BINS * 3 // 4  # the quarter of those least like a wrong label, where these are learnt
_TWICE = 2.0  # times as often as the other way round, and as common: classes are rarely just equal
_LEVEL = 0.01  # of the pairs found, found by chance
_COMMON = 4 / 3  # times as common, of two classes
_UNLIKE = 1.3  # times as often contradicted, for the network's doubts, as all classes are
_SEEN = 30  # samples in the half, of either class
NOTABLE = 0.035
"""Fewer labels of a pair than this share are ambiguous in any gold standard."""


@dataclass(frozen=True, eq=False)
class OneWay:
    """By pair of classes, how often labels of the one stand on the other, less the other way round.

    Parameters
    ----------
    rates : ndarray of float64
        Shape (n_pairs,): of the samples taken for the class, in the epoch that shows most; 0 where
        it may be chance.
    nats : float
        How surely there is any, 0 where none is.
    """

    rates: Vector
    nats: float


def fit_one_way(keys: Keys, mean: PairCounts, epochs: Sequence[PairCounts]) -> OneWay:
    """Find the pairs of classes that are mistaken one way.

    A pair is one where labels surely stand more than twice as often on the other class as the other
    way round. A network whose training makes up for rare classes takes many samples of a common one
    for a rare one, and no others. It shows by being surer of the rare ones than their labels bear
    out; then, where the given class is more than twice as common, its labels must also be more than
    half as often in the surer half as in the other, as hard ones are not. Of all pairs so found one
    in a hundred is found by chance. None is unless one of the mean rates is 3.5% or more.

    Of two classes one is often more varied than the other, so that more of it is hard. A pair is
    one only where the given class is a third more common than the other: hard samples are then
    taken for it and seldom the other way, so that its labels must stand on the other more often in
    number too.

    Parameters
    ----------
    keys : ndarray of int64
        Shape (n_pairs,): number of the given class times the number of classes, plus that of the
        one it stands on.
    mean : PairCounts
        Over the epochs.
    epochs : sequence of PairCounts
        Wrong labels are learnt by heart: how many there are is read where most are seen.

    References
    ----------
    lossan; Benjamini and Hochberg 1995, Controlling the False Discovery Rate.
    """
    chance = _chance(keys, mean)
    surely = _discovered(chance)
    if not surely.any() or _net(keys, mean)[surely].max() < NOTABLE:
        return OneWay(np.zeros(len(keys)), 0.0)
    rates = [np.where(surely, _net(keys, epoch), 0.0) for epoch in epochs]
    size = mean.totals.sum(axis=1)[keys % len(mean.totals)]
    most = max(rates, key=lambda of_epoch: float(of_epoch @ size))
    return OneWay(most, float(-np.log(max(chance.min(), 1e-300))))


def _chance(keys: Keys, mean: PairCounts) -> Vector:
    """Return how likely so many labels are where a pair is not mistaken one way."""
    from scipy.special import betainc  # 0.15 s to import, which the other detectors do not need

    there, back, on, given = _both_ways(keys, mean, _HALF, BINS)
    label, other = np.divmod(keys, len(mean.given))
    more = mean.given[label] / np.maximum(mean.given[other], 1)  # times as common
    seen = np.maximum(there, 1e-9)
    chance = betainc(seen, back + 1, _TWICE * on / np.maximum(_TWICE * on + given, 1))
    if len(mean.given) == 2:  # where hard samples are taken for the common class
        as_many = betainc(seen, back + 1, 0.5)
        chance = np.where(more > _COMMON, np.maximum(chance, as_many), 1.0)
    if _weighed(mean, np.unique(other[(more > _TWICE) & (chance <= _LEVEL)])):
        lower = looked_up(keys, *mean.between(0, _HALF), 0.0)
        thin_out = betainc(seen, lower + 1, 1 / (1 + _TWICE))
        chance = np.where(more > _TWICE, np.maximum(chance, thin_out), chance)
    return np.where(np.minimum(on, given) >= _SEEN, chance, 1.0)


def _weighed(mean: PairCounts, rare: Keys) -> bool:
    """Tell whether a training made up for rare classes: their labels do not bear it out.

    Cross-entropy of the labels as they come makes a network as sure as these bear out, wrong ones
    too. Weighed, resampled or with its logits adjusted, it is surer of rare classes: what is taken
    for them is labelled otherwise more often than its doubts let one expect, compared to all.
    """
    wrong, doubts = mean.contradicted, mean.doubts
    return bool(wrong[rare].sum() * doubts.sum() > _UNLIKE * wrong.sum() * doubts[rare].sum())


def _net(keys: Keys, counted: PairCounts) -> Vector:
    """Return how much more often labels stand there than the other way round.

    In the third quarter: the first two hold hard samples, and of a network that begins to learn
    wrong labels by heart the last does not hold them.
    """
    there, back, on, given = _both_ways(keys, counted, _HALF, _SUREST)
    return np.asarray(np.maximum(there / np.maximum(on, 1) - back / np.maximum(given, 1), 0.0))


def _both_ways(
    keys: Keys, counted: PairCounts, low: int, high: int
) -> tuple[Vector, Vector, Vector, Vector]:
    """Return the labels of each pair and of its reverse, in some bins.

    And all samples taken there for the class that the pair stands on, and for the given one.
    """
    n_classes = len(counted.totals)
    given, on = np.divmod(keys, n_classes)
    size = counted.totals[:, low:high].sum(axis=1)
    known = counted.between(low, high)
    there, back = (looked_up(pairs, *known, 0.0) for pairs in (keys, on * n_classes + given))
    return there, back, size[on], size[given]


def _discovered(chance: Vector) -> NDArray[np.bool_]:
    """Return which are small enough, among so many, that one in a hundred of them is chance."""
    # scipy.stats, which has this, takes as long to import as a small log to analyse
    ordered = np.sort(chance)
    small = np.flatnonzero(ordered <= _LEVEL * np.arange(1, len(ordered) + 1) / len(ordered))
    return chance <= ordered[small[-1]] if len(small) else np.zeros(len(chance), bool)
