"""How firmly each epoch contradicts the given label.

Matrices are float32 and taken epoch by epoch: in float64 at once they would cost more memory than
the log itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lossan.losslog import LossLog
from lossan.signals import complete, two_class_margin

Vector = NDArray[np.float64]
Matrix = NDArray[np.float32]
Rows = NDArray[np.intp]


@final
@dataclass(frozen=True, eq=False)
class Margins:
    """How margins are taken from a log, and what is typical of each epoch.

    Parameters
    ----------
    source : {"margin", "two classes", "label_prob", "loss"}
        What they are read or made from.
    typical : ndarray of float64
        Shape (n_epochs,): the median absolute margin; 1 where that is 0.
    """

    source: str
    typical: Vector

    @classmethod
    def of(cls, log: LossLog, rows: Rows) -> "Margins":
        """Find out what a log has, and what is typical of its rows."""
        source = "label_prob" if log.label_prob is not None else "loss"
        if complete(log, ("margin",)).margin is not None:
            source = "margin" if log.margin is not None else "two classes"
        typical = np.ones(log.n_epochs)
        for epoch in range(log.n_epochs):
            firmly = _firmly(log, rows, epoch, source)
            there = np.abs(firmly[~np.isnan(firmly)])
            middle = float(np.median(there)) if len(there) else 0.0
            typical[epoch] = middle if middle > 0 else 1.0
        return cls(source, typical)

    def against(self, log: LossLog, rows: Rows) -> Matrix:
        """Return how firmly each epoch contradicts the label, against what is typical of it.

        Shape (n_rows, n_epochs), epoch-major; NaN = not observed.
        """
        against = np.empty((log.n_epochs, len(rows)), np.float32)
        for epoch, values in enumerate(against):
            values[:] = _firmly(log, rows, epoch, self.source) / self.typical[epoch]
        return against.T


def _firmly(log: LossLog, rows: Rows, epoch: int, source: str) -> Vector:
    """Return the margins of an epoch with the sign turned, NaN = not observed."""
    loss = log.loss[rows, epoch].astype(np.float64)
    if source == "margin":
        assert log.margin is not None  # noqa: S101
        firmly = -log.margin[rows, epoch].astype(np.float64)
    elif source == "two classes":
        firmly = -two_class_margin(log.loss[rows, epoch]).astype(np.float64)
    else:
        sure = np.exp(-loss)
        if source == "label_prob":
            assert log.label_prob is not None  # noqa: S101
            sure = log.label_prob[rows, epoch].astype(np.float64)
        sure = np.clip(sure, 1e-12, 1 - 1e-12)
        firmly = np.log1p(-sure) - np.log(sure)
    firmly[np.isnan(loss)] = np.nan
    return firmly


def average(against: Matrix, squeeze: Callable[[Vector], Vector], weights: Vector) -> Vector:
    """Return the weighted mean of the squeezed values over the observed epochs."""
    if not weights.sum() > 0:
        weights = np.ones(len(weights))
    n = len(against)
    mean, total, plain, count = (np.zeros(n) for _ in range(4))
    for values, weight in zip(against.T, weights, strict=True):
        seen = ~np.isnan(values)
        squeezed = squeeze(np.where(seen, values, 0).astype(np.float64))
        mean += weight * squeezed
        total += weight * seen
        plain += squeezed
        count += seen
    # an epoch without weight still counts for a sample that was seen at no other
    plain /= np.maximum(count, 1)
    return np.divide(mean, total, out=plain, where=total > 0)
