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
from scipy.special import betainc

from lossan.detectors._pair_counts import BINS, PairCounts

Vector = NDArray[np.float64]
Keys = NDArray[np.int64]

_HALF = BINS // 2  # the surer half of the samples taken for a class: hard ones are in the other
_SUREST = BINS * 3 // 4  # the quarter of those least like a wrong label, where these are learnt
_TWICE = 2.0  # times as often as the other way round, and as common: classes are rarely just equal
_LEVEL = 0.01  # of the pairs found, found by chance
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
    """Find the pairs of more than two classes that are mistaken one way.

    A pair is one where labels surely stand more than twice as often on the other class as the other
    way round. A network whose training makes up for rare classes takes many samples of a common one
    for a rare one, and no others: where the given class is more than twice as common its labels
    must also be more than half as often in the surer half as in the other, as hard ones are not.
    Of all pairs so found one in a hundred is found by chance. None is unless one of the rates is
    3.5% or more.

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
    none = OneWay(np.zeros(len(keys)), 0.0)
    if len(mean.totals) == 2 or not len(keys):
        return none
    chance = _chance(keys, mean)
    surely = _discovered(chance)
    if not surely.any():
        return none
    rates = [np.where(surely, _net(keys, epoch), 0.0) for epoch in epochs]
    size = mean.totals.sum(axis=1)[keys % len(mean.totals)]
    most = max(rates, key=lambda of_epoch: float(of_epoch @ size))
    if most.max() < NOTABLE:
        return none
    return OneWay(most, float(-np.log(max(chance.min(), 1e-300))))


def _chance(keys: Keys, mean: PairCounts) -> Vector:
    """Return how likely so many labels are where a pair is not mistaken one way."""
    n_classes = len(mean.totals)
    given, on = np.divmod(keys, n_classes)
    size = mean.totals[:, _HALF:].sum(axis=1)
    there = _counted(keys, mean, _HALF, BINS)
    back = _counted(on * n_classes + given, mean, _HALF, BINS)
    both = _TWICE * size[on] + size[given]
    chance = betainc(np.maximum(there, 1e-9), back + 1, _TWICE * size[on] / np.maximum(both, 1))
    lower = _counted(keys, mean, 0, _HALF)
    hard = betainc(np.maximum(there, 1e-9), lower + 1, 1 / (1 + _TWICE))
    common = mean.given[given] > _TWICE * mean.given[on]
    chance = np.where(common, np.maximum(chance, hard), chance)
    return np.where(np.minimum(size[on], size[given]) >= _SEEN, chance, 1.0)


def _net(keys: Keys, counted: PairCounts) -> Vector:
    """Return how much more often labels stand there than the other way round.

    In the third quarter: the first two hold hard samples, and of a network that begins to learn
    wrong labels by heart the last does not hold them.
    """
    n_classes = len(counted.totals)
    given, on = np.divmod(keys, n_classes)
    size = np.maximum(counted.totals[:, _HALF:_SUREST].sum(axis=1), 1)
    there = _counted(keys, counted, _HALF, _SUREST) / size[on]
    back = _counted(on * n_classes + given, counted, _HALF, _SUREST) / size[given]
    return np.asarray(np.maximum(there - back, 0.0))


def _counted(keys: Keys, counted: PairCounts, low: int, high: int) -> Vector:
    """Return the number of samples of each pair from one bin to before another."""
    at_bin = counted.cells % BINS
    cells = (at_bin >= low) & (at_bin < high)
    pairs, place = np.unique(counted.cells[cells] // BINS, return_inverse=True)
    if not len(pairs):
        return np.zeros(len(keys))
    counts = np.bincount(place, counted.counts[cells])
    at = np.minimum(np.searchsorted(pairs, keys), len(pairs) - 1)
    return np.where(pairs[at] == keys, counts[at], 0.0)


def _discovered(chance: Vector) -> NDArray[np.bool_]:
    """Return which are small enough, among so many, that one in a hundred of them is chance."""
    ordered = np.sort(chance)
    small = np.flatnonzero(ordered <= _LEVEL * np.arange(1, len(ordered) + 1) / len(ordered))
    return chance <= ordered[small[-1]] if len(small) else np.zeros(len(chance), bool)
