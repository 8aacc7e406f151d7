"""The findings of all pieces, ranked: sorted to parts by their scores, and each part by itself."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.engines._pieces import Piece, Pieces
from lossan.engines._spill import one_batch
from lossan.engines._tasks import Tasks
from lossan.engines._verdict import judged, table_of

_PART_ROWS = 1 << 20
Part = tuple[int, int]
"""Number of a part of the findings, and the rank of its first."""


def part_bounds(scores: NDArray[np.float64], n_samples: int) -> NDArray[np.float64]:
    """Return falling scores that cut the ranking into parts, from a sample of the scores."""
    n_parts = max(1, -(-n_samples // _PART_ROWS))
    ordered = np.sort(scores[~np.isnan(scores)])[::-1]
    if not len(ordered):
        return np.empty(0)
    places = np.arange(1, n_parts) * len(scores) // n_parts
    return np.unique(ordered[places[places < len(ordered)]])[::-1]


def sort_to_parts(tasks: Tasks, pieces: Pieces, bounds: NDArray[np.float64]) -> list[Part]:
    """Write each piece's findings by part; return the parts with their first ranks."""
    found = list(tasks.map("ranking", _cut, (pieces, bounds), pieces.each))
    counts = np.sum(found, axis=0)
    ranks = 1 + np.cumsum(counts) - counts
    return [(p, int(r)) for p, (r, c) in enumerate(zip(ranks, counts, strict=True)) if c]


def rank_part(pieces: Pieces, part: Part) -> pa.Table:
    """Put a part together from all pieces and rank it; equal scores keep the order of the ids."""
    number, first_rank = part
    spill = pieces.plan.spill
    batches = [spill.read_batch(_file(piece), number) for piece in pieces.each]
    table = pa.Table.from_batches([b for b in batches if b.num_rows]).combine_chunks()
    batches.clear()
    score = table.column("score").to_numpy()
    table = table.take(pa.array(np.argsort(-score, kind="stable")))
    ranks = pa.array(np.arange(first_rank, first_rank + len(table)))
    return table.set_column(table.column_names.index("rank"), "rank", ranks)


def _cut(common: tuple[Pieces, NDArray[np.float64]], piece: Piece) -> NDArray[np.int64]:
    pieces, bounds = common
    batch, found = judged(pieces, piece)
    # the unscored, NaN, are in the last part, at its end
    part = np.searchsorted(-bounds, -found.score, side="right")
    order = np.argsort(part, kind="stable")
    counts = np.bincount(part, minlength=len(bounds) + 1)
    stops = np.cumsum(counts)
    table = table_of(pieces, batch, found, order)

    def batches() -> Iterator[pa.RecordBatch]:
        for start, stop in zip(stops - counts, stops, strict=True):
            yield one_batch(table.slice(start, stop - start))

    pieces.plan.spill.write_batches(_file(piece), table.schema, batches())
    return counts


def _file(piece: Piece) -> str:
    return f"found-{piece.number}"
