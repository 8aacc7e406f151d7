"""Some samples of a log in pieces, with what was found of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.describe import describe_features, describe_losses, describe_scores
from lossan.detectors import Detection
from lossan.engines._pieces import Pieces, features_of, log_of, suggested
from lossan.engines._spill import one_batch
from lossan.features import Features
from lossan.losslog import LossLog


@dataclass(frozen=True)
class Described:
    """Some samples of one piece.

    Parameters
    ----------
    rows : pyarrow.RecordBatch
        As the pieces hold them.
    found : Detection
    """

    rows: pa.RecordBatch
    found: Detection


@dataclass(frozen=True, eq=False)
class Sample:
    """Some samples of a log, in the order of their ids, with what was found of them."""

    rows: pa.RecordBatch
    log: LossLog
    features: Features
    found: Detection
    suggested: pa.Array | None

    def summarised(self) -> dict[str, object]:
        """Return the distributions that a summary holds."""
        score, flagged = self.found.score, self.found.flagged
        return {
            "scores": describe_scores(score, flagged),
            "features": describe_features(self.features, flagged, self.log.n_epochs),
            "loss_by_epoch": describe_losses(self.log, flagged, ~np.isnan(score)),
        }


def sample_of(pieces: Pieces, described: Sequence[Described]) -> Sample:
    """Put described samples of several pieces together."""
    batch = one_batch(pa.Table.from_batches([one.rows for one in described]))
    found = _joined([one.found for one in described])
    return Sample(
        rows=batch,
        log=log_of(pieces, batch),
        features=features_of(pieces, batch),
        found=found,
        suggested=suggested(pieces, batch, found.flagged),
    )


def taken(found: Detection, rows: NDArray[np.integer[Any]]) -> Detection:
    """Return what was found of some rows."""
    sure = found.probability
    return replace(
        found,
        score=found.score[rows],
        flagged=found.flagged[rows],
        probability=None if sure is None else sure[rows],
    )


def _joined(found: Sequence[Detection]) -> Detection:
    sure = [one.probability for one in found if one.probability is not None]
    return replace(
        found[0],
        score=np.concatenate([one.score for one in found]),
        flagged=np.concatenate([one.flagged for one in found]),
        probability=np.concatenate(sure) if sure else None,
    )
