"""The contract of a detector: every rule tried, every breach told at once."""

import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.build import build_log
from lossan.config import Config
from lossan.detectors import Context, Detection, Detector
from lossan.errors import DetectorError, LossanError
from lossan.evaluate import auroc
from lossan.features import compute_features
from lossan.losslog import CHANNELS, FLOAT_CHANNELS, STATIC_FIELDS, LossLog
from lossan.testing._planted import planted_log

_READABLE = tuple(f for f in (*STATIC_FIELDS, *CHANNELS) if f != "true_label")
_LEAST_AUROC = 0.75  # the mean loss alone reaches 0.95 and more on the planted logs


@dataclass(frozen=True)
class Breach:
    """A rule of the contract that a detector breaks.

    Parameters
    ----------
    rule : str
        A stable name, such as ``"determinism"``.
    message : str
        What was seen, and what should have been.
    """

    rule: str
    message: str


class ContractError(AssertionError):
    """A detector that breaks the contract, with every breach found.

    It is an ``AssertionError`` and not a ``LossanError``: a failed test of a plug-in, not something
    wrong with what a user gave.

    Parameters
    ----------
    name : str
        The detector.
    breaches : tuple of Breach
        At least one.
    """

    def __init__(self, name: str, breaches: tuple[Breach, ...]) -> None:
        self.name = name
        self.breaches = breaches
        lines = "\n".join(f"  {i}. {b.rule}: {b.message}" for i, b in enumerate(breaches, 1))
        super().__init__(f"{name} breaks the contract of a detector:\n{lines}")


class _UnusableError(Exception):
    """A call of `detect` that gave nothing to look at."""


def check_detector(
    detector: type[Detector], *, parameters: Config | None = None, seed: int = 0
) -> None:
    """Hold a detector to the contract, on logs with planted noise.

    The rules, by the names they have in a breach:

    - **declaration**: a final, concrete `Detector` with a name, a one-line summary, a reference,
      needs among the fields of the log (never ``true_label``), and parameters with defaults;
    - **output**: a `Detection`; scores float64, finite or NaN, one a sample; flags bool;
      probabilities in [0, 1] or NaN; a noise rate with low <= estimate <= high;
    - **ranking**: every flagged sample scores above every other one, and is scored;
    - **determinism**: the seed of the context decides, numpy's global state is not used;
    - **order**: the same samples in another order, under other ids, get the same results;
    - **input**: the log and its features are left as they were;
    - **truth**: ``true_label`` changes nothing;
    - **needs**: a log with nothing but ``loss`` and what it needs is enough; both scales work;
    - **gaps**: with missing observations, samples seen at two epochs or more are scored, others
      are unscored and unflagged;
    - **noise**: planted wrong labels are found, by score and by flag;
    - **degenerate**: logs in which nothing can be told apart, or with one sample, raise
      `DetectorError`.

    Parameters
    ----------
    detector : type of Detector
        The class, not an instance.
    parameters : Config, optional
        Its parameters, by default its own defaults.
    seed : int
        What the planted logs and the detector's context are seeded with.

    Raises
    ------
    ContractError
        With all breaches at once.

    Examples
    --------
    >>> from lossan.detectors import find
    >>> check_detector(find("kmeans"))
    """
    breaches = [Breach("declaration", m) for m in _declaration(detector)]
    trial = None
    try:
        trial = _Trial(detector(parameters), seed)
    except Exception as error:  # noqa: BLE001  (whatever a plug-in raises is a breach)
        breaches.append(Breach("declaration", f"it cannot be made: {_told(error)}"))
    if trial is not None:
        for rule, check in _RULES.items():
            try:
                breaches += [Breach(rule, message) for message in check(trial)]
            except _UnusableError as error:
                breaches.append(Breach(rule, str(error)))
                if rule == "output":
                    break  # nothing to hold the other rules to
    if breaches:
        raise ContractError(str(getattr(detector, "name", detector)), tuple(breaches))


