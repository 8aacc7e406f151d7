"""Labels that stand on classes which are never hard to tell apart: wrong whoever made them.

Hard right labels are contradicted in favour of classes that look alike, and stand among the samples
of which the network is least sure. Labels that are wrong at random stand on every class alike.
"""

from collections.abc import Sequence

import numpy as np

from lossan.detectors._pair_counts import BINS, PairCounts, looked_up

_HALF = BINS // 2  # the less sure half tells which classes look alike; the surer one is read
_LEAST_ALIKE = 0.25  # of the pairs of classes
_CLASSES = 5  # of fewer all may look alike
_SEEN = 30  # samples in the surer half, to say anything about a class


def scattered(epochs: Sequence[PairCounts]) -> float:
    """Return the share of all labels that is wrong at random, as far as it shows.

    Read from the quarter of the pairs of classes that the less sure half of the samples confuses
    least: how often labels of the one stand on the other in the surer half, times the number of
    other classes. The two halves are different samples, so that the choice of the pairs does not
    favour those that are rare by chance. In the epoch that shows most, the first left out: in it a
    network takes whole classes for others.

    Parameters
    ----------
    epochs : sequence of PairCounts

    Returns
    -------
    float
        0 of fewer than five classes.

    References
    ----------
    lossan; that symmetric noise reaches classes which are never confused: Northcutt et al. 2021.
    """
    return max((_of_epoch(epoch) for epoch in epochs[1:]), default=0.0)


def _of_epoch(counted: PairCounts) -> float:
    n_classes = len(counted.totals)
    size = counted.totals[:, _HALF:].sum(axis=1)
    usable = size >= _SEEN
    n_pairs = int(usable.sum()) * (n_classes - 1)
    if n_classes < _CLASSES or not n_pairs:
        return 0.0
    low, high = counted.between(0, _HALF), counted.between(_HALF, BINS)
    found = np.union1d(low[0], high[0])
    found = found[usable[found % n_classes]]
    unsure = np.maximum(counted.totals[:, :_HALF].sum(axis=1), 1)[found % n_classes]
    alike = looked_up(found, *low, 0.0) / unsure
    rates = looked_up(found, *high, 0.0) / size[found % n_classes]
    never = n_pairs - len(found)  # pairs that are confused in neither half
    rank = int(_LEAST_ALIKE * n_pairs) - never
    most = np.sort(alike)[min(rank, len(found) - 1)] if rank >= 0 and len(found) else 0.0
    kept = alike <= most
    return float(rates[kept].sum() / (never + kept.sum()) * (n_classes - 1))
