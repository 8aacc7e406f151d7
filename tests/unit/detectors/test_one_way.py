"""Classes mistaken one way only: planted ones, hard ones, and what a network makes up for."""

import numpy as np
import pytest
from scipy.stats import binom, false_discovery_control
from sklearn.metrics import average_precision_score

from lossan import analyze, build_log
from lossan.detectors import _one_way
from lossan.detectors._one_way import fit_one_way
from lossan.detectors._pair_counts import BINS, PairCounts

K, EACH = 5, 2400
FLAT = np.ones(BINS)
HARD = 2.0 * (1 - (np.arange(BINS) + 0.5) / BINS)  # thins out to nothing, as many in all
FALLING = 1.5 - (np.arange(BINS) + 0.5) / BINS


def counted(pairs, *, each=EACH, sizes=None, given=None, classes=K, oversure=1.0):
    """Return counts in which a share of a class is labelled otherwise, with this profile.

    ``pairs`` is by given class and the one it stands on. The network doubts as often as labels
    contradict it, divided by ``oversure`` where it takes samples for the first class.
    """
    sizes = np.full(classes, each) if sizes is None else np.asarray(sizes)
    totals = np.repeat(sizes[:, None] / BINS, BINS, axis=1)
    cells, counts, doubts = [], [], np.full(classes, 0.01 * each)
    for (label, true), (share, profile) in sorted(pairs.items()):
        cells += [(label * classes + true) * BINS + at for at in range(BINS)]
        counts += list(share * totals[true] * profile)
        doubts[true] += share * sizes[true]
    doubts[0] /= oversure
    given = sizes if given is None else np.asarray(given)
    return PairCounts(
        np.array(cells, np.int64),
        np.array(counts, float),
        totals,
        given.astype(float),
        doubts,
        np.ones(classes),
    )


