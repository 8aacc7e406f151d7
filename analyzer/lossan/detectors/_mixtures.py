"""Mixtures on the mean loss: GMM, BMM, and the small-loss rule."""

from collections.abc import Iterator
from typing import ClassVar, final

import numpy as np
from pydantic import Field

from lossan.config import Config
from lossan.detectors._base import Context, Detection, Detector
from lossan.detectors._scored import CutParameters, Vector, cut_scores
from lossan.errors import DetectorError, some_of
from lossan.losslog import Coded, LossLog
from lossan.signals import losses, mean_observed

_FEWEST = 10  # samples of a class: two for each of the five parameters


@final
class PerClass(Config):
    """Parameters of a mixture.

    Parameters
    ----------
    per_class : bool
        Fit each given class by itself; one of fewer than 10 samples is judged by all of them.
    """

    per_class: bool = False


def _level(log: LossLog, context: Context) -> Vector:
    """Return the mean loss of the samples that can be scored, in nats."""
    return np.where(context.features.scorable, mean_observed(losses(log)), np.nan)


class _Mixture(Detector):
    """Two components on the mean loss."""

    Parameters = PerClass
    _cut: ClassVar[str]

    def detect(self, log: LossLog, context: Context) -> Detection:
        """Fit, and flag where the posterior of the higher component is above 1/2."""
        level = _level(log, context)
        cut = CutParameters.parse({"cut": self._cut}, self.name)
        assert isinstance(self.parameters, PerClass)  # noqa: S101  (as Parameters states)
        if not self.parameters.per_class:
            return cut_scores(self.name, level, cut)
        if log.coded_label is None:
            raise DetectorError(f"{self.name} with per_class needs labels, which this log has not.")
        return _per_class(self.name, level, log.coded_label, cut)


def _per_class(name: str, level: Vector, coded: Coded, cut: CutParameters) -> Detection:
    """Fit each class by itself; one that is too small for that is judged by all samples'."""
    whole = cut_scores(name, level, cut)
    assert whole.probability is not None  # noqa: S101  (a mixture gives one)
    probability, small = whole.probability.copy(), []
    for code, label in enumerate(coded.values.to_pylist()):
        rows = np.flatnonzero((coded.codes == code) & ~np.isnan(level))
        if len(rows) < _FEWEST or np.ptp(level[rows]) == 0:
            small.append(repr(label))
            continue
        found = cut_scores(name, level[rows], cut)
        assert found.probability is not None  # noqa: S101  (a mixture gives one)
        probability[rows] = found.probability
    # the posterior ranks across classes; where it is the same, the mean loss does
    rounded = np.round(probability, 6)
    tie = np.where(np.isnan(level), 0, level / (1 + np.abs(level)))
    return Detection(
        score=rounded + 1e-7 * tie,
        flagged=np.nan_to_num(rounded) > 0.5,
        probability=probability,
        notes=tuple(_fallen_back(small, int(((coded.codes < 0) & ~np.isnan(level)).sum()))),
    )


def _fallen_back(small: list[str], unlabelled: int) -> Iterator[str]:
    """Tell what was judged by the mixture of all samples."""
    by_all = "judged by the mixture of all samples"
    if small:
        yield (
            f"{by_all}: {len(small):,} class{'es' * (len(small) > 1)} of fewer than {_FEWEST} "
            f"samples or of one loss ({some_of(small)})"
        )
    if unlabelled:
        yield f"{by_all}: {unlabelled:,} samples without a label"


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
class ShareParameters(Config):
    """Parameters of `SmallLoss`.

    Parameters
    ----------
    rate : float
        The share to flag.
    """

    rate: float = Field(default=0.06, ge=0, le=1)


@final
class SmallLoss(Detector):
    """Samples of small loss are kept, the rest flagged, at a rate that must be known."""

    name: ClassVar[str] = "small_loss"
    summary: ClassVar[str] = "the given share with the highest mean loss"
    reference: ClassVar[str] = "Han et al. 2018 (Co-teaching), small-loss selection"
    Parameters = ShareParameters

    def detect(self, log: LossLog, context: Context) -> Detection:
        """Score by the mean loss, in nats, and flag the share.

        Raises
        ------
        DetectorError
            When fewer than two samples can be scored, or all have one mean loss.
        """
        assert isinstance(self.parameters, ShareParameters)  # noqa: S101  (as Parameters states)
        level = _level(log, context)
        return cut_scores(self.name, level, CutParameters(cut="rate", rate=self.parameters.rate))
