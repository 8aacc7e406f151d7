"""Which label a flagged sample should have instead, where the log allows to say."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.losslog import LossLog


def suggest_labels(log: LossLog, flagged: NDArray[np.bool_]) -> pa.Array | None:
    """Suggest another label than the given one for each flagged sample.

    With predictions in the log it is the class predicted at most epochs, other than the given
    label (of equals, the class whose name comes first); with two classes and no predictions that
    compare with the labels it is the other class.

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
    if log.label is None or log.coded_label is None:
        return None
    rows = np.flatnonzero(flagged)
    given = log.coded_label
    predicted = log.predicted
    # Predictions of another type than the labels cannot be told apart from them.
    if predicted and len(predicted.values) and predicted.values.type == given.values.type:
        classes = predicted.values
        own = pc.index_in(log.label.take(pa.array(rows)), value_set=classes)
        codes = _modal(predicted.codes[rows], pc.fill_null(own, -1).to_numpy(False), classes)
    elif len(given.values) == 2:
        classes = given.values
        codes = np.where(given.codes[rows] >= 0, 1 - given.codes[rows], -1)
    else:
        return None
    suggested = np.full(log.n_samples, -1, np.int64)
    suggested[rows] = codes
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