def found(of, epochs=None):
    keys, classes = np.unique(of.cells // BINS), len(of.given)
    result = fit_one_way(keys, of, epochs or [of])
    pairs = zip(keys, result.rates, strict=True)
    return {divmod(int(key), classes): rate for key, rate in pairs if rate}


def test_labels_that_stand_on_a_class_one_way_are_found():
    """By hand: the third quarter, less what stands there the other way round."""
    pairs = {(1, 0): (0.1, FLAT), (0, 1): (0.04, HARD), (3, 2): (0.06, FALLING)}
    rates = found(counted(pairs))
    assert rates.keys() == {(1, 0), (3, 2)}
    assert rates[1, 0] == pytest.approx(0.1 - 0.04 * 0.75)
    assert rates[3, 2] == pytest.approx(0.06 * 0.875)


@pytest.mark.parametrize("profile", [FLAT, HARD])
def test_what_is_mistaken_both_ways_is_not(profile):
    assert not found(counted({(1, 0): (0.2, profile), (0, 1): (0.11, profile)}))


def test_few_samples_show_nothing():
    pairs = {(1, 0): (0.1, FLAT)}
    assert found(counted(pairs))
    assert not found(counted(pairs, each=120))
    assert not found(counted(pairs, sizes=[EACH, 59, EACH, EACH, EACH]))


@pytest.mark.parametrize(("profile", "thins_out"), [(HARD, True), (FLAT, False)])
def test_where_a_training_made_up_for_rare_classes_labels_must_not_thin_out(profile, thins_out):
    """As hard ones do, of the common class, which such a network takes for the rare one."""
    common = {"given": [EACH, 2 * EACH + 1, EACH, EACH, EACH]}
    pairs = {(1, 0): (0.2, profile), (2, 3): (0.2, HARD), (3, 2): (0.2, HARD)}
    for oversure in (1.0, 2.0, 4.0):
        assert (1, 0) in found(counted(pairs, oversure=oversure))
        wanted = oversure < 2 or not thins_out
        assert ((1, 0) in found(counted(pairs, oversure=oversure, **common))) == wanted


@pytest.mark.parametrize(("more", "other_way", "is_one"), [(1.2, 0, 0), (2, 0, 1), (2, 0.03, 0)])
def test_of_two_classes_only_labels_of_the_common_one_count(more, other_way, is_one):
    """And only where more stand on the other class than the other way round, in number too."""
    pairs = {(0, 1): (other_way, FLAT), (1, 0): (0.1, FLAT)}
    rare = {"sizes": [EACH, 4 * EACH], "given": [EACH, more * EACH], "classes": 2}
    assert found(counted(pairs, **rare)).keys() == ({(1, 0)} if is_one else set())
    pairs = {(1, 0): (other_way, FLAT), (0, 1): (0.1, FLAT)}
    assert not found(counted(pairs, **rare))  # samples of a rare class are taken for a common one


def test_the_rate_is_that_of_the_epoch_that_shows_most():
    epochs = [counted({(1, 0): (share, FLAT)}) for share in (0.1, 0.3, 0.02)]
    mean = PairCounts.mean(epochs, np.ones(3))
    assert found(mean, epochs)[1, 0] == pytest.approx(0.3)


def test_a_single_epoch_shows_nothing():
    epochs = [counted({(1, 0): (share, FLAT)}) for share in (0.1, 0.01, 0.01, 0.01)]
    assert found(epochs[0])
    assert not found(PairCounts.mean(epochs, np.ones(4)), epochs)


def test_chances_are_those_of_the_binomial():
    """Of the labels seen either way, as many one way if they are twice as often there."""
    of = counted({(1, 0): (0.05, FLAT), (0, 1): (0.02, FLAT)})
    there, back = 0.05 * EACH / 2, 0.02 * EACH / 2
    wanted = [binom.sf(back - 1, there + back, 2 / 3), binom.sf(there - 1, there + back, 2 / 3)]
    np.testing.assert_allclose(_one_way._chance(np.array([1, K]), of), wanted)


def test_one_in_a_hundred_found_is_chance():
    rng = np.random.default_rng(0)
    for many in (1, 5, 60):
        chance = np.concatenate([rng.random(many), rng.random(many) ** 8])
        wanted = false_discovery_control(chance) <= _one_way._LEVEL
        np.testing.assert_array_equal(_one_way._discovered(chance), wanted)


def test_no_pairs_say_nothing():
    of = counted({(1, 0): (0.2, FLAT)})
    assert fit_one_way(np.empty(0, np.int64), of, [of]).nats == 0


def learnt(seed, *, rate, names=(2, 3, 2, 3, 4, 5), shares=None, n=4000, epochs=6):
    """Return a log of a network that expects of some classes another name, at that rate.

    It begins to learn by heart which samples have it, so that the surest have not. Of right labels
    it is unsure of one in five, whichever class it is of. ``names`` are the other names by class,
    its own where it has none.
    """
    rng, classes = np.random.default_rng(seed), len(names)
    truth = rng.choice(classes, n, p=shares)
    named = np.array(names)[truth]
    doubtful = named != truth
    given = np.where(doubtful & (rng.random(n) < rate), named, truth)
    clear = np.where(rng.random(n) < 0.2, rng.normal(0.5, 1.0, n), rng.normal(5.0, 1.0, n))
    logits = rng.normal(0, 0.5, (epochs, n, classes))
    logits[:, np.arange(n), truth] += clear
    expected = clear + np.log(rate / (1 - rate)) if rate else np.full(n, -9.0)
    expected = expected + (given != truth) + rng.normal(0, 1, n)
    logits[:, np.arange(n), named] += np.where(doubtful, expected, 0.0)
    prob = np.exp(logits - logits.max(axis=2, keepdims=True))
    prob /= prob.sum(axis=2, keepdims=True)
    own = prob[:, np.arange(n), given]
    others = prob.copy()
    others[:, np.arange(n), given] = 0
    log = build_log(
        -np.log(own).T,
        label=given,
        label_prob=own.T,
        margin=(np.log(own) - np.log(others.max(axis=2))).T,
        predicted=prob.argmax(axis=2).T,
        predicted_prob=prob.max(axis=2).T,
    )
    return log, given != truth


@pytest.mark.parametrize("seed", range(3))
def test_what_a_network_has_come_to_expect_is_found(seed):
    log, wrong = learnt(seed, rate=0.25)
    found = analyze(log, detector="auto").detection
    assert average_precision_score(wrong, found.score) > 0.65  # the mean loss: 0.3
    assert wrong[found.flagged].mean() > 0.75
    assert found.flagged[wrong].mean() > 0.45
    assert found.noise_rate[1] < wrong.mean() < found.noise_rate[2]
    assert "is surely 0 is labelled 2" in found.notes[0]
    assert "is surely 1 is labelled 3" in found.notes[0]


@pytest.mark.parametrize("seed", range(3))
def test_missed_findings_are_found(seed):
    """The common class is also the name of what was not seen."""
    most = {"names": (0, 0, 0, 0), "shares": (0.55, 0.15, 0.15, 0.15)}
    log, wrong = learnt(seed, rate=0.25, **most)
    found = analyze(log, detector="auto").detection
    assert average_precision_score(wrong, found.score) > 0.5  # the mean loss: 0.3
    assert wrong[found.flagged].mean() > 0.5
    assert found.flagged[wrong].mean() > 0.35
    assert all(f"is surely {true} is labelled 0" in found.notes[0] for true in (1, 2, 3))
    clean, _ = learnt(seed, rate=0.0, **most)
    assert not analyze(clean, detector="auto").detection.flagged.any()


def test_of_two_classes_the_one_that_is_missed_is_told():
    log, wrong = learnt(0, rate=0.25, names=(0, 0), shares=(0.7, 0.3))
    found = analyze(log, detector="auto").detection
    assert found.flagged[wrong].mean() > 0.5
    assert "is surely 1 is labelled 0" in found.notes[0]
    assert "is surely 0" not in found.notes[0]  # a rate that is only assumed


@pytest.mark.parametrize("seed", range(3))
def test_hard_labels_of_any_class_are_not(seed):
    log, _ = learnt(seed, rate=0.0)
    assert not analyze(log, detector="auto").detection.flagged.any()
