"""The paper's detector, against scikit-learn used plainly."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

import lossan.clustering as module
from lossan import analyze, build_log
from lossan.detectors import Context, make
from lossan.errors import DetectorError, OptionError
from lossan.evaluate import auprc, auroc
from lossan.features import compute_features, features_of
from lossan.testing import planted_log


def detect(log, *, scale="standard", seed=0, **parameters):
    context = Context(features=compute_features(log.loss), scale=scale, seed=seed)
    return make("kmeans", parameters).detect(log, context)


def plainly(log, *, scaled=True, seed=0, **options):
    """The cluster of scikit-learn's k-means with the higher mean F1."""
    features = compute_features(log.loss).values.T
    points = StandardScaler().fit_transform(features) if scaled else features
    labels = KMeans(2, n_init=10, random_state=seed, **options).fit_predict(points)
    return labels == np.argmax([features[labels == k, 0].mean() for k in (0, 1)])


def wrong_labels(log):
    return log.label.to_numpy() != log.true_label.to_numpy()


LOGS = [
    {},
    {"n_samples": 3000, "seed": 3},
    {"n_classes": 5, "rate": 0.2, "n_epochs": 12},
    {"n_epochs": 2},
    {"n_epochs": 30, "gaps": 0.1},
]


@pytest.mark.parametrize("options", LOGS)
@pytest.mark.parametrize("scale", ["standard", "none"])
def test_flags_are_those_of_scikit_learn(options, scale):
    log = planted_log(**options)
    flagged = detect(log, scale=scale).flagged
    np.testing.assert_array_equal(flagged, plainly(log, scaled=scale == "standard"))
    assert 0 < flagged.sum() < log.n_samples


def test_the_two_scales_differ():
    log = planted_log()
    assert (detect(log).flagged != detect(log, scale="none").flagged).any()


def test_parameters_reach_the_clustering():
    log = planted_log(n_samples=3000, n_classes=5)
    settled = inertia(log, detect(log, tol=0).flagged)
    one_step = detect(log, max_iter=1, n_init=1).flagged
    assert inertia(log, one_step) > settled * (1 + 1e-6)
    # a tolerance that any move meets stops after the first step too
    np.testing.assert_array_equal(detect(log, tol=1e9, n_init=1).flagged, one_step)
    assert inertia(log, detect(log, max_iter=1, n_init=50).flagged) < inertia(log, one_step)


def test_the_defaults_are_the_papers():
    assert make("kmeans", {}).parameters.model_dump() == {
        "max_iter": 300,
        "tol": 1e-4,
        "n_init": 10,
    }


def inertia(log, flagged):
    points = StandardScaler().fit_transform(compute_features(log.loss).values.T)
    return sum(
        ((part - part.mean(axis=0)) ** 2).sum() for part in (points[flagged], points[~flagged])
    )


@pytest.mark.parametrize("options", LOGS)
def test_a_subsample_finds_as_good_a_split(options, monkeypatch):
    log = planted_log(**options | {"n_samples": 3000})
    whole = detect(log, tol=0).flagged
    monkeypatch.setattr(module, "_SUBSAMPLE", 1000)
    flagged = detect(log, tol=0).flagged
    # Lloyd's iteration may stop in one of several splits that differ on the border
    assert (flagged != whole).mean() < 0.01
    assert inertia(log, flagged) == pytest.approx(inertia(log, whole), rel=1e-3)


def test_the_subsample_is_only_where_centroids_start(monkeypatch):
    log = planted_log(n_samples=3000)
    monkeypatch.setattr(module, "_SUBSAMPLE", 1000)
    flagged = detect(log, tol=0).flagged
    points = StandardScaler().fit_transform(compute_features(log.loss).values.T)
    centres = [points[~flagged].mean(axis=0), points[flagged].mean(axis=0)]
    nearest = np.argmin([((points - c) ** 2).sum(axis=1) for c in centres], axis=0)
    np.testing.assert_array_equal(nearest == 1, flagged)  # settled on all samples


def test_the_subsample_follows_from_the_seed(monkeypatch):
    monkeypatch.setattr(module, "_SUBSAMPLE", 50)
    log = planted_log()
    one, other = detect(log, seed=4), detect(log, seed=4)
    np.testing.assert_array_equal(one.score, other.score)


@pytest.mark.parametrize("options", LOGS)
def test_the_cluster_with_the_higher_mean_loss_is_flagged(options):
    log = planted_log(**options)
    flagged, mean = detect(log).flagged, compute_features(log.loss)["f1_mean"]
    assert mean[flagged].mean() > mean[~flagged].mean()


