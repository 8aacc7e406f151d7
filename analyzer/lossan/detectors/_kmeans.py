"""The paper's detector: k-means with k = 2 on F1 to F6."""

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lossan.config import Config
from lossan.detectors._base import Context, Detection, Detector
from lossan.errors import DetectorError
from lossan.losslog import LossLog
from lossan.thresholds import two_means


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
    reference: ClassVar[str] = "the paper, sections 2.2 and 2.3 (F1 to F6, clustering)"
    Parameters: ClassVar[type[Config]] = KMeansParameters

    def detect(self, log: LossLog, context: Context) -> Detection:
        """Cluster the scorable samples and flag the cluster with the higher mean F1.

        Raises
        ------
        DetectorError
            With fewer than two scorable samples, or when all have the same features.
        """
        features = context.features
        scorable = features.scorable
        points = features.values[:, scorable].T
        flags = _suspicious(points, self.parameters, context)
        score = np.full(log.n_samples, np.nan)
        level = points[:, 0]
        score[scorable] = 0.25 * (1 + level / (1 + np.abs(level))) + 0.5 * flags
        flagged = np.zeros(log.n_samples, bool)
        flagged[scorable] = flags
        return Detection(score=score, flagged=flagged)


def _suspicious(
    points: NDArray[np.float64], parameters: Config, context: Context
) -> NDArray[np.bool_]:
    if len(points) < 2:
        raise DetectorError(
            f"kmeans makes 2 clusters, but only {len(points)} sample"
            f"{'' if len(points) == 1 else 's'} can be scored; a sample needs at least two "
            "observed epochs."
        )
    varies = np.ptp(points, axis=0) > 0
    if not varies.any():
        raise DetectorError(
            f"all {len(points)} scored samples have the same features (mean loss "
            f"{points[0, 0]:g}): there is nothing to tell them apart by. Was the loss reduced "
            "over the batch before it was recorded?"
        )
    if context.scale == "standard":
        # A constant feature has a deviation of rounding errors, not of anything to divide by.
        spread = np.where(varies, points.std(axis=0), 1.0)
        points = (points - points.mean(axis=0)) / spread
    assert isinstance(parameters, KMeansParameters)  # noqa: S101
    cluster = two_means(points, context.seed, **parameters.model_dump())
    means = [points[cluster == k, 0].mean() for k in (0, 1)]
    flags: NDArray[np.bool_] = cluster == int(np.argmax(means))
    return flags
