"""Forgetting events."""

from typing import ClassVar, final

import numpy as np

from lossan.detectors._base import Context
from lossan.detectors._scored import ScoredDetector, Vector
from lossan.losslog import LossLog
from lossan.signals import losses, mean_observed, mistakes


@final
class Forgetting(ScoredDetector):
    """Samples forgotten often; one never learnt is the most suspicious."""

    name: ClassVar[str] = "forgetting"
    summary: ClassVar[str] = "transitions from right to wrong; never learnt first"
    reference: ClassVar[str] = "Toneva et al. 2019, section 3 (forgetting events)"

    needs: ClassVar[tuple[str, ...]] = ("label", "predicted")

    def score(self, log: LossLog, context: Context) -> Vector:  # noqa: ARG002  (the interface's)
        """Return the number of events, ties in order of the mean loss.

        NaN where the label or every prediction is missing.
        """
        wrong = mistakes(log)
        events = np.zeros(len(wrong))
        before = np.zeros(len(wrong))
        seen = np.zeros(len(wrong), bool)
        for now in wrong.T:
            known = ~np.isnan(now)
            events += known & seen & (before == 0) & (now == 1)
            before = np.where(known, now, before)
            seen |= known
        events[seen & ~(wrong == 0).any(axis=1)] = wrong.shape[1]  # never learnt
        events[~seen] = np.nan  # nothing is known of them
        level = mean_observed(losses(log))
        return events + np.where(np.isnan(level), 0, level / (1 + np.abs(level)))
