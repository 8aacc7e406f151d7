"""Which classes are taken for which others, and how firmly: what a single sample cannot tell."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.detectors._floors import Floors, fit_floors
from lossan.detectors._pair_counts import Epoch, looked_up
from lossan.detectors._taken import Codes, classes_of, sureness, taken
from lossan.losslog import LossLog

Vector = NDArray[np.float64]
Keys = NDArray[np.int64]
Rows = NDArray[np.intp]

_DOUBT = 10.0  # samples that a pair of classes must outweigh to differ from the others
_CALM, _ROOT = 0.8, 0.25  # of two classes: the share of scores that count, and their power
_TOLD, _PLAIN = 3, 0.01  # how many pairs are told of; the rate that is only assumed, and none below
_ALONE = 0.05  # of the labels, that must be wrong by the rates of the first epoch alone
_POWER = 0.5  # of a pair's rate of wrong labels over the usual one


@final
@dataclass(frozen=True, eq=False)
class Confusions:
    """How much more a label of one class, taken for another, is to be doubted than others are.

    Two things are learnt of a pair of classes, given and predicted:

    - How firmly its labels are contradicted. Among classes that look alike a network contradicts
      many right labels, but mildly; where it takes a shoe for a shirt the label is wrong. This
      factor is the geometric mean of the scores of the contradicted samples of the pair over that
      of all contradicted samples, drawn towards 1 as if ten more samples had said so. Of two
      classes a pair is a class. Where its labels are confirmed less firmly its right ones are
      contradicted more often: the factor is the inverse fourth root of the mean of the lower four
      fifths of its scores, over that of both.
    - How often such labels stand on what is surely the other class (`fit_floors`). Where every
      third coat is called a pullover the network learns just that, and contradicts these labels
      mildly. This factor is the square root of the rate over the usual one, to the power of how
      surely the rates differ at all, and of how far they tell of single samples.

    Of several epochs' pairs the factor is the weighted geometric mean, and 1 for an epoch that
    predicts the given label.

    Parameters
    ----------
    classes : pyarrow.Array
        What the numbers of classes stand for.
    keys : ndarray of int64
        Shape (n_pairs,), ascending: number of the given class times the number of classes, plus
        that of the predicted one.
    shifts : ndarray of float64
        Shape (n_pairs,): the logarithms of the factors.
    others : ndarray of float64
        Shape (n_classes,): those of all other pairs, by the predicted class.
    floors : Floors, optional
        The rates of pairs; None where it is not known how sure the network is.
    notes : tuple of str
        Where rates differ, in which pairs most labels are wrong.

    References
    ----------
    lossan; means drawn towards the mean of all: James and Stein 1961. Noise that depends on the
    pair of classes: Northcutt et al. 2021.
    """

    classes: pa.Array
    keys: Keys
    shifts: Vector
    others: Vector
    floors: Floors | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        log: LossLog,
        rows: Rows,
        score: Vector,
        weights: Vector,
        first: Vector,
        least: float,
        *,
        at_once: bool = False,
    ) -> "Confusions | None":
        """Learn the factors, the first from the samples that score more than ``least``.

        Parameters
        ----------
        log : LossLog
        rows : ndarray of int
            The samples to learn from.
        score : ndarray of float64
            Shape (n_rows,).
        weights, first : ndarray of float64
            Shape (n_epochs,): of the score, and before wrong labels are learnt by heart.
        least : float
        at_once : bool
            Whether wrong labels are learnt by heart at once, and the first epoch knows something.

        Returns
        -------
        Confusions or None
            None for a log whose predictions are not known.
        """
        classes = classes_of(log)
        if classes is None:
            return None
        none = cls(classes, np.empty(0, np.int64), np.empty(0), np.zeros(len(classes)))
        high, found = score > least, none
        if len(classes) == 2:
            found = none._confirmed(next(taken(log, rows, classes))[0], score)
        elif high.any():
            found = none._firm(none._pairs(log, rows[high]), score[high], weights)
        floors = _floors_of(log, rows, classes, first, at_once=at_once)
        return found if floors is None else found._raised(floors)

    def factor(self, log: LossLog, rows: Rows, weights: Vector) -> Vector:
        """Return by what scores are multiplied, shape (n_rows,): a mean over the epochs."""
        total, seen = np.zeros(len(rows)), np.zeros(len(rows))
        for epoch, (pairs, weight) in enumerate(zip(self._pairs(log, rows), weights, strict=True)):
            known = ~np.isnan(log.loss[rows, epoch])
            seen += weight * known
            there = np.flatnonzero(known & (pairs >= 0))
            total[there] += weight * self._shift(pairs[there])
        return np.asarray(np.exp(np.divide(total, seen, out=np.zeros(len(rows)), where=seen > 0)))

    def _shift(self, pairs: Keys) -> Vector:
        """Return the logarithm of each pair's factor."""
        return looked_up(pairs, self.keys, self.shifts, self.others[pairs % len(self.classes)])

    def _pairs(self, log: LossLog, rows: Rows) -> Iterator[Keys]:
        """Yield the key of each sample's pair at each epoch, -1 where the given label is predicted.

        And where either is unknown.
        """
        for given, predicted in taken(log, rows, self.classes):
            none = (given < 0) | (predicted < 0) | (given == predicted)
            yield np.where(none, -1, given.astype(np.int64) * len(self.classes) + predicted)

    def _firm(self, pairs: Iterator[Keys], score: Vector, weights: Vector) -> "Confusions":
        """Return the factors of how firmly labels are contradicted, learnt from those that are."""
        firm = np.log(score)
        keys, of_firm, of_weight = [], [], []
        for at_epoch, weight in zip(pairs, weights / weights.sum(), strict=True):
            there = at_epoch >= 0
            keys.append(at_epoch[there])
            of_firm.append(weight * firm[there])
            of_weight.append(np.full(int(there.sum()), weight))
        known, place = np.unique(np.concatenate(keys), return_inverse=True)
        middle = float(firm.mean())
        total = np.bincount(place, np.concatenate(of_firm), minlength=len(known))
        count = np.bincount(place, np.concatenate(of_weight), minlength=len(known))
        shifts = (total + _DOUBT * middle) / (count + _DOUBT) - middle
        return replace(self, keys=known, shifts=shifts)

    def _confirmed(self, given: Codes, score: Vector) -> "Confusions":
        """Return the factors of how firmly the labels of two classes are confirmed."""
        level = np.zeros(2)
        for own in (0, 1):
            of_class = np.sort(score[given == own])
            calm = of_class[: int(_CALM * len(of_class))]
            level[own] = calm.mean() if len(calm) else 0.0
        if not (level > 0).all():
            return self
        shifts = _ROOT * (np.log(level).mean() - np.log(level))
        return replace(self, keys=np.array([1, 2]), shifts=shifts)  # 0 taken for 1, and 1 for 0

    def _raised(self, floors: Floors) -> "Confusions":
        """Return the factors times those of how often labels are wrong."""
        power = _POWER * floors.trust * floors.telling
        wrong = replace(
            self,
            keys=floors.keys,
            shifts=power * np.log(floors.rates / floors.usual),
            others=power * np.log(floors.others / floors.usual),
        )
        keys = np.union1d(self.keys, floors.keys)
        shifts = self._shift(keys) + wrong._shift(keys)
        return replace(
            wrong,
            keys=keys,
            shifts=shifts,
            floors=floors,
            notes=self._told(floors) if floors.trust > 0 else (),
        )

    def _told(self, floors: Floors) -> tuple[str, ...]:
        """Tell in which pairs most labels are wrong."""
        most = [at for at in np.argsort(-floors.shares)[:_TOLD] if floors.rates[at] > _PLAIN]
        pairs = [divmod(int(floors.keys[at]), len(self.classes)) for at in most]
        told = [
            f"{floors.rates[at]:.0%} of what is surely {self.classes[true]} is labelled "
            f"{self.classes[given]}"
            for at, (given, true) in zip(most, pairs, strict=True)
        ]
        if not told:
            return ()
        return (f"labels are wrong in some pairs of classes more often: {', '.join(told)}",)


def _floors_of(
    log: LossLog, rows: Rows, classes: pa.Array, weights: Vector, *, at_once: bool
) -> Floors | None:
    """Read the rates of pairs over the early epochs; or else of the first, where it alone can say.

    As that doubts more right labels as well, more must be wrong, and its rates tell no more of
    single samples than those of all early epochs do.
    """
    found = fit_floors(_epochs_of(log, rows, classes), weights, len(classes), len(rows))
    if found is None or found.trust > 0 or not at_once:
        return found
    first = islice(_epochs_of(log, rows, classes), 1)
    alone = fit_floors(first, np.ones(1), len(classes), len(rows))
    if alone is None or alone.trust <= 0 or alone.wrong < _ALONE:
        return found
    return replace(alone, scattered=found.scattered, telling=found.telling)


def _epochs_of(log: LossLog, rows: Rows, classes: pa.Array) -> Iterator[Epoch]:
    """Yield given and predicted classes, and how sure the network is, of each epoch."""
    for epoch, pair in enumerate(taken(log, rows, classes)):
        yield (*pair, sureness(log, rows, epoch))