def test_the_larger_cluster_may_be_the_suspicious_one():
    loss = np.array([[3.0, 2.9, 3.1]] * 30 + [[1.0, 0.2, 0.1]] * 10)
    loss += np.random.default_rng(0).normal(0, 0.01, loss.shape)
    assert detect(build_log(loss)).flagged.tolist() == [True] * 30 + [False] * 10


@pytest.mark.parametrize("options", LOGS)
@pytest.mark.parametrize("seed", range(4))
def test_the_score_ranks_as_well_as_the_mean_loss(options, seed):
    log = planted_log(**{"seed": 0, **options, "n_samples": 2000} | {"seed": seed})
    wrong, mean = wrong_labels(log), compute_features(log.loss)["f1_mean"]
    score = detect(log).score
    # flags put a few samples in another order than the mean loss does
    assert auprc(wrong, score)[0] >= auprc(wrong, mean)[0] - 0.01
    assert auroc(wrong, score)[0] >= auroc(wrong, mean)[0] - 0.005


@pytest.mark.parametrize("scale", ["standard", "none"])
def test_within_flagged_and_within_unflagged_the_mean_loss_decides(scale):
    log = planted_log(gaps=0.2)
    found, mean = detect(log, scale=scale), compute_features(log.loss)["f1_mean"]
    for part in (found.flagged, ~found.flagged & ~np.isnan(mean)):
        order = np.argsort(mean[part])
        assert (np.diff(found.score[part][order]) >= 0).all()
    assert found.score[found.flagged].min() > np.nanmax(found.score[~found.flagged])


sequences = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=8),
    elements=st.floats(0, 100, width=32) | st.sampled_from([0.0, 0.7, np.nan]),
)


@given(sequences, st.sampled_from(["standard", "none"]))
@settings(max_examples=60, deadline=None)
def test_any_log_is_scored_or_refused(loss, scale):
    log = build_log(np.vstack([loss, np.ones(loss.shape[1])]))
    try:
        found = detect(log, scale=scale)
    except DetectorError:
        features = compute_features(log.loss)
        points = features.values[:, features.scorable]
        assert (points == points[:, :1]).all()
        return
    np.testing.assert_array_equal(np.isnan(found.score), log.n_observed < 2)
    assert not found.flagged[np.isnan(found.score)].any()
    assert 0 < found.flagged.sum() < (log.n_observed >= 2).sum()
    assert found.score[found.flagged].min() > np.nanmax(found.score[~found.flagged])


def test_two_samples_suffice():
    found = detect(build_log([[1.0, 0.5], [3.0, 3.0]]))
    assert found.flagged.tolist() == [False, True]


def test_a_feature_that_is_the_same_for_all_does_no_harm():
    loss = planted_log().loss.copy()
    loss[:, 0] = 50.0  # the largest drop is always the first: F3 = 1
    log = build_log(loss)
    assert np.ptp(compute_features(log.loss)["f3_drop_position"]) == 0
    np.testing.assert_array_equal(detect(log).flagged, plainly(log))


def test_one_scorable_sample_is_too_few():
    log = build_log([[1.0, 0.5], [3.0, np.nan]])
    with pytest.raises(DetectorError, match="only 1 sample can be scored"):
        detect(log)


def test_equal_samples_cannot_be_told_apart():
    with pytest.raises(DetectorError, match=r"all 5 scored samples .*mean loss 0\.7\).*reduced"):
        detect(build_log(np.full((5, 4), 0.7)))


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch):
    log = planted_log(n_samples=50_000)  # more than one block
    scores = []
    for cores in (1, 4):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        scores.append(detect(log).score)
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_iter": 0}, "max_iter is 0: .*greater than or equal to 1"),
        ({"tol": -1}, "tol is -1"),
        ({"n_init": "many"}, "n_init is 'many'"),
        ({"iterations": 3}, "no parameter 'iterations'; allowed: max_iter, n_init, tol"),
        ({"max_iter": 0, "tol": -1}, "max_iter is 0: .*; .*tol is -1"),
    ],
)
def test_wrong_parameters_are_told(settings, message):
    with pytest.raises(OptionError, match=message):
        analyze(planted_log(), settings=settings)


@pytest.mark.parametrize("gaps", [0.0, 0.1])
@pytest.mark.parametrize("scale", ["standard", "none"])
def test_features_that_are_not_held_give_the_same(gaps, scale, monkeypatch):
    monkeypatch.setattr(module, "_SUBSAMPLE", 1000)  # and all samples are gone through afterwards
    log = planted_log(n_samples=3000, gaps=gaps)
    held, made = (
        make("kmeans", {}).detect(log, Context(features=features(log.loss), scale=scale, seed=0))
        for features in (compute_features, features_of)
    )
    np.testing.assert_array_equal(made.score, held.score)
    np.testing.assert_array_equal(made.flagged, held.flagged)
