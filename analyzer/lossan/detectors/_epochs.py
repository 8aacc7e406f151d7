"""How much each epoch's losses tell of which labels are wrong."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossan.detectors._contradiction import Margins, average
from lossan.detectors._scored import check_apart
from lossan.excess import fit_excess

Vector = NDArray[np.float64]
Matrix = NDArray[np.float32]

SHARP = 2.0  # of the sharpened loss: its knee is as wide as half of a typical margin
LEAST = 0.2  # where wrong labels may pile up: the network contradicts them by more than this
EARLY = 8  # epochs, as many as the paper's: after them wrong labels may be learnt by heart
_HALF = 0.5  # fewer still contradicted: then most wrong labels were
_LATER, _BY_HEART = 2.0, 8.0  # powers: of an epoch's number; of the share not learnt by heart


@dataclass(frozen=True, eq=False)
class Epochs:
    """What each epoch weighs.

    Parameters
    ----------
    weights : ndarray of float64
        Shape (n_epochs,): to score.
    unpicked : ndarray of float64
        Shape (n_epochs,): to ask whether any label is wrong.
    kept : float
        From 0, where wrong labels are learnt by heart, to 1, where they are contradicted to the
        end.
    by_heart : bool
        Whether most of them are learnt so.
    """

    weights: Vector
    unpicked: Vector
    kept: float
    by_heart: bool


def weigh_epochs(name: str, against: Matrix, scale: Margins, loss: Matrix) -> Epochs:
    """Find out what each epoch weighs.

    An epoch weighs as much as it tells apart wrong and right labels (Fisher's criterion), times the
    spread of its losses, which falls to nothing once all is memorised. To score, later ones weigh
    more, as the network comes to know more: by the square of their number where wrong labels are
    contradicted to the end, by next to none where most are learnt by heart, and then only the first
    eight count. First that is done with what the unweighted score calls wrong, then once more with
    what the score so weighed does.

    To ask whether any label is wrong, neither is done: of epochs picked by the suspects an excess
    of contradicted labels could come where there is none.

    Parameters
    ----------
    name : str
        The detector, for messages.
    against : ndarray of float32
        Contradiction of the given label, shape (n_samples, n_epochs).
    scale : Margins
    loss : ndarray of float32
        Shape (n_samples, n_epochs), in nats.

    Raises
    ------
    DetectorError
        When all samples look alike.
    """
    number = np.arange(1, against.shape[1] + 1)
    spread, weights, found = _spread(loss), np.ones(len(number)), []
    for _ in range(2):
        score = average(against, sharpened, weights)
        check_apart(name, score)
        wrong = fit_excess(score, least=sharp(LEAST)).probability
        told = spread * _fisher(against, scale.typical, wrong)
        found.append(told if told.sum() > 0 else np.ones(len(number)))
        still = _kept(against, wrong)
        kept = still**_BY_HEART
        weights = found[-1] * number ** (_LATER * kept)
        weights = early(weights) if still < _HALF else weights
    return Epochs(weights, found[0], kept, still < _HALF)


def early(weights: Vector) -> Vector:
    """Return the weights of the first epochs, those of the others at 0."""
    first = np.arange(len(weights)) < EARLY
    weighed = np.where(first, weights, 0.0)
    return weighed if weighed.sum() > 0 else first.astype(np.float64)


def sharpened(values: Vector) -> Vector:
    """Return log(1 + exp(2 v)): the loss of a network twice as sure, in units of a typical one."""
    return np.asarray(np.logaddexp(0.0, SHARP * values), np.float64)


def sharp(value: float) -> float:
    """Return the sharpened loss of one contradiction."""
    return float(sharpened(np.array(value)))


def _spread(loss: Matrix) -> Vector:
    """Return the standard deviation of each epoch's losses, which falls as all are memorised."""
    found = np.zeros(loss.shape[1])
    for epoch, values in enumerate(loss.T):
        seen = values[~np.isnan(values)]
        found[epoch] = seen.std(dtype=np.float64) if len(seen) else 0.0
    return found


def _fisher(against: Matrix, typical: Vector, wrong: Vector) -> Vector:
    """Return by epoch how far apart wrong and right lie, squared, in pooled variances."""
    merit = np.zeros(against.shape[1])
    for epoch, (values, unit) in enumerate(zip(against.T, typical, strict=True)):
        seen = ~np.isnan(values)
        squeezed, share = np.tanh(values[seen].astype(np.float64) / unit), wrong[seen]
        if not len(squeezed):
            continue
        high, of_high = _moments(squeezed, share)
        low, of_low = _moments(squeezed, 1 - share)
        merit[epoch] = max(high - low, 0.0) ** 2 / max((of_high + of_low) / 2, 1e-12)
    return merit if wrong.sum() >= 1 and merit.sum() > 0 else np.ones(len(merit))


def _kept(against: Matrix, wrong: Vector) -> float:
    """Return how many of the wrong are contradicted in the end, of as many as were at most."""
    share = np.zeros(against.shape[1])
    for epoch, values in enumerate(against.T):
        seen = ~np.isnan(values)
        still = float(wrong[seen & (values > 0)].sum())
        share[epoch] = still / max(float(wrong[seen].sum()), 1e-12)
    end = share[-max(1, len(share) // 4) :].mean()
    return float(end / share.max()) if share.max() > 0 else 1.0


def _moments(values: Vector, share: Vector) -> tuple[float, float]:
    """Return weighted mean and variance."""
    total = max(float(share.sum()), 1e-12)
    mean = float(share @ values) / total
    return mean, float(share @ (values - mean) ** 2) / total