class _Trial:
    """A detector with the log it is tried on."""

    def __init__(self, detector: Detector, seed: int) -> None:
        self.detector = detector
        self.seed = seed
        self.log = planted_log(channels=True, seed=seed)
        self._base: Detection | None = None

    @property
    def base(self) -> Detection:
        """What it finds in the log."""
        if self._base is None:
            self._base = self.run(self.log)
        return self._base

    def run(self, log: LossLog, what: str = "a planted log", *, scale: str = "standard") -> Detection:
        """Detect on a copy of the log, so that a detector that writes to it spoils nothing."""
        own = log.select(np.arange(log.n_samples))
        context = Context(features=compute_features(own.loss), scale=scale, seed=self.seed)
        try:
            found = self.detector.detect(own, context)
        except Exception as error:
            raise _UnusableError(f"on {what}, detect raised {_told(error)}") from error
        if not isinstance(found, Detection):
            raise _UnusableError(f"detect returned {type(found).__name__}, not a Detection")
        for name in ("score", "flagged"):
            values = getattr(found, name)
            shape = getattr(values, "shape", None)
            if not isinstance(values, np.ndarray) or shape != (log.n_samples,):
                raise _UnusableError(
                    f"{name} is of type {type(values).__name__} and shape {shape}; expected an "
                    f"ndarray of shape ({log.n_samples},)"
                )
        return found


def _declaration(kind: Any) -> Iterator[str]:
    if not (isinstance(kind, type) and issubclass(kind, Detector)):
        yield f"{kind!r} is not a subclass of lossan.detectors.Detector"
        return
    if inspect.isabstract(kind):
        yield "it is abstract: detect is missing"
    for name in ("name", "summary", "reference"):
        value = getattr(kind, name, None)
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            yield f"{name} is {value!r}; expected one line of text"
    if not isinstance(kind.needs, tuple) or not set(kind.needs) <= set(_READABLE):
        yield f"needs is {kind.needs!r}; expected a tuple of names among {', '.join(_READABLE)}"
    if not (isinstance(kind.Parameters, type) and issubclass(kind.Parameters, Config)):
        yield f"Parameters is {kind.Parameters!r}; expected a subclass of lossan.config.Config"


def _output(trial: _Trial) -> Iterator[str]:
    found = trial.base
    if found.score.dtype != np.float64:
        yield f"score is of type {found.score.dtype}; expected float64"
    elif np.isinf(found.score).any():
        yield f"{int(np.isinf(found.score).sum())} scores are infinite; expected finite or NaN"
    if found.flagged.dtype != bool:
        yield f"flagged is of type {found.flagged.dtype}; expected bool"
    if found.probability is not None:
        yield from _probability(found.probability, found.score.shape)
    if found.noise_rate is not None:
        estimate, low, high = found.noise_rate
        if not 0 <= low <= estimate <= high <= 1:
            yield f"noise_rate is {found.noise_rate}; expected 0 <= low <= estimate <= high <= 1"
    if not isinstance(found.notes, tuple) or not all(isinstance(n, str) for n in found.notes):
        yield f"notes is {found.notes!r}; expected a tuple of str"


def _probability(values: Any, shape: tuple[int, ...]) -> Iterator[str]:
    if not isinstance(values, np.ndarray) or values.shape != shape or values.dtype != np.float64:
        yield f"probability is not a float64 ndarray of shape {shape}"
    elif not ((values >= 0) & (values <= 1) | np.isnan(values)).all():
        yield f"probability reaches from {np.nanmin(values):g} to {np.nanmax(values):g}, not in [0, 1]"


def _ranking(trial: _Trial) -> Iterator[str]:
    flagged, score = trial.base.flagged.astype(bool), trial.base.score
    if np.isnan(score[flagged]).any():
        yield f"{int(np.isnan(score[flagged]).sum())} samples are flagged but not scored"
    lowest = np.min(score[flagged], initial=np.inf)
    highest = np.max(score[~flagged & ~np.isnan(score)], initial=-np.inf)
    if lowest <= highest:
        yield f"a flagged sample scores {lowest:g}, one that is not {highest:g}"


