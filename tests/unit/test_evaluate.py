"""Rates, areas and their intervals, against other libraries and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binomtest, norm
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from lossan.evaluate import Z, auprc, auroc, calibration_error, evaluate, f1_rate, rate, wilson

# few distinct values, so that there are ties
scored = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        hnp.arrays(bool, n),
        hnp.arrays(np.float64, n, elements=st.sampled_from([-1.5, 0.0, 0.25, 1.0, 7.0])),
    )
)


def both(wrong):
    return wrong.any() and not wrong.all()


@given(scored)
def test_auroc_as_scikit_learn(case):
    wrong, score = case
    if both(wrong):
        assert auroc(wrong, score)[0] == pytest.approx(roc_auc_score(wrong, score), abs=1e-12)
    else:
        assert auroc(wrong, score) is None


@given(scored)
def test_auprc_as_scikit_learn(case):
    wrong, score = case
    if both(wrong):
        expected = average_precision_score(wrong, score)
        assert auprc(wrong, score)[0] == pytest.approx(expected, abs=1e-12)
    else:
        assert auprc(wrong, score) is None


def delong(wrong, score):
    """DeLong's variance from the kernel of every pair, O(n m)."""
    x, y = score[wrong], score[~wrong]
    kernel = np.array([[1.0 if a > b else 0.5 if a == b else 0.0 for b in y] for a in x])
    of_x, of_y = kernel.mean(axis=1), kernel.mean(axis=0)
    return kernel.mean(), of_x.var(ddof=1) / len(x) + of_y.var(ddof=1) / len(y)


@pytest.mark.parametrize("ties", [False, True])
def test_auroc_interval_is_delongs_on_the_logit_scale(ties):
    rng = np.random.default_rng(0)
    wrong = np.arange(120) < 30
    score = rng.normal(1.2 * wrong)
    if ties:
        score = score.round(0)
    area, variance = delong(wrong, score)
    logit, spread = math.log(area / (1 - area)), math.sqrt(variance) / (area * (1 - area))
    expected = [area, *(1 / (1 + math.exp(-(logit + z * spread))) for z in (-Z, Z))]
    assert auroc(wrong, score) == pytest.approx(expected, rel=1e-12)


def test_auprc_interval_is_boyds_logit_one():
    wrong = np.array([1, 0, 1, 0, 0, 1, 0, 0], bool)
    score = np.arange(8, 0, -1.0)
    area = (1 + 2 / 3 + 3 / 6) / 3
    eta, tau = math.log(area / (1 - area)), 1 / math.sqrt(3 * area * (1 - area))
    expected = [area, *(1 / (1 + math.exp(-(eta + z * tau))) for z in (-Z, Z))]
    assert auprc(wrong, score) == pytest.approx(expected, rel=1e-12)


def test_equal_scores_are_one_cut():
    wrong = np.array([1, 0, 1, 0], bool)
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1]):
        assert auprc(wrong[order], np.ones(4))[0] == 0.5
        assert auroc(wrong[order], np.ones(4))[0] == 0.5


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (488, 648, 0.7184580, 0.7847319),  # the paper's sensitivity
        (9648, 10140, 0.9471235, 0.9554931),  # and specificity
        (0, 10, 0.0, 0.2775328),
        (10, 10, 0.7224672, 1.0),
        (1, 1, 0.2065493, 1.0),
        (5, 10, 0.2365931, 0.7634069),
    ],
)
def test_wilson(hits, n, low, high):
    assert wilson(hits, n) == pytest.approx((low, high), abs=1e-7)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_as_scipy(case):
    hits, n = case
    low, high = wilson(hits, n)
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= hits / n <= high <= 1


def test_z_is_the_quantile():
    assert pytest.approx(norm.ppf(0.975), abs=1e-15) == Z


def test_a_rate_without_cases_is_none():
    assert rate(0, 0) is None
    assert f1_rate(0, 0, 0) is None


def test_f1_interval_is_the_jaccard_index_mapped():
    value, low, high = f1_rate(8, 2, 4)
    assert value == pytest.approx(2 * 8 / (2 * 8 + 2 + 4))
    for f1, j in zip((low, high), wilson(8, 14), strict=True):
        assert f1 == pytest.approx(2 * j / (1 + j))
        assert j == pytest.approx(f1 / (2 - f1))  # and back


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_f1_lies_in_its_interval_and_grows_with_hits(tp, fp, fn):
    if tp + fp + fn == 0:
        return
    value, low, high = f1_rate(tp, fp, fn)
    assert 0 <= low <= value <= high <= 1
    if fp:
        assert f1_rate(tp + 1, fp - 1, fn)[1] > low


WRONG = np.array([1, 1, 1, 0, 0, 0, 0, 0], bool)
FLAGGED = np.array([1, 1, 0, 1, 0, 0, 0, 0], bool)


