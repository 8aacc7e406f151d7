"""The rules of the contract: each a function that tells the breaches it sees."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.build import build_log
from lossan.detectors import Context, Detection, output, ranking
from lossan.errors import DetectorError
from lossan.evaluate import auroc
from lossan.features import compute_features
from lossan.losslog import CHANNELS, FLOAT_CHANNELS, STATIC_FIELDS, LossLog
from lossan.testing._planted import planted_log
from lossan.testing._trial import Trial, UnusableError, own_copy

_LEAST_AUROC = 0.75  # the mean loss alone reaches 0.95 and more on the planted logs
_MOST_MOVED = 0.01  # random starts may settle a sample on the border otherwise
_FITTED = 0.05  # of a probability: what is fitted may end a little elsewhere


def _output(trial: Trial) -> Iterator[str]:
    yield from output(trial.base)


def _ranking(trial: Trial) -> Iterator[str]:
    yield from ranking(trial.base)


def _determinism(trial: Trial) -> Iterator[str]:
    with _global_seed(1):
        first = trial.run(trial.log)
    with _global_seed(2):
        second = trial.run(trial.log)
    if not _same(first, second):
        yield "two runs with the same seed differ; draw from default_rng(context.seed)"


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    state = np.random.get_state()  # noqa: NPY002  (the state that a detector must not use)
    np.random.seed(seed)  # noqa: NPY002  (the state that a detector must not use)
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002  (the state that a detector must not use)


def _order(trial: Trial) -> Iterator[str]:
    rows = np.random.default_rng(trial.seed).permutation(trial.log.n_samples)
    mixed = replace(
        trial.log.select(rows), sample_id=pa.array([f"{i:07d}" for i in range(len(rows))])
    )
    found, base = trial.run(mixed, "the same samples in another order"), trial.base
    flags = found.flagged != base.flagged[rows]
    moved = {"flags": flags, "scores": ~_close(found.score, base.score[rows]) & ~flags}
    if found.probability is not None and base.probability is not None:
        moved["probabilities"] = ~np.isclose(
            found.probability, base.probability[rows], rtol=0, atol=_FITTED, equal_nan=True
        )
    for name, changed in moved.items():
        if changed.mean() > _MOST_MOVED:
            yield f"{int(changed.sum())} {name} change with the order of the samples or their ids"


def _input(trial: Trial) -> Iterator[str]:
    log = own_copy(trial.log)
    context = Context(features=compute_features(log.loss), seed=trial.seed)
    before = _snapshot(log, context)
    trial.detect(log, context, "a planted log")
    after = _snapshot(log, context)
    for name, value in before.items():
        if value != after[name]:
            yield f"it wrote to {name}; work on a copy"


def _snapshot(log: LossLog, context: Context) -> dict[str, Any]:
    arrays = {f: getattr(log, f) for f in ("loss", *FLOAT_CHANNELS, "epochs")}
    assert log.predicted is not None  # noqa: S101  (planted with channels)
    arrays |= {"predicted": log.predicted.codes, "features": context.features.values}
    taken: dict[str, Any] = {name: values.tobytes() for name, values in arrays.items()}
    return taken | {"metadata": copy.deepcopy(log.metadata)}


def _truth(trial: Trial) -> Iterator[str]:
    others = {
        "without true_label": None,
        "with all labels stated to be right": trial.log.label,
    }
    for what, truth in others.items():
        found = trial.run(replace(trial.log, true_label=truth), f"a log {what}")
        if not _same(found, trial.base):
            yield f"the results are others {what}; no detector reads the truth"


def _needs(trial: Trial) -> Iterator[str]:
    unneeded: dict[str, Any] = {
        f: None for f in (*STATIC_FIELDS, *CHANNELS) if f not in trial.detector.needs
    }
    for scale in ("standard", "none"):
        what = f"a log of {', '.join(('loss', *trial.detector.needs))} with scale={scale!r}"
        found = trial.run(replace(trial.log, **unneeded), what, scale=scale)
        if np.isnan(found.score).all():
            yield f"on {what}, nothing is scored"


def _gaps(trial: Trial) -> Iterator[str]:
    unscored = int(np.isnan(trial.base.score).sum())
    if unscored:
        yield f"{unscored} samples of a log without gaps are left unscored"
    log = planted_log(channels=True, gaps=0.25, seed=trial.seed)
    log = _hide(_hide(log, slice(0, 1), 0), slice(1, 20), 1)
    found = trial.run(log, "a log with gaps")
    few = log.n_observed < 2
    if not np.isnan(found.score[few]).all():
        yield "samples observed at fewer than two epochs are scored; expected NaN"
    if found.flagged[few].any():
        yield "samples observed at fewer than two epochs are flagged"
    left = int(np.isnan(found.score[~few]).sum())
    if left:
        yield f"{left} samples observed at two epochs or more are left unscored"
    yield from _finds(found, log, "with gaps")


def _noise(trial: Trial) -> Iterator[str]:
    yield from _finds(trial.base, trial.log, "with 2 classes")
    log = planted_log(channels=True, n_classes=5, rate=0.2, n_epochs=12, seed=trial.seed)
    yield from _finds(trial.run(log), log, "with 5 classes")


def _finds(found: Detection, log: LossLog, what: str) -> Iterator[str]:
    """Tell where scores or flags do not find the wrong labels."""
    wrong = _wrong(log)
    scored = ~np.isnan(found.score)
    area = auroc(wrong[scored], found.score[scored])
    if area is None or area[0] < _LEAST_AUROC:
        value = "unknown" if area is None else f"{area[0]:.3f}"
        yield f"on a planted log {what}, AUROC is {value}; expected {_LEAST_AUROC} or more"
    flagged = found.flagged.astype(bool)
    hit = float(wrong[flagged].mean()) if flagged.any() else 0.0
    if hit < 2 * wrong.mean():
        yield (
            f"on a planted log {what}, {hit:.1%} of the {int(flagged.sum())} flagged labels are "
            f"wrong, of all {wrong.mean():.1%}; expected at least twice as many"
        )


def _wrong(log: LossLog) -> NDArray[np.bool_]:
    assert log.label is not None  # noqa: S101  (planted)
    assert log.true_label is not None  # noqa: S101  (planted)
    return np.asarray(log.label.to_numpy() != log.true_label.to_numpy())


def _degenerate(trial: Trial) -> Iterator[str]:
    some = np.arange(50)
    equal = replace(trial.log.select(np.zeros_like(some)), sample_id=pa.array(some))
    for what, log in {
        "a log with one sample": trial.log.select(some[:1]),
        "a log of equal samples": equal,
        "a log with one observed epoch a sample": _hide(trial.log.select(some), slice(None), 1),
        "a log of zeros": build_log(np.zeros((50, 4)), label=some % 2),
    }.items():
        if any(getattr(log, needed) is None for needed in trial.detector.needs):
            continue
        try:
            trial.run(log, what)
        except UnusableError as error:
            if not isinstance(error.__cause__, DetectorError):
                yield f"{error}; expected a DetectorError"
        else:
            yield f"on {what}, results are returned; expected a DetectorError"


def _hide(log: LossLog, rows: slice, epoch: int) -> LossLog:
    """Return the log with samples unobserved from an epoch on."""
    assert log.predicted is not None  # noqa: S101  (planted with channels)
    hidden: dict[str, Any] = {name: getattr(log, name).copy() for name in ("loss", *FLOAT_CHANNELS)}
    for values in hidden.values():
        values[rows, epoch:] = np.nan
    codes = log.predicted.codes.copy()
    codes[rows, epoch:] = -1
    return replace(log, predicted=replace(log.predicted, codes=codes), **hidden)


def _same(one: Detection, other: Detection) -> bool:
    pairs = [(one.score, other.score), (one.flagged, other.flagged)]
    if one.probability is not None and other.probability is not None:
        pairs.append((one.probability, other.probability))
    alike = (one.probability is None) == (other.probability is None)
    alike &= (one.noise_rate, one.notes) == (other.noise_rate, other.notes)
    return alike and all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def _close(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell where scores are equal but for the last digits, which sums in another order change."""
    return np.isclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True)


RULES: dict[str, Callable[[Trial], Iterator[str]]] = {
    "output": _output,
    "ranking": _ranking,
    "determinism": _determinism,
    "order": _order,
    "input": _input,
    "truth": _truth,
    "needs": _needs,
    "gaps": _gaps,
    "noise": _noise,
    "degenerate": _degenerate,
}
