"""The findings table: what was found of each sample, most suspicious first."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.detectors import Detection
from lossan.features import FEATURES, Features
from lossan.losslog import LossLog

_SOME = 100_000  # samples that say how high the first are at least
MOST_SEQUENCES = 10_000
"""Of how many suspects the findings keep the loss sequences."""
Rows = NDArray[np.int64]


def ranking(score: NDArray[np.float64]) -> Rows:
    """Return the rows by falling score; equal ones keep their order, the unscored come last."""
    return np.argsort(-score, kind="stable")


def first_ranked(score: NDArray[np.float64], count: int) -> Rows:
    """Return the first rows of the ranking without ranking them all.

    Examples
    --------
    >>> first_ranked(np.array([0.5, 0.9, np.nan, 0.5]), 2).tolist()
    [1, 0]
    """
    if count >= len(score):
        return ranking(score)
    # as many of some samples are at least so high, so the first of all are
    some = -score[:: max(1, len(score) // _SOME)]
    last = np.partition(some, count)[count] if count < len(some) else np.nan
    if np.isnan(last):
        last = np.partition(-score, count)[count]  # NaN sorts last
    rows = np.arange(len(score)) if np.isnan(last) else np.flatnonzero(score >= -last)
    return rows[np.argsort(-score[rows], kind="stable")][:count]


def findings_table(
    log: LossLog,
    features: Features,
    detection: Detection,
    suggested: pa.Array | None,
    rows: Rows,
    first_rank: int = 1,
) -> pa.Table:
    """Put the findings of some rows together.

    Parameters
    ----------
    log : LossLog
    features : Features
    detection : Detection
    suggested : pyarrow.Array, optional
        Shape (n_samples,): the label each should have instead.
    rows : ndarray of int64
        Which samples, in the order wanted.
    first_rank : int
        The rank of the first of them.
    """
    taken = pa.array(rows)
    missing = pa.nulls(len(rows), pa.large_string())

    def column(values: pa.Array | None) -> pa.Array:
        return missing if values is None else pc.take(values, taken)

    probability = detection.probability
    columns: dict[str, Any] = {
        "rank": np.arange(first_rank, first_rank + len(rows)),
        "sample_id": column(log.sample_id),
        "label": column(log.label),
        "score": detection.score[rows],
        "flagged": detection.flagged[rows],
        "probability": np.full(len(rows), np.nan) if probability is None else probability[rows],
        "suggested_label": column(suggested),
    }
    columns |= dict(zip(FEATURES, features.take(rows), strict=True))
    columns |= {field: column(getattr(log, field)) for field in ("path", "group")}
    if log.true_label is not None:
        columns["true_label"] = column(log.true_label)
    return pa.table(columns)
