"""The rates of pairs of classes: planted ones, by hand, and what they must not depend on."""

import numpy as np
import pytest
from scipy.stats import binom

from lossan.detectors import _floors
from lossan.detectors._floors import fit_floors

N, K = 12_000, 4
RARE = np.zeros((K, K))
WEIGHTS = np.array([1.0, 2.0])
SHAPES = _floors._THIN + _floors._LATE


def planted(seed, rates, n=N, hard=0.2):
    """Return epochs in which samples of a class are given others at the rates (given, true).

    And in which a network takes so many samples for another class, unsurely.
    """
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, K, n)
    given = truth.copy()
    for true in range(K):
        own = np.flatnonzero(truth == true)
        chance = rates[:, true].copy()
        chance[true] = 1 - chance.sum()
        given[own] = rng.choice(K, len(own), p=chance)
    epochs = []
    for _ in WEIGHTS:
        mistaken = rng.random(n) < hard
        predicted = np.where(mistaken, (truth + rng.integers(1, K, n)) % K, truth)
        sure = np.where(mistaken, rng.beta(2, 3, n), rng.beta(6, 2, n))
        epochs.append((given.astype(np.int32), predicted.astype(np.int32), sure))
    return epochs, (given != truth).mean()


def known(floors):
    """Return the rates as a matrix (given, standing on)."""
    matrix = np.broadcast_to(floors.others, (K, K)).copy()
    matrix[floors.keys // K, floors.keys % K] = floors.rates
    np.fill_diagonal(matrix, 0)
    return matrix


def test_planted_rates_are_found():
    rates = RARE.copy()
    rates[1, 0], rates[0, 1], rates[3, 2] = 0.3, 0.2, 0.1
    for seed in range(3):
        epochs, wrong = planted(seed, rates)
        floors = fit_floors(epochs, WEIGHTS, K, N)
        assert floors.trust > 0.9
        assert floors.wrong == pytest.approx(wrong, rel=0.25)
        np.testing.assert_allclose(known(floors), rates, atol=0.05)


@pytest.mark.parametrize(("hard", "telling"), [(0.0, 1), (0.25, 0.5), (0.5, 0)])
def test_rates_tell_of_samples_as_far_as_they_explain_what_is_contradicted(hard, telling):
    rates = RARE.copy()
    rates[1, 0], rates[0, 1] = 0.3, 0.25  # both ways
    epochs, _ = planted(0, rates, hard=hard)
    floors = fit_floors(epochs, WEIGHTS, K, N)
    contradicted = np.average([(e[0] != e[1]).mean() for e in epochs], weights=WEIGHTS)
    share = np.clip((floors.wrong / contradicted - 0.3) / 0.15, 0, 1)
    np.testing.assert_allclose(floors.telling, share, rtol=1e-9)
    assert floors.telling == (telling if telling in (0, 1) else pytest.approx(telling, abs=0.4))


def test_rates_of_classes_mistaken_one_way_tell_of_samples_whatever_they_explain():
    rates = RARE.copy()
    rates[1, 0] = 0.3
    floors = fit_floors(planted(0, rates, hard=0.5)[0], WEIGHTS, K, N)
    assert floors.telling == 1


def test_labels_wrong_anywhere_have_one_rate():
    for seed in range(3):
        epochs, wrong = planted(seed, np.full((K, K), 0.04) * (1 - np.eye(K)))
        floors = fit_floors(epochs, WEIGHTS, K, N)
        assert floors.trust == 0
        assert floors.wrong == pytest.approx(wrong, rel=0.25)


@pytest.mark.parametrize("hard", [0.0, 0.2, 0.4])
def test_hard_labels_are_not_wrong_ones(hard):
    for seed in range(5):
        floors = fit_floors(planted(seed, RARE, hard=hard)[0], WEIGHTS, K, N)
        assert floors.trust == 0
        assert floors.wrong < 0.02


def test_a_few_ambiguous_labels_are_no_difference():
    """As any gold standard has among classes that look alike, however many samples there are."""
    rates = RARE.copy()
    rates[1, 0] = 0.02
    assert fit_floors(planted(0, rates, n=60_000)[0], WEIGHTS, K, 60_000).trust == 0
    rates[1, 0] = 0.08
    assert fit_floors(planted(0, rates, n=60_000)[0], WEIGHTS, K, 60_000).trust > 0.9


def test_of_a_class_of_which_the_network_is_never_sure_nothing_is_said():
    rates = RARE.copy()
    rates[1, 0], rates[3, 2] = 0.3, 0.3
    epochs, _ = planted(0, rates)
    unsure = [(given, taken, np.where(taken == 0, sure / 2, sure)) for given, taken, sure in epochs]
    floors = fit_floors(unsure, WEIGHTS, K, N)
    assert known(floors)[3, 2] > 0.2
    assert known(floors)[1, 0] == floors.usual


def test_the_order_of_samples_and_the_scale_of_sureness_do_not_count():
    rates = RARE.copy()
    rates[1, 0] = 0.2
    epochs, _ = planted(0, rates)
    order = np.random.default_rng(1).permutation(N)
    # equals share a bin: else the order would say which is surer
    epochs = [(given, taken, np.minimum(sure, 0.8)) for given, taken, sure in epochs]
    other = [(given[order], taken[order], sure[order] ** 2) for given, taken, sure in epochs]
    ours, theirs = (fit_floors(of, WEIGHTS, K, N) for of in (epochs, other))
    np.testing.assert_allclose(known(ours), known(theirs), rtol=1e-9)


def test_unknown_classes_and_epochs_without_weight_are_left_out():
    rates = RARE.copy()
    rates[1, 0] = 0.2
    epochs, _ = planted(0, rates)
    nothing = np.full(N, -1, np.int32)
    more = [(given, nothing, sure) for given, _, sure in epochs[:1]]
    more += [(taken, given, sure) for given, taken, sure in epochs[:1]]
    ours = fit_floors(epochs[:1], np.ones(1), K, N)
    theirs = fit_floors(epochs[:1] + more[1:], np.array([1.0, 0.0]), K, N)
    np.testing.assert_array_equal(known(ours), known(theirs))
    assert fit_floors(more[:1], np.ones(1), K, N) is None


def test_too_few_samples_say_nothing():
    epochs, _ = planted(0, RARE, n=50)
    assert fit_floors(epochs, WEIGHTS, K, 50) is None


def test_one_class_has_no_pairs():
    one = np.zeros(N, np.int32)
    epochs = [(one, one, sure) for *_, sure in planted(0, RARE)[0]]
    assert fit_floors(epochs, WEIGHTS, 1, N) is None


@pytest.mark.parametrize("rate", [0.0, 0.05])
def test_small_classes_are_taken_together(rate):
    for seed in range(3):
        epochs, wrong = planted(seed, np.full((K, K), rate) * (1 - np.eye(K)))
        floors = fit_floors(epochs, WEIGHTS, 1000, N)
        assert floors.trust == 0
        assert (floors.others == floors.usual).all()
        assert floors.wrong == pytest.approx(wrong, rel=0.25, abs=0.02)


def test_a_flat_share_is_the_floor():
    """By hand: 3 of 10 in each bin, which hard labels that thin out cannot explain."""
    totals = np.full((1, 24), 10.0)
    fits = _floors._profiles(0.3 * totals, totals, SHAPES)[0]
    assert _floors._FLOORS[fits.argmax()] == pytest.approx(0.3, rel=0.23)  # the grid's step
    far = binom.logpmf(72, 240, 0.05) - binom.logpmf(72, 240, 0.3)
    assert far < fits[np.abs(_floors._FLOORS - 0.05).argmin()] < -3  # hard labels explain some


def test_a_rate_is_no_lower_than_what_stands_one_way():
    totals = np.full((2, 24), 200.0)
    found = _floors._read(0.2 * totals, totals, np.ones(2), np.array([0.0, 0.4]), 2 * 24 * 200.0)
    np.testing.assert_allclose(found.rates, [0.2, 0.4], rtol=0.12)  # the grid's step
    assert found.seen
    assert found.gain == 0  # one floor explains both


def test_where_some_are_mistaken_one_way_no_hard_label_stays_until_the_surest():
    """What thins out at the end only is hard, unless wrong labels are known to be there."""
    totals = np.full((1, 24), 200.0)
    counts = 0.2 * totals * (1 - (np.arange(24) / 24) ** 4)
    alone, known = (
        _floors._read(counts, totals, np.ones(1), one_way, 24 * 200.0)
        for one_way in (np.zeros(1), np.full(1, 1e-9))
    )
    assert alone.rates[0] < 0.02
    assert known.rates[0] > 0.05


def test_the_distribution_of_floors_is_the_likeliest():
    """Lindsay 1983: it is where no other floor would gain, and so it is found by any way."""
    rng = np.random.default_rng(0)
    counts = rng.binomial(50, np.repeat([0.02, 0.3], 20)[:, None], (40, 24)).astype(float)
    many = rng.integers(1, 4, 40).astype(float)
    fits = _floors._profiles(counts, np.full((40, 24), 50.0), SHAPES)
    known, gain = _floors._shrunk(fits, many)
    likely, share = np.exp(fits), np.zeros(fits.shape[1])
    share[10] = 1.0
    for step in range(2000):  # Wu 1978: towards the floor that would gain most
        slope = many @ (likely / (likely @ share)[:, None]) / many.sum()
        best = int(slope.argmax())
        share *= 1 - 1 / (step + 2)
        share[best] += 1 / (step + 2)
    other = many @ np.log(likely @ share) - (many @ fits).max()
    assert gain == pytest.approx(other, abs=0.3)
    assert gain > 100
    assert many @ known / many.sum() == pytest.approx(share @ _floors._FLOORS, rel=0.02)
    np.testing.assert_allclose(known, np.repeat([0.02, 0.3], 20), rtol=0.25)
