"""What class each sample is taken for at each epoch, and how sure the network is of it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.losslog import LossLog, places_among
from lossan.signals import margin_of_two, n_classes, of_two

Vector = NDArray[np.float64]
Codes = NDArray[np.int32]
Rows = NDArray[np.intp]


def classes_of(log: LossLog) -> pa.Array | None:
    """Return the classes given or predicted, None where it is not known which are predicted.

    Of two classes that follows from the loss.
    """
    given, predicted = log.coded_label, log.predicted
    if given is None:
        return None
    if predicted is None:
        return given.values if of_two(log) else None
    if given.values.type != predicted.values.type:
        return None
    return pc.unique(pa.concat_arrays([given.values, predicted.values]))


def taken(log: LossLog, rows: Rows, classes: pa.Array) -> Iterator[tuple[Codes, Codes]]:
    """Yield by epoch the number of each sample's given and predicted class, -1 for unknown."""
    assert log.coded_label is not None  # noqa: S101  (classes_of has seen to it)
    given = _numbered(log.coded_label.values, classes)[log.coded_label.codes[rows]]
    if log.predicted is not None:
        names = _numbered(log.predicted.values, classes)
        for codes in log.predicted.codes.T:
            yield given, names[codes[rows]]
        return
    for epoch in range(log.n_epochs):
        margin = _margin(log, rows, epoch)
        other = np.where(margin < 0, 1 - given, given)
        yield given, np.where(np.isnan(margin) | (given < 0), -1, other).astype(np.int32)


def sureness(log: LossLog, rows: Rows, epoch: int) -> NDArray[np.floating[Any]]:
    """Return the most probable class's probability, shape (n_rows,): as logged, or as follows.

    It follows from the margin and the given label's probability, and of two classes from either.
    NaN where it does not.
    """
    if log.predicted_prob is not None:
        return log.predicted_prob[rows, epoch]
    two = n_classes(log) == 2
    if log.margin is None and not two:
        return np.full(len(rows), np.nan)
    margin = _margin(log, rows, epoch)
    if two:
        return np.asarray(1 / (1 + np.exp(-np.abs(margin))))
    loss = log.loss[rows, epoch].astype(np.float64)
    if log.label_prob is not None:
        loss = -np.log(np.maximum(log.label_prob[rows, epoch].astype(np.float64), 1e-300))
    return np.asarray(np.exp(np.minimum(np.maximum(-margin, 0) - loss, 0)))


def _margin(log: LossLog, rows: Rows, epoch: int) -> Vector:
    """Return the given label's margin at an epoch, of two classes where it is not logged."""
    if log.margin is not None:
        return log.margin[rows, epoch].astype(np.float64)
    return margin_of_two(log, rows, epoch)


def _numbered(values: pa.Array, among: pa.Array) -> Codes:
    """Return the number of each value, and -1 for the code -1."""
    return np.append(places_among(values, among), -1).astype(np.int32)
