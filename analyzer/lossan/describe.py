"""What a report shows of an analysis beside its counts: distributions of scores and features."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.features import FEATURES, Features
from lossan.losslog import LossLog
from lossan.results import ClassPair, FeatureSummary, LossByEpoch, ScoreSummary, Spread

_BINS = 60
_FEATURE_BINS = 40
MOST_PAIRS = 200
"""Of 1,000 classes there may be a million pairs."""
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_PAIR_FIELDS = ("label", "suggested_label", "true_label", "probability")

Bools = NDArray[np.bool_]
Vector = NDArray[np.float64]


def describe_scores(score: Vector, flagged: Bools) -> ScoreSummary | None:
    """Count the scores by bin, the cut being an edge.

    Parameters
    ----------
    score : ndarray of float64
        Shape (n_samples,); what is not finite is left out.
    flagged : ndarray of bool
        Shape (n_samples,).

    Returns
    -------
    ScoreSummary or None
        None without a score.

    Examples
    --------
    >>> found = describe_scores(np.array([0.0, 1.0, 6.0]), np.array([False, False, True]))
    >>> found.cut, sum(found.flagged), sum(found.unflagged)
    (6.0, 1, 2)
    """
    finite = np.isfinite(score)
    score, flagged = score[finite], flagged[finite]
    if not len(score):
        return None
    low, high = float(score.min()), float(score.max())
    above, below = score[flagged], score[~flagged]
    cut = float(above.min()) if len(above) else None
    if cut is not None and len(below) and below.max() >= cut:
        cut = None
    anchor = low if cut is None else cut
    width = (high - low) / _BINS or 1.0
    before, after = np.ceil((anchor - low) / width), np.floor((high - anchor) / width) + 1
    edges = anchor + np.arange(-before, after + 1) * width
    edges[0], edges[-1] = min(edges[0], low), max(edges[-1], high)  # whatever rounding did
    return ScoreSummary(
        cut=cut,
        edges=edges.tolist(),
        flagged=_counts(above, edges),
        unflagged=_counts(below, edges),
    )


def describe_features(features: Features, flagged: Bools, n_epochs: int) -> list[FeatureSummary]:
    """Summarise each feature of the flagged and of the unflagged samples that have features.

    Parameters
    ----------
    features : Features
    flagged : ndarray of bool
        Shape (n_samples,).
    n_epochs : int
    """
    known = features.scorable
    if not known.any():
        return []
    of_kind = (known & flagged, known & ~flagged)
    found = []
    for name in FEATURES:
        values = features[name]
        edges = _feature_edges(name, values[known], n_epochs)
        kinds = [_spread(values[kind], edges) for kind in of_kind]
        found.append(
            FeatureSummary(name=name, edges=edges.tolist(), flagged=kinds[0], unflagged=kinds[1])
        )
    return found


def describe_losses(log: LossLog, flagged: Bools, scored: Bools) -> LossByEpoch:
    """Return the median loss of the flagged and of the unflagged, scored samples by epoch."""
    return LossByEpoch(
        epochs=log.epochs.tolist(),
        flagged=[_median(epoch[flagged]) for epoch in log.loss.T],
        unflagged=[_median(epoch[scored & ~flagged]) for epoch in log.loss.T],
    )


def describe_pairs(findings: pa.Table) -> list[ClassPair]:
    """Count the flagged by given and suggested label, the most frequent pairs first.

    Parameters
    ----------
    findings : pyarrow.Table
    """
    return leading_pairs(count_pairs(findings))


def leading_pairs(pairs: list[ClassPair]) -> list[ClassPair]:
    """Return the most frequent pairs of a whole log, none where no flagged sample has a label."""
    if all(pair.label is None for pair in pairs):
        return []
    return most_frequent(pairs)[:MOST_PAIRS]


def count_pairs(findings: pa.Table) -> list[ClassPair]:
    """Count the flagged by given and suggested label; also those without a label.

    Parameters
    ----------
    findings : pyarrow.Table
        Of a log or of a part of one.
    """
    found = findings.filter(findings["flagged"]).select(
        [c for c in findings.column_names if c in _PAIR_FIELDS]
    )
    wrong = pa.nulls(len(found), pa.bool_())
    if "true_label" in found.column_names:
        texts = (found[name].cast(pa.large_string()) for name in ("label", "true_label"))
        wrong = pc.not_equal(*texts)
    probability = found["probability"].combine_chunks()
    known = pc.if_else(pc.is_nan(probability), None, probability)
    counted = (
        found.append_column("wrong", wrong)
        .append_column("known", known)
        .group_by(["label", "suggested_label"])
        .aggregate([("wrong", "sum"), ("wrong", "count"), ("known", "sum"), ([], "count_all")])
    )
    return [
        ClassPair(
            label=row["label"],
            suggested_label=row["suggested_label"],
            n_flagged=row["count_all"],
            expected_wrong=row["known_sum"],
            n_known=row["wrong_count"],
            n_wrong=row["wrong_sum"] or 0,
        )
        for row in counted.to_pylist()
    ]


def most_frequent(pairs: list[ClassPair]) -> list[ClassPair]:
    """Sort pairs by their count, equal ones by their names."""
    return sorted(pairs, key=lambda p: (-p.n_flagged, str(p.label), str(p.suggested_label)))


def class_medians(codes: NDArray[np.integer[Any]], values: Vector, size: int) -> list[float | None]:
    """Return the median value of each class, None for one without values.

    Parameters
    ----------
    codes : ndarray of int
        Shape (n,), from 0 to size - 1.
    values : ndarray of float64
        Shape (n,).
    size : int

    Examples
    --------
    >>> class_medians(np.array([2, 0, 2, 2]), np.array([1.0, 4.0, 9.0, 2.0]), 3)
    [4.0, None, 2.0]
    """
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(size), side="right")
    parts = np.split(values[order], ends[:-1])
    return [float(np.median(part)) if len(part) else None for part in parts]


def _feature_edges(name: str, values: Vector, n_epochs: int) -> Vector:
    if name == "f3_drop_position":  # whole numbers, each in the middle of its bin
        width = -(-(n_epochs - 1) // _FEATURE_BINS)
        return np.arange(0.5, n_epochs - 0.5 + width, width)
    low, high = float(values.min()), float(values.max())
    return np.linspace(low, high if high > low else low + 1, _FEATURE_BINS + 1)


def _spread(values: Vector, edges: Vector) -> Spread | None:
    if not len(values):
        return None
    mean, counts = float(values.mean()), _counts(values, edges)
    # the values are a copy already, and there may be many
    quantiles = (float(q) for q in np.quantile(values, _QUANTILES, overwrite_input=True))
    names = ("p5", "p25", "p50", "p75", "p95")
    shape: dict[str, Any] = dict(zip(names, quantiles, strict=True))
    return Spread(n=len(values), mean=mean, counts=counts, **shape)


def _counts(values: Vector, edges: Vector) -> list[int]:
    counts: list[int] = np.histogram(values, edges)[0].tolist()
    return counts


def _median(values: NDArray[np.float32]) -> float | None:
    values = values[~np.isnan(values)]
    return float(np.median(values)) if len(values) else None
