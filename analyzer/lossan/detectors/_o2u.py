"""O2U."""

from typing import ClassVar, final

import numpy as np

from lossan.detectors._base import Context
from lossan.detectors._scored import ScoredDetector, Vector
from lossan.losslog import LossLog
from lossan.signals import losses, mean_observed


@final
class O2u(ScoredDetector):
    """The loss above the mean of its epoch; meant for a cyclical learning rate."""

    name: ClassVar[str] = "o2u"
    summary: ClassVar[str] = "loss minus the mean of its epoch, averaged"
    reference: ClassVar[str] = "Huang et al. 2019 (O2U-Net), section 3.2"

    def score(self, log: LossLog, context: Context) -> Vector:  # noqa: ARG002  (the interface's)
        """Return the mean excess loss, in nats."""
        loss = losses(log)
        seen = ~np.isnan(loss)
        level = np.where(seen, loss, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        return mean_observed(loss - level)
