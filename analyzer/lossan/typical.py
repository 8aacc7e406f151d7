"""Which sequences stand for the flagged and for the unflagged samples."""

import numpy as np
from numpy.typing import NDArray

TYPICAL = 20
"""Sequences of each kind, as in the paper's Fig. 4: a report shows those that findings keep."""
_ENOUGH = 100_000  # of a kind, to pick typical ones from
_BLOCK = 1 << 17  # samples at a time


def typical_rows(
    flagged: NDArray[np.bool_], scored: NDArray[np.bool_], count: int
) -> tuple[list[int], list[int]]:
    """Pick typical flagged and unflagged findings, evenly along their ranking.

    Parameters
    ----------
    flagged, scored : ndarray of bool
        Shape (n_samples,), in the order of the findings.
    count : int
        How many of each kind at most.

    Returns
    -------
    tuple of list of int
        Places in the findings: of flagged, of unflagged samples.

    Examples
    --------
    >>> typical_rows(np.arange(10) < 4, np.ones(10, bool), 2)
    ([1, 3], [5, 8])
    """
    return _spread(np.flatnonzero(flagged), count), _spread(
        np.flatnonzero(~flagged & scored), count
    )


def typical_samples(
    score: NDArray[np.float64], flagged: NDArray[np.bool_], count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pick typical flagged and unflagged samples, as `typical_rows` but without a full ranking.

    Parameters
    ----------
    score : ndarray of float64
        Shape (n_samples,).
    flagged : ndarray of bool
        Shape (n_samples,).
    count : int
        How many of each kind at most.

    Returns
    -------
    tuple of ndarray of int
        Rows of flagged, of unflagged samples. Of more than 100,000 of a kind every so manieth
        is looked at.
    """
    found = []
    for kind in (flagged, ~(flagged | np.isnan(score))):
        rows = _every(kind, -(-int(np.count_nonzero(kind)) // _ENOUGH) or 1)
        rows = rows[np.argsort(-score[rows], kind="stable")]
        found.append(rows[_spread(np.arange(len(rows)), count)])
    return found[0], found[1]


def _every(kind: NDArray[np.bool_], step: int) -> NDArray[np.intp]:
    """Return every so manieth row of a kind, a block at a time: all rows may be many more."""
    found, seen = [np.empty(0, np.intp)], 0
    for start in range(0, len(kind), _BLOCK):
        rows = np.flatnonzero(kind[start : start + _BLOCK])
        found.append(start + rows[-seen % step :: step])
        seen += len(rows)
    return np.concatenate(found)


def _spread(places: NDArray[np.intp], count: int) -> list[int]:
    count = min(count, len(places))
    if not count:
        return []
    middles = (np.arange(count) + 0.5) * len(places) / count
    return [int(places[int(m)]) for m in middles]
