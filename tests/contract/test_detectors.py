"""One contract for every detector, and broken detectors that it must reject."""

# ruff: noqa: ARG002  (detectors take a log and a context whether they use them or not)

from abc import abstractmethod
from dataclasses import replace

import numpy as np
import pytest

from lossan.config import Config
from lossan.detectors import Context, Detection, Detector, installed
from lossan.errors import DetectorError
from lossan.losslog import LossLog
from lossan.testing import Breach, ContractError, check_detector, planted_log

USABLE = {name: found.detector for name, found in installed().items() if found.detector}


@pytest.mark.parametrize("name", USABLE)
@pytest.mark.parametrize("seed", range(3))
def test_installed_detector_keeps_the_contract(name, seed):
    check_detector(USABLE[name], seed=seed)


def test_there_are_detectors_to_check():
    assert "kmeans" in USABLE


class Sound(Detector):
    """Mean loss, cut at the middle of its range; every broken detector differs in one thing."""

    name = "sound"
    summary = "mean loss, cut at the middle"
    reference = "a test"

    def detect(self, log: LossLog, context: Context) -> Detection:
        score = context.features["f1_mean"].copy()
        scored = score[~np.isnan(score)]
        if len(scored) < 2 or np.ptp(scored) == 0:
            raise DetectorError("nothing can be told apart")
        return Detection(score=score, flagged=score > scored.mean() + scored.std())


def test_a_sound_detector_is_accepted():
    check_detector(Sound)


class Abstract(Sound):
    @abstractmethod
    def threshold(self): ...


class Unnamed(Sound):
    name = ""


class TwoLineSummary(Sound):
    summary = "one\ntwo"


class Unreferenced(Sound):
    reference = None


class NeedsTruth(Sound):
    needs = ("true_label",)


class ForeignParameters(Sound):
    Parameters = dict

    def __init__(self, parameters=None):
        self.parameters = {}


class RequiredParameter(Sound):
    class Parameters(Config):
        cut: float


class Raises(Sound):
    def detect(self, log, context):
        raise ZeroDivisionError("by accident")


class ReturnsTuple(Sound):
    def detect(self, log, context):
        found = super().detect(log, context)
        return found.score, found.flagged


class Changed(Sound):
    """Changes what the sound detector found."""

    def detect(self, log, context):
        return self.change(super().detect(log, context), log, context)

    def change(self, found, log, context):
        raise NotImplementedError


class ListScores(Changed):
    def change(self, found, log, context):
        return replace(found, score=found.score.tolist())


class TooFewScores(Changed):
    def change(self, found, log, context):
        return replace(found, score=found.score[1:])


class NarrowScores(Changed):
    def change(self, found, log, context):
        return replace(found, score=found.score.astype(np.float32))


class InfiniteScores(Changed):
    def change(self, found, log, context):
        return replace(found, score=np.where(found.flagged, np.inf, found.score))


class NumberFlags(Changed):
    def change(self, found, log, context):
        return replace(found, flagged=found.flagged.astype(np.int8))


class PercentProbability(Changed):
    def change(self, found, log, context):
        return replace(found, probability=100.0 * found.flagged)


class CrossedNoiseRate(Changed):
    def change(self, found, log, context):
        return replace(found, noise_rate=(0.1, 0.2, 0.3))


class TextNotes(Changed):
    def change(self, found, log, context):
        return replace(found, notes="not a tuple")


class FlagsAgainstScores(Changed):
    def change(self, found, log, context):
        first = np.flatnonzero(found.flagged)[0]
        score = found.score.copy()
        score[first] = np.nanmedian(score)
        return replace(found, score=score)


class FlagsUnscored(Changed):
    def change(self, found, log, context):
        return replace(found, score=np.where(found.flagged, np.nan, found.score))


class GlobalRandomness(Changed):
    def change(self, found, log, context):
        jitter = np.random.random(log.n_samples)  # noqa: NPY002
        return replace(found, score=found.score + 1e-9 * jitter * ~found.flagged)


class UnseededRandomness(Changed):
    def change(self, found, log, context):
        jitter = np.random.default_rng().random(log.n_samples)
        return replace(found, probability=0.5 * jitter)


