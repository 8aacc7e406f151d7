"""Breaches that show neither in scores nor in flags, or in whole logs alone."""

from dataclasses import replace

import numpy as np
import pytest

from lossan.detectors import find


class Changed(find("mean_loss")):
    """Changes what a sound detector found."""

    name = "changed"

    def detect(self, log, context):
        return self.change(super().detect(log, context), log)

    def change(self, found, log):
        raise NotImplementedError


def share_of_wrong(log):
    return float(np.mean(np.array(log.label.to_pylist()) != np.array(log.true_label.to_pylist())))


class UnseededNoiseRate(Changed):
    def change(self, found, log):
        drawn = np.random.default_rng().integers(log.n_samples) / log.n_samples
        return replace(found, noise_rate=(drawn, 0.0, 1.0))


class UnseededNotes(Changed):
    def change(self, found, log):
        drawn = np.random.default_rng().choice(log.sample_id.to_pylist(), 9).tolist()
        return replace(found, notes=(f"look at {drawn}",))


class ProbabilityByRow(Changed):
    def change(self, found, log):
        return replace(found, probability=np.linspace(0, 1, log.n_samples))


class TruthInNoiseRate(Changed):
    def change(self, found, log):
        if log.true_label is None:
            return found
        return replace(found, noise_rate=(share_of_wrong(log), 0.0, 1.0))


class TruthInNotes(Changed):
    def change(self, found, log):
        return found if log.true_label is None else replace(found, notes=("the truth is known",))


class LeavesTheEasyOut(Changed):
    def change(self, found, log):
        if np.isnan(log.loss).any():
            return found
        easy = found.score < np.nanquantile(found.score, 0.05)
        return replace(found, score=np.where(easy, np.nan, found.score))


BROKEN = [
    (UnseededNoiseRate, "determinism", "two runs"),
    (UnseededNotes, "determinism", "two runs"),
    (ProbabilityByRow, "order", "probabilities change"),
    (TruthInNoiseRate, "truth", "without true_label"),
    (TruthInNotes, "truth", "without true_label"),
    (LeavesTheEasyOut, "gaps", "30 samples of a log without gaps"),
]


@pytest.mark.parametrize(
    ("detector", "rule", "message"), BROKEN, ids=[row[0].__name__ for row in BROKEN]
)
def test_a_broken_detector_is_rejected(rejected, detector, rule, message):
    rejected(detector, rule, message)
