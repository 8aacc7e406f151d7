"""A detector on trial: how it is called, and what cannot be used of what it returns."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from lossan.detectors import Context, Detection, Detector
from lossan.errors import LossanError
from lossan.features import compute_features
from lossan.losslog import LossLog
from lossan.testing._planted import planted_log


class UnusableError(Exception):
    """A call of `detect` that gave nothing to look at."""


class Trial:
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

    def run(
        self, log: LossLog, what: str = "a planted log", *, scale: str = "standard"
    ) -> Detection:
        """Detect on a copy of the log, so that a detector that writes to it spoils nothing."""
        own = own_copy(log)
        features = compute_features(own.loss)
        return self.detect(own, Context(features=features, scale=scale, seed=self.seed), what)

    def detect(self, log: LossLog, context: Context, what: str) -> Detection:
        """Detect, and refuse results that no rule can be held against."""
        try:
            found: Any = self.detector.detect(log, context)
        except (Exception, SystemExit) as error:
            raise UnusableError(f"on {what}, detect raised {told(error)}") from error
        if not isinstance(found, Detection):
            raise UnusableError(f"detect returned {type(found).__name__}, not a Detection")
        for name, kinds in (("score", "f"), ("flagged", "biu"), ("probability", "f")):
            values: Any = getattr(found, name)
            if name == "probability" and values is None:
                continue
            shape, kind = getattr(values, "shape", None), getattr(values, "dtype", None)
            if type(values) is not np.ndarray or shape != (log.n_samples,):
                raise UnusableError(
                    f"{name} is of type {type(values).__name__} and shape {shape}; expected an "
                    f"ndarray of shape ({log.n_samples},)"
                )
            if values.dtype.kind not in kinds:
                raise UnusableError(
                    f"{name} is of type {kind}; expected float64 scores and probabilities, bool "
                    "flags"
                )
        return found


def own_copy(log: LossLog) -> LossLog:
    """Return a log that shares nothing a detector could write to."""
    own = log.select(np.arange(log.n_samples))
    return replace(own, metadata=copy.deepcopy(dict(log.metadata)))


def told(error: BaseException) -> str:
    """Return an exception as a breach tells it."""
    return f"{type(error).__name__}: {error}" if isinstance(error, LossanError) else repr(error)
