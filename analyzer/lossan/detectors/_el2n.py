"""Error norm."""

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from lossan.detectors._base import Context
from lossan.detectors._scored import ScoredDetector, Vector
from lossan.losslog import LossLog
from lossan.signals import Matrix, label_probs, mean_observed, mistakes, n_classes

_ROUNDED = 1e-5  # of a probability that comes from a float32 loss


@final
class El2n(ScoredDetector):
    """The distance between the prediction and the given label.

    Exact for two classes. With more, the part of the other classes is known for the most probable
    one alone; the rest is spread evenly, which bounds the norm from below.
    """

    name: ClassVar[str] = "el2n"
    summary: ClassVar[str] = "norm of the error vector, mean over epochs"
    reference: ClassVar[str] = "Paul et al. 2021, definition 2.3 (EL2N)"

    def score(self, log: LossLog, context: Context) -> Vector:  # noqa: ARG002  (the interface's)
        """Return the mean norm, from 0 to the root of 2."""
        own = label_probs(log)
        rest = 1 - own
        others = max((n_classes(log) or 2) - 1, 1)
        if others == 1 or log.predicted_prob is None:
            return mean_observed(rest * np.sqrt(1 + 1 / others))
        top = log.predicted_prob.astype(np.float64)
        top = np.where(_contradicted(log, own, top), np.minimum(top, rest), 0.0)
        spread = np.where(top > 0, others - 1, others)
        return mean_observed(np.sqrt(rest**2 + top**2 + (rest - top) ** 2 / spread))


def _contradicted(log: LossLog, own: Matrix, top: Matrix) -> NDArray[np.bool_]:
    """Tell where the most probable class is another than the given one."""
    if log.coded_label is not None and log.predicted is not None:
        return mistakes(log) == 1
    return top > own + _ROUNDED
