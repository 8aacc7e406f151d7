"""Which label a flagged sample should have instead, where the log allows to say."""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.losslog import LossLog, places_among
from lossan.signals import comparable, of_two


def suggest_labels(log: LossLog, flagged: NDArray[np.bool_]) -> pa.Array | None:
    """Suggest another label than the given one for each flagged sample.

    With predictions that compare with the labels it is the class predicted at most epochs, other
    than the given label (of equals, the class whose name comes first); without them, and with two
    classes, it is the other class.

    Parameters
    ----------
    log : LossLog
    flagged : ndarray of bool
        Shape (n_samples,).

    Returns
    -------
    pyarrow.Array or None
        Null where nothing is suggested; None where the log allows no suggestion at all.
    """
    field = suggesting(log)
    if field == "predicted":
        return most_predicted(log, flagged)
    if field is None or log.coded_label is None:
        return None
    codes, classes = log.coded_label.codes, log.coded_label.values
    return classes.take(pa.array(1 - codes, mask=(codes < 0) | ~flagged))


def suggesting(log: LossLog) -> Literal["predicted", "label"] | None:
    """Return the field that tells which label a sample should have instead, None where none does.

    Parameters
    ----------
    log : LossLog
        A whole one: what a part of it holds may tell something else.
    """
    log, _ = comparable(log)
    if log.coded_label is None:
        return None
    if log.predicted is not None:
        return "predicted"
    return "label" if of_two(log) else None


def most_predicted(log: LossLog, flagged: NDArray[np.bool_]) -> pa.Array:
    """Return the class predicted at most epochs, other than the given label, null of the unflagged.

    Parameters
    ----------
    log : LossLog
        With labels and predictions of one type.
    flagged : ndarray of bool
        Shape (n_samples,).
    """
    assert log.label is not None  # noqa: S101  (suggesting says so)
    assert log.predicted is not None  # noqa: S101  (suggesting says so)
    rows, classes = np.flatnonzero(flagged), log.predicted.values
    own = places_among(log.label.take(pa.array(rows)), classes)
    suggested = np.full(log.n_samples, -1, np.int64)
    suggested[rows] = _modal(log.predicted.codes[rows], own, classes)
    return classes.take(pa.array(suggested, mask=suggested < 0))


def _modal(
    codes: NDArray[np.int32], own: NDArray[np.int64], classes: pa.Array
) -> NDArray[np.int64]:
    """Return the most frequent code of each row other than the row's own, -1 where there is none.

    Works on the codes ordered by class name: a run of equal codes, its length its count.
    """
    by_name = pc.sort_indices(classes).to_numpy()
    rank = np.append(np.argsort(by_name), -1)  # code -> place of its name; -1 stays -1
    ranks = np.sort(rank[codes], axis=1)
    own_rank = rank[own]
    best = np.full(len(codes), -1, np.int64)
    most = np.zeros(len(codes), np.int64)
    run = np.zeros(len(codes), np.int64)
    for epoch in range(ranks.shape[1]):
        here = ranks[:, epoch]
        same = epoch > 0 and here == ranks[:, epoch - 1]
        run = np.where(same, run + 1, 1)
        better = (run > most) & (here >= 0) & (here != own_rank)
        best[better], most[better] = here[better], run[better]
    return np.where(best >= 0, by_name[best], -1)
