"""Area under the margin."""

from typing import ClassVar, final

from lossan.detectors._base import Context
from lossan.detectors._scored import ScoredDetector, Vector
from lossan.losslog import LossLog
from lossan.signals import margins, mean_observed


@final
class Aum(ScoredDetector):
    """The given label of a wrong sample loses against another class, epoch after epoch."""

    name: ClassVar[str] = "aum"
    summary: ClassVar[str] = "mean margin of the given label over all epochs (AUM)"
    reference: ClassVar[str] = "Pleiss et al. 2020, equation 1"

    needs: ClassVar[tuple[str, ...]] = ("margin",)

    def score(self, log: LossLog, context: Context) -> Vector:  # noqa: ARG002
        """Return the negative mean margin, in units of logits."""
        return -mean_observed(margins(log))
