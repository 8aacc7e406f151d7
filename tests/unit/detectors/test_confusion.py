"""The factors of pairs of classes: by plain loops, by hand, and what they must not depend on."""

import math
import re

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score

import lossan
from lossan.build import build_log
from lossan.detectors._confusion import Confusions
from lossan.detectors._floors import Floors

N, K, EPOCHS = 3000, 5, 6


def confused(seed, *, names=None):
    """Return a log on which classes 0 and 1 look alike, and 6% of the labels are wrong anywhere."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, K, N)
    wrong = rng.random(N) < 0.06
    label = np.where(wrong, (truth + rng.integers(1, K, N)) % K, truth)
    alike = truth < 2
    strength = np.where(alike, rng.normal(0.7, 1.0, N), rng.normal(3.0, 1.0, N))
    other = np.where(alike, 1 - truth, (truth + rng.integers(1, K, N)) % K)
    seen = np.where(strength > 0, truth, other)  # what the network sees, weakly where alike
    margin = np.where(seen == label, 1, -1) * np.abs(strength)
    margin = margin[:, None] * np.linspace(0.5, 1, EPOCHS) + rng.normal(0, 0.1, (N, EPOCHS))
    predicted = np.where(margin < 0, np.where(seen == label, other, seen)[:, None], label[:, None])
    names = np.arange(K) if names is None else names
    fields = {"label": names[label], "margin": margin, "predicted": names[predicted]}
    loss = np.log1p(np.exp(-margin))
    return build_log(loss, metadata={"classes": names.tolist()}, **fields), label != truth


def one_way(seed, *, back=0.0, channels="all"):
    """Return a log of two classes with a sixth of class 1 called 0, and so much of 0 called 1."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, N)
    wrong = rng.random(N) < np.where(truth == 1, 0.15, back)
    label = np.where(wrong, 1 - truth, truth)
    strength = rng.normal(3.0, 1.8, N)  # what it sees in the image, wrongly where below 0
    seen = np.where(strength > 0, truth, 1 - truth)
    rate = np.where(seen == 1, 0.15, back)
    sure = np.log(1 / (1 / (1 + np.exp(-np.abs(strength))) * (1 - rate) + 1e-9) - 1)
    margin = np.where(seen == label, -sure, sure)[:, None] + rng.normal(0, 0.1, (N, EPOCHS))
    loss = np.log1p(np.exp(-margin))
    fields = {"label": label}
    if channels != "loss":
        predicted = np.where(margin < 0, 1 - label[:, None], label[:, None])
        fields |= {"margin": margin, "predicted": predicted}
    if channels == "all":
        fields |= {"predicted_prob": 1 / (1 + np.exp(-np.abs(margin)))}
    return build_log(loss, **fields), wrong


def score_of(log):
    return lossan.analyze(log, detector="auto").detection.score


def by_loops(label, predicted, score, weights, least):
    """The factor of each sample, from sums over samples one by one."""
    high = [i for i in range(len(label)) if score[i] > least]
    middle = sum(math.log(score[i]) for i in high) / len(high)
    total, count = {}, {}
    share = [w / sum(weights) for w in weights]
    for i in high:
        for w, p in zip(share, predicted[i], strict=True):
            if p != label[i]:
                total[label[i], p] = total.get((label[i], p), 0) + w * math.log(score[i])
                count[label[i], p] = count.get((label[i], p), 0) + w
    shift = {c: (total[c] + 10 * middle) / (count[c] + 10) - middle for c in total}
    return [
        math.exp(sum(w * shift.get((g, p), 0) for w, p in zip(share, row, strict=True)))
        for g, row in zip(label, predicted, strict=True)
    ]


def test_the_factors_are_those_of_plain_loops():
    log, _ = confused(0)
    rng = np.random.default_rng(1)
    score, weights, rows = rng.gamma(1, 1, N), np.array([0.5, 1, 2, 0, 0, 1]), np.arange(N)
    found = Confusions.of(log, rows, score, weights, weights, 0.7).factor(log, rows, weights)
    label = log.coded_label.values.take(log.coded_label.codes).to_pylist()
    names = log.predicted.values.to_pylist()
    predicted = [[names[code] for code in row] for row in log.predicted.codes]
    np.testing.assert_allclose(found, by_loops(label, predicted, score, weights, 0.7), rtol=1e-12)


def test_one_pair_by_hand():
    """Ten samples e times as firm as the two others: half of what they say, in logarithms."""
    label = np.array([0] * 10 + [1] * 2 + [2])
    predicted = np.array([[1]] * 10 + [[2]] * 2 + [[2]])
    log = build_log(np.ones((13, 2)), label=label, predicted=predicted.repeat(2, axis=1))
    score = np.array([math.e] * 10 + [1.0] * 2 + [0.0])
    weights, rows = np.ones(2), np.arange(13)
    found = Confusions.of(log, rows, score, weights, weights, 0.5).factor(log, rows, weights)
    middle = 10 / 12
    np.testing.assert_allclose(found[:10], math.exp((10 + 10 * middle) / 20 - middle))
    np.testing.assert_allclose(found[10:12], math.exp(10 * middle / 12 - middle))
    assert found[12] == 1  # the network agrees with its label


