"""What says that labels are wrong, and how many: hand-worked readings, and whole logs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import lossan
from lossan import build_log
from lossan.detectors._contradiction import Margins
from lossan.detectors._evidence import Seen, _gain_in_one, _gain_of_mean, lacking
from lossan.detectors._floors import Floors
from lossan.excess import fit_excess
from lossan.lapse import Lapse, fit_lapse

# twenty labels confirmed, and contradicted by .2, .3, .6, .9, 1.1 and 1.4 typical margins
PLAIN = np.array([-1.0] * 20 + [0.2, 0.3, 0.6, 0.9, 1.1, 1.4])


def seen(**known):
    nothing = {"lapse": None, "wrong": 0.0, "differ": False, "denied": False, "against": 0.3}
    firmly = {"half": 0.1, "whole": 0.05}
    known = {"known": True, "many": True, "settled": True, "growth": 1.0, **known}
    return Seen(**{**nothing, **firmly, **known})


def level(epochs, *, end=1.0, others=1.0):
    """Return typical margins, of each epoch the same but of those after the middle."""
    typical = np.where(np.arange(epochs) > (epochs - 1) // 2, end, 1.0)
    return Margins("margin" if others == 1 else "loss", others, 1.0, typical)


def test_how_firmly_labels_are_contradicted():
    found = Seen.of(PLAIN, 10, level(8), None)
    assert_allclose([found.against, found.half, found.whole], [6 / 26, 4 / 26, 2 / 26])
    assert_allclose(found.firm, 2 / 6)


@pytest.mark.parametrize(
    ("classes", "epochs", "enough"), [(10, 8, True), (10, 5, True), (10, 4, False), (2, 8, False)]
)
def test_firm_contradictions_of_many_classes_and_enough_epochs_show_it(classes, epochs, enough):
    assert Seen.of(PLAIN, classes, level(epochs), None).enough == enough
    assert not Seen.of(np.minimum(PLAIN, 0.9), classes, level(epochs), None).enough


@pytest.mark.parametrize(("end", "enough"), [(0.5, True), (1.5, True), (1.7, False)])
def test_firm_contradictions_of_a_network_that_grows_surer_say_nothing(end, enough):
    assert Seen.of(PLAIN, 10, level(8, end=end), None).enough == enough


@pytest.mark.parametrize(("whole", "enough"), [(0.12, False), (0.16, True)])
def test_firm_contradictions_that_rates_of_pairs_deny_are_half_of_all(whole, enough):
    assert seen(whole=whole).enough
    assert seen(whole=whole, denied=True).enough == enough


@pytest.mark.parametrize(
    ("rate", "others", "there"), [(0.012, 1, True), (0.025, 2, False), (0.04, 2, True)]
)
def test_a_lapse_rate_of_margins_made_of_probabilities_must_be_larger(rate, others, there):
    rng = np.random.default_rng(0)
    lapsing = np.where(rng.permutation(40_000) < rate * 40_000, -1, 1) * rng.uniform(0.5, 2, 40_000)
    assert (Seen.of(-lapsing, 10, level(8, others=others), None).lapse is not None) == there


@pytest.mark.parametrize(
    ("known", "enough"),
    [
        ({}, True),
        ({"wrong": 0.03}, False),
        ({"whole": 0.1}, False),  # of a network that dropout or augmentation keep unsure
        ({"settled": False}, False),
        ({"many": False}, False),
    ],
)
def test_rates_that_do_not_differ_show_it_where_contradictions_are_firm(known, enough):
    found = seen(**{"wrong": 0.04, "whole": 0.12, "growth": 2.0, **known})
    assert found.enough == enough
    assert found.rates == ([] if enough else [0.0]) + [found.wrong]


@pytest.mark.parametrize("split", [0.0, 0.2])
def test_where_rates_do_not_differ_the_split_says_how_many(split):
    assert seen(half=0.0, whole=0.0).wanted(split, 0.0) == (split, split)


@pytest.mark.parametrize(
    ("firmly", "wrong", "wanted"),
    [
        (0.3, 0.0, 0.2),
        (0.1, 0.0, 0.1),  # of two classes no more than are firmly contradicted
        (0.1, 0.05, 0.1),
        (0.1, 0.15, 0.18),  # nor fewer than the rates of pairs say, which are a sixth too low
        (0.1, 0.18, 0.2),
    ],
)
def test_of_two_classes_the_split_counts_for_what_is_firmly_contradicted(firmly, wrong, wanted):
    assert_allclose(seen(many=False, wrong=wrong).wanted(0.2, firmly), [wanted] * 2)
    assert seen(wrong=wrong).wanted(0.2, firmly) == (0.2, 0.2)


@pytest.mark.parametrize(
    ("end", "firmness"), [(0.5, 0.5), (1.2, 0.5), (1.3, 0.375), (1.4, 0.25), (1.6, 0.0), (3.0, 0.0)]
)
def test_the_surer_a_network_grows_the_less_firmly_it_contradicts_wrong_labels(end, firmness):
    assert_allclose(Seen.of(PLAIN, 2, level(8, end=end), None).firmness, firmness, atol=1e-12)


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        ({"half": 0.05}, 0.12),  # a fifth more than the rates say
        ({"half": 0.2, "whole": 0.09}, 0.18),  # more are firmly contradicted
        ({"half": 0.2, "whole": 0.15}, 0.2),  # twice as many as whole, but no more than half
        ({"half": 0.05, "lapse": Lapse(0.02, 9.0)}, 0.12),  # few of those learnt by heart lapse
    ],
)
def test_where_rates_differ_the_split_does_not_count(known, wanted):
    found = seen(wrong=0.1, differ=True, **known)
    assert_allclose([found.wanted(0.9, 0.0), found.wanted(0.01, 0.5)], [(0.1, wanted)] * 2)


def by_people(seed, *, share, learnt=0.6):
    """Return a log whose labels are the likelier wrong the less clear a sample is.

    Half of it is learnt by heart, and of the right labels one in twenty is contradicted too.
    """
    rng = np.random.default_rng(seed)
    n, epochs, classes = 6000, 8, 10
    clear = rng.normal(2.0, 1.2, n)
    lure = np.exp(-np.abs(clear) / 2)
    wrong = rng.random(n) < share * lure / lure.mean()
    truth = rng.integers(0, classes, n)
    given = np.where(wrong, (truth + rng.integers(1, classes, n)) % classes, truth)
    against = (wrong ^ (clear < 0))[:, None]
    pull = np.where(against, -1 + learnt * np.linspace(0, 1, epochs), 1)
    margin = pull * np.abs(clear)[:, None] + rng.normal(0, 0.4, (n, epochs))
    predicted = np.where(margin > 0, given[:, None], truth[:, None])
    sure = 1 / (1 + np.exp(-np.abs(margin)))
    loss = np.log1p(np.exp(-margin))
    fields = {"margin": margin, "predicted": predicted, "predicted_prob": sure}
    return build_log(loss, label=given, true_label=truth, **fields), wrong


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_mistakes_on_unclear_samples_are_flagged_near_the_best_cut(share):
    for seed in range(2):
        log, wrong = by_people(seed, share=share)
        found = lossan.analyze(log, detector="auto", settings={"some_wrong": True}).detection
        hits = np.cumsum(wrong[np.argsort(-found.score)])
        best = (2 * hits / (np.arange(1, len(wrong) + 1) + wrong.sum())).max()
        f1 = 2 * (found.flagged & wrong).sum() / (found.flagged.sum() + wrong.sum())
        assert f1 > 0.85 * best


def grown(epochs, seed=0):
    """Return a log of ten classes, 10% wrong, of a network that knows nothing at first."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(6000) < 0.1
    known = np.where(wrong, -1, 1) * np.abs(rng.normal(2, 1.2, 6000))
    margin = known[:, None] * np.minimum(1, np.arange(epochs) / 3)
    margin = margin + rng.normal(0, 0.4, margin.shape)
    fields = {"label": rng.integers(0, 10, 6000), "margin": margin}
    return build_log(np.log1p(np.exp(-margin)), **fields), wrong


