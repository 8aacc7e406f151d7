"""Confident learning from the probabilities the log itself has."""

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from lossan.detectors._base import Context, Detection, Detector
from lossan.detectors._scored import check_apart
from lossan.losslog import LossLog, places_among
from lossan.signals import label_probs, mean_observed, of_two


@final
class Confident(Detector):
    """Samples confidently of another class than the given one, pruned by the noise rate.

    The probabilities are means over the epochs of what the log has: that of the given label and
    that of the most probable class. They are of the training set itself, so wrong labels that
    were memorised are missed.
    """

    name: ClassVar[str] = "confident"
    summary: ClassVar[str] = "confident learning on the log's own probabilities"
    reference: ClassVar[str] = "Northcutt et al. 2021, sections 3.1 and 3.2 (confident joint)"
    needs: ClassVar[tuple[str, ...]] = ("label", "predicted", "predicted_prob")

    def detect(self, log: LossLog, context: Context) -> Detection:
        """Count the confident joint and flag the off-diagonal samples.

        Raises
        ------
        DetectorError
            When fewer than two samples can be scored, or all look alike.
        """
        coded = log.coded_label
        assert coded is not None  # noqa: S101  (needs says so)
        own = mean_observed(label_probs(log))
        check_apart(self.name, np.where(context.features.scorable, own, np.nan))
        other, prob = _rival(log, own)
        usable = context.features.scorable & (coded.codes >= 0) & ~np.isnan(own)
        n = max(int(coded.codes.max(initial=0)), int(other.max(initial=0))) + 1
        threshold = np.ones(n)  # of class j: the mean self-confidence of samples labelled j
        for code in range(n):
            mine = own[usable & (coded.codes == code)]
            threshold[code] = mine.mean() if len(mine) else np.inf
        contrary = usable & (other >= 0) & (prob >= threshold[other])
        faithful = usable & (own >= threshold[np.maximum(coded.codes, 0)])
        flagged = contrary & ~(faithful & (own >= prob))
        score = np.where(usable, 0.5 * (1 - own) + 0.5 * flagged, np.nan)
        return Detection(score=score, flagged=flagged & usable)


def _rival(log: LossLog, own: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the class most often preferred to the given one, and its mean probability.

    Of two classes it is the other one, and has what the given one leaves.
    """
    coded = log.coded_label
    assert coded is not None  # noqa: S101  (as needs states)
    if of_two(log):
        return np.where(coded.codes < 0, -1, 1 - coded.codes), 1 - own
    assert log.predicted is not None  # noqa: S101  (as needs states)
    assert log.predicted_prob is not None  # noqa: S101  (as needs states)
    codes = np.append(places_among(log.predicted.values, coded.values), -1)[log.predicted.codes]
    n = len(coded.values)
    total = np.zeros((log.n_samples, n))
    rows = np.arange(log.n_samples)
    for epoch in range(log.n_epochs):
        there = (codes[:, epoch] >= 0) & (codes[:, epoch] != coded.codes)
        value = np.nan_to_num(log.predicted_prob[:, epoch].astype(np.float64))
        total[rows[there], codes[there, epoch]] += value[there]
    best = total.argmax(axis=1)
    seen = ((log.predicted.codes >= 0) & ~np.isnan(log.predicted_prob)).sum(axis=1)
    mean = total[rows, best] / np.maximum(seen, 1)
    return np.where(mean > 0, best, -1), mean
