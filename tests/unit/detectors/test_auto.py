"""The automatic detector on logs of known truth: clean, few, many, binary, overfitted."""

import numpy as np
import pytest

import lossan
from lossan.build import build_log
from lossan.detectors import BUILT_IN
from lossan.detectors._contradiction import Margins
from lossan.detectors._epochs import weigh_epochs


def trained(n, classes, rate, seed, *, epochs=8, memorise=0.0, channels=True):
    """Return a log of an idealised training: margins grow, wrong labels' turned, some memorised.

    What learns wrong labels by heart learns hard right ones as well.
    """
    rng = np.random.default_rng(seed)
    wrong = rng.random(n) < rate
    strength = rng.normal(2.0, 1.2, n)  # one in twenty is so hard that it is contradicted
    growth = np.linspace(0.3, 1.0, epochs)
    contradicted = wrong ^ (strength < 0)
    learned = np.where(contradicted[:, None], -1 + 2 * memorise * np.linspace(0, 1, epochs), 1)
    margin = learned * np.abs(strength[:, None]) * growth
    margin = margin + rng.normal(0, 0.4, margin.shape)
    loss = np.log1p((classes - 1) ** 0.3 * np.exp(-margin))
    fields = {"label": rng.integers(0, classes, n), "margin": margin if channels else None}
    return build_log(loss, **{k: v for k, v in fields.items() if v is not None}), wrong


def outcome(log, **options):
    result = lossan.analyze(log, detector="auto", **options)
    n = log.n_samples
    flagged, probability = np.empty(n, bool), np.empty(n)
    flagged[result.rows] = result.table["flagged"].to_numpy()
    probability[result.rows] = result.table["probability"].to_numpy()
    return flagged, probability, result.summary.noise_rate


@pytest.mark.parametrize("n", [400, 2000, 20000])
@pytest.mark.parametrize("channels", [True, False])
def test_a_clean_log_is_called_clean(n, channels):
    shares = []
    for seed in range(8 if n < 20000 else 2):
        log, _ = trained(n, 5, 0.0, seed, channels=channels)
        flagged, _, rate = outcome(log)
        assert rate.low == 0 or flagged.any()
        shares.append(flagged.mean())
    assert np.mean(shares) <= 0.005


@pytest.mark.parametrize(("n", "epochs"), [(1200, 24), (1900, 8)])
def test_many_samples_of_two_classes_are_no_reason_to_flag(n, epochs):
    """A null that is only nearly right gains the more, the more samples there are."""
    for seed in range(5, 8):
        log, _ = trained(n, 2, 0.0, seed, epochs=epochs, memorise=1.0)
        assert not outcome(log)[0].any()


@pytest.mark.parametrize("rate", [0.06, 0.2, 0.4])
@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("channels", [True, False])
def test_wrong_labels_are_flagged_near_the_best_cut(rate, classes, channels):
    log, wrong = trained(6000, classes, rate, 1, channels=channels)
    flagged, probability, found = outcome(log)
    order = np.argsort(-probability, kind="stable")
    hits = np.cumsum(wrong[order])
    best = (2 * hits / (np.arange(1, len(wrong) + 1) + wrong.sum())).max()
    f1 = 2 * (flagged & wrong).sum() / (flagged.sum() + wrong.sum())
    assert f1 > 0.9 * best
    assert found.low <= wrong.mean() <= found.high


def test_thousands_of_classes_change_nothing():
    few, _ = trained(6000, 10, 0.1, 3)
    many = build_log(
        np.asarray(few.loss), label=np.arange(6000) % 3000, margin=np.asarray(few.margin)
    )
    assert (outcome(few)[0] == outcome(many)[0]).all()