class CountsRows(Changed):
    def change(self, found, log, context):
        return replace(found, score=found.score + 1e-4 * np.arange(log.n_samples) / log.n_samples)


class FlagsFirstRows(Changed):
    def change(self, found, log, context):
        scored = np.flatnonzero(~np.isnan(found.score))
        flagged = found.flagged.copy()
        flagged[scored[:10]] = True
        return replace(found, score=found.score + 100.0 * flagged, flagged=flagged)


class ReadsIds(Changed):
    def change(self, found, log, context):
        even = np.array([len(str(i)) % 2 == 0 for i in log.sample_id.to_pylist()])
        return replace(found, score=found.score + 1e-3 * even * found.flagged)


class WritesLosses(Changed):
    def change(self, found, log, context):
        log.loss[0, 0] += 1
        return found


class WritesFeatures(Changed):
    def change(self, found, log, context):
        context.features.values[:] -= 1
        return found


class WritesMetadata(Changed):
    def change(self, found, log, context):
        log.metadata["seen"] = True
        return found


class ReadsTruth(Changed):
    def change(self, found, log, context):
        if log.true_label is None:
            return found
        wrong = np.array(log.label.to_pylist()) != np.array(log.true_label.to_pylist())
        return replace(found, score=found.score + wrong * found.flagged)


class DemandsTruth(Changed):
    def change(self, found, log, context):
        len(log.true_label)
        return found


class UndeclaredNeed(Changed):
    def change(self, found, log, context):
        return replace(found, score=found.score - 0 * np.nanmin(log.margin))


class OneScaleOnly(Changed):
    def change(self, found, log, context):
        if context.scale != "standard":
            raise ValueError(context.scale)
        return found


class ScoresUnobserved(Changed):
    def change(self, found, log, context):
        return replace(found, score=np.nan_to_num(found.score))


class FlagsUnobserved(Changed):
    def change(self, found, log, context):
        return replace(found, flagged=found.flagged | np.isnan(found.score))


class DropsGaps(Changed):
    def change(self, found, log, context):
        whole = ~np.isnan(log.loss).any(axis=1)
        score = np.where(whole, found.score, np.nan)
        return replace(found, score=score, flagged=found.flagged & whole)


class Upside(Changed):
    def change(self, found, log, context):
        low = found.score < np.nanquantile(found.score, 0.1)
        return replace(found, score=-found.score, flagged=low)


class FlagsNothing(Changed):
    def change(self, found, log, context):
        return replace(found, flagged=np.zeros(log.n_samples, bool))


class FlagsEverything(Changed):
    def change(self, found, log, context):
        return replace(found, flagged=~np.isnan(found.score))


class AcceptsAnything(Detector):
    name, summary, reference = "anything", "never refuses a log", "a test"

    def detect(self, log, context):
        score = context.features["f1_mean"].copy()
        return Detection(score=score, flagged=score > np.nanquantile(score, 0.9))


class WrongErrorOnNothing(Sound):
    def detect(self, log, context):
        try:
            return super().detect(log, context)
        except DetectorError as error:
            raise ValueError(str(error)) from error


