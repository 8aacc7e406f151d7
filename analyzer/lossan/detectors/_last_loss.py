"""The loss of the last epoch."""

from typing import ClassVar, final

import numpy as np

from lossan.detectors._base import Context
from lossan.detectors._scored import ScoredDetector, Vector
from lossan.losslog import LossLog
from lossan.signals import losses


@final
class LastLoss(ScoredDetector):
    """The loss when training ended; poor once wrong labels are memorised."""

    name: ClassVar[str] = "last_loss"
    summary: ClassVar[str] = "loss at the last observed epoch"
    reference: ClassVar[str] = "baseline: what a trained model says of its own training set"

    def score(self, log: LossLog, context: Context) -> Vector:  # noqa: ARG002  (the interface's)
        """Return the last observed loss, in nats."""
        loss = losses(log)
        seen = ~np.isnan(loss)
        last = loss.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
        return loss[np.arange(len(loss)), last]
