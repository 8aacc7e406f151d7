"""The summary of an analysis, from the log and what a detector said of it."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lossan.config import AnalyzeConfig
from lossan.describe import class_medians
from lossan.detectors import Detection, Detector
from lossan.evaluate import evaluate
from lossan.features import Features, usual_early
from lossan.judge import wrong_labels
from lossan.losslog import LossLog
from lossan.results import ClassSummary, DetectorSummary, Evaluation, NoiseRate

Truth = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""Which labels are wrong, and of which that is known; both of shape (n_samples,)."""


def known_truth(log: LossLog) -> Truth | None:
    """Return which labels are wrong, None where nothing is known."""
    if log.label is None or log.true_label is None:
        return None
    return wrong_labels(log.label, log.true_label)


def evaluate_against(
    truth: Truth | None, detection: Detection, rows: NDArray[np.bool_] | None = None
) -> Evaluation | None:
    """Hold flags and scores against the truth, of some rows or of all."""
    if truth is None:
        return None
    wrong, known = truth
    chosen = np.flatnonzero(known if rows is None else known & rows)
    probability = detection.probability
    return evaluate(
        wrong[chosen],
        detection.flagged[chosen],
        detection.score[chosen],
        None if probability is None else probability[chosen],
    )


def per_class(
    log: LossLog, features: Features, detection: Detection, truth: Truth | None
) -> list[ClassSummary]:
    """Count what was found in each given class."""
    coded = log.coded_label
    if coded is None:
        return []
    size = len(coded.values)
    inside = coded.codes >= 0
    codes = coded.codes[inside]
    n_samples = np.bincount(codes, minlength=size)
    n_flagged = np.bincount(codes[detection.flagged[inside]], minlength=size)
    n_unscored = np.bincount(codes[np.isnan(detection.score[inside])], minlength=size)
    usual = inside & ~detection.flagged & features.scorable
    medians = class_medians(coded.codes[usual], features["f1_mean"][usual], size)
    expected = None
    if detection.probability is not None:
        weights = np.nan_to_num(detection.probability[inside])
        expected = np.bincount(codes, weights=weights, minlength=size)
    return [
        ClassSummary(
            label=label,
            n_samples=int(n_samples[code]),
            n_flagged=int(n_flagged[code]),
            n_unscored=int(n_unscored[code]),
            expected_wrong=None if expected is None else float(expected[code]),
            median_loss=medians[code],
            evaluation=evaluate_against(truth, detection, coded.codes == code),
        )
        for code, label in enumerate(coded.values.to_pylist())
    ]


def detector_summary(
    detector: Detector, config: AnalyzeConfig, n_epochs: Iterable[int]
) -> DetectorSummary:
    """Return which detector ran, with every parameter.

    Parameters
    ----------
    detector : Detector
    config : AnalyzeConfig
    n_epochs : iterable of int
        How many epochs each log has.
    """
    early = sorted({config.early_epochs or usual_early(n) for n in n_epochs})
    parameters = {
        "early_epochs": early[0] if len(early) == 1 else early,  # of logs of unequal length
        "scale": config.scale,
        "by_class": config.by_class,
        "seed": config.seed,
        **detector.parameters.model_dump(mode="json"),
    }
    return DetectorSummary(name=detector.name, parameters=parameters)


def noise_rate(found: tuple[float, float, float] | None) -> NoiseRate | None:
    """Return the share of wrong labels where the detector estimates it."""
    if found is None:
        return None
    estimate, low, high = found
    return NoiseRate(estimate=estimate, low=low, high=high)