def test_wrong_labels_among_classes_that_look_alike_are_told_apart():
    for seed in range(3):
        log, wrong = confused(seed)
        bare = build_log(np.asarray(log.loss), label=log.label, margin=np.asarray(log.margin))
        with_pairs, without = (average_precision_score(wrong, score_of(of)) for of in (log, bare))
        assert with_pairs > 1.05 * without


def test_pairs_say_which_and_not_how_many(monkeypatch):
    log, _ = confused(0)
    ours = lossan.analyze(log, detector="auto").detection
    monkeypatch.setattr(Confusions, "factor", lambda *_: np.ones(N))
    theirs = lossan.analyze(log, detector="auto").detection
    assert ours.flagged.sum() == theirs.flagged.sum() > 0
    assert (ours.flagged != theirs.flagged).any()
    assert ours.noise_rate == theirs.noise_rate
    assert sorted(ours.probability) == sorted(theirs.probability)


def test_names_of_classes_do_not_count():
    names = np.array(["pear", "apple", "fig", "date", "nut"])
    np.testing.assert_allclose(
        score_of(confused(0)[0]), score_of(confused(0, names=names)[0]), rtol=1e-12
    )


@pytest.mark.parametrize("what", ["no predictions", "no labels", "other names"])
def test_without_pairs_there_is_no_factor(what):
    log, _ = confused(0)
    fields = {"label": log.label, "margin": np.asarray(log.margin)}
    if what == "no labels":
        del fields["label"]
    if what == "other names":
        fields["predicted"] = np.full((N, EPOCHS), "pear")
    bare = build_log(np.asarray(log.loss), **fields)
    ones = np.ones(EPOCHS)
    assert Confusions.of(bare, np.arange(N), np.ones(N), ones, ones, 0.5) is None


def test_of_two_classes_the_one_confirmed_less_firmly_is_doubted_less():
    """By hand: the lower four fifths of class 0 score 1 on average, those of class 1 score 4."""
    label = np.array([0] * 5 + [1] * 5)
    log = build_log(np.full((10, 2), 2.0), label=label)  # exp(-2) < 1/2: all are contradicted
    score = np.array([0.5, 0.5, 1, 2, 90, 3, 4, 4, 5, 90.0])
    found = Confusions.of(log, np.arange(10), score, np.ones(2), np.ones(2), 0.5)
    factor = found.factor(log, np.arange(10), np.ones(2))
    np.testing.assert_allclose(factor, np.where(label == 0, 2**0.25, 2**-0.25))


@pytest.mark.parametrize("channels", ["all", "margin", "loss"])
def test_labels_wrong_in_one_of_two_directions_are_told_apart(channels):
    """A network that has learnt that a sixth of class 1 is called 0 contradicts that mildly."""
    for seed in range(3):
        log, wrong = one_way(seed, channels=channels)
        blind = build_log(np.asarray(log.loss))
        with_pairs, without = (average_precision_score(wrong, score_of(of)) for of in (log, blind))
        assert with_pairs > 1.1 * without
        flagged = lossan.analyze(log, detector="auto").detection.flagged
        assert 0.6 < flagged.sum() / wrong.sum() < 1.7


def test_the_note_says_which_labels_stand_on_which_class():
    log, _ = one_way(0)
    found = lossan.analyze(log, detector="auto").detection
    assert len(found.notes) == 1
    told = re.findall(r"(\d+)% of what is surely (\S+) is labelled (\S+)", found.notes[0])
    assert [pair for _, *pair in told] == [["1", "0"]]
    assert abs(int(told[0][0]) - 15) <= 4
    assert not lossan.analyze(one_way(0, back=0.15)[0], detector="auto").detection.notes


