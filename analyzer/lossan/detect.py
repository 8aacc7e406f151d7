"""A detector on a log, on each of its classes, or on several logs together."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lossan.config import AnalyzeConfig
from lossan.detectors import (
    BUILT_IN,
    TELL_ITS_AUTHOR,
    Context,
    Detection,
    Detector,
    blamed,
    installed,
    output,
    ranking,
)
from lossan.errors import DetectorError, OptionError, some_of
from lossan.features import Features, features_of
from lossan.losslog import FLOAT_CHANNELS, Coded, LossLog
from lossan.several import combine, lay_end_to_end, mean_features, wholes
from lossan.signals import class_names, comparable, complete


def detect(
    logs: list[LossLog], detector: Detector, config: AnalyzeConfig
) -> tuple[LossLog, Features, Detection]:
    """Run a detector on each log by itself; where there are several, put together what they say.

    Those that share no sample are parts of one log.

    Parameters
    ----------
    logs : list of LossLog
    detector : Detector
    config : AnalyzeConfig

    Returns
    -------
    log : LossLog
        The one log, the one that they are parts of, or all of them laid end to end.
    features : Features
    detection : Detection

    Raises
    ------
    LogError, DetectorError, OptionError
        For logs that contradict each other, one the detector cannot serve, or none at all.
    """
    if not logs:
        raise OptionError("there is no log to analyse; give at least one.")
    rows = None
    logs, names = map(list, zip(*wholes(logs), strict=True))
    if len(logs) > 1:  # contradictions are told before the work begins
        joined, rows = lay_end_to_end(logs, names)
    features = [features_of(log.loss, early_epochs=config.early_epochs) for log in logs]
    from threadpoolctl import threadpool_limits

    # BLAS splits a sum by the number of threads, and the last digits would follow it
    with threadpool_limits(limits=1, user_api="blas"):
        if rows is None:
            return logs[0], features[0], _detect(detector, logs[0], features[0], config)
        found = [
            _named(name, detector, *each, config)
            for name, each in zip(names, zip(logs, features, strict=True), strict=True)
        ]
    coded = joined.coded_label if config.by_class else None
    together = combine(found, rows, names, None if coded is None else coded.codes)
    return joined, mean_features(features, rows), together


def _named(
    name: str, detector: Detector, log: LossLog, features: Features, config: AnalyzeConfig
) -> Detection:
    """Run a detector on one of several logs; errors say which it is."""
    try:
        return _detect(detector, log, features, config)
    except DetectorError as error:
        raise DetectorError(f"{name}: {error}") from error


def _detect(
    detector: Detector, log: LossLog, features: Features, config: AnalyzeConfig
) -> Detection:
    log, told = comparable(log)
    log = complete(log, detector.needs)
    lacking = [c for c in detector.needs if getattr(log, c) is None]
    if lacking:
        raise DetectorError(
            f"the detector {detector.name} needs {', '.join(lacking)}, which this log does not "
            f"have; it has: {', '.join(('loss', *log.channels))}. Detectors that can serve it: "
            f"{', '.join(_serving(log))}.{''.join(f' Note: {note}.' for note in told)}"
        )
    blind = log.without_truth()
    context = Context(features=features, scale=config.scale, seed=config.seed)
    if config.by_class:
        found = _by_class(detector, blind, context)
    else:
        found = _run(detector, blind, context)
    return replace(found, notes=(*told, *found.notes))


def _serving(log: LossLog) -> list[str]:
    """Return the installed detectors whose needs the log meets."""
    usable = {name: found.detector for name, found in installed().items() if found.detector}
    return [
        name
        for name, detector in usable.items()
        if all(getattr(complete(log, detector.needs), c) is not None for c in detector.needs)
    ]


def _by_class(detector: Detector, log: LossLog, context: Context) -> Detection:
    """Run a detector on each given class and put the parts together."""
    coded = log.coded_label
    if coded is None:
        raise DetectorError("by_class needs labels, which this log does not have.")
    # of a part alone it could not be told how many classes there are
    log = replace(log, metadata={**log.metadata, "classes": class_names(log)})
    score = np.full(log.n_samples, np.nan)
    flagged = np.zeros(log.n_samples, bool)
    probability = np.full(log.n_samples, np.nan)
    notes: dict[str, list[str]] = {}  # which classes each is of
    rates = []
    for code, label in enumerate(coded.values.to_pylist()):
        rows = np.flatnonzero(coded.codes == code)
        part = log.select(rows)
        features = Features(context.features.values[:, rows])
        try:
            found = _run(detector, part, replace(context, features=features))
        except DetectorError as error:
            notes.setdefault(f"left unscored: {error}", []).append(repr(label))
            continue
        score[rows], flagged[rows] = found.score, found.flagged
        if found.probability is not None:
            probability[rows] = found.probability
        for note in found.notes:
            notes.setdefault(note, []).append(repr(label))
        rates.append((int((~np.isnan(found.score)).sum()), found.noise_rate))
    told = [
        f"class{'es' * (len(labels) > 1)} {some_of(labels)}: {note}"
        for note, labels in notes.items()
    ]
    if not rates:
        raise DetectorError(f"no class could be analysed by itself: {'; '.join(told)}")
    unlabelled = int((coded.codes < 0).sum())
    if unlabelled:
        told.insert(0, f"unscored for lack of a label, which by_class needs: {unlabelled}")
    known = None if np.isnan(probability).all() else probability
    return Detection(
        score=score,
        flagged=flagged,
        probability=known,
        noise_rate=_of_all(rates),
        notes=tuple(told),
    )


def _of_all(
    rates: list[tuple[int, tuple[float, float, float] | None]],
) -> tuple[float, float, float] | None:
    """Return the noise rate of all classes, from how many samples and what rate each has."""
    known = [(count, rate) for count, rate in rates if rate is not None]
    total = sum(count for count, _ in known)
    if len(known) < len(rates) or not total:
        return None
    estimate, low, high = (sum(n * rate[k] for n, rate in known) / total for k in range(3))
    return estimate, low, high


def _run(detector: Detector, log: LossLog, context: Context) -> Detection:
    """Run a detector; refuse what a plug-in must not return."""
    ours = type(detector) in BUILT_IN.values()  # held to all of this by tests
    with blamed(type(detector)):
        found: Any = detector.detect(*((log, context) if ours else _guarded(log, context)))
    problems = [*_problems(found, log.n_samples)]
    if not problems and not ours:
        problems = [*output(found), *ranking(found)]
    if problems:
        raise DetectorError(
            f"the detector {detector.name} cannot be used: {'; '.join(problems)}. {TELL_ITS_AUTHOR}"
        )
    return cast(Detection, found)


def _guarded(log: LossLog, context: Context) -> tuple[LossLog, Context]:
    """Return them with arrays that refuse to be written to, which would change the user's own."""
    arrays = {name: getattr(log, name) for name in ("loss", "epochs", *FLOAT_CHANNELS)}
    kept: dict[str, Any] = {n: _read_only(v) for n, v in arrays.items() if v is not None}
    if log.predicted is not None:
        kept["predicted"] = Coded(_read_only(log.predicted.codes), log.predicted.values)
    own = replace(log, metadata=copy.deepcopy(dict(log.metadata)), **kept)
    return own, replace(context, features=Features(_read_only(context.features.values)))


def _read_only(values: NDArray[Any]) -> NDArray[Any]:
    view = values.view()
    view.flags.writeable = False
    return view


def _problems(found: Any, n_samples: int) -> Iterator[str]:
    """Tell what cannot be looked at of what a detector returned."""
    if not isinstance(found, Detection):
        yield f"it returned {type(found).__name__}, not a Detection"
        return
    wanted = {"score": "float64", "flagged": "bool"}
    if found.probability is not None:
        wanted["probability"] = "float64"
    for name, kind in wanted.items():
        values: Any = getattr(found, name)
        shape, dtype = getattr(values, "shape", None), getattr(values, "dtype", type(values))
        if type(values) is not np.ndarray:
            yield f"it returned a {name} that is a {type(values).__name__}; expected an ndarray"
        elif shape != (n_samples,) or dtype != kind:
            yield (
                f"it returned a {name} of shape {shape} and type {dtype}; expected ({n_samples},) "
                f"and {kind}"
            )
