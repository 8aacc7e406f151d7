"""k-means with k = 2 against scikit-learn's, and against itself on other threads."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from lossan import blocks, clustering
from lossan.clustering import two_means
from lossan.points import Moments, held, moments


def groups(seed, n, share, apart, n_features=6):
    rng = np.random.default_rng(seed)
    high = rng.random(n) < share
    scales = 10.0 ** rng.uniform(-2, 2, n_features)
    values = rng.normal(0, 1, (n_features, n)) + apart * high
    return scales[:, None] * values + rng.normal(0, 5, (n_features, 1))


def inertia(points, second):
    return sum(((points[k] - points[k].mean(axis=0)) ** 2).sum() for k in (second, ~second))


@pytest.mark.parametrize("n", [7, 300, 40_000, 130_000])
@pytest.mark.parametrize(("share", "apart"), [(0.06, 3.0), (0.4, 4.0), (0.02, 5.0)])
def test_splits_as_scikit_learn_does(n, share, apart):
    values = groups(n, n, share, apart)
    points = StandardScaler().fit_transform(values.T)
    found = two_means(values, seed=1, tol=0)
    theirs = KMeans(2, n_init=10, random_state=1, tol=0).fit(points)
    assert inertia(points, found) <= theirs.inertia_ * (1 + 1e-9)
    second = theirs.labels_ == 1
    assert min((found != second).sum(), (found == second).sum()) <= n / 10_000


def test_features_as_they_are_keep_their_units():
    values = np.array([[0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 100.0, 101.0]])
    by_second = two_means(values, seed=0, standardise=False)
    assert by_second.tolist() in ([False, False, True, True], [True, True, False, False])


def test_a_constant_feature_says_nothing():
    values = groups(3, 500, 0.3, 5.0)
    constant = np.vstack([values, np.full(500, 0.1 + 0.2)])
    assert inertia(values.T, two_means(constant, seed=0)) == pytest.approx(
        inertia(values.T, two_means(values, seed=0))
    )


def test_two_points_in_a_million_that_a_subsample_misses():
    values = np.zeros((2, 300_000))
    values[1, 77_777] = 3.0
    found = two_means(values, seed=0)
    assert min(found.sum(), (~found).sum()) == 1
    assert found[77_777] != found[0]


def test_the_number_of_threads_changes_nothing(monkeypatch):
    values = groups(5, 150_000, 0.06, 1.0)
    found = []
    for cores in (1, 2, 7):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        found.append((two_means(values, seed=2), moments(held(values), values.shape[1])))
    for second, other in found[1:]:
        assert np.array_equal(second, found[0][0])
        assert np.array_equal(other.squares, found[0][1].squares)


def test_settles_where_every_sample_is_with_the_nearer_centroid():
    values = groups(9, 120_000, 0.2, 2.0)
    second = two_means(values, seed=0, tol=0)
    points = StandardScaler().fit_transform(values.T)
    centres = np.stack([points[~second].mean(axis=0), points[second].mean(axis=0)])
    distance = ((points[:, None] - centres) ** 2).sum(axis=2)
    margin = np.abs(distance[:, 0] - distance[:, 1])
    nearer = distance[:, 1] < distance[:, 0]
    assert (nearer == second)[margin > 1e-9].all()


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40), st.integers(min_value=1, max_value=39)
)
def test_moments_of_parts_merge_to_those_of_all(numbers, cut):
    values = np.array([numbers])
    cut = min(cut, len(numbers) - 1)
    merged = Moments.of(values[:, :cut]).merge(Moments.of(values[:, cut:]))
    assert merged.n == len(numbers)
    assert merged.mean[0] == pytest.approx(np.mean(numbers), rel=1e-12, abs=1e-6)
    assert merged.squares[0] / merged.n == pytest.approx(np.var(numbers), rel=1e-9, abs=1e-6)
    assert (merged.low[0], merged.high[0]) == (min(numbers), max(numbers))


def test_the_size_of_the_blocks_does_not_matter(monkeypatch):
    values = groups(1, 1000, 0.1, 4.0)
    whole = two_means(values, seed=0, tol=0)
    monkeypatch.setattr(blocks, "BLOCK", 64)
    in_blocks = two_means(values, seed=0, tol=0)
    assert np.array_equal(in_blocks == in_blocks[0], whole == whole[0])


@pytest.mark.parametrize("many", [False, True])
def test_features_far_from_zero_are_split_as_near_it(many, monkeypatch):
    if many:  # the centroids settle on all, the start is of some
        monkeypatch.setattr(clustering, "_SUBSAMPLE", 200)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 3000))
    values[:, rng.random(3000) < 0.2] += 3
    near, far = (two_means(shift + values, seed=0) for shift in (0.0, 1e6))
    assert (near == far).all() or (near == ~far).all()
