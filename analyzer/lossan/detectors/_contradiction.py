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
from lossan.signals import complete, margin_of_two, n_classes

Vector = NDArray[np.float64]
Matrix = NDArray[np.float32]
Rows = NDArray[np.intp]

_PROBABILITIES = ("label_prob", "loss")  # sources that say nothing of the largest other class


@final
@dataclass(frozen=True, eq=False)
class Margins:
    """How margins are taken from a log, and what is typical of it.

    Where only the probability p of the given label is known, all others share 1 - p. Were it one
    other class that has it, the margin would be log p - log (1 - p), and a network that knows
    nothing yet would contradict every label of many classes firmly. It is taken to be spread over
    as many as the network of the worst epoch cannot tell apart: over all others at most.

    Parameters
    ----------
    source : {"margin", "two classes", "label_prob", "loss"}
        What they are read or made from.
    others : float
        Over how many other classes 1 - p is spread, 1 where that does not matter.
    elsewhere : float
        The same for what has no margin in a log of margins: it is made of the loss.
    unit : float
        The median absolute margin of all epochs; 1 where that is 0.
    typical : ndarray of float64
        Shape (n_epochs,): that of each epoch in this unit; 1 where it is 0.
    """

    source: str
    others: float
    elsewhere: float
    unit: float
    typical: Vector

    @classmethod
    def of(cls, log: LossLog, rows: Rows) -> "Margins":
        """Find out what a log has, and what is typical of its rows."""
        source = "label_prob" if log.label_prob is not None else "loss"
        if complete(log, ("margin",)).margin is not None:
            source = "margin" if log.margin is not None else "two classes"
        others = _others(log, rows, source) if source in _PROBABILITIES else 1.0
        elsewhere = _others(log, rows, "loss") if source == "margin" and _gaps(log, rows) else 1.0
        plain = cls(source, others, elsewhere, 1.0, np.ones(log.n_epochs))
        firm = np.abs(plain.against(log, rows).T)
        by_epoch = np.array([_middle(values) for values in firm])
        unit = _middle(firm)
        typical = np.where(by_epoch > 0, by_epoch, unit) / unit
        return cls(source, others, elsewhere, unit, typical)

    def against(self, log: LossLog, rows: Rows) -> Matrix:
        """Return how firmly each epoch contradicts the label, in units of what is typical.

        Shape (n_rows, n_epochs), epoch-major; NaN = not observed.
        """
        against = np.empty((log.n_epochs, len(rows)), np.float32)
        for epoch, values in enumerate(against):
            firmly = _firmly(log, rows, epoch, self.source, self.others, self.elsewhere)
            values[:] = firmly / self.unit
        return against.T


def _middle(values: Matrix) -> float:
    """Return the median of what is observed, 1 where that is 0 or nothing is."""
    there = values[~np.isnan(values)]
    middle = float(np.median(there)) if len(there) else 0.0
    return middle if middle > 0 else 1.0


def _firmly(
    log: LossLog, rows: Rows, epoch: int, source: str, others: float = 1.0, elsewhere: float = 1.0
) -> Vector:
    """Return the margins of an epoch with the sign turned, NaN = not observed.

    What has a loss and not what the others are read from is made of the loss: left out it would
    rank last, however high its losses are.
    """
    loss = log.loss[rows, epoch].astype(np.float64)
    if source == "two classes":
        firmly = -margin_of_two(log, rows, epoch)
    elif source == "margin":
        assert log.margin is not None  # noqa: S101  (the source says so)
        firmly = -log.margin[rows, epoch].astype(np.float64)
        gone = np.isnan(firmly)
        firmly[gone] = _made(np.exp(-loss[gone]), elsewhere)
    else:
        sure = np.exp(-loss)
        if source == "label_prob":
            assert log.label_prob is not None  # noqa: S101  (the source says so)
            logged = log.label_prob[rows, epoch].astype(np.float64)
            sure = np.where(np.isnan(logged), sure, logged)
        firmly = _made(sure, others)
    firmly[np.isnan(loss)] = np.nan
    return firmly


def _made(sure: Vector, others: float) -> Vector:
    """Return the margin, its sign turned, of a probability, the rest spread over so many others."""
    sure = np.clip(sure, 1e-12, 1 - 1e-12)
    return np.asarray(np.log1p(-sure) - np.log(sure) - np.log(others))


def _gaps(log: LossLog, rows: Rows) -> bool:
    """Tell whether losses are there whose margin is not."""
    assert log.margin is not None  # noqa: S101  (the source says so)
    return any(
        bool((np.isnan(margin[rows]) & ~np.isnan(loss[rows])).any())
        for margin, loss in zip(log.margin.T, log.loss.T, strict=True)
    )


def _others(log: LossLog, rows: Rows, source: str) -> float:
    """Return how many other classes the worst epoch's network cannot tell apart, at least 1.

    Its perplexity, the exponential of the mean cross-entropy, is of how many classes a guess would
    be as good; they are no more than the log knows of.
    """
    worst = 0.0
    for epoch in range(log.n_epochs):
        firmly = _firmly(log, rows, epoch, source)
        surprise = np.logaddexp(0.0, firmly[~np.isnan(firmly)])  # -log p
        worst = max(worst, float(surprise.mean()) if len(surprise) else 0.0)
    known = n_classes(log) or np.inf
    return float(max(min(np.exp(worst), known) - 1, 1.0))


def average(
    against: Matrix,
    squeeze: Callable[[Vector], Vector],
    weights: Vector,
    typical: Vector | None = None,
) -> Vector:
    """Return the weighted mean of the squeezed values over the observed epochs.

    With ``typical`` each epoch's values are first divided by what is typical of it.
    """
    units = np.ones(len(weights)) if typical is None else typical
    n = len(against)
    mean, total, plain, count = (np.zeros(n) for _ in range(4))
    for values, weight, unit in zip(against.T, weights, units, strict=True):
        seen = ~np.isnan(values)
        squeezed = squeeze(np.where(seen, values, 0).astype(np.float64) / unit) * seen
        mean += weight * squeezed
        total += weight * seen
        plain += squeezed
        count += seen
    # an epoch without weight still counts for a sample that was seen at no other
    plain /= np.maximum(count, 1)
    return np.divide(mean, total, out=plain, where=total > 0)
