"""Several logs of one data set: seeds, networks, both passes; and folds, which are one log."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lossan.detectors import Detection
from lossan.features import Features
from lossan.losslog import Coded, LossLog, places_among
from lossan.merge import are_parts, join_parts, merge_logs

Rows = NDArray[np.int64]

_TOGETHER = "the logs together"
_SMALL = 10  # times smaller than the largest: such a log does not widen the interval


def lay_end_to_end(
    logs: Sequence[LossLog], names: Sequence[str] | None = None
) -> tuple[LossLog, list[Rows]]:
    """Put the epochs of one log after those of the other.

    Parameters
    ----------
    logs : sequence of LossLog
        Of the same samples, or of parts of them.
    names : sequence of str, optional
        As `merge_logs` takes them.

    Returns
    -------
    joined : LossLog
        Its epochs counted from 0; ``recorded`` is None where the logs differ, and where the types
        of their predictions do it has those of the labels' type.
    rows : list of ndarray of int64
        For each log, shape (joined.n_samples,): the log's row of each sample, -1 where it has none.

    Raises
    ------
    LogError
        With every contradiction: ids of different types, labels that differ.
    """
    alike = len({log.recorded for log in logs}) == 1
    shifted, at = [], 0
    for log, predicted in zip(logs, _predictions(logs), strict=True):
        kept = {k: v for k, v in log.metadata.items() if alike or k != "recorded"}
        epochs = np.arange(at, at + log.n_epochs)
        shifted.append(replace(log, epochs=epochs, metadata=kept, predicted=predicted))
        at += log.n_epochs
    joined = merge_logs(shifted, names=names, source=_TOGETHER)
    return joined, [places_among(joined.sample_id, log.sample_id) for log in logs]


def _predictions(logs: Sequence[LossLog]) -> list[Coded | None]:
    """Return the predictions of each log, of several types only those that labels have.

    Where a log is analysed by itself a note tells of predictions that do not compare with labels.
    """
    predicted = [log.predicted for log in logs]
    kinds = {str(one.values.type) for one in predicted if one is not None and len(one.values)}
    if len(kinds) < 2:
        return predicted
    given = [log.label for log in logs if log.label is not None]
    of_labels = {str(one.type) for one in given if one.null_count < len(one)}
    return [
        one if one is not None and {str(one.values.type)} == of_labels else None
        for one in predicted
    ]


def wholes(logs: Sequence[LossLog]) -> list[tuple[LossLog, str]]:
    """Put together the logs that share no sample: folds, and what several processes wrote.

    Each says too little by itself, of a few samples; as one they say what a log of all would.

    Parameters
    ----------
    logs : sequence of LossLog

    Returns
    -------
    list of (LossLog, str)
        A log for each of which no other one can be a part, and which of those given it is.

    Raises
    ------
    LogError
        Where parts of one contradict each other.
    """
    return [_whole(logs, group) for group in _groups(logs)]


def _whole(logs: Sequence[LossLog], group: list[int]) -> tuple[LossLog, str]:
    if len(group) == 1:
        return logs[group[0]], f"log {group[0] + 1}"
    names = [f"log {k + 1}" for k in group]
    joined = join_parts([logs[k] for k in group], names=names, source=_TOGETHER)
    return joined, f"logs {', '.join(str(k + 1) for k in group)}"


def _groups(logs: Sequence[LossLog]) -> list[list[int]]:
    """Return which logs are parts of one, each with the first ones that it can go with."""
    if are_parts(logs):
        return [list(range(len(logs)))]  # as mostly, and told at once
    groups: list[list[int]] = []
    for number, log in enumerate(logs):
        group = next((g for g in groups if are_parts([*(logs[k] for k in g), log])), None)
        if group is None:
            groups.append([number])
        else:
            group.append(number)
    return groups


def mean_features(features: Sequence[Features], rows: Sequence[Rows]) -> Features:
    """Return each sample's features, their mean over the logs that could score it."""
    return Features(
        np.stack(
            [
                _mean([part.values[k] for part in features], rows)
                for k in range(len(features[0].values))
            ]
        )
    )


def combine(
    found: Sequence[Detection],
    rows: Sequence[Rows],
    names: Sequence[str],
    classes: NDArray[np.int32] | None = None,
) -> Detection:
    """Return what several detections say together.

    Scores and probabilities are their means over the logs that scored the sample; as many are
    flagged, from the top, as on average over the samples that each scored; the noise rate's
    interval spans all of theirs.

    Parameters
    ----------
    found : sequence of Detection
        Of the same detector, one per log.
    rows : sequence of ndarray of int64
        As `lay_end_to_end` returns them.
    names : sequence of str
        What the notes call each log.
    classes : ndarray of int32, optional
        Shape (joined.n_samples,): the code of each sample's label, where each class was analysed by
        itself; it is flagged by itself, too.

    Returns
    -------
    Detection
    """
    score = _mean([part.score for part in found], rows)
    sizes = [int((~np.isnan(part.score)).sum()) for part in found]
    flagged = np.zeros(len(score), bool)
    for code in [None] if classes is None else np.unique(classes):
        among = np.ones(len(score), bool) if code is None else classes == code
        flagged |= _from_top(score, found, rows, among)
    probabilities = [part.probability for part in found]
    rates = [
        (size, part.noise_rate)
        for size, part in zip(sizes, found, strict=True)
        if part.noise_rate is not None
    ]
    notes = [f"{name}: {n}" for name, part in zip(names, found, strict=True) for n in part.notes]
    return Detection(
        score=score,
        flagged=flagged,
        probability=None
        if any(p is None for p in probabilities)
        else _mean([p for p in probabilities if p is not None], rows),
        noise_rate=_together(rates),
        notes=tuple(notes),
    )


def _from_top(
    score: NDArray[np.float64],
    found: Sequence[Detection],
    rows: Sequence[Rows],
    among: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Flag the highest scores among some samples, as many as the logs flag on average."""
    own = [places[among & (places >= 0)] for places in rows]
    # each log speaks for as many samples as it scored
    sizes = [int((~np.isnan(p.score[o])).sum()) for p, o in zip(found, own, strict=True)]
    flags = sum(int(part.flagged[o].sum()) for part, o in zip(found, own, strict=True))
    scored = among & ~np.isnan(score)
    count = round(flags / max(sum(sizes), 1) * int(scored.sum()))
    order = np.sort(score[scored])[::-1]
    # equal scores are flagged together or not at all
    return scored & (score > order[count]) if count < len(order) else scored


def _together(
    rates: Sequence[tuple[int, tuple[float, float, float]]],
) -> tuple[float, float, float] | None:
    """Return the mean noise rate over the samples, in an interval that spans those of logs.

    But of logs with less than a tenth of the samples of the largest, which know little.
    """
    if not rates:
        return None
    most = max(size for size, _ in rates)
    large = [(size, rate) for size, rate in rates if size * _SMALL >= most]
    estimate = sum(size * rate[0] for size, rate in large) / max(sum(n for n, _ in large), 1)
    return estimate, min(rate[1] for _, rate in large), max(rate[2] for _, rate in large)


def _mean(values: Sequence[NDArray[np.float64]], rows: Sequence[Rows]) -> NDArray[np.float64]:
    spread = [
        np.where(places >= 0, part[places], np.nan)
        for part, places in zip(values, rows, strict=True)
    ]
    with warnings.catch_warnings():
        # the mean of a sample that no log could score is NaN, as it should be
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return np.asarray(np.nanmean(spread, axis=0), np.float64)
