"""Samples whose side of a plane is remembered, beside those that are all asked each time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossan import blocks, clustering, points
from lossan.clustering import fit_two_means
from lossan.detectors import judge, points_of
from lossan.features import compute_features, features_of
from lossan.points import Centroids, Local, Scale
from lossan.sides import Remembered

N = 3000


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Three chunks, the last of which ends in a block that is not full."""
    monkeypatch.setattr(blocks, "BLOCK", 64)
    monkeypatch.setattr(points, "CHUNK", 1024)


def losses(seed, *, gaps=False, outlier=False, n=N):
    rng = np.random.default_rng(seed)
    wrong = rng.random(n) < 0.08
    level = np.where(wrong[:, None], 2.5, 2 * np.exp(-0.4 * np.arange(8)))
    loss = (level * rng.gamma(4, 0.25, (n, 8))).astype(np.float32)
    if gaps:
        loss[rng.random(loss.shape) < 0.05] = np.nan
    if outlier:
        loss[n // 2, 3] = 1e30
    return np.ascontiguousarray(loss.T).T


def both(loss):
    """Points that remember, and those of the same features in memory."""
    deferred = features_of(loss)
    assert not deferred.held
    remembered = points_of(deferred)
    assert isinstance(remembered, Remembered)
    return remembered, Local.held(compute_features(loss).values)


def near(found, rng, by):
    """Centroids that moved by a part of how far they are apart."""
    towards = found.places[1] - found.places[0]
    moved = by * rng.normal(0, 1, found.places.shape) * towards
    return Centroids(found.scale, found.places + moved)


KINDS = [{}, {"gaps": True}, {"outlier": True}]


@pytest.mark.parametrize("kind", KINDS, ids=["plain", "gaps", "outlier"])
def test_not_a_digit_differs(kind):
    remembered, plain = both(losses(1, **kind))
    moments = remembered.moments()
    assert moments.mean.tolist() == plain.moments().mean.tolist()
    found, rng = fit_two_means(plain, moments, 0), np.random.default_rng(0)
    for by in (0.0, 0.01, 0.1, 0.0, 2.0, 0.001):
        centroids = near(found, rng, by)
        here, there = remembered.split(centroids), plain.split(centroids)
        assert (here.n_second, here.sums.tolist()) == (there.n_second, there.sums.tolist())
        second = [remembered.second(b, centroids) for b in blocks.cut(N, 256)]
        assert np.array_equal(np.concatenate(second), centroids.second(plain.part(slice(0, N))))


@given(st.integers(0, 2**32 - 1), st.floats(0, 3), st.booleans())
@settings(max_examples=40, deadline=None)
def test_however_the_centroids_move(seed, by, mirrored):
    remembered, plain = both(losses(seed % 7, n=700))
    found = fit_two_means(plain, remembered.moments(), 0)
    rng = np.random.default_rng(seed)
    if mirrored:
        found = Centroids(found.scale, found.places[::-1])
    for centroids in (found, near(found, rng, by), near(found, rng, by / 10)):
        here, there = remembered.split(centroids), plain.split(centroids)
        assert (here.n_second, here.sums.tolist()) == (there.n_second, there.sums.tolist())


def test_where_the_plane_hardly_moves_few_are_asked():
    remembered, plain = both(losses(2))
    found = fit_two_means(plain, remembered.moments(), 0)
    places = found.places if found.ascend else found.places[::-1]  # the fewer are the second
    found = Centroids(found.scale, places)
    remembered.split(found)
    asked, take = [], remembered.take
    remembered.take = lambda rows: asked.append(len(rows)) or take(rows)
    remembered.part = None  # not one block is made whole
    moved = near(found, np.random.default_rng(0), 0.001)
    assert remembered.split(moved).n_second == plain.split(moved).n_second
    assert N / 20 < sum(asked) < N / 5
    asked.clear()
    for samples in blocks.cut(N, 256):
        remembered.second(samples, moved)
    assert sum(asked) < N / 50


def test_centroids_that_are_one_tell_nothing():
    remembered, plain = both(losses(3))
    moments = remembered.moments()
    same = Centroids(Scale(moments.mean, 1 / moments.spread), np.zeros((2, 6)))
    for _ in range(2):
        assert remembered.split(same).n_second == plain.split(same).n_second == 0


@pytest.mark.parametrize("kind", KINDS, ids=["plain", "gaps", "outlier"])
def test_a_verdict_is_that_of_features_in_memory(kind, monkeypatch):
    monkeypatch.setattr(clustering, "_SUBSAMPLE", 300)
    loss = losses(4, **kind)
    verdicts = []
    for features in (features_of(loss), compute_features(loss)):
        found = points_of(features)
        centroids = fit_two_means(found, found.moments(), 0)
        verdicts.append(judge(centroids, found, features.scorable))
    here, there = verdicts
    assert here.score.tolist() == there.score.tolist()
    assert np.array_equal(here.flagged, there.flagged)
    assert 0 < here.flagged.sum() < N
