"""Area under the margin."""

from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lossan.detectors._base import Context, Detection
from lossan.detectors._scored import CutParameters, ScoredDetector, Vector, check_apart, cut_scores
from lossan.errors import DetectorError, OptionError
from lossan.losslog import LossLog
from lossan.signals import margins, mean_observed


@final
class AumParameters(CutParameters):
    """Where the margin is cut.

    Parameters
    ----------
    threshold_class : str or int, optional
        The class that threshold samples were given, which none of them belongs to; by default the
        log's own metadata ``threshold_class``.
    percentile : float
        Of the threshold samples' margins; a sample below it is flagged.
    """

    threshold_class: str | int | None = None
    percentile: float = Field(default=99, ge=0, le=100)


@final
class Aum(ScoredDetector):
    """The given label of a wrong sample loses against another class, epoch after epoch.

    Where some samples were given a class of their own on purpose, so that their labels are known
    to be wrong (Pleiss et al. 2020, section 3.2), their margins say where to cut unless ``cut`` is
    given, and they are not scored themselves. Otherwise the cut is `CutParameters`.
    """

    name: ClassVar[str] = "aum"
    summary: ClassVar[str] = "mean margin of the given label over all epochs (AUM)"
    reference: ClassVar[str] = "Pleiss et al. 2020, equation 1"

    needs: ClassVar[tuple[str, ...]] = ("margin",)
    Parameters = AumParameters

    def score(self, log: LossLog, context: Context) -> Vector:  # noqa: ARG002  (the interface's)
        """Return the negative mean margin, in units of logits."""
        return -mean_observed(margins(log))

    def detect(self, log: LossLog, context: Context) -> Detection:
        """Cut at the threshold samples' percentile where there are any.

        Raises
        ------
        DetectorError
            When fewer than two samples can be scored, all have one score, or the threshold class
            has no sample.
        """
        assert isinstance(self.parameters, AumParameters)  # noqa: S101  (as Parameters states)
        chosen = self.parameters.threshold_class
        chosen = log.metadata.get("threshold_class") if chosen is None else chosen
        given = self.parameters.model_fields_set
        if "percentile" in given and (chosen is None or "cut" in given):
            why = "the log has no threshold class" if chosen is None else "cut is given too"
            raise OptionError(
                f"percentile is {self.parameters.percentile:g}, but would not count: {why}. Leave "
                "it out, or name the class of the threshold samples by threshold_class."
            )
        if chosen is None:
            return super().detect(log, context)
        score = np.where(context.features.scorable, self.score(log, context), np.nan)
        known_wrong = _given(log, chosen)
        reference = score[known_wrong & ~np.isnan(score)]
        if not len(reference):
            raise DetectorError(
                f"no sample that can be scored was given the threshold class {chosen!r}."
            )
        score[known_wrong] = np.nan
        check_apart(self.name, score)
        # their margins' upper percentile is the lower one of the scores, which are turned around
        cut = float(np.percentile(reference, 100 - self.parameters.percentile))
        if "cut" in self.parameters.model_fields_set:  # wanted in spite of them
            note = f"{len(reference)} threshold samples are not scored; cut as asked for"
            return replace(cut_scores(self.name, score, self.parameters), notes=(note,))
        note = f"cut by the margins of {len(reference)} threshold samples, which are not scored"
        return Detection(score=score, flagged=score > cut, notes=(note,))


def _given(log: LossLog, threshold_class: Any) -> NDArray[np.bool_]:
    """Return which samples were given the threshold class; `--set` brings it as text."""
    coded = log.coded_label
    if coded is None:
        raise DetectorError("a threshold class needs labels, which this log does not have.")
    names = [str(value) for value in coded.values.to_pylist()]
    codes = [code for code, value in enumerate(names) if value == str(threshold_class)]
    return np.isin(coded.codes, codes)
