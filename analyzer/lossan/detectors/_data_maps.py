"""Data maps."""

from typing import ClassVar, final

from lossan.detectors._base import Context
from lossan.detectors._scored import ScoredDetector, Vector
from lossan.losslog import LossLog
from lossan.signals import label_probs, mean_observed


@final
class DataMaps(ScoredDetector):
    """Samples of low confidence, the hard-to-learn corner of a data map."""

    name: ClassVar[str] = "data_maps"
    summary: ClassVar[str] = "mean probability of the given label over all epochs"
    reference: ClassVar[str] = "Swayamdipta et al. 2020, section 2 (confidence)"

    def score(self, log: LossLog, context: Context) -> Vector:  # noqa: ARG002  (the interface's)
        """Return one minus the confidence."""
        return 1 - mean_observed(label_probs(log))
