"""What methods read of a log: the channels it has, or what follows from the loss alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.columns import kind_word
from lossan.losslog import FLOAT_CHANNELS, Coded, LossLog, places_among

Matrix = NDArray[np.float64]
_TINY = 1e-12
_ROUNDED = 1e-5  # of a probability: what float32 may have lost of it and of the loss together


def n_classes(log: LossLog) -> int | None:
    """Return how many classes the log knows of, None where it has neither labels nor names."""
    return len(class_names(log)) or None


def of_two(log: LossLog) -> bool:
    """Tell whether there are two classes, both given, so that one says what the other has."""
    return log.coded_label is not None and len(log.coded_label.values) == 2 == n_classes(log)


def class_names(log: LossLog) -> list[Any]:
    """Return the classes that the log states or, if they are more, that are given or predicted."""
    stated = log.metadata.get("classes")
    named = stated if isinstance(stated, list) else []
    if log.coded_label is None:
        return named
    seen = log.coded_label.values
    if log.predicted is not None and log.predicted.values.type == seen.type:
        seen = pc.unique(pa.concat_arrays([seen, log.predicted.values]))
    return named if len(named) >= len(seen) else seen.to_pylist()


def commonest(log: LossLog) -> float:
    """Return the share of the labels that the most common class has, 1 where none is known."""
    codes = np.empty(0, np.int32) if log.coded_label is None else log.coded_label.codes
    counts = np.bincount(codes[codes >= 0])
    return float(counts.max() / counts.sum()) if len(counts) else 1.0


def comparable(log: LossLog) -> tuple[LossLog, tuple[str, ...]]:
    """Leave out what is all missing, and predictions that say nothing about labels.

    Returns
    -------
    log : LossLog
    notes : tuple of str
        What was left out, and why.
    """
    notes = []
    if log.coded_label is not None and not len(log.coded_label.values):
        log = replace(log, label=None)
        notes.append("no sample has a label")
    for name in FLOAT_CHANNELS:
        values = getattr(log, name)
        # the first sample says so of most logs, and costs nothing
        if values is not None and np.isnan(values[:1]).all() and np.isnan(values).all():
            nothing: dict[str, Any] = {name: None}
            log = replace(log, **nothing)
            notes.append(f"{name} was not used: it is all missing")
    why = None if log.predicted is None else _incomparable(log.predicted.values, log.coded_label)
    if why is not None:
        log = replace(log, predicted=None)
        notes.append(f"the classes predicted were not used: {why}")
    return log, tuple(notes)


def _incomparable(predicted: pa.Array, given: Coded | None) -> str | None:
    """Tell why classes predicted cannot be held against labels, None where they can."""
    if not len(predicted):
        return "they are all missing"
    if given is None:
        return None
    if predicted.type != given.values.type:
        own, others = kind_word(predicted.type), kind_word(given.values.type)
        return f"they are {own}, the labels {others}; record both alike"
    if not pc.any(pc.is_in(predicted, value_set=given.values)).as_py():
        first = pc.min(predicted).as_py()  # by name, for the codes stand in any order
        return (
            f"none of them is ever a label; the first is {first!r}, the first "
            f"label {given.values[0].as_py()!r}; record both alike"
        )
    return None


def losses(log: LossLog) -> Matrix:
    """Return the losses, shape (n_samples, n_epochs), in nats."""
    return log.loss.astype(np.float64)


def label_probs(log: LossLog) -> Matrix:
    """Return the given label's probability: as logged, or exp(-loss) of cross-entropy.

    Of two classes a logged margin says it too, whatever the loss is.
    """
    return probs_of_two(log) if of_two(log) else _probs(log, None)


def probs_of_two(log: LossLog) -> Matrix:
    """Return `label_probs` of some samples of a log that has two classes."""
    return _probs(log, log.margin)


def _probs(log: LossLog, margin: NDArray[np.float32] | None) -> Matrix:
    prob = np.exp(-np.maximum(losses(log), 0))
    if margin is not None:
        known = ~np.isnan(margin) & ~np.isnan(prob)
        against = np.where(known, -margin.astype(np.float64), 0.0)
        prob = np.where(known, np.exp(-np.logaddexp(0.0, against)), prob)
    logged = log.label_prob
    return prob if logged is None else np.where(np.isnan(logged), prob, logged)


def margins(log: LossLog) -> Matrix:
    """Return the given label's logit minus the largest other one, as logged or `complete`."""
    assert log.margin is not None  # noqa: S101  (needs says so)
    return log.margin.astype(np.float64)