def _determinism(trial: _Trial) -> Iterator[str]:
    with _global_seed(1):
        first = trial.run(trial.log)
    with _global_seed(2):
        second = trial.run(trial.log)
    if not _same(first, second):
        yield "two runs with the same seed differ; draw from default_rng(context.seed)"


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    state = np.random.get_state()  # noqa: NPY002  (the state that a detector must not use)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _order(trial: _Trial) -> Iterator[str]:
    rows = np.random.default_rng(trial.seed).permutation(trial.log.n_samples)
    mixed = replace(
        trial.log.select(rows), sample_id=pa.array([f"{i:07d}" for i in range(len(rows))])
    )
    found = trial.run(mixed, "the same samples in another order")
    if not np.array_equal(found.flagged, trial.base.flagged[rows]):
        changed = int((found.flagged != trial.base.flagged[rows]).sum())
        yield f"{changed} flags change with the order of the samples or their ids"
    if not _close(found.score, trial.base.score[rows]):
        yield "scores change with the order of the samples or their ids"


def _input(trial: _Trial) -> Iterator[str]:
    log = trial.log.select(np.arange(trial.log.n_samples))
    log = replace(log, metadata=copy.deepcopy(dict(log.metadata)))
    context = Context(features=compute_features(log.loss), seed=trial.seed)
    before = _snapshot(log, context)
    trial.detector.detect(log, context)
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


def _truth(trial: _Trial) -> Iterator[str]:
    others = {
        "without true_label": None,
        "with all labels stated to be right": trial.log.label,
    }
    for what, truth in others.items():
        found = trial.run(replace(trial.log, true_label=truth), f"a log {what}")
        if not _same(found, trial.base):
            yield f"the results are others {what}; no detector reads the truth"


def _needs(trial: _Trial) -> Iterator[str]:
    unneeded = {f: None for f in (*STATIC_FIELDS, *CHANNELS) if f not in trial.detector.needs}
    for scale in ("standard", "none"):
        what = f"a log of {', '.join(('loss', *trial.detector.needs))} with scale={scale!r}"
        found = trial.run(replace(trial.log, **unneeded), what, scale=scale)
        if np.isnan(found.score).all():
            yield f"on {what}, nothing is scored"


def _gaps(trial: _Trial) -> Iterator[str]:
    log = planted_log(channels=True, gaps=0.25, seed=trial.seed)
    for name in ("loss", *FLOAT_CHANNELS):  # the first is never seen, the second at one epoch
        getattr(log, name)[:2, 1:] = np.nan
        getattr(log, name)[0] = np.nan
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


def _noise(trial: _Trial) -> Iterator[str]:
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
    assert log.true_label is not None  # noqa: S101
    return np.asarray(log.label.to_numpy() != log.true_label.to_numpy())


def _degenerate(trial: _Trial) -> Iterator[str]:
    one = trial.log.select(np.arange(1))
    unseen = trial.log.select(np.arange(50))
    for name in ("loss", *FLOAT_CHANNELS):
        getattr(unseen, name)[:, 1:] = np.nan
    for what, log in {
        "a log with one sample": one,
        "a log of equal samples": trial.log.select(np.zeros(50, np.int64)),
        "a log with one observed epoch a sample": unseen,
        "a log of zeros": build_log(np.zeros((50, 4)), label=np.arange(50) % 2),
    }.items():
        needed = [f for f in trial.detector.needs if getattr(log, f) is None]
        if needed:
            continue
        try:
            trial.run(log, what)
        except _UnusableError as error:
            if not isinstance(error.__cause__, DetectorError):
                yield f"{error}; expected a DetectorError"
        else:
            yield f"on {what}, results are returned; expected a DetectorError"


def _same(one: Detection, other: Detection) -> bool:
    pairs = [(one.score, other.score), (one.flagged, other.flagged)]
    if one.probability is not None and other.probability is not None:
        pairs.append((one.probability, other.probability))
    missing = (one.probability is None) == (other.probability is None)
    return missing and all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def _close(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Equal but for the last digits, which sums in another order change."""
    return np.allclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True)


def _told(error: Exception) -> str:
    text = str(error) if isinstance(error, LossanError) else repr(error)
    return f"{type(error).__name__}: {text}" if isinstance(error, LossanError) else text


_RULES: dict[str, Callable[[_Trial], Iterator[str]]] = {
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
