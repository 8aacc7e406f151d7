"""A detector in a distribution of its own: whose loss was ever very high."""

from typing import ClassVar, final

import numpy as np
from pydantic import Field

from lossan.config import Config
from lossan.detectors import Context, Detection, Detector
from lossan.errors import DetectorError
from lossan.losslog import LossLog


@final
class PeakLossParameters(Config):
    """Parameters of the detector.

    Parameters
    ----------
    deviations : float
        How many standard deviations above the mean a flagged loss lies.
    """

    deviations: float = Field(default=2.0, gt=0)


@final
class PeakLossDetector(Detector):
    """Rank by the highest observed loss; flag what lies far above the mean of all."""

    name: ClassVar[str] = "peak_loss"
    summary: ClassVar[str] = "the highest observed loss, cut some deviations above the mean"
    reference: ClassVar[str] = "an example"
    Parameters: ClassVar[type[Config]] = PeakLossParameters

    def detect(self, log: LossLog, context: Context) -> Detection:
        """Score the samples that have features.

        Raises
        ------
        DetectorError
            When fewer than two can be scored or all are equal.
        """
        assert isinstance(self.parameters, PeakLossParameters)
        observed = np.where(np.isnan(log.loss), -np.inf, log.loss)
        score = observed.max(axis=1).astype(np.float64)
        score[~context.features.scorable] = np.nan
        scored = score[~np.isnan(score)]
        if len(scored) < 2 or np.ptp(scored) == 0:
            raise DetectorError("peak_loss needs two samples or more whose highest losses differ.")
        cut = scored.mean() + self.parameters.deviations * scored.std()
        return Detection(score=score, flagged=score > cut)
