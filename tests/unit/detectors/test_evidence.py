"""What says that labels are wrong, and how many: hand-worked readings, and whole logs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import lossan
from lossan import build_log
from lossan.detectors._contradiction import Margins, average
from lossan.detectors._evidence import Seen, lacking
from lossan.detectors._firmness import Contradicted, Firmness, firm_of_normal
from lossan.excess import fit_excess
from lossan.lapse import Lapse
from lossan.signals import commonest

# twenty labels confirmed, and contradicted by .2, .3, .6, .9, 1.1 and 1.4 typical margins
PLAIN = np.array([-1.0] * 20 + [0.2, 0.3, 0.6, 0.9, 1.1, 1.4])


def seen(excess=-0.1, surely=None, **known):
    """Return what is seen of 3,000 samples of ten classes, of which nothing says any is wrong."""
    firmness = Firmness(excess, excess - 0.01 if surely is None else surely)
    nothing = {"firmness": firmness, "made": False, "lapse": None, "wrong": 0.0, "differ": False}
    known = {
        "scattered": 0.0,
        "n_samples": 3000,
        "even": True,
        "many": True,
        "settled": True,
        **known,
    }
    return Seen(**{**nothing, **known})


def level(epochs, *, others=1.0):
    """Return typical margins, of each epoch the same."""
    return Margins("margin" if others == 1 else "loss", others, 1.0, 1.0, np.ones(epochs))


def asked(plain, classes, scale, floors=None):
    """Return what is seen where every epoch says the same."""
    against = np.tile(plain.astype(np.float32)[:, None], len(scale.typical))
    counts = Contradicted.of(against, scale.typical)
    return Seen.of(plain, counts, classes, 0.6, scale, floors)


def test_how_firmly_labels_are_contradicted():
    more, hard = np.append(PLAIN, -np.ones(10)), firm_of_normal(6 / 36)
    assert hard < 6 / 36  # of many classes the lesser of the two counts
    for classes, least in ((10, hard), (2, 6 / 36), (None, 6 / 36)):
        assert_allclose(asked(more, classes, level(8)).firmness.excess, 2 / 6 - least)


@pytest.mark.parametrize(
    ("epochs", "share"),
    [
        ([PLAIN] * 8, 4 / 26),  # half as firmly as a typical one: four; wholly so: two
        ([PLAIN] + [-1.1 * PLAIN] * 7, 20 / 26),
        ([10 * PLAIN] + [PLAIN] * 7, 4 / 26),  # the first is not asked
        ([-abs(PLAIN)] * 4 + [0.9 * PLAIN] + [-abs(PLAIN)] * 3, 2 / 26),  # one wholly: twice that
        ([PLAIN * np.where(PLAIN > 1.2, 0.6, 1)] * 8, 2 / 26),
        ([-abs(PLAIN)] * 8 + [PLAIN], 0),  # those after the eighth may have learnt them by heart
    ],
)
def test_how_many_labels_an_epoch_contradicts_firmly(epochs, share):
    against, typical = np.array(epochs).T.astype(np.float32), np.ones(len(epochs))
    counts = Contradicted.of(against, typical)
    half, firm = counts.over_epochs(typical, 0.0)
    assert_allclose(firm, share)
    assert_allclose(half, (against[:, 1:8] > 0.5).mean(axis=0).max())
    assert counts.over_epochs(typical, 1.0)[1] <= share + 1e-9


@pytest.mark.parametrize(
    ("kept", "weights", "share"),
    [
        (0.0, [1, 1, 1], 4 / 26),  # wrong labels are learnt by heart: the epoch that shows most
        (1.0, [9, 1, 1], 3 / 26),  # they stay contradicted: the mean
        (1.0, [0, 1, 3], 2.5 / 26),
        (0.5, [0, 1, 1], 3.5 / 26),
        (1.0, [1, 0, 0], 0.0),  # only the first tells anything
    ],
)
def test_epochs_that_contradict_unequal_shares(kept, weights, share):
    fewer = np.append(-abs(PLAIN[:-1]), 1.4)  # one, so that twice as many may be wrong
    fewer[-2] = 0.9
    against = np.stack([PLAIN, PLAIN, fewer], axis=1).astype(np.float32)
    counts = Contradicted.of(against, np.ones(3))
    assert_allclose(counts.over_epochs(np.array(weights, float), kept), (share, share))


@pytest.mark.parametrize(
    ("surely", "enough"),
    [
        (0.009, []),
        (0.011, ["two"]),
        (0.049, ["two"]),
        (0.051, ["two", "ten", "few of two", "one is rare"]),
        (0.066, ["two", "ten", "few of two", "one is rare", "made of probabilities"]),
    ],
)
def test_how_much_firmer_contradictions_show_it_of_themselves(surely, enough):
    of = {
        "two": {"many": False},
        "ten": {},
        "few of two": {"many": False, "n_samples": 999},
        "one is rare": {"many": False, "even": False},
        "made of probabilities": {"made": True},
    }
    assert [name for name, known in of.items() if seen(0.2, surely, **known).enough] == enough


@pytest.mark.parametrize(
    ("gain", "known", "enough"),
    [
        (9.0, {}, True),
        (8.9, {}, False),
        (9.0, {"excess": 0.019}, False),
        (9.0, {"settled": False}, False),  # what it has not learnt yet lapses too
        (23.9, {"made": True}, False),
        (24.0, {"made": True}, True),
        (9.0, {"many": False}, True),
    ],
)
def test_less_does_where_a_lapse_rate_says_so_too(gain, known, enough):
    known = {"excess": 0.021, "surely": 0.0, "lapse": Lapse(0.05, gain), **known}
    assert seen(**known).enough == enough
    assert seen(**known).rates == [*([] if enough else [0.0]), 0.05]


@pytest.mark.parametrize(
    ("labels", "share"), [([0, 0, 0, 1], 0.75), ([0, None, 1], 0.5), ([None] * 2, 1), (None, 1)]
)
def test_the_commonest_class(labels, share):
    given = {} if labels is None else {"label": labels}
    n = 3 if labels is None else len(labels)
    assert commonest(build_log(np.ones((n, 2)), **given)) == share


def test_rates_of_pairs_that_differ_show_it_alone():
    assert seen(wrong=0.05, differ=True).enough
    assert not seen(wrong=0.05).enough
    assert seen(wrong=0.05).rates == [0.0, 0.05]


def test_labels_on_classes_that_are_never_confused_show_it_alone():
    assert seen(scattered=0.051).enough
    assert not seen(scattered=0.049).enough


@pytest.mark.parametrize("split", [0.0, 0.2])
def test_where_rates_do_not_differ_the_split_says_how_many(split):
    assert seen().wanted(split, 0.1, 0.1, shown=True) == (split, split)


@pytest.mark.parametrize(
    ("half", "wrong", "wanted"),
    [
        (0.3, 0.0, 0.2),
        (0.1, 0.0, 0.1),  # of two classes no more than are firmly contradicted
        (0.1, 0.05, 0.1),
        (0.1, 0.15, 0.18),  # nor fewer than the rates of pairs say, which are a sixth too low
        (0.1, 0.18, 0.2),
    ],
)
def test_of_two_classes_the_split_counts_for_what_is_firmly_contradicted(half, wrong, wanted):
    assert_allclose(seen(many=False, wrong=wrong).wanted(0.2, half, 0.01, shown=True), [wanted] * 2)
    assert seen(wrong=wrong).wanted(0.2, half, 0.01, shown=True) == (0.2, 0.2)
    of_two = seen(many=False)
    assert of_two.wanted(0.2, 0.0, 0.0, shown=False) == (0.2, 0.2)  # but for who says that some are
    made = seen(many=False, made=True, wrong=wrong)  # there may be more than two classes
    assert made.wanted(0.2, half, 0.01, shown=True) == (0.2, 0.2)


@pytest.mark.parametrize(
    ("firm", "wanted"),
    [
        (0.05, (0.1, 0.12)),  # a fifth more than the rates say
        (0.18, (0.1, 0.18)),  # more are firmly contradicted
        (0.3, (0.15, 0.3)),  # whatever the gap, half of these are wrong
    ],
)
def test_where_rates_differ_the_split_does_not_count(firm, wanted):
    found = seen(wrong=0.1, differ=True, lapse=Lapse(0.02, 9.0))  # few of those by heart lapse
    for split in (0.9, 0.01):
        assert_allclose(found.wanted(split, 0.4, firm, shown=True), wanted)


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


@pytest.mark.parametrize(
    ("n", "classes", "there"), [(1000, 2, True), (999, 2, False), (999, 3, True)]
)
def test_few_samples_of_two_classes_lapse_whatever_their_labels(n, classes, there):
    rng = np.random.default_rng(0)
    lapsing = np.where(rng.random(n) < 0.1, -1, 1) * np.abs(rng.normal(1, 0.6, n))
    assert (asked(-lapsing, classes, level(8)).lapse is not None) == there


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


def few(rate, seed, *, n=600, learnt=0.5):
    """Return a log of two classes of few samples, some wrong, learnt by heart little by little."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(n) < rate
    clear = rng.normal(1.6, 1.0, n)
    pull = np.where(wrong, -1, 1)[:, None] + np.where(wrong, 2 * learnt, 0)[:, None] * (
        np.linspace(0, 1, 8)
    )
    margin = pull * clear[:, None] + rng.normal(0, 0.3, (n, 8))
    return build_log(np.log1p(np.exp(-margin)), label=rng.integers(0, 2, n)), wrong


