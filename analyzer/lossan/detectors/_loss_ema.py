"""Exponential moving average of the loss."""

from typing import ClassVar, final

import numpy as np

from lossan.detectors._base import Context
from lossan.detectors._scored import ScoredDetector, Vector
from lossan.losslog import LossLog
from lossan.signals import losses

_DECAY = 0.9


@final
class LossEma(ScoredDetector):
    """The loss with early epochs fading."""

    name: ClassVar[str] = "loss_ema"
    summary: ClassVar[str] = "exponential moving average of the loss"
    reference: ClassVar[str] = "Datumaro and OTX noisy-label detection; decay 0.9 an epoch"

    def score(self, log: LossLog, context: Context) -> Vector:  # noqa: ARG002  (the interface's)
        """Return the average after the last epoch, in nats."""
        total = np.zeros(log.n_samples)
        weight = np.zeros(log.n_samples)
        for now in losses(log).T:
            seen = ~np.isnan(now)
            total = np.where(seen, _DECAY * total + (1 - _DECAY) * np.where(seen, now, 0), total)
            weight = np.where(seen, _DECAY * weight + (1 - _DECAY), weight)
        return np.divide(total, weight, out=np.full(log.n_samples, np.nan), where=weight > 0)
