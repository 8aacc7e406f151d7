"""Channels that are there for a part of the samples or epochs, or say other than the loss does."""

from dataclasses import replace

import numpy as np
import pytest

from lossan import analyze, build_log
from lossan.detectors._contradiction import Margins
from lossan.errors import OptionError
from lossan.evaluate import auroc
from lossan.losslog import Coded
from lossan.report._why import contradictions
from lossan.signals import complete, label_probs, two_class_margin
from lossan.testing import planted_log


def planted(**options):
    return planted_log(channels=True, n_classes=3, rate=0.1, seed=2, **options)


def truly_wrong(log):
    return np.array(log.label.to_pylist()) != np.array(log.true_label.to_pylist())


def hidden(values, rows):
    values = values.copy()
    values[rows] = np.nan
    return values


@pytest.mark.parametrize("channel", ["margin", "label_prob"])
def test_what_has_a_loss_and_no_channel_is_scored_by_its_loss(channel):
    log = planted()
    wrong = truly_wrong(log)
    others = dict.fromkeys(("margin", "label_prob", "predicted", "predicted_prob"))
    rows = np.flatnonzero(wrong)[::2]
    part = replace(log, **{**others, channel: hidden(getattr(log, channel), rows)})
    found = analyze(part, detector="auto")
    assert found.summary.n_unscored == 0
    assert found.detection.flagged[rows].mean() > 0.6
    assert auroc(wrong, found.detection.score)[0] > 0.95


def test_where_all_margins_are_there_nothing_is_made_of_losses():
    log, rows = planted(gaps=0.2), np.arange(600)
    other = replace(log, loss=np.where(np.isnan(log.loss), np.nan, 1).astype(np.float32))
    against = [Margins.of(one, rows).against(one, rows) for one in (log, other)]
    np.testing.assert_array_equal(*against)
    assert np.isnan(against[0]).any()


def test_confident_counts_a_class_though_one_probability_is_missing():
    log = planted()
    whole = analyze(log, detector="confident").detection
    row = int(np.flatnonzero(whole.flagged)[0])
    part = analyze(replace(log, label_prob=hidden(log.label_prob, row)), detector="confident")
    assert abs(int(part.detection.flagged.sum()) - int(whole.flagged.sum())) <= 1
    assert not np.isnan(part.detection.score).any()


def test_confident_takes_the_mean_over_the_epochs_that_have_a_prediction():
    log = planted()
    probs = log.predicted_prob.copy()
    probs[:, :4] = np.nan
    counts = [
        int(analyze(one, detector="confident").detection.flagged.sum())
        for one in (log, replace(log, predicted_prob=probs))
    ]
    assert counts[1] > 0.8 * counts[0]


def test_confident_of_two_classes_is_the_confident_joint():
    log = planted_log(channels=True, n_classes=2, rate=0.15, seed=2)
    given = np.array(log.label.to_pylist())
    classes = sorted(set(given))
    own = log.label_prob.mean(axis=1, dtype=np.float64)
    prob = np.stack([np.where(given == c, own, 1 - own) for c in classes], axis=1)
    least = np.array([prob[given == c, k].mean() for k, c in enumerate(classes)])
    taken = []
    for row in prob:
        sure = [k for k in range(2) if row[k] >= least[k]]
        taken.append(max(sure, key=lambda k: row[k]) if sure else -1)
    expected = [t >= 0 and classes[t] != g for t, g in zip(taken, given, strict=True)]
    assert analyze(log, detector="confident").detection.flagged.tolist() == expected
    assert any(expected)


def test_wrong_events_rank_by_the_share_though_samples_have_gaps():
    n_epochs = 8
    predicted = np.zeros((3, n_epochs), int)
    predicted[0, :3] = predicted[1, :3] = 1  # 3 of 8 at a high loss, 3 of 7 at a low one
    loss = np.full((3, n_epochs), 0.01, np.float32)
    loss[0] = 30
    log = build_log(loss, label=[0, 0, 1], predicted=np.where(predicted == 1, 1, 0))
    codes, gaps = log.predicted.codes.copy(), log.loss.copy()
    codes[1, 7], gaps[1, 7] = -1, np.nan
    log = replace(log, predicted=Coded(codes, log.predicted.values), loss=gaps)
    score = analyze(log, detector="wrong_events").detection.score
    assert score[1] > score[0]


def focal(log):
    """Return the log as a training by focal loss records it: its losses are no cross-entropy."""
    prob = log.label_prob.astype(np.float64)
    loss = (1 - prob) ** 2 * -np.log(np.maximum(prob, 1e-12))
    others = {"margin": None, "predicted": None, "predicted_prob": None}
    return replace(log, loss=loss.astype(np.float32), **others)


def test_of_two_classes_a_recorded_probability_counts_and_not_the_loss():
    log = planted_log(channels=True, n_classes=2, rate=0.1, seed=1)
    known = complete(focal(log), ("predicted", "margin", "predicted_prob"))
    np.testing.assert_allclose(known.predicted_prob, np.maximum(log.label_prob, 1 - log.label_prob))
    same = known.predicted.codes == known.coded_label.codes[:, None]
    np.testing.assert_array_equal(same, log.label_prob >= 0.5)
    wrong = truly_wrong(log)
    hits = [
        analyze(one, detector="auto").detection.flagged[wrong].sum() for one in (log, focal(log))
    ]
    assert hits[0] > 0
    assert hits[1] > 0.8 * hits[0]


