"""The lapse rate, against what made the contradictions and against another optimiser."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from lossan.lapse import fit_lapse


def margins(n, lapse, slope, seed, n_classes=2):
    """Return margins of right labels, as calibrated as the slope says, some replaced at random."""
    rng = np.random.default_rng(seed)
    sure = rng.gamma(2.0, 1.0, n)
    right = rng.random(n) >= 1 / (1 + np.exp(slope * sure))  # the network says the true class
    wrong = rng.random(n) < lapse
    hit = rng.random(n) < 1 / (n_classes - 1)  # a wrong label is the very class that is said
    agrees = np.where(wrong, ~right & hit, right)
    return np.where(agrees, sure, -sure)


@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("lapse", [0.02, 0.06, 0.2, 0.4])
def test_it_is_what_made_the_contradictions(lapse, n_classes):
    found = fit_lapse(margins(20_000, lapse, 2.0, 1, n_classes), n_classes)
    assert found.share == pytest.approx(lapse, rel=0.15)
    assert found.gain > 20


@pytest.mark.parametrize("slope", [0.5, 1.0, 4.0])
def test_right_labels_have_none(slope):
    gains = [fit_lapse(margins(2_000, 0.0, slope, seed), 2).gain for seed in range(60)]
    # a share of 0 is the border of what is allowed: half of chi-square with one degree of freedom,
    # whose mean is 1/4 nat and which passes 3.907 nats once in 400 times
    assert np.mean(gains) < 0.5
    assert np.sum(np.array(gains) > 3.907) <= 2


def test_the_likelihood_is_another_optimisers():
    margin = margins(3_000, 0.1, 1.5, 3)
    sure, against = np.abs(margin), margin < 0

    def cost(at, lapse=None):
        share = 0.5 / (1 + np.exp(-at[0])) if lapse is None else lapse
        erring = 1 / (1 + np.exp(np.exp(at[1]) * sure))
        rate = share + (1 - 2 * share) * erring
        return -(np.log(rate[against]).sum() + np.log1p(-rate[~against]).sum())

    free = minimize(cost, [-2.0, 0.0], method="Nelder-Mead")
    bound = minimize(lambda at: cost(at, 0.0), [0.0, 0.0], method="Nelder-Mead")
    found = fit_lapse(margin, 2)
    assert found.share == pytest.approx(0.5 / (1 + np.exp(-free.x[0])), rel=0.08)
    assert found.gain == pytest.approx(bound.fun - free.fun, rel=0.03)


@settings(deadline=None)
@given(seed=st.integers(0, 100), unit=st.floats(1e-3, 1e3))
def test_neither_order_nor_unit_counts(seed, unit):
    margin = np.round(margins(300, 0.1, 2.0, seed), 1)  # many equal ones
    shuffled = np.random.default_rng(seed).permutation(margin) * unit
    found, again = fit_lapse(margin, 2), fit_lapse(shuffled, 2)
    assert again.share == found.share
    assert again.gain == pytest.approx(found.gain, rel=1e-6, abs=1e-6)


def test_nothing_is_said_of_margins_without_a_middle():
    assert fit_lapse(np.zeros(10), 2).gain == 0
    assert fit_lapse(np.append(np.zeros(9), -1.0), 2).share == 0
