"""Whether labels are contradicted however sure the network is.

A right label is contradicted the more rarely the surer the network is: where it is calibrated up
to a scale, with probability 1 / (1 + exp(a t)) at the margin t. A wrong label does not care. So
the rate of contradictions falls to nothing where all labels are right, and to a floor where some
are wrong: the lapse rate of a psychometric function, which has its own test and its own estimate.
The floor sinks as wrong labels are learnt by heart: an estimate of 0 does not say that none is
wrong, while a floor says that some are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
_BINS = 200
_LAPSES = np.append(0.0, np.geomspace(1e-3, 0.95, 90))
_SLOPES = np.geomspace(0.05, 50, 90)  # per median margin
_TINY = 1e-9


@dataclass(frozen=True)
class Lapse:
    """What is contradicted where the network is surest.

    Parameters
    ----------
    share : float
        The lapse rate: the share of labels that are wrong whatever the network's margin.
    gain : float
        Nats of likelihood by which it explains the contradictions better than none does.
    """

    share: float
    gain: float


def fit_lapse(margin: Vector, n_classes: int) -> Lapse:
    """Fit the rate of contradictions to how sure the network is.

    Parameters
    ----------
    margin : ndarray
        Shape (n,), finite: of the given label, in any unit; contradicted where below 0.
    n_classes : int
        At least 2; the network may err and the wrong label be what it says.

    Returns
    -------
    Lapse

    References
    ----------
    Wichmann, Hill 2001, The psychometric function I, equation 1: lapses are independent of the
    stimulus.
    """
    sure, against = np.abs(margin), margin < 0
    middle = float(np.median(sure))
    if not middle > 0:
        return Lapse(0.0, 0.0)
    order = np.lexsort((against, sure))  # ties in one order, whatever that of the samples
    edges = np.unique(np.linspace(0, len(order), _BINS + 1).astype(np.int64))
    counts = np.diff(edges).astype(np.float64)
    level = np.add.reduceat(sure[order], edges[:-1]) / counts / middle
    contrary = np.add.reduceat(against[order].astype(np.float64), edges[:-1])
    erring = 1 / (1 + np.exp(np.minimum(np.outer(_SLOPES, level), 700.0)))
    best = [_likelihood(lapse, erring, contrary, counts, n_classes) for lapse in _LAPSES]
    top = int(np.argmax(best))
    return Lapse(float(_LAPSES[top]), float(best[top] - best[0]))


def _likelihood(
    lapse: float, erring: Vector, contrary: Vector, counts: Vector, n_classes: int
) -> float:
    """Return the likelihood of a lapse rate at the best slope, in nats."""
    others = n_classes - 1
    if lapse >= others / n_classes:  # labels would say less than chance
        return -np.inf
    rate = lapse * (1 - erring) + (1 - lapse / others) * erring
    rate = np.clip(rate, _TINY, 1 - _TINY)
    fits = np.log(rate) @ contrary + np.log1p(-rate) @ (counts - contrary)
    return float(fits.max())
