"""Margins made of what a log has: hand-worked cases, and networks that know little yet."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import log_softmax

import lossan
from lossan import build_log
from lossan.detectors._contradiction import Margins
from lossan.signals import n_classes

LABELS = np.arange(8) % 4


def margins(log):
    rows = np.arange(log.n_samples)
    scale = Margins.of(log, rows)
    return scale, scale.against(log, rows) * scale.unit


def test_a_network_that_knows_nothing_contradicts_no_label():
    scale, against = margins(build_log(np.full((8, 3), np.log(4)), label=LABELS))
    assert_allclose(scale.others, 3)
    assert_allclose(against, 0, atol=1e-6)


def test_what_the_label_lacks_is_spread_over_those_that_the_worst_epoch_cannot_tell_apart():
    loss = np.full((8, 3), [np.log(3), np.log(2.5), 0.1])
    loss[0] = np.nan
    scale, against = margins(build_log(loss, label=LABELS))
    assert_allclose(scale.others, 2)
    chance = 1 / np.array([3, 2.5, np.exp(0.1)])
    assert_allclose(against[1:], np.tile(np.log((1 - chance) / 2 / chance), (7, 1)), atol=1e-6)
    assert np.isnan(against[0]).all()


@pytest.mark.parametrize(("label", "others"), [(LABELS, 3), (LABELS % 3, 2), (None, np.exp(5) - 1)])
def test_they_are_no_more_than_the_log_knows_of(label, others):
    log = build_log(np.full((8, 3), 5.0), **({} if label is None else {"label": label}))
    assert_allclose(margins(log)[0].others, others, rtol=1e-5)


@pytest.mark.parametrize("known", ["two classes", "margin"])
def test_margins_that_are_known_are_left_as_they_are(known):
    loss = np.full((8, 3), 3.0)
    fields = {"label": LABELS % 2} if known == "two classes" else {"label": LABELS}
    if known == "margin":
        fields["margin"] = np.full((8, 3), -2.5)
    scale, against = margins(build_log(loss, **fields))
    assert (scale.source, scale.others) == (known, 1)
    assert_allclose(against, 2.5 if known == "margin" else np.log(np.expm1(3.0)), rtol=1e-5)


def test_probabilities_count_rather_than_another_loss():
    loss, chance = np.full((8, 3), 0.02), np.full((8, 3), 0.25)  # a focal loss, say
    scale, against = margins(build_log(loss, label=LABELS, label_prob=chance))
    assert scale.source == "label_prob"
    assert_allclose(against, 0, atol=1e-6)


def slow(seed, *, rate=0.0, n=3000, classes=10, epochs=8):
    """Return losses of a network that slowly learns ten classes, labels, and which are wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    wrong = rng.random(n) < rate
    given = np.where(wrong, (truth + rng.integers(1, classes, n)) % classes, truth)
    ease = rng.gamma(3.0, 2.0, n)
    logits = rng.normal(0, 1.0, (n, 1, classes)) + rng.normal(0, 0.5, (n, epochs, classes))
    sure = ease[:, None] * np.linspace(0.1, 0.9, epochs)
    logits[np.arange(n)[:, None], np.arange(epochs), truth[:, None]] += sure
    chances = log_softmax(logits, axis=2)
    return -chances[np.arange(n)[:, None], np.arange(epochs), given[:, None]], given, wrong


@pytest.mark.parametrize("labelled", [True, False])
def test_losses_of_a_slow_network_without_wrong_labels_are_called_clean(labelled):
    for seed in range(3):
        loss, given, _ = slow(seed)
        result = lossan.analyze(
            build_log(loss, **({"label": given} if labelled else {})), detector="auto"
        )
        assert not result.detection.flagged.any()
        assert any("without labels" in note for note in result.summary.notes) != labelled


@pytest.mark.parametrize("labelled", [True, False])
def test_losses_of_a_slow_network_show_wrong_labels(labelled):
    loss, given, wrong = slow(0, rate=0.15)
    result = lossan.analyze(
        build_log(loss, **({"label": given} if labelled else {})), detector="auto"
    )
    flagged = result.detection.flagged
    assert 2 * (flagged & wrong).sum() / (flagged.sum() + wrong.sum()) > 0.85


def test_named_classes_count_where_there_are_no_labels():
    loss = np.full((8, 3), 5.0)
    named = build_log(loss, metadata={"classes": ["a", "b", "c", "d", "e"]})
    assert_allclose(margins(named)[0].others, 4)
    assert n_classes(named) == 5
    assert n_classes(build_log(loss)) is None