BROKEN = [
    (dict, "declaration", "not a subclass"),
    (Abstract, "declaration", "abstract"),
    (Unnamed, "declaration", "name is ''"),
    (TwoLineSummary, "declaration", "summary is"),
    (Unreferenced, "declaration", "reference is None"),
    (NeedsTruth, "declaration", "needs is ('true_label',)"),
    (ForeignParameters, "declaration", "Parameters is <class 'dict'>"),
    (RequiredParameter, "declaration", "cannot be made"),
    (Raises, "output", "ZeroDivisionError('by accident')"),
    (ReturnsTuple, "output", "returned tuple"),
    (ListScores, "output", "type list"),
    (TooFewScores, "output", "shape (599,)"),
    (NarrowScores, "output", "type float32"),
    (InfiniteScores, "output", "scores are infinite"),
    (NumberFlags, "output", "type int8"),
    (PercentProbability, "output", "probability reaches from 0 to 100"),
    (CrossedNoiseRate, "output", "noise_rate is"),
    (TextNotes, "output", "notes is 'not a tuple'"),
    (FlagsAgainstScores, "ranking", "a flagged sample scores"),
    (FlagsUnscored, "ranking", "flagged but not scored"),
    (GlobalRandomness, "determinism", "two runs"),
    (UnseededRandomness, "determinism", "two runs"),
    (CountsRows, "order", "scores change"),
    (FlagsFirstRows, "order", "flags change"),
    (ReadsIds, "order", "scores change"),
    (WritesLosses, "input", "wrote to loss"),
    (WritesFeatures, "input", "wrote to features"),
    (WritesMetadata, "input", "wrote to metadata"),
    (ReadsTruth, "truth", "with all labels stated to be right"),
    (DemandsTruth, "truth", "without true_label"),
    (UndeclaredNeed, "needs", "on a log of loss with"),
    (OneScaleOnly, "needs", "scale='none'"),
    (ScoresUnobserved, "gaps", "fewer than two epochs are scored"),
    (FlagsUnobserved, "gaps", "fewer than two epochs are flagged"),
    (DropsGaps, "gaps", "left unscored"),
    (Upside, "noise", "AUROC is"),
    (FlagsNothing, "noise", "of the 0 flagged"),
    (FlagsEverything, "noise", "of the 600 flagged"),
    (AcceptsAnything, "degenerate", "results are returned"),
    (WrongErrorOnNothing, "degenerate", "a log with one sample, detect raised ValueError"),
]


@pytest.mark.parametrize(
    ("detector", "rule", "message"), BROKEN, ids=[row[0].__name__ for row in BROKEN]
)
def test_a_broken_detector_is_rejected(rejected, detector, rule, message):
    rejected(detector, rule, message)


def test_all_breaches_are_told_at_once():
    class Twice(WritesMetadata, Unnamed, Unreferenced):
        pass

    with pytest.raises(ContractError) as caught:
        check_detector(Twice)
    assert [b.rule for b in caught.value.breaches] == ["declaration", "declaration", "input"]
    assert "  3. input: it wrote to metadata" in str(caught.value)
    assert isinstance(caught.value.breaches[0], Breach)


def test_numpys_global_state_is_left_as_it_was():
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    check_detector(Sound)
    assert np.random.random() == expected  # noqa: NPY002


def test_planted_log_is_what_was_asked_for():
    log = planted_log(
        n_samples=400, n_epochs=6, n_classes=4, rate=0.1, gaps=0.2, string_ids=True, channels=True
    )
    assert log.loss.shape == (400, 6)
    assert log.sample_id[0].as_py() == "sample-0000000"
    assert set(log.true_label.to_pylist()) == {0, 1, 2, 3}
    wrong = log.label.to_numpy() != log.true_label.to_numpy()
    assert wrong.sum() == 40
    missing = np.isnan(log.loss)
    assert missing.mean() == pytest.approx(0.2, abs=0.03)
    assert np.array_equal(missing, log.predicted.codes < 0)


def test_planted_channels_agree_with_the_loss():
    log = planted_log(channels=True, n_classes=3)
    assert np.allclose(log.loss, -np.log(log.label_prob), rtol=1e-3, atol=1e-6)
    own = log.predicted.values.to_numpy()[log.predicted.codes] == log.label.to_numpy()[:, None]
    assert np.array_equal(own, log.margin > 0)
    assert np.allclose(log.predicted_prob[own], log.label_prob[own])


def test_planted_losses_behave_as_training_does():
    log = planted_log(n_samples=2000)
    wrong = log.label.to_numpy() != log.true_label.to_numpy()
    right_course, wrong_course = log.loss[~wrong].mean(axis=0), log.loss[wrong].mean(axis=0)
    assert (np.diff(right_course) < 0).all()
    assert wrong_course.max() > 1.2 * wrong_course[0]
    assert wrong_course[-1] > 10 * right_course[-1]
    mean = log.loss.mean(axis=1)
    assert mean[wrong].min() < np.quantile(mean[~wrong], 0.9)  # the two overlap


def test_planted_log_follows_from_its_seed():
    one, same, other = (planted_log(seed=s).fingerprint for s in (1, 1, 2))
    assert one == same != other
