"""The paper's detector: k-means with k = 2 on F1 to F6."""

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lossan import blocks
from lossan.blocks import map_blocks, scratch
from lossan.clustering import fit_two_means
from lossan.config import Config
from lossan.detectors._base import Context, Detection, Detector
from lossan.errors import DetectorError
from lossan.features import Features
from lossan.losslog import LossLog
from lossan.points import Centroids, Local, Points
from lossan.sides import Remembered


@final
class KMeansParameters(Config):
    """Parameters of k-means; the defaults are the paper's.

    Parameters
    ----------
    max_iter : int
        Iterations at most.
    tol : float
        Relative tolerance to declare convergence.
    n_init : int
        Starts, of which the one with the least inertia is taken.
    """

    max_iter: int = Field(default=300, ge=1, le=100_000)
    tol: float = Field(default=1e-4, ge=0, allow_inf_nan=False)
    n_init: int = Field(default=10, ge=1, le=1000)


@final
class KMeansDetector(Detector):
    """Split the samples in two by their features; the part with the higher mean loss is suspicious.

    The score is the mean loss, squeezed into (0, 1/2) for unflagged and (1/2, 1) for flagged
    samples: a distance to the centroids ranks worse than the mean loss it was computed from.
    """

    name: ClassVar[str] = "kmeans"
    summary: ClassVar[str] = "k-means, k = 2, on the six features of the loss sequence"
    reference: ClassVar[str] = "Zhang et al. 2021, section 2 (feature extraction, clustering)"
    Parameters: ClassVar[type[Config]] = KMeansParameters

    def detect(self, log: LossLog, context: Context) -> Detection:  # noqa: ARG002  (features do)
        """Cluster the scorable samples and flag the cluster with the higher mean F1.

        Raises
        ------
        DetectorError
            With fewer than two scorable samples, or when all have the same features.
        """
        points = points_of(context.features)
        centroids = self.fit(points, scale=context.scale, seed=context.seed)
        return judge(centroids, points, context.features.scorable)

    def fit(self, points: Points, *, scale: str, seed: int) -> Centroids:
        """Find the centroids of the features of scorable samples, wherever they are.

        Raises
        ------
        DetectorError
            With fewer than two samples, or when all have the same features.
        """
        if points.n < 2:
            raise DetectorError(
                f"kmeans makes 2 clusters, but only {points.n} sample"
                f"{'' if points.n == 1 else 's'} can be scored; a sample needs at least two "
                "observed epochs."
            )
        found = points.moments()
        if not found.varies.any():
            raise DetectorError(
                f"all {points.n} scored samples have the same features (mean loss "
                f"{found.low[0]:g}): there is nothing to tell them apart by. Was the loss reduced "
                "over the batch before it was recorded?"
            )
        return fit_two_means(
            points, found, seed, standardise=scale == "standard", **self.parameters.model_dump()
        )


def points_of(features: Features) -> Local:
    """Return the features of the scorable samples as k-means takes them."""
    scorable = features.scorable
    if not scorable.all():
        return Local.held(features.values[:, scorable])
    if features.held:
        return Local(features.part, features.take, len(scorable))
    return Remembered(features.part, features.take, len(scorable), features.first)


def judge(centroids: Centroids, points: Local, scorable: NDArray[np.bool_]) -> Detection:
    """Score and flag the scorable samples, whose features the points are."""
    score, flagged = np.empty(points.n), np.empty(points.n, bool)

    def one(block: slice) -> None:
        flagged[block] = points.second(block, centroids) == centroids.ascend
        _squeeze(points.first(block), flagged[block], score[block])

    map_blocks(one, points.n, 4 * blocks.BLOCK)
    if points.n == len(scorable):
        return Detection(score=score, flagged=flagged)
    scores, flags = np.full(len(scorable), np.nan), np.zeros(len(scorable), bool)
    scores[scorable], flags[scorable] = score, flagged
    return Detection(score=scores, flagged=flags)


def _squeeze(
    level: NDArray[np.float64], flags: NDArray[np.bool_], score: NDArray[np.float64]
) -> None:
    """Squeeze the mean loss into (0, 1/2), and into (1/2, 1) where flagged."""
    np.abs(level, out=score)
    score += 1
    np.divide(level, score, out=score)
    score += 1
    score *= 0.25
    score += np.multiply(flags, 0.5, out=scratch("flags", flags.shape))