def mistakes(log: LossLog) -> Matrix:
    """Return 1 where the most probable class was not the given label, 0 where it was, else NaN."""
    assert log.coded_label is not None  # noqa: S101  (needs says so)
    assert log.predicted is not None  # noqa: S101  (needs says so)
    given = pc.index_in(log.coded_label.values, value_set=log.predicted.values)
    place = np.append(pc.fill_null(given, -2).to_numpy(zero_copy_only=False), -1)
    wrong = (log.predicted.codes != place[log.coded_label.codes][:, None]).astype(np.float64)
    wrong[(log.predicted.codes < 0) | (log.coded_label.codes < 0)[:, None]] = np.nan
    return wrong


def complete(log: LossLog, needs: tuple[str, ...]) -> LossLog:
    """Add the needed channels that follow from the loss of a two-class problem.

    With p the given label's probability, as logged or else exp(-loss), the margin is
    log p - log (1 - p), unless it is logged, and the other class is predicted where it is negative.
    What is logged of a part stays, and is added where there is a loss alone.

    Parameters
    ----------
    log : LossLog
    needs : tuple of str
        Channels a method needs; those that do not follow are left out.
    """
    lacking = [channel for channel in needs if _lacks(log, channel)]
    if not lacking or not of_two(log):
        return log
    prob = label_probs(log).astype(np.float32)
    margin = _logged_or(log.margin, two_class_margin(log.loss, log.label_prob))
    found: dict[str, Any] = {
        "label_prob": prob,
        "margin": margin,
        "predicted_prob": _logged_or(log.predicted_prob, np.maximum(prob, 1 - prob)),
    }
    if "predicted" in lacking:
        found["predicted"] = _predicted_of_two(log, margin)
    return replace(log, **{c: found[c] for c in lacking if c in found})


def _lacks(log: LossLog, channel: str) -> bool:
    """Tell whether a channel is not there, or not at every loss."""
    values = getattr(log, channel)
    if values is None or channel not in (*FLOAT_CHANNELS, "predicted"):
        return values is None
    gone = values.codes < 0 if channel == "predicted" else np.isnan(values)
    return bool((gone & ~np.isnan(log.loss)).any())


def _logged_or(
    logged: NDArray[np.float32] | None, made: NDArray[np.float32]
) -> NDArray[np.float32]:
    return made if logged is None else np.where(np.isnan(logged), made, logged)


def _predicted_of_two(log: LossLog, margin: NDArray[np.float32]) -> Coded:
    """Return the class predicted, as logged or as the margin has it, in the codes of the labels."""
    assert log.coded_label is not None  # noqa: S101  (of_two says so)
    codes, classes = log.coded_label.codes[:, None], log.coded_label.values
    known = ~np.isnan(log.loss) & (codes >= 0)
    made = np.where(known, np.where(margin < 0, 1 - codes, codes), -1).astype(np.int32)
    if log.predicted is not None:
        place = np.append(places_among(log.predicted.values, classes), -1).astype(np.int32)
        logged = place[log.predicted.codes]
        made = np.where(logged < 0, made, logged)
    return Coded(made, classes)


def two_class_margin(
    loss: NDArray[np.float32], prob: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return log p - log (1 - p), of any shape, with p as logged or else exp(-loss).

    Near 1 a loss says more of p than p itself does; where both say the same it is read from there.
    """
    floored = np.maximum(loss, _TINY)
    margin = np.asarray(-floored - np.log(-np.expm1(-floored)))
    if prob is None:
        return margin
    own = np.clip(prob.astype(np.float64), _TINY, 1 - _TINY)
    other = np.abs(np.exp(-floored) - own) > _ROUNDED
    return np.where(other, np.log(own) - np.log1p(-own), margin).astype(margin.dtype)


def margin_of_two(log: LossLog, rows: NDArray[np.intp], epoch: int) -> NDArray[np.float64]:
    """Return the margins of some samples at an epoch, of two classes and not logged."""
    own = None if log.label_prob is None else log.label_prob[rows, epoch]
    return two_class_margin(log.loss[rows, epoch], own).astype(np.float64)


def mean_observed(values: Matrix) -> NDArray[np.float64]:
    """Return the mean over the observed epochs, shape (n_samples,); NaN without one."""
    seen = ~np.isnan(values)
    count = seen.sum(axis=1)
    total = np.where(seen, values, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)


def filled(values: Matrix) -> Matrix:
    """Return the values with each unobserved one replaced by the sample's mean."""
    gaps = np.isnan(values)
    if not gaps.any():
        return values
    return np.where(gaps, mean_observed(values)[:, None], values)
