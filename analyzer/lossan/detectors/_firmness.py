"""How firmly labels are contradicted, beside how often: what tells wrong ones from hard ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossan.detectors._contradiction import Margins
from lossan.detectors._epochs import EARLY

Matrix = NDArray[np.float32]

_IGNORANT = 0.75  # of the labels: a network that contradicts more says nothing of any
_FEWEST = 0.01  # of the labels: of fewer contradicted ones a share is chance


@dataclass(frozen=True)
class Firmness:
    """How many more of the contradicted labels are so firmly than hard right ones would be.

    A label is contradicted firmly where the margin against it is as large as a typical label's
    for it. Of margins that are normally spread, as those of right labels roughly are, about as
    many of the contradicted are contradicted firmly as are contradicted of all, be these a
    twentieth or two fifths. Wrong labels are contradicted as firmly as right ones are confirmed.

    It is asked of the second to eighth epochs each by itself, for later ones learn wrong labels by
    heart, and the mean over them would show it; in the first whole kinds of samples may still be
    taken for others. The epoch that shows most counts.

    Parameters
    ----------
    excess : float
        The share of the contradicted that are so firmly, less the share contradicted.
    surely : float
        The same less one standard error of the former.
    """

    excess: float
    surely: float

    @classmethod
    def of(cls, against: Matrix, scale: Margins) -> "Firmness":
        """Ask the epochs; -1 where none can say."""
        excess, surely = -1.0, -1.0
        for values, unit in zip(against.T[1:EARLY], scale.typical[1:EARLY], strict=True):
            seen = values[~np.isnan(values)]
            contradicted = np.count_nonzero(seen > 0) / max(len(seen), 1)
            if not 0 < contradicted <= _IGNORANT:
                continue
            firm = np.count_nonzero(seen > unit) / len(seen) / max(contradicted, _FEWEST)
            error = np.sqrt(max(firm * (1 - firm), _FEWEST) / (contradicted * len(seen)))
            excess = max(excess, firm - contradicted)
            surely = max(surely, firm - contradicted - float(error))
        return cls(excess, surely)
