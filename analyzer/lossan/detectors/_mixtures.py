"""Mixtures on the mean loss: GMM, BMM, and the small-loss rule."""

from typing import ClassVar, final

import numpy as np

from lossan.config import Config
from lossan.detectors._base import Context, Detection, Detector
from lossan.detectors._scored import CutParameters, ScoredDetector, Vector, cut_scores
from lossan.errors import DetectorError
from lossan.losslog import LossLog
from lossan.signals import losses, mean_observed


@final
class PerClass(Config):
    """Parameters of a mixture.

    Parameters
    ----------
    per_class : bool
        Fit each given class by itself.
    """

    per_class: bool = False


class _Mixture(Detector):
    """Two components on the mean loss."""

    Parameters = PerClass
    _cut: ClassVar[str]

    def detect(self, log: LossLog, context: Context) -> Detection:
        """Fit, and flag where the posterior of the higher component is above 1/2."""
        level = np.where(context.features.scorable, mean_observed(losses(log)), np.nan)
        cut = CutParameters.parse({"cut": self._cut}, self.name)
        assert isinstance(self.parameters, PerClass)  # noqa: S101  (as Parameters states)
        coded = log.coded_label
        if not self.parameters.per_class:
            return cut_scores(self.name, level, cut)
        if coded is None:
            raise DetectorError(f"{self.name} with per_class needs labels, which this log has not.")
        probability = np.full(log.n_samples, np.nan)
        for code in range(len(coded.values)):
            rows = np.flatnonzero(coded.codes == code)
            found = cut_scores(f"{self.name} of class {code}", level[rows], cut)
            if found.probability is not None:
                probability[rows] = found.probability
        # the posterior ranks across classes; where it is the same, the mean loss does
        tie = np.where(np.isnan(level), 0, level / (1 + np.abs(level)))
        score = np.round(probability, 6) + 1e-7 * tie
        flagged = np.nan_to_num(np.round(probability, 6)) > 0.5
        return Detection(score=score, flagged=flagged, probability=probability)


@final
class Gmm(_Mixture):
    """Two Gaussians."""

    name: ClassVar[str] = "gmm"
    summary: ClassVar[str] = "two Gaussians on the mean loss, of all samples or per class"
    reference: ClassVar[str] = "Li et al. 2020 (DivideMix), section 3.1; Permuter et al. 2006"
    _cut: ClassVar[str] = "gmm"


@final
class Bmm(_Mixture):
    """Two Betas, whose skew suits losses better."""

    name: ClassVar[str] = "bmm"
    summary: ClassVar[str] = "two Betas on the mean loss, of all samples or per class"
    reference: ClassVar[str] = "Arazo et al. 2019, section 3.1"
    _cut: ClassVar[str] = "bmm"


@final
class SmallLoss(ScoredDetector):
    """Samples of small loss are kept, the rest flagged, at a rate that must be known."""

    name: ClassVar[str] = "small_loss"
    summary: ClassVar[str] = "the given share with the highest mean loss"
    reference: ClassVar[str] = "Han et al. 2018 (Co-teaching), small-loss selection"

    def __init__(self, parameters: Config | None = None) -> None:
        given = parameters.model_dump() if parameters is not None else {}
        super().__init__(CutParameters(**{**given, "cut": "rate"}))

    def score(self, log: LossLog, context: Context) -> Vector:  # noqa: ARG002  (the interface's)
        """Return the mean loss, in nats."""
        return mean_observed(losses(log))
