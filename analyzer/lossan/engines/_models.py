"""Detectors fitted to a log in pieces, to judge each piece by itself."""

from dataclasses import dataclass, replace
from typing import Any, Protocol, final

import numpy as np

from lossan.config import AnalyzeConfig
from lossan.detectors import (
    Auto,
    Context,
    Detection,
    Detector,
    FittedAuto,
    KMeansDetector,
    judge,
    points_of,
)
from lossan.engines._pieces import Piece, Pieces
from lossan.engines._points import SpilledPoints
from lossan.engines._samples import Described, sample_of
from lossan.engines._tasks import Tasks
from lossan.errors import OptionError
from lossan.features import Features
from lossan.losslog import LossLog
from lossan.points import Centroids
from lossan.signals import comparable

FITTED = 1 << 24
"""Losses that `auto` is fitted to: of a larger log, to a random sample of its samples."""
_CHANNELS = ("margin", "label_prob", "predicted_prob", "predicted")


class Model(Protocol):
    """A fitted detector."""

    def judge(self, log: LossLog, features: Features) -> Detection:
        """Score and flag some samples of the log it was fitted to."""


def channels_of(detector: Detector) -> tuple[str, ...]:
    """Return the channels that pieces must keep for a detector.

    Raises
    ------
    OptionError
        For a detector that cannot judge a log in pieces.
    """
    if isinstance(detector, KMeansDetector):
        return ()
    if isinstance(detector, Auto):
        return _CHANNELS
    raise OptionError(
        f"beyond memory and on many machines the detectors kmeans and auto can be had, not "
        f"{detector.name}, which looks at all samples at once. Use one of them, or --engine local."
    )


def fit(tasks: Tasks, pieces: Pieces, detector: Detector, config: AnalyzeConfig) -> Model:
    """Fit a detector."""
    if isinstance(detector, KMeansDetector):
        points = SpilledPoints(tasks, pieces)
        centroids = detector.fit(points, scale=config.scale, seed=config.seed)
        return _KMeans(centroids, comparable(pieces.outline)[1])
    assert isinstance(detector, Auto)  # noqa: S101  (channels_of says so)
    cells = pieces.n_samples * pieces.plan.n_epochs
    common = (pieces, max(1, -(-cells // FITTED)), config.seed)
    sample = sample_of(pieces, list(tasks.map("sample", _sample, common, pieces.each)))
    context = Context(features=sample.features, scale=config.scale, seed=config.seed)
    log, notes = comparable(sample.log.without_truth())
    fitted = detector.fit(log, context)
    left_out = [f for f in ("label", *_CHANNELS) if getattr(log, f) is None]
    return _Auto(replace(fitted, notes=(*notes, *fitted.notes)), tuple(left_out))


@final
@dataclass(frozen=True)
class _KMeans:
    centroids: Centroids
    notes: tuple[str, ...]

    def judge(self, log: LossLog, features: Features) -> Detection:  # noqa: ARG002  (features do)
        found = judge(self.centroids, points_of(features), features.scorable)
        return replace(found, notes=(*self.notes, *found.notes))


@final
@dataclass(frozen=True)
class _Auto:
    fitted: FittedAuto
    left_out: tuple[str, ...]  # what it was fitted without, no sample is judged with

    def judge(self, log: LossLog, features: Features) -> Detection:
        nothing: dict[str, Any] = dict.fromkeys(self.left_out)
        return self.fitted.apply(replace(log, **nothing), features.scorable)


def _sample(common: tuple[Pieces, int, int], piece: Piece) -> Described:
    """Draw one of so many samples of a piece at random; all, where it is one of one."""
    pieces, step, seed = common
    batch = pieces.read(piece)
    rows = np.arange(batch.num_rows)
    if step > 1:
        rng = np.random.default_rng((seed, piece.number))
        rows = np.sort(rng.choice(rows, -(-len(rows) // step), replace=False))
    nothing = Detection(score=np.zeros(len(rows)), flagged=np.zeros(len(rows), bool))
    return Described(batch.take(rows), nothing)
