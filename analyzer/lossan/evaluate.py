"""Flags and scores against the known truth, every figure with its 95% interval."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossan.results import Evaluation

Z = 1.959963984540054
"""97.5% quantile of the standard normal distribution."""

Interval = tuple[float, float]
Measured = tuple[float, float, float] | None


def evaluate(
    wrong: NDArray[np.bool_],
    flagged: NDArray[np.bool_],
    score: NDArray[np.float64] | None,
    probability: NDArray[np.float64] | None = None,
) -> Evaluation:
    """Hold flags and scores against the truth.

    Parameters
    ----------
    wrong : ndarray of bool
        Shape (n_samples,): which given labels are wrong.
    flagged : ndarray of bool
        Shape (n_samples,).
    score : ndarray of float64, optional
        Shape (n_samples,); higher = more suspicious, NaN = unscored. Unscored samples count as not
        flagged, and are left out of AUROC and AUPRC.
    probability : ndarray of float64, optional
        Shape (n_samples,): that the label is wrong; NaN = not given.

    Returns
    -------
    Evaluation
    """
    tp, fp = int((flagged & wrong).sum()), int((flagged & ~wrong).sum())
    fn, tn = int((~flagged & wrong).sum()), int((~flagged & ~wrong).sum())
    measured: dict[str, Measured] = {}
    if score is not None:
        scored = ~np.isnan(score)
        measured["auroc"] = auroc(wrong[scored], score[scored])
        measured["auprc"] = auprc(wrong[scored], score[scored])
    error = None if probability is None else calibration_error(wrong, probability)
    return evaluation_of(tp, fp, fn, tn, measured, error)


def evaluation_of(
    tp: int,
    fp: int,
    fn: int,
    tn: int,
    measured: dict[str, Measured] | None = None,
    calibration_error: float | None = None,
) -> Evaluation:
    """Return the rates of four counts, with what else was measured."""
    rates: dict[str, Measured] = {
        "sensitivity": rate(tp, tp + fn),
        "specificity": rate(tn, tn + fp),
        "precision": rate(tp, tp + fp),
        "f1": f1_rate(tp, fp, fn),
        **(measured or {}),
    }
    fields: dict[str, Any] = {}
    for name, value in rates.items():
        if value is not None:
            fields[name], fields[f"{name}_low"], fields[f"{name}_high"] = value
    n = tp + fp + fn + tn
    return Evaluation(
        n=n, tp=tp, fp=fp, fn=fn, tn=tn, calibration_error=calibration_error, **fields
    )


def calibration_error(wrong: NDArray[np.bool_], probability: NDArray[np.float64]) -> float | None:
    """Return the expected calibration error over ten equally wide bins (Naeini et al. 2015).

    Examples
    --------
    >>> calibration_error(np.array([True, False]), np.array([0.75, 0.25]))
    0.25
    """
    known = ~np.isnan(probability)
    if not known.any():
        return None
    sure, hit = probability[known], wrong[known]
    bins = np.minimum((sure * 10).astype(int), 9)
    gaps = np.abs(np.bincount(bins, hit, 10) - np.bincount(bins, sure, 10))
    return float(gaps.sum() / len(sure))


def wilson(hits: int, n: int) -> Interval:
    """Return Wilson's score interval of a binomial proportion (Wilson 1927).

    Examples
    --------
    >>> [round(bound, 4) for bound in wilson(488, 648)]
    [0.7185, 0.7847]
    """
    p, z2 = hits / n, Z * Z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * float(np.sqrt(p * (1 - p) / n + z2 / (4 * n * n)))
    # at the ends rounding must not push the bound past the proportion itself
    return min(max(0.0, centre - half), p), max(min(1.0, centre + half), p)


def rate(hits: int, n: int) -> Measured:
    """Return a proportion with Wilson's interval, None without cases."""
    return (hits / n, *wilson(hits, n)) if n else None


def f1_rate(tp: int, fp: int, fn: int) -> Measured:
    """Return F1 with an interval.

    F1 = 2 J / (1 + J) grows with J = tp / (tp + fp + fn), the Jaccard index, which is a proportion:
    its Wilson interval is mapped.
    """
    jaccard = rate(tp, tp + fp + fn)
    if jaccard is None:
        return None
    value, low, high = (2 * j / (1 + j) for j in jaccard)
    return value, low, high


def auroc(wrong: NDArray[np.bool_], score: NDArray[np.float64]) -> Measured:
    """Return the area under the ROC curve with DeLong's interval on the logit scale.

    Notes
    -----
    The variance is estimated from as many placements as there are wrong labels, so with few of
    them the interval is too narrow: in simulation, with an area of 0.97 and 1,000 right labels, it
    covers 95% for 100 wrong labels, 91% for 40, 84% for 20 and 79% for 10.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson 1988; by midranks as in Sun and Xu 2014.
    """
    n_wrong, n_right = int(wrong.sum()), int((~wrong).sum())
    if not n_wrong or not n_right:
        return None
    all_ranks = _midranks(score)
    # share of the other group that a sample outranks, ties counted half
    of_wrong = (all_ranks[wrong] - _midranks(score[wrong])) / n_right
    of_right = 1 - (all_ranks[~wrong] - _midranks(score[~wrong])) / n_wrong
    area = float(of_wrong.mean())
    if n_wrong < 2 or n_right < 2:
        return area, 0.0, 1.0
    variance = float(of_wrong.var(ddof=1) / n_wrong + of_right.var(ddof=1) / n_right)
    # pairs are not independent: no more trials than samples in the smaller group
    return (area, *_logit_interval(area, variance, min(n_wrong, n_right)))


def auprc(wrong: NDArray[np.bool_], score: NDArray[np.float64]) -> Measured:
    """Return the average precision with the logit interval of Boyd, Eng and Page 2013.

    Precision is taken at each distinct score and weighted by the recall it adds, without
    interpolation, so that equal scores count as one cut.
    """
    n_wrong = int(wrong.sum())
    if not n_wrong or n_wrong == len(wrong):
        return None
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(wrong[order])
    ends = np.flatnonzero(np.append(score[order][1:] != score[order][:-1], True))
    precision = hits[ends] / (ends + 1)
    area = float((precision * np.diff(hits[ends], prepend=0)).sum() / n_wrong)
    return (area, *_logit_interval(area, area * (1 - area) / n_wrong, n_wrong))


def _midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank from 1 on, equal values sharing the mean of their ranks."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    stops = np.append(starts[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + stops + 1) / 2, stops - starts)
    return ranks


def _logit_interval(value: float, variance: float, n: int) -> Interval:
    """Return the interval of a value in (0, 1), symmetric on the logit scale."""
    if value in (0.0, 1.0) or variance == 0.0:
        # no spread was seen: as wide as that many trials with one outcome allow
        low, high = wilson(round(value * n), n)
        return min(low, value), max(high, value)
    half = Z * float(np.sqrt(variance)) / (value * (1 - value))
    odds = value / (1 - value)
    with np.errstate(over="ignore", under="ignore"):  # so wide that its end is 0 or 1
        low, high = odds * float(np.exp(-half)), odds * float(np.exp(half))
    return low / (1 + low), (1.0 if np.isinf(high) else high / (1 + high))
