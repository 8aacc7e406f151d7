"""Error norm."""

from typing import ClassVar, final

import numpy as np

from lossan.detectors._base import Context
from lossan.detectors._scored import ScoredDetector, Vector
from lossan.losslog import LossLog
from lossan.signals import label_probs, mean_observed, n_classes


@final
class El2n(ScoredDetector):
    """The distance between the prediction and the given label.

    Exact for two classes. With more, the part of the other classes is known for the most probable
    one alone; the rest is spread evenly, which bounds the norm from below.
    """

    name: ClassVar[str] = "el2n"
    summary: ClassVar[str] = "norm of the error vector, mean over epochs"
    reference: ClassVar[str] = "Paul et al. 2021, definition 2.2 (EL2N)"

    def score(self, log: LossLog, context: Context) -> Vector:  # noqa: ARG002  (the interface's)
        """Return the mean norm, from 0 to the root of 2."""
        own = label_probs(log)
        rest = 1 - own
        others = max((n_classes(log) or 2) - 1, 1)
        if others == 1 or log.predicted_prob is None:
            return mean_observed(rest * np.sqrt(1 + 1 / others))
        top = log.predicted_prob.astype(np.float64)
        top = np.where(top > own, np.minimum(top, rest), 0.0)  # of another class than the given
        spread = np.where(top > 0, others - 1, others)
        return mean_observed(np.sqrt(rest**2 + top**2 + (rest - top) ** 2 / spread))
