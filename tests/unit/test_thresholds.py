"""Cuts: mixtures against scikit-learn and simulation, the null against what it states."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossan.excess import fit_excess
from lossan.thresholds import beta_mixture, flag_share, gaussian_mixture, monotone


def test_two_gaussians_are_scikit_learns():
    from sklearn.mixture import GaussianMixture

    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, 900), rng.normal(5, 0.7, 100)])
    ours = gaussian_mixture(x, floor=0.0)
    theirs = GaussianMixture(2, tol=1e-8, max_iter=1000, random_state=0).fit(x[:, None])
    order = np.argsort(theirs.means_[:, 0])
    np.testing.assert_allclose(ours.mean, theirs.means_[order, 0], atol=1e-3)
    np.testing.assert_allclose(ours.weight, theirs.weights_[order], atol=1e-3)
    np.testing.assert_allclose(ours.sd**2, theirs.covariances_[order, 0, 0], atol=5e-3)
    upper = x > ours.mean[0]
    posterior = theirs.predict_proba(x[:, None])[:, order[1]]
    np.testing.assert_allclose(ours.probability(x)[upper], posterior[upper], atol=1e-2)


def test_betas_separate_what_betas_made():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.beta(2, 12, 1600), rng.beta(12, 3, 400)])
    wrong = np.arange(2000) >= 1600
    found = beta_mixture(x)
    assert ((found > 0.5) == wrong).mean() > 0.97
    assert (np.diff(found[np.argsort(x)]) >= 0).all()


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 1)), min_size=1, max_size=50))
def test_a_monotone_probability_grows_with_the_score(pairs):
    score, probability = (np.array(column) for column in zip(*pairs, strict=True))
    made = monotone(score, probability)
    order = np.argsort(score, kind="stable")
    assert (np.diff(made[order]) >= 0).all()
    assert (made >= probability).all()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.floats(0, 1))
def test_a_share_is_never_exceeded_and_ties_stay_together(values, share):
    score = np.array(values, float)
    flags = flag_share(score, share)
    assert flags.sum() <= np.floor(share * len(score) + 0.5)
    if flags.any() and not flags.all():
        assert score[flags].min() > score[~flags].max()


def falling(rng, n, slope=5.0):
    """Return scores in [-1, 1] that thin out towards 1."""
    return np.clip(-1 + rng.gamma(1.5, 2 / slope, n), -1, 1 - 1e-9)


@pytest.mark.parametrize("n", [300, 3000, 30000])
def test_a_falling_null_has_no_excess(n):
    """The gain of the excess stays below what a test at the 5% level would call seen."""
    gains = [
        fit_excess(s[s < 1 - 1e-6], least=0.2).gain
        for s in (falling(np.random.default_rng(seed), n) for seed in range(30))
    ]
    assert np.quantile(gains, 0.9) < 3.907  # chi-square with 3 degrees of freedom, halved


@pytest.mark.parametrize("share", [0.03, 0.1, 0.3])
def test_a_planted_excess_is_found_with_its_share(share):
    rng = np.random.default_rng(1)
    n = 8000
    wrong = rng.random(n) < share
    score = np.where(wrong, np.clip(rng.normal(0.75, 0.15, n), -1, 1), falling(rng, n, 8))
    found = fit_excess(score, least=0.2)
    assert found.share == pytest.approx(share, rel=0.25)
    assert found.gain > 50
    flags = found.probability > 0.5
    assert (flags & wrong).sum() / wrong.sum() > 0.9
    assert (flags & wrong).sum() / flags.sum() > 0.7
    # probabilities are what they say
    for low, high in ((0.1, 0.5), (0.5, 0.9), (0.9, 1.01)):
        some = (found.probability >= low) & (found.probability < high)
        if some.sum() > 50:
            assert found.probability[some].mean() == pytest.approx(wrong[some].mean(), abs=0.25)


def test_hard_samples_are_no_excess():
    """A pile in the middle, where labels are not contradicted, is not taken for wrong labels."""
    rng = np.random.default_rng(2)
    score = np.concatenate([falling(rng, 5000, 12), np.clip(rng.normal(-0.1, 0.1, 800), -1, 1)])
    assert not (fit_excess(score, least=0.2).probability > 0.5).any()


def test_equal_scores_at_the_top_end_nothing():
    found = fit_excess(np.array([0.0] + [1.0] * 9), least=0.2)
    assert found.share == 0