@pytest.mark.parametrize("known", [True, False])
def test_hard_labels_that_pile_up_are_left_alone_where_the_network_is_never_sure_of_others(known):
    """A tenth of each class is hard: taken for one other class, weakly, as no sure sample is."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, K, N)
    hard = rng.random(N) < 0.1
    margin = np.where(hard, rng.normal(-2, 0.3, N), np.abs(rng.normal(4, 1.5, N)))
    margin = margin[:, None] + rng.normal(0, 0.1, (N, EPOCHS))
    fields = {"label": truth, "margin": margin}
    if known:
        sure = np.where(hard, rng.uniform(0.4, 0.6, N), rng.uniform(0.5, 1, N))
        predicted = np.where(margin < 0, (truth[:, None] + 1) % K, truth[:, None])
        fields |= {"predicted": predicted, "predicted_prob": np.tile(sure[:, None], EPOCHS)}
    found = lossan.analyze(build_log(np.log1p(np.exp(-margin)), **fields), detector="auto")
    assert not found.detection.flagged.any()


def test_nothing_contradicted_says_nothing():
    log, _ = confused(0)
    rows, weights = np.arange(N), np.ones(EPOCHS)
    found = Confusions.of(log, rows, np.zeros(N), weights, weights, 0.5)
    assert (found.factor(log, rows, weights) == 1).all()


def test_unknown_classes_say_nothing():
    """A piece of a log may hold classes that the sample it was fitted to had not."""
    log, _ = confused(0)
    rows, weights = np.arange(N), np.ones(EPOCHS)
    found = Confusions.of(log, rows, np.ones(N) * 2, weights, weights, 0.5)
    other, _ = confused(0, names=np.arange(K) + 100)
    assert (found.factor(other, rows, weights) == 1).all()


def test_an_epoch_that_was_not_observed_says_nothing_of_its_prediction():
    label, predicted = np.array([0] * 10 + [1] * 10), np.ones((20, 2), int)
    predicted[:, 1] = label
    loss = np.ones((20, 2))
    loss[0, 0] = np.nan  # its one contrary prediction
    log = build_log(loss, label=label, predicted=predicted)
    score, weights = np.linspace(1, 2, 20), np.ones(2)
    pairs = Confusions.of(log, np.arange(20), score, weights, weights, 0.5)
    factor = pairs.factor(log, np.arange(20), np.array([1.0, 1e-4]))
    assert factor[0] == 1
    assert (factor[1:10] < 1).any() or (factor[1:10] > 1).any()


@pytest.mark.parametrize("telling", [0.0, 0.5, 1.0])
def test_rates_count_as_far_as_they_tell_of_samples(telling):
    rates = {"rates": np.array([0.2, 0.05]), "shares": np.array([0.02, 0.01]), "usual": 0.1}
    sure = {"trust": 1.0, "wrong": 0.03, "scattered": 0.0, "telling": telling}
    floors = Floors(keys=np.array([1, 5]), others=np.full(3, 0.1), **rates, **sure)
    none = Confusions(pa.array(["a", "b", "c"]), np.empty(0, np.int64), np.empty(0), np.zeros(3))
    found = none._raised(floors)
    np.testing.assert_allclose(np.exp(found.shifts), [2 ** (telling / 2), 0.5 ** (telling / 2)])
    np.testing.assert_allclose(found.others, 0, atol=1e-12)
    assert found.notes  # which pairs are mistaken is told all the same


def learnt_by_heart(rate):
    """Return a log on which so much of classes 0 and 1 is swapped, and all is learnt in an epoch.

    After the first the network still sees the truth, one in five unsurely and otherwise.
    """
    rng = np.random.default_rng(5)
    truth = rng.integers(0, K, 8000)
    label = np.where((truth < 2) & (rng.random(8000) < rate), 1 - truth, truth)
    mistaken = rng.random(8000) < 0.2
    seen = np.where(mistaken, (truth + rng.integers(1, K, 8000)) % K, truth)
    sure = np.where(mistaken, rng.beta(2, 3, 8000), rng.beta(6, 2, 8000))
    given = np.where(seen == label, sure, (1 - sure) / (K - 1))
    later = rng.uniform(0.9, 0.999, (8000, EPOCHS - 1))
    predicted = np.repeat(label[:, None], EPOCHS, axis=1)
    predicted[:, 0] = seen
    fields = {"label_prob": np.column_stack([given, later]), "predicted": predicted}
    fields |= {"predicted_prob": np.column_stack([sure, later]), "label": label}
    return build_log(-np.log(fields["label_prob"]), **fields), label != truth


@pytest.mark.parametrize(
    ("at_once", "rate", "told"), [(True, 0.3, True), (False, 0.3, False), (True, 0.05, False)]
)
def test_rates_are_read_from_the_first_epoch_where_all_is_learnt_in_it(at_once, rate, told):
    """But only where they make 5% of all labels: an early network doubts more right ones too."""
    log, wrong = learnt_by_heart(rate)
    assert (wrong.mean() > 0.1) == (rate > 0.1)
    even, rows = np.ones(EPOCHS), np.arange(log.n_samples)
    score = np.ones(log.n_samples)
    floors = Confusions.of(log, rows, score, even, even, 2.0, at_once=at_once).floors
    assert (floors.trust > 0) == told
    if told:
        assert floors.wrong == pytest.approx(wrong.mean(), abs=0.03)
        often = floors.keys[floors.rates > 0.2]
        assert [divmod(key, K) for key in often.tolist()] == [(0, 1), (1, 0)]