@pytest.mark.parametrize(("excess", "asks"), [(0.009, False), (0.011, True)])
def test_an_excess_is_asked_for_where_contradictions_are_a_little_firmer(excess, asks):
    log, _ = few(0.12, 0)
    rows, weights = np.arange(log.n_samples), np.ones(8)
    scale = Margins.of(log, rows)
    against = scale.against(log, rows)
    score = average(against, np.tanh, weights * np.arange(1, 9) ** 1.5, scale.typical)
    gain = fit_excess(score, least=0.2).gain
    assert 3.907 < gain < 60
    for n, known, nats in (
        (600, {"many": False, "wrong": 0.01}, 3.907),
        (600, {"many": False}, 8.133),  # no rates of pairs bear it out
        (400, {"many": False}, 6),
        (200, {"many": False}, 3.907),
        (2000, {"many": False}, 60),
        (2000, {}, 60),
        (200, {}, 6),
        (100, {}, 3.907),
        (2000, {"settled": False}, 60),
        (1000, {"many": False, "even": False}, 60),
        (2000, {"even": False}, 60),
    ):
        some = seen(excess, n_samples=n, **known)
        answers = asks and some.settled
        assert_allclose(
            lacking(some, against, weights, scale), max(nats - gain, 0) if answers else nats
        )
    assert lacking(seen(wrong=0.1, differ=True), against, weights, scale) == 0


def test_few_wrong_labels_of_two_classes_are_seen_where_clean_ones_are_not():
    shares = [
        [lossan.analyze(few(rate, seed)[0], detector="auto").detection.flagged.mean()]
        for rate in (0.0, 0.12)
        for seed in range(6)
    ]
    assert np.count_nonzero(shares[:6]) <= 1
    assert np.count_nonzero(shares[6:]) >= 5
