"""Where scores leave a gap: between labels that are surely wrong and those that may be."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_NEAR = 0.005  # of the samples, to either side of a rank, over which the fall of the score is read
_FEWEST = 5  # samples
_STEPS = 200  # ranks looked at
_STANDS_OUT = 1.6  # times as far as the score falls at the middle one of them


def above_gap(score: Vector, fewest: int, most: int) -> int:
    """Return how many samples, of the fewest to the most, score higher than the widest gap.

    The most where no gap stands out: scores of hard right samples and of wrong ones then run into
    each other, and a gap is chance.

    Parameters
    ----------
    score : ndarray of float64
        Shape (n,), not below 0.
    fewest, most : int

    Examples
    --------
    >>> score = np.concatenate([np.linspace(9, 8, 100), np.linspace(2, 1, 900)])
    >>> above_gap(score, 80, 120), above_gap(score, 110, 150)
    (100, 150)
    """
    near = max(_FEWEST, round(_NEAR * len(score)))
    ranks = np.unique(np.linspace(fewest, most, _STEPS).astype(int))
    ranks = ranks[(ranks >= near) & (ranks < len(score) - near)]
    if len(ranks) < _FEWEST:
        return most
    ordered = np.log(np.maximum(np.sort(score)[::-1], 1e-9))
    falls = ordered[ranks - near] - ordered[ranks + near]
    widest = int(falls.argmax())
    if falls[widest] <= _STANDS_OUT * np.median(falls):
        return most
    here = np.arange(max(fewest, ranks[widest] - near), min(most, ranks[widest] + near) + 1)
    return int(here[np.argmax(ordered[here - 1] - ordered[here])])