def test_memorised_epochs_count_little():
    """Wrong labels are learnt by the end: the mean over all epochs of the margin says less."""
    log, wrong = trained(6000, 10, 0.1, 4, epochs=30, memorise=1.0)
    score = np.empty(log.n_samples)
    areas = {}
    for name in ("auto", "aum", "last_loss"):
        result = lossan.analyze(log, detector=name)
        score[result.rows] = result.table["score"].to_numpy()
        ranks = score.argsort().argsort()
        areas[name] = (ranks[wrong].mean() - (wrong.sum() - 1) / 2) / (~wrong).sum()
    assert areas["auto"] > areas["aum"] > areas["last_loss"]


def test_it_is_listed_first_with_what_it_is():
    assert next(iter(BUILT_IN)) == "auto"
    assert not BUILT_IN["auto"].needs


@pytest.mark.parametrize(("memorise", "later"), [(0.0, True), (1.0, False)])
def test_later_epochs_weigh_more_unless_wrong_labels_are_learnt(memorise, later):
    log, _ = trained(3000, 10, 0.1, 5, epochs=12, memorise=memorise)
    rows = np.arange(log.n_samples)
    scale = Margins.of(log, rows)
    epochs = weigh_epochs("auto", scale.against(log, rows), scale, log.loss)
    more = epochs.weights / epochs.unpicked
    # of 12 epochs the square is 144
    assert more[-1] / more[0] > 100 if later else more[-1] / more[0] < 2
    assert epochs.kept > 0.8 if later else epochs.kept < 0.2


@pytest.mark.parametrize("channels", [True, False])
def test_what_is_learnt_by_heart_is_found_in_the_first_epochs(channels):
    """In the end no wrong label is contradicted, and over all 40 epochs few are."""
    for seed in range(3):
        log, wrong = trained(900, 2, 0.15, seed, epochs=40, memorise=2.0, channels=channels)
        flagged, _, found = outcome(log)
        assert 2 * (flagged & wrong).sum() / (flagged.sum() + wrong.sum()) > 0.6
        assert found.low <= wrong.mean() <= found.high
        log, _ = trained(900, 2, 0.0, seed, epochs=40, memorise=2.0, channels=channels)
        assert not outcome(log)[0].any()


def test_only_the_first_epochs_weigh_where_most_is_learnt_by_heart():
    log, _ = trained(900, 2, 0.15, 1, epochs=40, memorise=2.0)
    rows = np.arange(log.n_samples)
    scale = Margins.of(log, rows)
    epochs = weigh_epochs("auto", scale.against(log, rows), scale, log.loss)
    assert (epochs.weights[:8] > 0).all()
    assert not epochs.weights[8:].any()
    assert (epochs.unpicked > 0).all()
    assert epochs.kept < 0.01


def test_first_epochs_that_say_nothing_hide_nothing():
    """Equal losses in the first eight epochs: no weight to give, and no division by it."""
    log, wrong = trained(900, 2, 0.15, 1, epochs=10)
    loss = np.asarray(log.loss).copy()
    loss[:, :8] = 0.5
    _, probability, found = outcome(build_log(loss, label=log.label))
    assert np.isfinite(probability).all()
    assert probability[wrong].mean() > 3 * probability[~wrong].mean()
    assert found.high >= wrong.mean()


@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_what_is_learnt_by_heart_within_two_epochs_is_found_after_the_first(rate):
    """A head on a frozen network: only a pass after the first epoch knows, and has not learnt."""
    rng = np.random.default_rng(4)
    wrong = rng.random(3000) < rate
    strength = rng.normal(2.0, 1.2, 3000)
    after = np.where(wrong, -strength, strength)
    margin = np.stack([after, *(np.abs(strength) * k for k in (1, 2, 3, 4))], axis=1)
    label = rng.integers(0, 2, 3000)
    for recorded, seen in (("eval", rate > 0), ("train", False)):
        metadata = {"recorded": recorded}
        log = build_log(np.logaddexp(0, -margin), label=label, margin=margin, metadata=metadata)
        flagged, _, _ = outcome(log)
        assert flagged.any() == seen
        if seen:
            assert 2 * (flagged & wrong).sum() / (flagged.sum() + wrong.sum()) > 0.7
