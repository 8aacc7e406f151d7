"""The features of all scorable samples, in files, as k-means takes them."""

from itertools import pairwise
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lossan.blocks import cut
from lossan.engines._pieces import Pieces
from lossan.engines._tasks import Tasks
from lossan.features import FEATURES
from lossan.points import CHUNK, Centroids, Moments, Split, fold, held, moments

_N = len(FEATURES)
_Array = NDArray[np.float64]


@final
class SpilledPoints:
    """Features in the files of the pieces, in chunks that do not depend on the pieces.

    Parameters
    ----------
    tasks : Tasks
    pieces : Pieces
    """

    def __init__(self, tasks: Tasks, pieces: Pieces) -> None:
        self._tasks, self._pieces = tasks, pieces
        self.n = int(pieces.scorable_starts[-1])
        self._chunks = list(cut(self.n, CHUNK))
        self._moments: Moments | None = None

    def moments(self) -> Moments:
        """Return the moments of all."""
        if self._moments is None:
            parts = self._tasks.map("features", _moments, self._pieces, self._chunks)
            self._moments = fold(list(parts))
        return self._moments

    def split(self, centroids: Centroids) -> Split:
        """Tell how all fall to two centroids."""
        common = (self._pieces, centroids)
        return fold(list(self._tasks.map("k-means", _split, common, self._chunks)))

    def take(self, rows: NDArray[np.integer[Any]]) -> _Array:
        """Return the features of some rows, ascending; shape (n_features, n_rows)."""
        cuts = np.searchsorted(rows, self._pieces.scorable_starts)
        starts = self._pieces.scorable_starts
        wanted = [
            (number, rows[low:high] - starts[number])
            for number, (low, high) in enumerate(pairwise(cuts))
            if high > low
        ]
        found = list(self._tasks.map("k-means", _take, self._pieces, wanted))
        return np.concatenate(found, axis=1) if found else np.empty((_N, 0))

    def extremes(self, feature: int) -> tuple[int, int]:
        """Return the rows with the least and the greatest value of a feature."""
        common = (self._pieces, feature)
        ends = list(self._tasks.map("k-means", _extremes, common, self._chunks))
        low, high = min(ends, key=lambda e: e[0])[1], max(ends, key=lambda e: e[2])[3]
        return low, high


def chunk(pieces: Pieces, rows: slice) -> _Array:
    """Read the features of some scorable samples."""
    found = [
        pieces.plan.spill.read_matrix(piece.features_file, (_N, piece.n_scorable), inside)
        for piece, inside in pieces.overlapping(pieces.scorable_starts, rows)
    ]
    return found[0] if len(found) == 1 else np.concatenate(found, axis=1)


def _moments(pieces: Pieces, rows: slice) -> Moments:
    return moments(held(chunk(pieces, rows)), rows.stop - rows.start)


def _split(common: tuple[Pieces, Centroids], rows: slice) -> Split:
    pieces, centroids = common
    return centroids.split(held(chunk(pieces, rows)), rows.stop - rows.start)


def _take(pieces: Pieces, wanted: tuple[int, NDArray[np.int64]]) -> _Array:
    number, rows = wanted
    piece = pieces.each[number]
    everything = slice(0, piece.n_scorable)
    return pieces.plan.spill.read_matrix(piece.features_file, (_N, piece.n_scorable), everything)[
        :, rows
    ]


def _extremes(common: tuple[Pieces, int], rows: slice) -> tuple[float, int, float, int]:
    pieces, feature = common
    values = chunk(pieces, rows)[feature]
    low, high = int(values.argmin()), int(values.argmax())
    return float(values[low]), rows.start + low, float(values[high]), rows.start + high
