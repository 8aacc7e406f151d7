"""How firmly labels are contradicted, beside how often: what tells wrong ones from hard ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossan.detectors._contradiction import Margins
from lossan.detectors._epochs import EARLY

Vector = NDArray[np.float64]
Matrix = NDArray[np.float32]

_IGNORANT = 0.75  # of the labels: a network that contradicts more says nothing of any
_HALF = 0.5  # of what is typical: so firmly most wrong labels are contradicted
_FEWEST = 0.01  # of the labels: of fewer contradicted ones a share is chance


@dataclass(frozen=True)
class Firmness:
    """How many more of the contradicted labels are so firmly than hard right ones would be.

    A label is contradicted firmly where the margin against it is as large as what is typical of
    all labels. Wrong labels are contradicted as firmly as right ones are confirmed. Of hard right
    ones no more of the contradicted are contradicted firmly than are contradicted of all, be these
    a twentieth or two fifths; of more than two classes, whose margins are spread about normally,
    also no more than of normally spread ones (`firm_of_normal`), where that is less.

    It is asked of the second to eighth epochs each by itself, for later ones learn wrong labels by
    heart, and the mean over them would show it; in the first whole kinds of samples may still be
    taken for others. The epoch that shows most counts.

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
    def of(cls, against: Matrix, scale: Margins, *, many: bool) -> "Firmness":
        """Ask the epochs, of more than two classes or not; -1 where none can say."""
        excess, surely = -1.0, -1.0
        shares = contradicted_shares(against, np.zeros(len(scale.typical)))
        firmly = contradicted_shares(against, scale.typical)
        for contradicted, whole, n in zip(shares, firmly, _observed(against), strict=True):
            if not 0 < contradicted <= _IGNORANT:
                continue
            firm = whole / max(contradicted, _FEWEST)
            error = np.sqrt(max(firm * (1 - firm), _FEWEST) / (contradicted * n))
            hard = min(contradicted, firm_of_normal(contradicted)) if many else contradicted
            excess = max(excess, firm - hard)
            surely = max(surely, firm - hard - 2 * float(error))
        return cls(excess, surely)


def contradicted_shares(against: Matrix, firmly: Vector) -> Vector:
    """Return the shares of labels that the second to eighth epochs contradict so firmly.

    The very first is left out: in most of it a network knows nothing yet.
    """
    epochs = zip(against.T[1:EARLY], firmly[1:EARLY], strict=True)
    wrong = [np.count_nonzero(values > firm) for values, firm in epochs]
    return np.asarray(wrong / np.maximum(_observed(against), 1), np.float64)


def firm_shares(
    against: Matrix, typical: Vector, weights: Vector, kept: float
) -> tuple[float, float]:
    """Return the shares of labels that are contradicted half as firmly as is typical, and firmly.

    The second leaves out hard right labels: in each epoch it is the first, but no more than twice
    the share that is contradicted by more than all of what is typical.

    Both are of the second to eighth epochs. A network first contradicts hard right labels too, and
    fewer as it comes to know them: the epochs count by their weights. The more of the wrong labels
    it learns by heart, the more the epoch counts that shows most.

    Parameters
    ----------
    against : ndarray of float32
        Shape (n_samples, n_epochs).
    typical, weights : ndarray of float64
        Shape (n_epochs,).
    kept : float
        From 0, where wrong labels are learnt by heart, to 1, where they are contradicted to the
        end.
    """
    half = contradicted_shares(against, _HALF * typical)
    firm = np.minimum(half, 2 * contradicted_shares(against, typical))
    counted = weights[1:EARLY] / max(weights[1:EARLY].sum(), 1e-12)
    shares = [kept * (of @ counted) + (1 - kept) * of.max() for of in (half, firm)]
    return float(shares[0]), float(shares[1])


def _observed(against: Matrix) -> Vector:
    """Return of how many samples each of these epochs was observed."""
    return np.array([np.count_nonzero(~np.isnan(values)) for values in against.T[1:EARLY]], float)


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
