"""Every method's score against a plain loop over its published formula."""

import math
from itertools import pairwise

import numpy as np
import pytest

import lossan
from lossan import analyze
from lossan.build import build_log
from lossan.detectors import BUILT_IN
from lossan.errors import DetectorError, OptionError
from lossan.testing import planted_log

N, EPOCHS, CLASSES = 60, 7, 3


def log_of(seed=0, classes=CLASSES, gaps=False, **more):
    """Return a log of softmax outputs, all channels, and the probabilities it was made of."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(N, EPOCHS, classes)) * np.linspace(0.5, 4, EPOCHS)[:, None]
    label = rng.integers(0, classes, N)
    probs = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    rows = np.arange(N)
    own = probs[rows, :, label]
    loss = -np.log(own)
    if gaps:
        loss[rng.random(loss.shape) < 0.2] = np.nan
    others = np.where(np.eye(classes, dtype=bool)[label][:, None], -np.inf, logits)
    fields = {
        "label": label,
        "margin": logits[rows, :, label] - others.max(axis=2),
        "label_prob": own,
        "predicted": probs.argmax(axis=2),
        "predicted_prob": probs.max(axis=2),
    }
    return build_log(loss, **{**fields, **more}), probs, label


def scores(log, name, **settings):
    result = lossan.analyze(log, detector=name, settings=settings)
    score = np.empty(log.n_samples)
    score[result.rows] = result.table["score"].to_numpy()
    return score


def margin_of(p, y):
    return math.log(p[y]) - max(math.log(p[k]) for k in range(len(p)) if k != y)


def events_of(sequence, y):
    right = [int(np.argmax(p) == y) for p in sequence]
    if not any(right):
        return len(right)
    return sum(a == 1 and b == 0 for a, b in pairwise(right))


BY_HAND = {
    "mean_loss": lambda ps, y: sum(-math.log(p[y]) for p in ps) / len(ps),
    "last_loss": lambda ps, y: -math.log(ps[-1][y]),
    "small_loss": lambda ps, y: sum(-math.log(p[y]) for p in ps) / len(ps),
    "aum": lambda ps, y: -sum(margin_of(p, y) for p in ps) / len(ps),
    "data_maps": lambda ps, y: 1 - sum(p[y] for p in ps) / len(ps),
    "loss_ema": lambda ps, y: (
        sum(0.1 * 0.9 ** (len(ps) - 1 - t) * -math.log(p[y]) for t, p in enumerate(ps))
        / sum(0.1 * 0.9 ** (len(ps) - 1 - t) for t in range(len(ps)))
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_score_is_its_formula(name):
    log, probs, label = log_of()
    expected = [BY_HAND[name](list(probs[i]), label[i]) for i in range(N)]
    np.testing.assert_allclose(scores(log, name), expected, rtol=1e-4, atol=1e-5)


def test_o2u_subtracts_the_epochs_mean():
    log, probs, label = log_of()
    loss = [[-math.log(probs[i][t][label[i]]) for t in range(EPOCHS)] for i in range(N)]
    means = [sum(row[t] for row in loss) / N for t in range(EPOCHS)]
    expected = [sum(row[t] - means[t] for t in range(EPOCHS)) / EPOCHS for row in loss]
    np.testing.assert_allclose(scores(log, "o2u"), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_el2n_is_the_norm_or_just_below(classes):
    """With more than two classes the log does not tell all, and the norm is bounded from below."""
    log, probs, label = log_of(classes=classes)
    exact = np.array(
        [
            sum(math.sqrt(sum((p[k] - (k == label[i])) ** 2 for k in range(classes))) for p in ps)
            / EPOCHS
            for i, ps in enumerate(probs)
        ]
    )
    found = scores(log, "el2n")
    assert (found <= exact + 1e-5).all()
    if classes == 2:
        np.testing.assert_allclose(found, exact, rtol=1e-4)
    else:
        assert np.corrcoef(found, exact)[0, 1] > 0.99


@pytest.mark.parametrize("name", ["forgetting", "wrong_events"])
def test_counts_are_counted(name):
    log, probs, label = log_of()
    if name == "forgetting":
        expected = [events_of(probs[i], label[i]) for i in range(N)]
        assert (np.floor(scores(log, name)) == expected).all()
        return
    share = (probs.argmax(axis=2) != label[:, None]).mean(axis=1)
    found = scores(log, name)
    assert (np.floor(found * EPOCHS + 1e-9) == np.round(share * EPOCHS)).all()


@pytest.mark.parametrize("name", ["aum", "forgetting", "wrong_events", "confident", "el2n", "auto"])
def test_two_classes_need_the_loss_alone(name):
    log, _, label = log_of(classes=2)
    bare = build_log(np.asarray(log.loss), label=label)
    np.testing.assert_allclose(scores(bare, name), scores(log, name), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["aum", "forgetting", "wrong_events", "confident"])
def test_more_classes_do_not(name):
    log, _, label = log_of()
    with pytest.raises(DetectorError, match=f"the detector {name} needs"):
        lossan.analyze(build_log(np.asarray(log.loss), label=label), detector=name)


def test_confident_learning_is_its_thresholds():
    log, probs, label = log_of(seed=3)
    own = probs[np.arange(N), :, label].mean(axis=1)
    threshold = [own[label == k].mean() for k in range(CLASSES)]
    result = lossan.analyze(log, detector="confident")
    flagged = np.empty(N, bool)
    flagged[result.rows] = result.table["flagged"].to_numpy()
    for i in range(N):
        total = np.zeros(CLASSES)
        for p in probs[i]:
            if p.argmax() != label[i]:
                total[p.argmax()] += p.max()
        rival, mean = total.argmax(), total.max() / EPOCHS
        contrary = mean > 0 and mean >= threshold[rival]
        faithful = own[i] >= threshold[label[i]] and own[i] >= mean
        assert flagged[i] == (contrary and not faithful)


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - {"kmeans", "remind"}))
def test_gaps_leave_nobody_out(name):
    log, _, _ = log_of(gaps=True)
    found = scores(log, name)
    assert (np.isnan(found) == (log.n_observed < 2)).all()


def test_remind_clusters_its_two_features():
    from sklearn.cluster import KMeans

    log, _, _ = log_of(seed=1)
    loss = np.asarray(log.loss, float)
    points = [
        [(row.argmin() - row.argmax()) / EPOCHS, (row.max() - row.min()) / (row.max() + row.min())]
        for row in loss
    ]
    cluster = KMeans(2, n_init=10, random_state=0).fit(points).labels_
    mean = loss.mean(axis=1)
    high = int(mean[cluster == 1].mean() > mean[cluster == 0].mean())
    result = lossan.analyze(log, detector="remind")
    flagged = np.empty(N, bool)
    flagged[result.rows] = result.table["flagged"].to_numpy()
    assert (flagged == (cluster == high)).all()


def test_mixtures_per_class_are_mixtures_of_each_class():
    log, _, label = log_of(seed=2)
    whole = lossan.analyze(log, detector="gmm", settings={"per_class": True})
    probability = np.empty(N)
    probability[whole.rows] = whole.table["probability"].to_numpy()
    for k in range(CLASSES):
        rows = np.flatnonzero(label == k)
        part = lossan.analyze(log.select(rows), detector="gmm")
        own = np.empty(len(rows))
        own[part.rows] = part.table["probability"].to_numpy()
        np.testing.assert_allclose(probability[rows], own)


@pytest.mark.parametrize("detector", ["gmm", "bmm"])
def test_classes_too_small_for_a_mixture_are_judged_by_that_of_all(detector):
    log = planted_log(n_samples=300, rate=0.1)
    label = np.array(log.label.to_pylist(), dtype=object)
    label[:3], label[3:5] = "rare", None
    label[5:] = [str(value) for value in label[5:]]
    log = build_log(log.loss, label=label.tolist())
    whole = analyze(log, detector=detector).findings.set_index("sample_id")
    found = analyze(log, detector=detector, settings={"per_class": True})
    assert found.summary.notes == [
        "judged by the mixture of all samples: 1 class of fewer than 10 samples or of one loss "
        "('rare')",
        "judged by the mixture of all samples: 2 samples without a label",
    ]
    ours = found.findings.set_index("sample_id")
    np.testing.assert_allclose(ours.probability[range(5)], whole.probability[range(5)], atol=1e-6)
    assert not np.allclose(ours.probability[range(5, 300)], whole.probability[range(5, 300)])


def test_what_was_never_predicted_was_not_forgotten():
    predicted = [[0, 0, 0], [1, 0, 1], [1, 1, 1], [None] * 3, [0, 1, 0]]
    log = build_log(
        np.random.default_rng(0).random((5, 3)), label=[0, 0, 0, 0, None], predicted=predicted
    )
    events = np.floor(scores(log, "forgetting"))
    np.testing.assert_array_equal(events, [0, 1, 3, np.nan, np.nan])


def test_el2n_asks_the_prediction_which_class_is_meant():
    prob = 0.9
    loss = np.full((40, 3), -np.log(prob)) + np.linspace(-1e-7, 1e-7, 40)[:, None]
    loss[:2] = 2.0
    log = build_log(
        loss,
        label=np.arange(40) % 4,
        predicted=np.tile((np.arange(40) % 4)[:, None], (1, 3)),
        predicted_prob=np.full((40, 3), prob),
    )
    exact = (1 - prob) * np.sqrt(1 + 1 / 3)
    np.testing.assert_allclose(scores(log, "el2n")[2:], exact, rtol=1e-5)
    unnamed = build_log(loss, label=np.arange(40) % 4, predicted_prob=log.predicted_prob)
    np.testing.assert_allclose(scores(unnamed, "el2n")[2:], exact, rtol=1e-5)


def test_a_rate_that_would_not_count_is_refused():
    log, _, _ = log_of()
    with pytest.raises(OptionError, match=r"rate is 0\.5, which counts with cut=rate alone"):
        lossan.analyze(log, detector="mean_loss", settings={"rate": 0.5})
    with pytest.raises(OptionError, match="small_loss has no parameter 'cut'"):
        lossan.analyze(log, detector="small_loss", settings={"cut": "gmm"})
    with pytest.raises(OptionError, match=r"rate is 'x': .*; allowed: at least 0.* and at most 1"):
        lossan.analyze(log, detector="small_loss", settings={"rate": "x"})


def test_a_rate_flags_that_share():
    log, _, _ = log_of()
    for name, settings in (("small_loss", {"rate": 0.1}), ("aum", {"cut": "rate", "rate": 0.1})):
        assert lossan.analyze(log, detector=name, settings=settings).summary.n_flagged == 6


def test_ctrl_finds_planted_curves():
    rng = np.random.default_rng(0)
    n, wrong = 400, np.arange(400) < 40
    falling = 2.0 * 0.6 ** np.arange(8) + rng.normal(0, 0.05, (n, 8))
    staying = 2.0 + rng.normal(0, 0.2, (n, 8))
    loss = np.abs(np.where(wrong[:, None], staying, falling))
    result = lossan.analyze(build_log(loss, label=np.arange(n) % 4), detector="ctrl")
    flagged = np.empty(n, bool)
    flagged[result.rows] = result.table["flagged"].to_numpy()
    assert (flagged == wrong).all()


def test_ctrl_takes_curves_above_its_clip_for_one():
    """Above 2 ln 2 all losses are the same to it: no digit left of the sums tells them apart.

    After the first epochs there are two curves, too few for three clusters (an error of k-means).
    """
    rng = np.random.default_rng(0)
    high = np.arange(40) < 10
    loss = np.where(high[:, None], rng.uniform(1.4, 9, (40, 8)), 0.25)
    loss[:, 0] = rng.uniform(0.01, 1.3, 40)
    result = lossan.analyze(build_log(loss, label=np.zeros(40, int)), detector="ctrl")
    assert (result.detection.flagged == high).all()


def with_threshold_samples():
    """Ten threshold samples of class 2 with margins -3 to 6, and twenty others around them."""
    margin = np.concatenate([np.arange(-3.0, 7.0), np.linspace(-8, 8, 20)])
    label = [2] * 10 + [0, 1] * 10
    return np.tile(margin[:, None], (1, 3)), label


@pytest.mark.parametrize("where", ["metadata", "settings"])
@pytest.mark.parametrize("percentile", [99, 50])
def test_aum_cuts_at_the_threshold_samples(where, percentile):
    margin, label = with_threshold_samples()
    loss = np.logaddexp(0, -margin)
    stated = {"threshold_class": 2}
    log = build_log(
        loss, label=label, margin=margin, metadata=stated if where == "metadata" else {}
    )
    settings = {"percentile": percentile, **(stated if where == "settings" else {})}
    found = analyze(log, detector="aum", settings=settings).findings.sort_values("sample_id")
    cut = np.percentile(np.arange(-3.0, 7.0), percentile)  # as the paper has it: of the margins
    assert found.score.isna().tolist() == [True] * 10 + [False] * 20
    assert found.flagged.tolist()[10:] == (margin[10:, 0] < cut).tolist()


def test_aum_cuts_as_asked_in_spite_of_threshold_samples():
    margin, label = with_threshold_samples()
    loss, stated = np.logaddexp(0, -margin), {"threshold_class": 2}
    log = build_log(loss, label=label, margin=margin, metadata=stated)
    found = analyze(log, detector="aum", settings={"cut": "rate", "rate": 0.1})
    assert found.summary.n_flagged == 2
    assert found.summary.n_unscored == 10


def test_aum_refuses_a_threshold_class_nobody_was_given():
    margin, label = with_threshold_samples()
    log = build_log(np.logaddexp(0, -margin), label=label, margin=margin)
    with pytest.raises(DetectorError, match="given the threshold class 'x'"):
        analyze(log, detector="aum", settings={"threshold_class": "x"})
