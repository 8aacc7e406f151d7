"""The mean of the losses."""

from typing import ClassVar, final

from lossan.detectors._base import Context
from lossan.detectors._scored import ScoredDetector, Vector
from lossan.losslog import LossLog
from lossan.signals import losses, mean_observed


@final
class MeanLoss(ScoredDetector):
    """Wrong labels are learnt late, if at all."""

    name: ClassVar[str] = "mean_loss"
    summary: ClassVar[str] = "mean loss over all epochs"
    reference: ClassVar[str] = (
        "Huang et al. 2019 (O2U-Net) without its cyclical schedule; F1 of Zhang et al. 2021"
    )

    def score(self, log: LossLog, context: Context) -> Vector:  # noqa: ARG002  (the interface's)
        """Return the mean loss, in nats."""
        return mean_observed(losses(log))
