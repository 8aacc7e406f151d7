"""Detectors that are a score, and a cut that they share."""

from abc import abstractmethod
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from lossan.config import Config
from lossan.detectors._base import Context, Detection, Detector
from lossan.errors import DetectorError
from lossan.losslog import LossLog
from lossan.thresholds import beta_mixture, flag_share, gaussian_mixture

Vector = NDArray[np.float64]


class CutParameters(Config):
    """Where a score is cut.

    Parameters
    ----------
    cut : {"gmm", "bmm", "rate"}
        At a posterior of 1/2 of two Gaussians or two Betas, or at a given share.
    rate : float
        The share to flag with ``cut=rate``.
    """

    cut: Literal["gmm", "bmm", "rate"] = "gmm"
    rate: float = Field(default=0.06, ge=0, le=1)

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if "rate" in self.model_fields_set and self.cut != "rate":
            raise ValueError(f"rate is {self.rate:g}, which counts with cut=rate alone; give both")
        return self


class ScoredDetector(Detector):
    """A detector that only says how suspicious a sample is; the cut is `CutParameters`."""

    Parameters = CutParameters

    @abstractmethod
    def score(self, log: LossLog, context: Context) -> Vector:
        """Return how suspicious each sample is, shape (n_samples,); NaN = unscored."""

    def detect(self, log: LossLog, context: Context) -> Detection:
        """Score the samples that have at least two epochs, and cut.

        Raises
        ------
        DetectorError
            When fewer than two samples can be scored, or all have one score.
        """
        score = np.where(context.features.scorable, self.score(log, context), np.nan)
        return cut_scores(self.name, score, self.parameters)


def cut_scores(name: str, score: Vector, parameters: Config) -> Detection:
    """Flag by a cut of the score.

    Raises
    ------
    DetectorError
        When fewer than two samples are scored, or all have one score.
    """
    assert isinstance(parameters, CutParameters)  # noqa: S101  (as Parameters states)
    check_apart(name, score)
    scored = ~np.isnan(score)
    known = score[scored]
    probability: Vector | None = None
    flagged = np.zeros(len(score), bool)
    if parameters.cut == "rate":
        flagged[scored] = flag_share(known, parameters.rate)
    else:
        fitted = (
            gaussian_mixture(known).probability(known)
            if parameters.cut == "gmm"
            else beta_mixture(known)
        )
        probability = np.full(len(score), np.nan)
        probability[scored] = fitted
        flagged[scored] = fitted > 0.5
    return Detection(score=score, flagged=flagged, probability=probability)


def check_apart(name: str, score: Vector) -> None:
    """Check that scores can tell samples apart.

    Raises
    ------
    DetectorError
        When fewer than two samples are scored, or all have one score.
    """
    known = score[~np.isnan(score)]
    if len(known) < 2 or np.ptp(known) == 0:
        raise DetectorError(
            f"{name} tells samples apart by their scores, but of {len(score)} samples "
            f"{len(known)} can be scored and they have {len(np.unique(known))} different scores. A "
            "sample needs at least two observed epochs, and the loss must not be reduced over "
            "the batch."
        )