@pytest.mark.parametrize(("epochs", "counts"), [(4, False), (5, True)])
def test_mild_contradictions_of_a_young_network_say_nothing(epochs, counts):
    log, _ = grown(epochs)
    rows = np.arange(log.n_samples)
    scale = Margins.of(log, rows)
    against, weights = scale.against(log, rows), np.ones(epochs)
    settled = Seen.of(-np.ones(10), 10, level(epochs), None).settled
    mild = seen(lapse=Lapse(0.1, 50.0), whole=0.17 * 0.3, settled=settled)
    firm = seen(lapse=Lapse(0.1, 50.0), whole=0.19 * 0.3, settled=settled)
    differ = seen(wrong=0.05, differ=True, whole=0.0, settled=settled)
    of_all = (mild, firm, differ)
    lack = [lacking(of, np.ones(6000), against, weights, scale) == 0 for of in of_all]
    assert lack == [counts, True, True]


def test_a_young_network_may_still_know():
    log, wrong = grown(4)
    flagged = lossan.analyze(log, detector="auto").detection.flagged
    assert 2 * (flagged & wrong).sum() / (flagged.sum() + wrong.sum()) > 0.7


def hard(seed):
    """Return a log of 600 samples of two classes, 12% wrong, all learnt by heart at once."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(600) < 0.12
    clear = rng.normal(1.2, 1.0, 600)
    margin = np.where(wrong, -clear, clear)[:, None] + np.linspace(0.5, 3, 8)
    margin = margin + rng.normal(0, 0.3, margin.shape)
    return build_log(np.log1p(np.exp(-margin)), label=rng.integers(0, 2, 600)), wrong


def test_who_knows_that_some_are_wrong_is_told_which():
    log, wrong = hard(0)
    asked = lossan.analyze(log, detector="auto")
    told = lossan.analyze(log, detector="auto", settings={"some_wrong": "true"})
    assert not asked.detection.flagged.any()
    assert any("some_wrong=true" in note for note in asked.detection.notes)
    flagged = told.detection.flagged
    assert 2 * (flagged & wrong).sum() / (flagged.sum() + wrong.sum()) > 0.4
    assert (np.argsort(-told.detection.score) == np.argsort(-asked.detection.score)).all()
    low, high = asked.detection.noise_rate[1:]
    assert low == 0
    assert high >= flagged.mean()  # though none is seen


def test_losses_that_do_not_part_in_two_are_judged_without_a_warning():
    """Only the margins differ."""
    loss, margin = np.full((40, 7), 1e-9), np.random.default_rng(0).normal(3, 2, (40, 7))
    log = build_log(loss, label=np.arange(40) % 2, margin=margin)
    found = lossan.analyze(log, detector="auto", settings={"some_wrong": True}).detection
    assert not found.flagged.any()
    assert found.noise_rate[0] == 0


@pytest.mark.parametrize(("wrong", "there"), [(0.0, False), (0.02, True)])
def test_rates_of_pairs_that_show_none_deny_a_lapse_rate(wrong, there):
    """A network of many classes lapses: it contradicts some right labels however sure it is."""
    rng = np.random.default_rng(0)
    lapsing = np.where(rng.random(4000) < 0.05, -1, 1) * np.abs(rng.normal(1, 0.6, 4000))
    none = np.empty(0)
    floors = Floors(none.astype(np.int64), none, none, np.zeros(10), 0.0, 0.0, wrong)
    assert (Seen.of(-lapsing, 10, level(8), floors).lapse is not None) == there
    assert Seen.of(-lapsing, 10, level(8), None).lapse is not None
    assert Seen.of(-lapsing, 2, level(8), floors).lapse is not None  # of two classes they are few


@pytest.mark.parametrize(
    ("n", "classes", "there"), [(1000, 2, True), (999, 2, False), (999, 3, True)]
)
def test_few_samples_of_two_classes_lapse_whatever_their_labels(n, classes, there):
    rng = np.random.default_rng(0)
    lapsing = np.where(rng.random(n) < 0.1, -1, 1) * np.abs(rng.normal(1, 0.6, n))
    assert (Seen.of(-lapsing, classes, level(8), None).lapse is not None) == there


def regression(rate, seed, *, n=3000, width=400):
    """Return a log of a logistic regression of two classes that overlap a little."""
    rng = np.random.default_rng(seed)
    truth, wrong = rng.integers(0, 2, n), rng.random(n) < rate
    sign = np.where(wrong, 1 - 2 * truth, 2 * truth - 1)
    x = rng.normal(size=(n, width)) / np.sqrt(width)
    x[:, 0] += 3 * (truth - 0.5) / np.sqrt(width)
    weights, margins = np.zeros(width), []
    for _ in range(8):
        for rows in np.array_split(rng.permutation(n), n // 32):
            pull = sign[rows] / (1 + np.exp(sign[rows] * (x[rows] @ weights)))
            weights += 10 * pull @ x[rows]
        margins.append(sign * (x @ weights))
    return build_log(np.log1p(np.exp(-np.array(margins).T)), label=sign), wrong


@pytest.mark.parametrize("seed", range(3))
def test_many_wrong_labels_of_two_classes_are_seen(seed):
    log, wrong = regression(0.4, seed)
    found = lossan.analyze(log, detector="auto").detection
    assert wrong[found.flagged].mean() > 0.5
    assert abs(found.flagged.mean() - 0.4) < 0.2
    assert found.noise_rate[0] == found.flagged.mean()


@pytest.mark.parametrize("seed", range(3))
def test_hard_samples_of_two_classes_pile_up_in_single_epochs_too(seed):
    log, _ = regression(0.0, seed)
    assert not lossan.analyze(log, detector="auto").detection.flagged.any()


def test_a_single_epoch_shows_what_the_mean_does_not():
    log, _ = regression(0.4, 1)
    rows, epochs = np.arange(log.n_samples), np.arange(1, 9)
    scale = Margins.of(log, rows)
    against = scale.against(log, rows)
    shown = [
        fit_excess(np.tanh(values.astype(float) / unit), least=0.2).gain
        for values, unit in zip(against.T, scale.typical, strict=True)
    ]
    assert _gain_in_one(against, scale) == max(shown[1:])
    assert _gain_of_mean(against, epochs**1.5, scale) < 0.0065 * len(rows)
    for growth, asked in ((1.3, 0.03), (1.2, 0.05)):  # learnt by heart or not
        some = seen(against=0.4, many=False, growth=growth)
        lacks = lacking(some, np.ones(len(rows)), against, np.ones(8), scale)
        assert lacks == max(asked * len(rows) - max(shown[1:]), 0)
    gaps = against.copy()
    gaps[:, 1 + int(np.argmax(shown[1:]))] = np.nan  # observed of no sample
    assert _gain_in_one(gaps, scale) == sorted(shown[1:])[-2]


@pytest.mark.parametrize(
    ("classes", "epochs", "scale", "slope", "there"),
    [
        (10, 8, 1.0, 2, True),
        (10, 8, 0.3, 2, False),  # no label is contradicted firmly
        (10, 8, 0.3, 4, True),  # so clearly that hard samples cannot be all
        (10, 4, 1.0, 2, False),  # a network that is still learning
        (10, 4, 1.0, 4, True),
        (2, 4, 1.0, 2, True),
        (2, 8, 0.3, 2, False),
    ],
)
def test_a_lapse_rate_of_an_unsure_network_must_gain_more(classes, epochs, scale, slope, there):
    rng = np.random.default_rng(3)
    sure = np.abs(rng.normal(1, 0.6, 6000))
    erring = rng.random(6000) < 1 / (1 + np.exp(slope * sure))
    margin = np.where(erring ^ (rng.random(6000) < 0.1), -1, 1) * sure
    assert (fit_lapse(margin, classes).gain > 0.005 * 6000) == (slope == 4)
    found = Seen.of(-scale * margin, classes, level(epochs), None)
    assert (found.lapse is not None) == there


def test_a_network_that_contradicts_nearly_all_labels_says_nothing():
    log, _ = grown(8)
    rows = np.arange(log.n_samples)
    scale = Margins.of(log, rows)
    against, weights = scale.against(log, rows), np.ones(8)
    lapse = Lapse(0.9, 5000.0)
    for share, says in ((0.7, True), (0.8, False)):
        some = seen(against=share, half=0.6, whole=0.5, lapse=lapse)
        assert (lacking(some, np.ones(len(rows)), against, weights, scale) == 0) == says
