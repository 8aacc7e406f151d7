"""How firmly labels are contradicted, beside how often: what tells wrong ones from hard ones."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lossan.detectors._epochs import EARLY

Vector = NDArray[np.float64]
Matrix = NDArray[np.float32]

FEW = 1000
"""Samples: fewer are seen in a few steps an epoch, and what they show may be chance."""
_IGNORANT = 0.75  # of the labels: a network that contradicts more says nothing of any
_HALF = 0.5  # of what is typical: so firmly most wrong labels are contradicted
_FEWEST = 0.01  # of the labels: of fewer contradicted ones a share is chance


@final
@dataclass(frozen=True, eq=False)
class Contradicted:
    """How many labels each of the first eight epochs contradicts, and how firmly.

    The very first is left out, for a network first contradicts hard right labels firmly too; unless
    it learns wrong labels by heart so soon that later epochs hardly contradict any, and the first
    is of one that knows something (`knows_at_once`).

    Parameters
    ----------
    first : int
        Where among the log's epochs the first that is asked stands.
    observed : ndarray of float64
        Shape (n_asked,): of how many samples each epoch was observed.
    at_all, half, firmly : ndarray of float64
        Shape (n_asked,): the shares of the labels that are contradicted, by more than half of the
        margin that is typical of the epoch, and by more than all of it.
    """

    first: int
    observed: Vector
    at_all: Vector
    half: Vector
    firmly: Vector

    @classmethod
    def of(cls, against: Matrix, typical: Vector, first: int = 1) -> "Contradicted":
        """Count, of contradictions of shape (n_samples, n_epochs) and each epoch's typical one."""
        asked, units = against.T[first:EARLY], typical[first:EARLY]
        observed = np.array([np.count_nonzero(~np.isnan(values)) for values in asked], float)

        def share(of_typical: float) -> Vector:
            pairs = zip(asked, of_typical * units, strict=True)
            counts = np.array([np.count_nonzero(values > by) for values, by in pairs], float)
            return counts / np.maximum(observed, 1)

        return cls(first, observed, share(0.0), share(_HALF), share(1.0))

    def over_epochs(self, weights: Vector, kept: float) -> tuple[float, float]:
        """Return the shares of labels contradicted half as firmly as is typical, and firmly.

        The second leaves out hard right labels: in each epoch it is the first, but no more than
        twice the share that is contradicted by more than all of what is typical.

        A network first contradicts hard right labels too, and fewer as it comes to know them: the
        epochs count by their weights. The more of the wrong labels it learns by heart, the more the
        epoch counts that shows most.

        Parameters
        ----------
        weights : ndarray of float64
            Shape (n_epochs,), of all epochs.
        kept : float
            From 0, where wrong labels are learnt by heart, to 1, where they are contradicted to the
            end.
        """
        asked = weights[self.first : EARLY]
        counted = asked / max(asked.sum(), 1e-12)
        firm = np.minimum(self.half, 2 * self.firmly)
        shares = [kept * (of @ counted) + (1 - kept) * of.max() for of in (self.half, firm)]
        return float(shares[0]), float(shares[1])


def knows_at_once(recorded: str | None, n_samples: int) -> bool:
    """Tell whether the first epoch's losses are those of a network that knows something.

    In most of its first training pass a network knows nothing yet. A pass of its own after it asks
    a network that has seen each sample once, as the second training pass does, and has learnt the
    fewest wrong labels by heart; unless the samples are few, and with them the steps it has made.

    Parameters
    ----------
    recorded : {"train", "eval"}, optional
        In which pass; None where the log does not say.
    n_samples : int
    """
    return recorded == "eval" and n_samples >= FEW


@final
@dataclass(frozen=True)
class Firmness:
    """How many more of the contradicted labels are so firmly than hard right ones would be.

    A label is contradicted firmly where the margin against it is as large as what is typical of
    all labels. Wrong labels are contradicted as firmly as right ones are confirmed. Of hard right
    ones no more of the contradicted are contradicted firmly than are contradicted of all, be these
    a twentieth or two fifths; of more than two classes, whose margins are spread about normally,
    also no more than of normally spread ones (`firm_of_normal`), where that is less.

    Each epoch is asked by itself, for the mean over them would show what is learnt by heart. The
    one that shows most counts.

    Parameters
    ----------
    excess : float
        The share of the contradicted that are so firmly, less what hard right ones would leave.
    surely : float
        The same less two standard errors of the former.
    """

    excess: float
    surely: float

    @classmethod
    def of(cls, counts: Contradicted, *, many: bool) -> "Firmness":
        """Ask the epochs, of more than two classes or not; -1 where none can say."""
        excess, surely = -1.0, -1.0
        epochs = zip(counts.at_all, counts.firmly, counts.observed, strict=True)
        for contradicted, whole, n in epochs:
            if not 0 < contradicted <= _IGNORANT:
                continue
            firm = whole / max(contradicted, _FEWEST)
            error = np.sqrt(max(firm * (1 - firm), _FEWEST) / (contradicted * n))
            hard = min(contradicted, firm_of_normal(contradicted)) if many else contradicted
            excess = max(excess, firm - hard)
            surely = max(surely, firm - hard - 2 * float(error))
        return cls(float(excess), float(surely))


def firm_of_normal(contradicted: float) -> float:
    """Return which share of the contradicted is so firmly, of normally spread margins.

    Firmly: by more than the median of how far a margin is from 0.

    Parameters
    ----------
    contradicted : float
        The share of margins below 0, more than 0 and less than 1.

    Examples
    --------
    >>> [round(firm_of_normal(share), 3) for share in (0.05, 0.15, 0.5)]
    [0.01, 0.115, 0.5]
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    centre = -ndtri(contradicted)  # of margins, in standard deviations
    typical = brentq(lambda t: ndtr(t - centre) - ndtr(-t - centre) - 0.5, 0, abs(centre) + 1)
    return float(ndtr(-typical - centre) / contradicted)