def test_counts_and_rates():
    result = evaluate(WRONG, FLAGGED, None)
    assert (result.n, result.tp, result.fp, result.fn, result.tn) == (8, 2, 1, 1, 4)
    assert result.sensitivity == pytest.approx(2 / 3)
    assert result.specificity == pytest.approx(4 / 5)
    assert result.precision == pytest.approx(2 / 3)
    assert result.f1 == pytest.approx(f1_score(WRONG, FLAGGED))
    assert (result.sensitivity_low, result.sensitivity_high) == wilson(2, 3)
    assert (result.specificity_low, result.specificity_high) == wilson(4, 5)
    assert (result.precision_low, result.precision_high) == wilson(2, 3)
    assert result.auroc is None
    assert result.auprc_low is None


def test_unscored_samples_are_left_out_of_the_areas_but_counted():
    score = np.array([9, 8, np.nan, 7, 1, 2, np.nan, 3])
    result = evaluate(WRONG, FLAGGED, score)
    assert result.n == 8
    assert result.auroc == 1.0
    assert evaluate(WRONG, FLAGGED, np.full(8, np.nan)).auroc is None


@pytest.mark.parametrize("wrong", [np.zeros(6, bool), np.ones(6, bool)])
def test_only_one_kind_of_label(wrong):
    result = evaluate(wrong, np.arange(6) < 2, np.arange(6.0))
    assert result.auroc is None
    assert result.auprc is None
    missing = result.sensitivity if not wrong.any() else result.specificity
    assert missing is None


def test_no_samples_at_all():
    result = evaluate(np.zeros(0, bool), np.zeros(0, bool), np.zeros(0))
    assert result.n == 0
    assert {result.sensitivity, result.specificity, result.precision, result.f1} == {None}


def test_perfect_separation_still_has_an_interval():
    wrong = np.arange(110) < 10
    area, low, high = auroc(wrong, 1.0 * wrong)
    # ten wrong labels cannot show more than ten trials without a miss do
    assert (area, low, high) == (1.0, wilson(10, 10)[0], 1.0)
    assert auprc(wrong, 1.0 * wrong) == (1.0, wilson(10, 10)[0], 1.0)
    assert auroc(wrong, -1.0 * wrong) == (0.0, 0.0, wilson(0, 10)[1])


def test_one_wrong_label_says_nothing_of_the_spread():
    wrong = np.arange(20) < 1
    assert auroc(wrong, np.arange(20.0)) == (0.0, 0.0, 1.0)


def test_one_wrong_label_at_the_end_of_a_long_ranking():
    wrong = np.arange(200_000) < 1
    area, low, high = auprc(wrong, np.arange(200_000.0))
    assert area == pytest.approx(5e-6)
    assert (low, high) == pytest.approx((0, 1))


@given(scored)
def test_areas_lie_in_their_intervals(case):
    for measured in (auroc(*case), auprc(*case)):
        if measured is not None:
            area, low, high = measured
            assert 0 <= low <= area <= high <= 1


def test_intervals_cover_as_often_as_they_say():
    """Binormal scores: 200 wrong among 1,200; 95% of 400 runs, give or take three deviations."""
    rng = np.random.default_rng(1)
    wrong = np.arange(1200) < 200
    shift = 1.5
    true_auroc = norm.cdf(shift / math.sqrt(2))
    cuts = np.linspace(-5, 7, 20_001)
    hit, false = norm.sf(cuts, shift), norm.sf(cuts)
    precision = hit * 200 / (hit * 200 + false * 1000)
    true_auprc = -np.trapezoid(precision, hit)
    runs = 400
    covered = np.zeros(2)
    for _ in range(runs):
        score = rng.normal(shift * wrong)
        for i, (measure, truth) in enumerate(((auroc, true_auroc), (auprc, true_auprc))):
            _, low, high = measure(wrong, score)
            covered[i] += low <= truth <= high
    slack = 3 * math.sqrt(0.95 * 0.05 / runs)
    share = covered / runs
    assert abs(share[0] - 0.95) < slack
    # Boyd's interval leaves out the spread of the right labels: it may be a little off
    assert share[1] > 0.95 - slack - 0.02
    assert share[1] < 0.999


def test_calibration_error_by_hand():
    wrong = np.array([True, False, False, True, True])
    # bins: 0.1 and 0.15 together, 0.55, 1.0; the last is not given
    probability = np.array([0.1, 0.15, 0.55, 1.0, np.nan])
    gaps = abs(1 - 0.25) + abs(0 - 0.55) + abs(1 - 1.0)
    assert calibration_error(wrong, probability) == pytest.approx(gaps / 4)
    assert evaluate(wrong, wrong, None, probability).calibration_error == pytest.approx(gaps / 4)
    assert calibration_error(wrong, np.full(5, np.nan)) is None
