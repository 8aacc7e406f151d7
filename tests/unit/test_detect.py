"""A detector on a log or on each of its classes: what it may see, and what is refused of it."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lossan import analyze, build_log
from lossan.detectors import Detection, Detector
from lossan.errors import DetectorError
from lossan.losslog import Coded
from lossan.testing import planted_log


class Given(Detector):
    """Returns what it is told to."""

    name, summary, reference = "given", "what it is told", "a test"

    def __init__(self, *found):
        super().__init__()
        self.found = found

    def detect(self, log, context):
        assert log.true_label is None
        if self.found:
            return self.found[0]
        score = context.features["f1_mean"].copy()
        return Detection(score=score, flagged=score > np.nanmean(score))


def small_log(**fields):
    return build_log(
        [[1.0, 0.5], [3.0, 3.5], [2.0, 2.0], [np.nan, 9.0], [3.0, 3.5]],
        sample_id=["e", "d", "c", "b", "a"],
        **fields,
    )


def test_a_class_that_cannot_be_analysed_is_noted_and_the_others_go_on():
    loss = np.array([[1.0, 0.5], [3.0, 3.5], [1.1, 0.4], [2.0, 2.0]])
    result = analyze(build_log(loss, label=["a", "a", "a", "b"]), by_class=True)
    assert len(result.summary.notes) == 1
    assert result.summary.notes[0].startswith("class 'b': left unscored: kmeans makes 2 clusters")
    assert result.summary.n_unscored == 1
    assert result.summary.per_class[1].n_unscored == 1


def test_samples_without_a_label_are_noted_by_class():
    log = small_log(label=["a", "a", "a", "a", None])
    result = analyze(log, by_class=True, detector=Given())
    assert result.summary.notes == ["unscored for lack of a label, which by_class needs: 1"]
    assert result.summary.n_unscored == 2  # and b, observed once


def test_notes_and_probabilities_of_classes_are_put_together():
    class Noting(Given):
        def detect(self, log, context):
            found = super().detect(log, context)
            probability = np.full(log.n_samples, 0.25)
            return replace(found, notes=("a note",), probability=probability)

    log = small_log(label=["a", "b", "a", "b", None])
    result = analyze(log, by_class=True, detector=Noting())
    assert result.summary.notes[1:] == ["classes 'a', 'b': a note"]
    assert result.findings["probability"].isna().tolist().count(False) == 4


def test_by_class_refuses_what_it_cannot_do():
    with pytest.raises(DetectorError, match="by_class needs labels"):
        analyze(small_log(), by_class=True)
    with pytest.raises(DetectorError, match="by itself: classes 0, 1: left unscored"):
        analyze(build_log([[1, 0], [2, 2]], label=[0, 1]), by_class=True)


N = 5
ZEROS, NO = np.zeros(N), np.zeros(N, bool)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Detection(score=ZEROS[1:], flagged=NO), r"a score of shape \(4,\)"),
        (Detection(score=ZEROS.astype("f4"), flagged=NO), "type float32; expected .* float64"),
        (Detection(score=[0.0] * N, flagged=NO), "a score that is a list; expected an ndarray"),
        (Detection(score=ZEROS, flagged=ZEROS), "a flagged of shape .* type float64"),
        (Detection(score=ZEROS, flagged=NO[:, None]), r"a flagged of shape \(5, 1\)"),
        (
            Detection(score=ZEROS, flagged=NO, probability=ZEROS[:2]),
            r"a probability of shape \(2,\)",
        ),
        (None, "it returned NoneType, not a Detection"),
        (Detection(score=ZEROS, flagged=NO, probability=ZEROS + 2), "reaches from 2 to 2"),
        (Detection(score=ZEROS + np.inf, flagged=NO), "5 scores are infinite"),
        (Detection(score=ZEROS, flagged=~NO, notes="one"), "notes is 'one'"),
        (Detection(score=ZEROS, flagged=~NO, noise_rate=(0.1, 0.2)), r"noise_rate is \(0.1, 0.2\)"),
        (Detection(score=ZEROS, flagged=np.arange(N) == 1), "a flagged sample scores 0"),
        (Detection(score=ZEROS + np.nan, flagged=~NO), "5 samples are flagged but not scored"),
    ],
)
def test_what_a_plugin_must_not_return_is_refused(found, message):
    with pytest.raises(DetectorError, match=message):
        analyze(small_log(), detector=Given(found))


def test_a_rare_class_is_told_by_its_number_of_others():
    log = planted_log(n_samples=1200, n_classes=12, rate=0.1)
    told = replace(log, metadata={"classes": list(range(12))})
    for detector in ("auto", "ctrl"):
        one, other = (analyze(of, detector=detector, by_class=True) for of in (log, told))
        assert one.table["score"].equals(other.table["score"])
        assert one.table["flagged"].equals(other.table["flagged"])


def test_the_noise_rate_of_classes_is_their_mean_over_the_samples():
    class Rated(Given):
        def detect(self, log, context):
            found = super().detect(log, context)
            return replace(found, noise_rate=(0.1, 0.0, 0.2) if log.n_samples == 3 else (0.5,) * 3)

    label = ["a", "a", "a", "b", "b"]
    log = build_log(np.random.default_rng(0).random((5, 4)), label=label)
    rate = analyze(log, by_class=True, detector=Rated()).noise_rate
    assert (rate.estimate, rate.low, rate.high) == pytest.approx((0.26, 0.2, 0.32))


def test_many_classes_share_a_note():
    class Noting(Given):
        def detect(self, log, context):
            return replace(super().detect(log, context), notes=("a note",))

    loss = np.random.default_rng(0).random((16, 4))
    result = analyze(build_log(loss, label=np.arange(16) // 2), by_class=True, detector=Noting())
    assert result.summary.notes == ["classes 0, 1, 2, 3, 4 and 3 more: a note"]


def test_whatever_a_plugin_raises_is_told_with_its_name():
    class Failing(Detector):
        name, summary, reference = "failing", "fails", "a test"
        error: ClassVar[BaseException] = ZeroDivisionError("by accident")

        def detect(self, *_):
            raise self.error

    class Leaving(Failing):
        error = SystemExit(3)

    for detector, message in ((Failing, "ZeroDivisionError: by accident"), (Leaving, "SystemExit")):
        with pytest.raises(DetectorError, match=f"the detector failing failed: {message}.*author"):
            analyze(small_log(), detector=detector())


def predicted_as(log, change):
    """Return a log whose predictions are named otherwise."""
    names = [change(name) for name in log.predicted.values.to_pylist()]
    wanted = np.array(names, dtype=object)[log.predicted.codes]
    return build_log(log.loss, label=log.label, margin=log.margin, predicted=wanted)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda k: f"class {k}", "they are strings, the labels integers"),
        (lambda k: k + 10, "none of them is ever a label; the first is 10, the first label 0"),
        (lambda _: None, "they are all missing"),
    ],
    ids=["type", "names", "missing"],
)
def test_predictions_that_say_nothing_of_labels_are_not_used(change, why):
    log = predicted_as(planted_log(n_classes=3, channels=True), change)
    found = analyze(log, detector="auto")
    assert found.summary.notes[0].startswith(f"the classes predicted were not used: {why}")
    bare = analyze(replace(log, predicted=None), detector="auto")
    assert found.table["score"].equals(bare.table["score"])
    with pytest.raises(DetectorError, match=f"needs predicted, .* Note: .* not used: {why}"):
        analyze(log, detector="wrong_events")


def test_the_class_named_first_does_not_depend_on_the_order_of_rows():
    log = predicted_as(planted_log(n_classes=3, channels=True), lambda k: k + 10)
    codes, values = log.predicted.codes, log.predicted.values
    for order in ([0, 1, 2], [2, 0, 1]):  # as they stand, and as a file may bring them
        coded = Coded(np.argsort(order)[codes].astype(np.int32), values.take(pa.array(order)))
        notes = analyze(replace(log, predicted=coded), detector="auto").summary.notes
        assert "the first is 10, the first label 0" in notes[0]


def test_predictions_beside_the_labels_are_taken_as_they_are():
    log = planted_log(n_samples=400, n_classes=3, channels=True)
    names = np.append(log.predicted.values.to_numpy(), 3)  # each class has the name of the next
    shifted = build_log(log.loss, label=log.label, predicted=names[1:][log.predicted.codes])
    found = analyze(shifted, detector="auto")
    assert 0 <= found.noise_rate.low <= found.noise_rate.high <= 1


@pytest.mark.parametrize("detector", ["forgetting", "wrong_events", "confident", "auto", "kmeans"])
def test_labels_that_are_all_missing_are_none(detector):
    log = planted_log(n_classes=3, channels=True)
    log = build_log(log.loss, label=[None] * log.n_samples, predicted=[[0, 1] * 4] * log.n_samples)
    if detector in ("auto", "kmeans"):
        assert "no sample has a label" in analyze(log, detector=detector).summary.notes
        return
    with pytest.raises(DetectorError, match=r"needs label, .* Note: no sample has a label"):
        analyze(log, detector=detector)


def test_errors_of_several_logs_say_of_which():
    log = planted_log(n_classes=3, channels=True)
    with pytest.raises(DetectorError, match=r"^log 2: the detector aum needs margin"):
        analyze([log, replace(log, margin=None)], detector="aum")


def writes_losses(log, context):
    log.loss[np.isnan(log.loss)] = 0


def writes_predictions(log, context):
    log.predicted.codes[:] = 0


def writes_features(log, context):
    context.features.values[:] = 7


@pytest.mark.parametrize("write", [writes_losses, writes_predictions, writes_features])
@pytest.mark.parametrize("by_class", [False, True])
def test_a_plugin_cannot_write_to_the_log(write, by_class):
    class Writing(Given):
        def detect(self, log, context):
            write(log, context)
            return super().detect(log, context)

    log = planted_log(channels=True, gaps=0.1)
    before = log.loss.copy(), log.predicted.codes.copy()
    with pytest.raises(DetectorError, match="given failed: ValueError: assignment destination"):
        analyze(log, detector=Writing(), by_class=by_class)
    np.testing.assert_array_equal(log.loss, before[0])
    np.testing.assert_array_equal(log.predicted.codes, before[1])


def test_what_a_plugin_writes_to_metadata_is_its_own():
    class Renaming(Given):
        def detect(self, log, context):
            log.metadata["recorded"] = "eval"
            return super().detect(log, context)

    log = planted_log(channels=True)
    assert analyze(log, detector=Renaming()).summary.log.recorded == log.recorded


@pytest.mark.parametrize("wrap", [np.ma.MaskedArray, pd.Series])
def test_scores_that_are_no_plain_arrays_are_refused(wrap):
    found = Detection(score=wrap(ZEROS), flagged=NO)
    with pytest.raises(DetectorError, match=f"a score that is a {wrap.__name__}; expected an nda"):
        analyze(small_log(), detector=Given(found))


def test_a_detector_given_as_an_object_is_held_to_what_it_must_state():
    class Forgotten(Given):
        needs = "margin"

    with pytest.raises(DetectorError, match="Forgotten cannot be used: needs is 'margin'"):
        analyze(small_log(), detector=Forgotten())
