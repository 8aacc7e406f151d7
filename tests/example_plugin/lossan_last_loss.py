"""A detector in a distribution of its own: whose loss is still high at the end."""

from typing import ClassVar, final

import numpy as np
from pydantic import Field

from lossan.config import Config
from lossan.detectors import Context, Detection, Detector
from lossan.errors import DetectorError
from lossan.losslog import LossLog


@final
class LastLossParameters(Config):
    """Parameters of the detector.

    Parameters
    ----------
    deviations : float
        How many standard deviations above the mean a flagged loss lies.
    """

    deviations: float = Field(default=2.0, gt=0)


@final
class LastLossDetector(Detector):
    """Rank by the last observed loss; flag what lies far above the mean of all."""

    name: ClassVar[str] = "last_loss"
    summary: ClassVar[str] = "the last observed loss, cut some deviations above the mean"
    reference: ClassVar[str] = "an example"
    Parameters: ClassVar[type[Config]] = LastLossParameters

    def detect(self, log: LossLog, context: Context) -> Detection:
        """Score the samples that have features.

        Raises
        ------
        DetectorError
            When fewer than two can be scored or all are equal.
        """
        assert isinstance(self.parameters, LastLossParameters)
        seen = ~np.isnan(log.loss)
        last = log.n_epochs - 1 - seen[:, ::-1].argmax(axis=1)
        score = log.loss[np.arange(log.n_samples), last].astype(np.float64)
        score[~context.features.scorable] = np.nan
        scored = score[~np.isnan(score)]
        if len(scored) < 2 or np.ptp(scored) == 0:
            raise DetectorError("last_loss needs two samples or more whose last losses differ.")
        cut = scored.mean() + self.parameters.deviations * scored.std()
        return Detection(score=score, flagged=score > cut)
