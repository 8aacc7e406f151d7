"""How many labels of one class stand on another, by how sure the network is of that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Codes = NDArray[np.int32]
Keys = NDArray[np.int64]
Sure = NDArray[np.floating[Any]]
Epoch = tuple[Codes, Codes, Sure]
"""Given and predicted class of each sample, -1 for unknown, and how sure the network is of it."""

BINS = 24  # by how sure the network is of a class, each of as many of its samples


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Numbers of samples by pair of classes, given and predicted, and by bin of sureness.

    Parameters
    ----------
    cells : ndarray of int64
        Ascending, shape (n_cells,): the pair (number of the given class times the number of
        classes, plus that of the predicted one) times the number of bins, plus the bin. Of pairs
        of two different classes.
    counts : ndarray of float64
        Shape (n_cells,).
    totals : ndarray of float64
        Shape (n_classes, n_bins): of all samples taken for the class.
    given : ndarray of float64
        Shape (n_classes,): of all samples labelled so.
    doubts : ndarray of float64
        Shape (n_classes,): how many of the samples taken for the class are of others by the
        network's own account: the sum of 1 less how sure it is.
    peaks : ndarray of float64
        Shape (n_classes,): how sure the network is in the middle of the surest quarter of them.
    """

    cells: Keys
    counts: Vector
    totals: Vector
    given: Vector
    doubts: Vector
    peaks: Vector

    @classmethod
    def of(cls, epoch: Epoch, n_classes: int) -> "PairCounts":
        """Count the samples of an epoch."""
        given, predicted, sure = epoch
        known = (given >= 0) & (predicted >= 0) & ~np.isnan(sure)
        own, taken, sure = given[known], predicted[known], sure[known]
        bins, peaks = _bins(taken, sure, n_classes)
        totals = _number(taken * BINS + bins, n_classes * BINS).reshape(n_classes, BINS)
        other = own != taken
        pair = own[other].astype(np.int64) * n_classes + taken[other]
        cells, counts = np.unique(pair * BINS + bins[other], return_counts=True)
        doubts = np.asarray(np.bincount(taken, 1.0 - sure, minlength=n_classes), np.float64)
        return cls(cells, counts.astype(np.float64), totals, _number(own, n_classes), doubts, peaks)

    @classmethod
    def mean(cls, epochs: "Sequence[PairCounts]", weights: Vector) -> "PairCounts":
        """Return the weighted mean over the epochs."""
        share = weights / weights.sum()
        cells, place = np.unique(np.concatenate([e.cells for e in epochs]), return_inverse=True)
        counts = np.concatenate([of * e.counts for of, e in zip(share, epochs, strict=True)])

        def weighed(values: list[Vector]) -> Vector:
            return np.asarray(np.tensordot(share, values, 1), np.float64)

        return cls(
            cells,
            np.asarray(np.bincount(place, counts, minlength=len(cells)), np.float64),
            weighed([e.totals for e in epochs]),
            weighed([e.given for e in epochs]),
            weighed([e.doubts for e in epochs]),
            weighed([e.peaks for e in epochs]),
        )

    @property
    def contradicted(self) -> Vector:
        """Shape (n_classes,): of the samples taken for the class, those labelled otherwise."""
        n_classes = len(self.given)
        stands_on = self.cells // BINS % n_classes
        return np.asarray(np.bincount(stands_on, self.counts, minlength=n_classes), np.float64)

    def between(self, low: int, high: int) -> tuple[Keys, Vector]:
        """Return the pairs that are found from one bin to before another, and how often."""
        bins = self.cells % BINS
        inside = (bins >= low) & (bins < high)
        pairs, place = np.unique(self.cells[inside] // BINS, return_inverse=True)
        counts = np.bincount(place, self.counts[inside], minlength=len(pairs))
        return pairs, np.asarray(counts, np.float64)


def looked_up(keys: Keys, among: Keys, values: Vector, others: Vector | float) -> Vector:
    """Return the values of keys that are among the known ones, which ascend, and others' else."""
    if not len(among):
        return np.broadcast_to(np.asarray(others, np.float64), keys.shape)
    place = np.minimum(np.searchsorted(among, keys), len(among) - 1)
    return np.where(among[place] == keys, values[place], others)


def _number(places: NDArray[np.integer[Any]], n: int) -> Vector:
    """Return how many are at each of so many places."""
    return np.bincount(places, minlength=n).astype(np.float64)


def _bins(taken: Codes, sure: Sure, n_classes: int) -> tuple[NDArray[np.int8], Vector]:
    """Return each sample's bin among those taken for the same class, and each class's peak."""
    bins, peaks = np.empty(len(taken), np.int8), np.zeros(n_classes)
    of_class = np.argsort(taken, kind="stable")
    ends = np.cumsum(np.bincount(taken, minlength=n_classes))
    for own, members in enumerate(np.split(of_class, ends[:-1])):
        if len(members):
            bins[members] = _ranked(sure[members]) * BINS
            peaks[own] = np.quantile(sure[members], 7 / 8)
    return bins, peaks


def _ranked(values: Sure) -> Vector:
    """Return each value's place among all, from 0 to below 1; equals share the middle one."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    ends = np.append(first[1:], len(values))
    places = np.empty(len(values))
    places[order] = np.repeat((first + ends - 1) / (2 * len(values)), ends - first)
    return places