def test_of_two_classes_a_recorded_margin_counts_and_not_the_loss():
    log = planted_log(channels=True, n_classes=2, rate=0.1, seed=1, gaps=0.1)
    bare = replace(focal(log), label_prob=None, margin=log.margin)
    known = complete(bare, ("predicted",))
    same = known.predicted.codes == known.coded_label.codes[:, None]
    seen = known.predicted.codes >= 0
    np.testing.assert_array_equal(seen, ~np.isnan(log.loss))
    np.testing.assert_array_equal(same[seen], (log.margin >= 0)[seen])
    np.testing.assert_allclose(label_probs(bare), log.label_prob, atol=1e-6)
    for name in ("wrong_events", "confident", "data_maps", "el2n"):
        found, all_known = (analyze(one, detector=name).detection for one in (bare, log))
        np.testing.assert_array_equal(found.flagged, all_known.flagged)


@pytest.mark.parametrize(
    ("detector", "hides"),
    [
        ("aum", ("margin",)),
        ("wrong_events", ("predicted",)),
        ("forgetting", ("predicted",)),
        ("confident", ("predicted", "predicted_prob")),
    ],
)
def test_of_two_classes_what_lacks_a_channel_is_judged_by_the_loss(detector, hides):
    """The planted loss is cross-entropy, so it says what was hidden."""
    log = planted_log(channels=True, n_classes=2, rate=0.1, seed=1, gaps=0.1, string_ids=True)
    part = log
    for channel in hides:
        values = getattr(part, channel)
        hide = np.zeros(log.loss.shape, bool)
        hide[:100] = hide[:, 2] = True
        if channel == "predicted":
            gone = Coded(np.where(hide, -1, values.codes).astype(np.int32), values.values)
        else:
            gone = np.where(hide, np.nan, values)
        part = replace(part, **{channel: gone})
    found, whole = (analyze(one, detector=detector).detection for one in (part, log))
    np.testing.assert_allclose(found.score, whole.score, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(found.flagged, whole.flagged)


def test_of_more_classes_a_margin_says_nothing_of_the_probability():
    log = planted_log(channels=True, n_classes=3, seed=1)
    bare = replace(log, label_prob=None)
    np.testing.assert_allclose(label_probs(bare), log.label_prob, atol=1e-6)


def test_the_reason_is_that_of_the_recorded_margin():
    log = planted_log(channels=True, n_classes=2, rate=0.1, seed=1)
    bare = replace(focal(log), label_prob=None, margin=log.margin)
    told = contradictions(bare.select(np.arange(20)), analyze(bare, detector="aum").summary)
    against = log.margin[:20] < 0
    assert [one.n_against for one in told] == against.sum(axis=1).tolist()
    for one, prob, low in zip(told, log.label_prob, against, strict=False):
        if low.any():
            np.testing.assert_allclose(one.certainty, 1 - prob[low].mean(), atol=1e-5)


def test_near_one_the_margin_is_read_from_the_loss():
    loss = np.array([1e-9, 1e-4, 0.5, 20.0], np.float32)
    prob = np.exp(-loss)  # 1 in float32, for the first
    np.testing.assert_array_equal(two_class_margin(loss, prob), two_class_margin(loss))


def test_a_probability_that_is_missing_is_that_of_the_loss():
    log = planted()
    part = replace(log, label_prob=hidden(log.label_prob, slice(0, 5)))
    np.testing.assert_allclose(label_probs(part), label_probs(log), atol=1e-5)


@pytest.mark.parametrize("classes", [None, [], ["only", "two"]])
@pytest.mark.parametrize("detector", ["auto", "ctrl", "el2n"])
def test_by_class_knows_how_many_classes_there_are_whatever_is_stated(detector, classes):
    log = planted_log(n_samples=400, n_classes=4, rate=0.1, seed=1)
    found = [
        analyze(replace(log, metadata=stated), detector=detector, by_class=True).detection
        for stated in ({}, {"classes": classes})
    ]
    np.testing.assert_array_equal(found[0].score, found[1].score)
    np.testing.assert_array_equal(found[0].flagged, found[1].flagged)


@pytest.mark.parametrize("n", [4, 20, 100])
def test_of_few_samples_it_is_not_known_that_none_is_wrong(n):
    loss = np.random.default_rng(0).gamma(1, 0.05, (n, 6))
    rate = analyze(build_log(loss, label=np.arange(n) % 2), detector="auto").summary.noise_rate
    assert rate.low == 0
    assert rate.high >= 3.84 / (n + 3.85)  # Wilson's bound of none among so many


def test_a_percentile_that_would_not_count_is_refused():
    log = planted()
    with pytest.raises(OptionError, match="the log has no threshold class"):
        analyze(log, detector="aum", settings={"percentile": 5})
    marked = {"percentile": 5, "threshold_class": 2, "cut": "gmm"}
    with pytest.raises(OptionError, match="cut is given too"):
        analyze(log, detector="aum", settings=marked)
