"""The detectors: built-in ones in a dict, others by the entry-point group ``lossan.detectors``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from lossan.config import Config
from lossan.detectors._aum import Aum
from lossan.detectors._auto import Auto, FittedAuto
from lossan.detectors._base import Context, Detection, Detector
from lossan.detectors._confident import Confident
from lossan.detectors._ctrl import Ctrl
from lossan.detectors._data_maps import DataMaps
from lossan.detectors._declared import declaration, output, ranking
from lossan.detectors._el2n import El2n
from lossan.detectors._forgetting import Forgetting
from lossan.detectors._kmeans import KMeansDetector, judge, points_of
from lossan.detectors._last_loss import LastLoss
from lossan.detectors._loss_ema import LossEma
from lossan.detectors._mean_loss import MeanLoss
from lossan.detectors._mixtures import Bmm, Gmm, SmallLoss
from lossan.detectors._o2u import O2u
from lossan.detectors._remind import Remind
from lossan.detectors._wrong_events import WrongEvents
from lossan.errors import DetectorError, LossanError, hint

_BUILT_IN: tuple[type[Detector], ...] = (
    Auto,
    KMeansDetector,
    MeanLoss,
    LastLoss,
    SmallLoss,
    Gmm,
    Bmm,
    Ctrl,
    Aum,
    DataMaps,
    Forgetting,
    WrongEvents,
    El2n,
    O2u,
    Remind,
    LossEma,
    Confident,
)
BUILT_IN: dict[str, type[Detector]] = {d.name: d for d in _BUILT_IN}
GROUP = "lossan.detectors"
# what is no fault of a plug-in, or says itself whose it is
_OURS = (LossanError, MemoryError, KeyboardInterrupt, GeneratorExit)
TELL_ITS_AUTHOR = "Tell its author: lossan.testing.check_detector shows it."

__all__ = [
    "BUILT_IN",
    "TELL_ITS_AUTHOR",
    "Auto",
    "Context",
    "Detection",
    "Detector",
    "FittedAuto",
    "Found",
    "KMeansDetector",
    "blamed",
    "declaration",
    "find",
    "installed",
    "judge",
    "make",
    "output",
    "points_of",
    "ranking",
]


@dataclass(frozen=True)
class Found:
    """An installed detector, or why it cannot be used.

    Parameters
    ----------
    name : str
    distribution : str
        Who brought it.
    detector : type of Detector, optional
    problem : str, optional
    """

    name: str
    distribution: str
    detector: type[Detector] | None = None
    problem: str | None = None


def installed() -> dict[str, Found]:
    """Return every detector by name; a plug-in that is broken is listed with its problem."""
    found = {name: Found(name, "lossan", detector) for name, detector in BUILT_IN.items()}
    for point in entry_points(group=GROUP):
        brought_by = point.dist.name if point.dist else "unknown"
        if point.name in found:
            problem = f"the name {point.name!r} is taken by {found[point.name].distribution}"
            found[f"{brought_by}:{point.name}"] = Found(point.name, brought_by, None, problem)
            continue
        found[point.name] = _load(point, brought_by)
    return found


def find(name: str) -> type[Detector]:
    """Return a detector by name.

    Raises
    ------
    DetectorError
        When there is none, or the plug-in that brings it is broken.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    known = installed()
    if name not in known:
        usable = [n for n, f in known.items() if f.detector]
        raise DetectorError(f"no detector {name!r}; {hint(name, usable)}")
    detector = known[name].detector
    if detector is None:
        raise DetectorError(
            f"the detector {name!r} of {known[name].distribution} cannot be used: "
            f"{known[name].problem}"
        )
    return detector


def make(name: str, settings: dict[str, Any]) -> Detector:
    """Return a detector with its parameters set; wrong ones are told with what is allowed."""
    kind = find(name)
    with blamed(kind):
        made = kind(kind.Parameters.parse(settings, f"the detector {name}"))
    if not isinstance(getattr(made, "parameters", None), Config):
        raise DetectorError(
            f"the detector {name} does not keep its parameters; its __init__ must call that of "
            f"Detector. {TELL_ITS_AUTHOR}"
        )
    return made


@contextmanager
def blamed(kind: type[Detector]) -> Iterator[None]:
    """Name a detector that is not ours, and its author's tool, in whatever it raises.

    What it prints goes to standard error: standard output is for results alone.

    Raises
    ------
    DetectorError
        In the place of what a detector that is not ours raised.
    """
    if kind in _BUILT_IN:
        yield
        return
    try:
        with redirect_stdout(sys.stderr):
            yield
    except _OURS:
        raise
    except BaseException as error:
        name = getattr(kind, "name", kind.__name__)
        raise DetectorError(
            f"the detector {name} failed: {type(error).__name__}: {error}. {TELL_ITS_AUTHOR}"
        ) from error


def _load(point: Any, brought_by: str) -> Found:
    try:
        with redirect_stdout(sys.stderr):
            detector = point.load()
            problems = [*declaration(detector)]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  (no plug-in may end us)
        problem = f"it fails to import: {type(error).__name__}: {error}"
        return Found(point.name, brought_by, None, problem)
    if not problems and detector.name != point.name:
        problems = [f"it calls itself {detector.name!r}, its entry point {point.name!r}"]
    problem = "; ".join(problems)
    return Found(point.name, brought_by, None if problem else detector, problem or None)
