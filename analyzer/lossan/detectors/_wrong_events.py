"""Wrong events."""

from typing import ClassVar, final

import numpy as np

from lossan.detectors._base import Context
from lossan.detectors._scored import ScoredDetector, Vector
from lossan.losslog import LossLog
from lossan.signals import losses, mean_observed, mistakes


@final
class WrongEvents(ScoredDetector):
    """How often the prediction was not the given label; it does not decay as training overfits."""

    name: ClassVar[str] = "wrong_events"
    summary: ClassVar[str] = "share of epochs with another class predicted"
    reference: ClassVar[str] = "IDO 2025 (wrong event count)"

    needs: ClassVar[tuple[str, ...]] = ("label", "predicted")

    def score(self, log: LossLog, context: Context) -> Vector:  # noqa: ARG002  (the interface's)
        """Return the share, ties in order of the mean loss."""
        share = mean_observed(mistakes(log))
        level = mean_observed(losses(log))
        # shares of the epochs that two samples were seen at differ by 1 / N(N - 1) at least
        return share + (level / (1 + np.abs(level))) / (2 * log.n_epochs**2)
