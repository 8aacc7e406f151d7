"""What a detector states about itself, and what it may return: rules for plug-ins."""

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import ValidationError

from lossan.config import Config
from lossan.detectors._base import Detection, Detector
from lossan.losslog import CHANNELS, STATIC_FIELDS

OF_THE_RUN = {"early_epochs", "scale", "by_class", "seed"}
"""Options of an analysis, which the summary holds beside the detector's parameters."""
_READABLE = tuple(f for f in (*STATIC_FIELDS, *CHANNELS) if f != "true_label")


def declaration(kind: Any) -> Iterator[str]:
    """Tell what a detector does not state about itself, or states wrongly."""
    if not (isinstance(kind, type) and issubclass(kind, Detector)):
        yield f"{kind!r} is not a subclass of lossan.detectors.Detector"
        return
    if inspect.isabstract(kind):
        yield "it is abstract: detect is missing"
    for name in ("name", "summary", "reference"):
        value = getattr(kind, name, None)
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            yield f"{name} is {value!r}; expected one line of text"
    needs: Any = kind.needs
    if not isinstance(needs, tuple) or not all(need in _READABLE for need in needs):
        yield f"needs is {needs!r}; expected a tuple of names among {', '.join(_READABLE)}"
    yield from _parameters(kind.Parameters)


def _parameters(parameters: Any) -> Iterator[str]:
    if not (isinstance(parameters, type) and issubclass(parameters, Config)):
        yield f"Parameters is {parameters!r}; expected a subclass of lossan.config.Config"
        return
    if taken := sorted(OF_THE_RUN & parameters.model_fields.keys()):
        yield f"its parameters {', '.join(taken)} have names that options of every analysis have"
    try:
        parameters().model_dump(mode="json")  # as the summary holds them
    except ValidationError:
        return  # some are required, which is told where they are missing
    except Exception as error:  # noqa: BLE001  (whatever a plug-in's field raises)
        yield f"Parameters cannot be written as JSON: {error}"


def output(found: Detection) -> Iterator[str]:
    """Tell which values of what a detector returned are not of their type, or cannot be."""
    if found.score.dtype != np.float64:
        yield f"score is of type {found.score.dtype}; expected float64"
    elif np.isinf(found.score).any():
        yield f"{int(np.isinf(found.score).sum())} scores are infinite; expected finite or NaN"
    if found.flagged.dtype != bool:
        yield f"flagged is of type {found.flagged.dtype}; expected bool"
    if found.probability is not None:
        yield from _probability(found.probability, found.score.shape)
    rate: Any = found.noise_rate
    if rate is not None and not _is_rate(rate):
        yield f"noise_rate is {rate!r}; expected (estimate, low, high), 0 <= low to high <= 1"
    notes: Any = found.notes
    if not isinstance(notes, tuple) or not all(isinstance(n, str) for n in notes):
        yield f"notes is {notes!r}; expected a tuple of str"


def ranking(found: Detection) -> Iterator[str]:
    """Tell which flags of what a detector returned do not follow its scores."""
    flagged, score = found.flagged.astype(bool), found.score
    if np.isnan(score[flagged]).any():
        yield f"{int(np.isnan(score[flagged]).sum())} samples are flagged but not scored"
    lowest = np.min(score[flagged], initial=np.inf)
    highest = np.max(score[~flagged & ~np.isnan(score)], initial=-np.inf)
    if lowest <= highest:
        yield f"a flagged sample scores {lowest:g}, one that is not {highest:g}"


def _probability(values: Any, shape: tuple[int, ...]) -> Iterator[str]:
    if not isinstance(values, np.ndarray) or values.shape != shape or values.dtype != np.float64:
        yield f"probability is not a float64 ndarray of shape {shape}"
    elif not ((values >= 0) & (values <= 1) | np.isnan(values)).all():
        yield (
            f"probability reaches from {np.nanmin(values):g} to {np.nanmax(values):g}; "
            "expected 0 to 1"
        )


def _is_rate(rate: Any) -> bool:
    numbers = isinstance(rate, tuple) and all(isinstance(r, float | int) for r in rate)
    return numbers and len(rate) == 3 and 0 <= rate[1] <= rate[0] <= rate[2] <= 1
