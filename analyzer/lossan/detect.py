"""A detector on a log, on each of its classes, or on several logs together."""

from dataclasses import replace

import numpy as np

from lossan.config import AnalyzeConfig
from lossan.detectors import Context, Detection, Detector, installed
from lossan.errors import DetectorError, OptionError
from lossan.features import Features, features_of
from lossan.losslog import LossLog
from lossan.several import combine, lay_end_to_end, mean_features, wholes
from lossan.signals import complete


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
        joined, rows = lay_end_to_end(logs)
    features = [features_of(log.loss, early_epochs=config.early_epochs) for log in logs]
    from threadpoolctl import threadpool_limits

    # BLAS splits a sum by the number of threads, and the last digits would follow it
    with threadpool_limits(limits=1, user_api="blas"):
        found = [_detect(detector, *each, config) for each in zip(logs, features, strict=True)]
    if rows is None:
        return logs[0], features[0], found[0]
    return joined, mean_features(features, rows), combine(found, rows, names)


def _detect(
    detector: Detector, log: LossLog, features: Features, config: AnalyzeConfig
) -> Detection:
    log = complete(log, detector.needs)
    lacking = [c for c in detector.needs if getattr(log, c) is None]
    if lacking:
        raise DetectorError(
            f"the detector {detector.name} needs {', '.join(lacking)}, which this log does not "
            f"have; it has: {', '.join(('loss', *log.channels))}. Detectors that can serve it: "
            f"{', '.join(_serving(log))}."
        )
    blind = log.without_truth()
    context = Context(features=features, scale=config.scale, seed=config.seed)
    if not config.by_class:
        return _checked(detector, detector.detect(blind, context), log)
    if log.coded_label is None:
        raise DetectorError("by_class needs labels, which this log does not have.")
    return _by_class(detector, blind, context)


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
    assert coded is not None  # noqa: S101  (the caller checked)
    score = np.full(log.n_samples, np.nan)
    flagged = np.zeros(log.n_samples, bool)
    probability = np.full(log.n_samples, np.nan)
    notes: list[str] = []
    done = 0
    unlabelled = int((coded.codes < 0).sum())
    if unlabelled:
        notes.append(f"unscored for lack of a label, which by_class needs: {unlabelled}")
    for code, label in enumerate(coded.values.to_pylist()):
        rows = np.flatnonzero(coded.codes == code)
        part = log.select(rows)
        features = Features(context.features.values[:, rows])
        try:
            found = detector.detect(part, replace(context, features=features))
        except DetectorError as error:
            notes.append(f"class {label!r} was left unscored: {error}")
            continue
        found = _checked(detector, found, part)
        score[rows], flagged[rows] = found.score, found.flagged
        if found.probability is not None:
            probability[rows] = found.probability
        notes += [f"class {label!r}: {note}" for note in found.notes]
        done += 1
    if not done:
        raise DetectorError("no class could be analysed by itself: " + "; ".join(notes))
    known = None if np.isnan(probability).all() else probability
    return Detection(score=score, flagged=flagged, probability=known, notes=tuple(notes))


def _checked(detector: Detector, found: Detection, log: LossLog) -> Detection:
    """Refuse what a plug-in must not return."""
    wanted = {"score": "float64", "flagged": "bool"}
    if found.probability is not None:
        wanted["probability"] = "float64"
    for name, kind in wanted.items():
        values = getattr(found, name)
        shape, dtype = getattr(values, "shape", None), getattr(values, "dtype", type(values))
        if shape != (log.n_samples,) or dtype != kind:
            raise DetectorError(
                f"the detector {detector.name} returned a {name} of shape {shape} and type "
                f"{dtype}; expected ({log.n_samples},) and {kind}. Tell its author: "
                "lossan.testing.check_detector shows it."
            )
    if (found.flagged & np.isnan(found.score)).any():
        raise DetectorError(f"the detector {detector.name} flagged samples that it did not score.")
    return found
