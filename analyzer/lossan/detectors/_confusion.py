"""Which classes are taken for which others, and how firmly: what a single sample cannot tell."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.losslog import LossLog, places_among
from lossan.signals import n_classes

Vector = NDArray[np.float64]
Rows = NDArray[np.intp]
_Keys = NDArray[np.int64]

_DOUBT = 10.0  # samples that a pair of classes must outweigh to differ from the others


@final
@dataclass(frozen=True, eq=False)
class Confusions:
    """How much more firmly labels of a class, taken for another one, are contradicted than others.

    Among classes that look alike a network contradicts many right labels, but mildly; where it
    takes a shoe for a shirt the label is wrong. So the score of a sample is multiplied by the
    factor of its pair of classes, given and predicted: the geometric mean of the scores of the
    contradicted samples of the pair over that of all contradicted samples, drawn towards 1 as if
    ten more samples had said so. Of several epochs' pairs it is the weighted geometric mean, and
    1 for an epoch that predicts the given label.

    Parameters
    ----------
    given, predicted : pyarrow.Array
        The classes that the keys number.
    keys : ndarray of int64
        Shape (n_pairs,), ascending: number of the given class times the number of predicted
        classes, plus that of the predicted one.
    shifts : ndarray of float64
        Shape (n_pairs,): the logarithms of the factors.

    References
    ----------
    lossan; means drawn towards the mean of all: James and Stein 1961. Noise that depends on the
    pair of classes: Northcutt et al. 2021.
    """

    given: pa.Array
    predicted: pa.Array
    keys: _Keys
    shifts: Vector

    @classmethod
    def of(
        cls, log: LossLog, rows: Rows, score: Vector, weights: Vector, least: float
    ) -> "Confusions | None":
        """Learn the factors from the samples that score more than ``least``.

        None for a log without predictions or of two classes: there a pair is no more than a class.
        """
        given, predicted = log.coded_label, log.predicted
        if given is None or predicted is None or (n_classes(log) or 2) <= 2:
            return None
        if given.values.type != predicted.values.type:
            return None
        high = score > least
        empty = cls(given.values, predicted.values, np.empty(0, np.int64), np.empty(0))
        if not high.any():
            return empty
        firm = np.log(score[high])
        keys, of_firm, of_weight = [], [], []
        found = empty._pairs(log, rows[high])
        for pairs, weight in zip(found, weights / weights.sum(), strict=True):
            there = pairs >= 0
            keys.append(pairs[there])
            of_firm.append(weight * firm[there])
            of_weight.append(np.full(int(there.sum()), weight))
        known, place = np.unique(np.concatenate(keys), return_inverse=True)
        middle = float(firm.mean())
        total = np.bincount(place, np.concatenate(of_firm), minlength=len(known))
        count = np.bincount(place, np.concatenate(of_weight), minlength=len(known))
        shifts = (total + _DOUBT * middle) / (count + _DOUBT) - middle
        return cls(given.values, predicted.values, known, shifts)

    def factor(self, log: LossLog, rows: Rows, weights: Vector) -> Vector:
        """Return by what scores are multiplied, shape (n_rows,): a mean over the epochs."""
        total, seen = np.zeros(len(rows)), np.zeros(len(rows))
        for epoch, (pairs, weight) in enumerate(zip(self._pairs(log, rows), weights, strict=True)):
            seen += weight * ~np.isnan(log.loss[rows, epoch])
            if not len(self.keys):
                continue
            there = np.flatnonzero(pairs >= 0)
            place = np.minimum(np.searchsorted(self.keys, pairs[there]), len(self.keys) - 1)
            found = self.keys[place] == pairs[there]
            total[there[found]] += weight * self.shifts[place[found]]
        return np.asarray(np.exp(np.divide(total, seen, out=np.zeros(len(rows)), where=seen > 0)))

    def _pairs(self, log: LossLog, rows: Rows) -> Iterator[_Keys]:
        """Yield the key of each sample's pair at each epoch, -1 where the given label is predicted.

        And where either is unknown.
        """
        assert log.coded_label is not None  # noqa: S101  (`of` has seen to it)
        assert log.predicted is not None  # noqa: S101  (`of` has seen to it)
        given = _coded(log.coded_label.values, self.given)[log.coded_label.codes[rows]]
        own = _coded(self.given, self.predicted)[given]
        classes = _coded(log.predicted.values, self.predicted)
        for codes in log.predicted.codes.T:
            predicted = classes[codes[rows]]
            unknown = (given < 0) | (predicted < 0)
            yield np.where(
                unknown | (own == predicted), -1, given * len(self.predicted) + predicted
            )


def _coded(values: pa.Array, among: pa.Array) -> _Keys:
    """Return the place of each value among others, and -1 for the code -1."""
    return np.append(places_among(values, among), -1)
