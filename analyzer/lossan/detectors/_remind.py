"""REMIND's two features of a loss curve."""

from typing import ClassVar, final

import numpy as np

from lossan.detectors._base import Context, Detection, Detector
from lossan.errors import DetectorError
from lossan.losslog import LossLog
from lossan.signals import Matrix, losses, mean_observed


@final
class Remind(Detector):
    """k-means on how far a loss curve falls and how long that takes.

    The cluster with the higher mean loss is suspicious; the score is the mean loss, flags first.
    """

    name: ClassVar[str] = "remind"
    summary: ClassVar[str] = "k-means on relative fall and its duration of the loss curve"
    reference: ClassVar[str] = "REMIND: dl = (max - min) / (max + min), dt = (argmin - argmax) / N"

    def detect(self, log: LossLog, context: Context) -> Detection:
        """Cluster the scorable samples.

        Raises
        ------
        DetectorError
            When their curves have one shape.
        """
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits

        rows = np.flatnonzero(context.features.scorable)
        loss = losses(log)[rows]
        points = _shape(loss)
        if len(rows) < 2 or not (np.ptp(points, axis=0) > 0).any():
            raise DetectorError(
                f"remind clusters loss curves, but all {len(rows)} scored ones have one shape."
            )
        with threadpool_limits(limits=1):
            cluster = KMeans(2, n_init=10, random_state=context.seed).fit(points).labels_
        level = mean_observed(loss)
        flags = cluster == int(level[cluster == 1].mean() > level[cluster == 0].mean())
        score = np.full(log.n_samples, np.nan)
        score[rows] = 0.25 * (1 + level / (1 + np.abs(level))) + 0.5 * flags
        flagged = np.zeros(log.n_samples, bool)
        flagged[rows] = flags
        return Detection(score=score, flagged=flagged)


def _shape(loss: Matrix) -> Matrix:
    """Return dt and dl, shape (n, 2), over the observed epochs."""
    top, bottom = np.nanmax(loss, axis=1), np.nanmin(loss, axis=1)
    total = np.where(top + bottom > 0, top + bottom, 1.0)
    filled_low = np.where(np.isnan(loss), np.inf, loss)
    filled_high = np.where(np.isnan(loss), -np.inf, loss)
    span = filled_low.argmin(axis=1) - filled_high.argmax(axis=1)
    return np.stack([span / loss.shape[1], (top - bottom) / total], axis=1)
