"""The fingerprint of a log in pieces, the same as that of the whole."""

import numpy as np
import pyarrow as pa

from lossan.blocks import cut
from lossan.engines._pieces import Pieces
from lossan.engines._tasks import Tasks
from lossan.fingerprint import CHUNK, chunk_digest, joined


def fingerprint_of(tasks: Tasks, pieces: Pieces) -> str:
    """Hash ids, given labels and losses chunk by chunk."""
    chunks = list(cut(pieces.n_samples, CHUNK))
    shape = (pieces.n_samples, pieces.plan.n_epochs)
    return joined(shape, tasks.map("fingerprint", _digest, pieces, chunks))


def _digest(pieces: Pieces, rows: slice) -> bytes:
    n_epochs = pieces.plan.n_epochs
    columns = ["sample_id", "label", *(f"loss_{e}" for e in range(n_epochs))]
    batches = [
        pieces.read(piece, columns).slice(inside.start, inside.stop - inside.start)
        for piece, inside in pieces.overlapping(pieces.starts, rows)
    ]
    table = pa.Table.from_batches(batches).combine_chunks()
    has_label = "label" in table.column_names
    loss = np.empty((n_epochs, len(table)), np.float32)
    for number, row in enumerate(loss):
        row[:] = table.column(f"loss_{number}").to_numpy()
    label = table.column("label").combine_chunks() if has_label else None
    return chunk_digest(table.column("sample_id").combine_chunks(), label, loss)
