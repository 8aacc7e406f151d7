"""What a log is known by: a hash of its ids, given labels and losses, whatever form they are in.

Samples are hashed in chunks of fixed size and the chunks' hashes together, so that chunks can be
hashed on all cores, or wherever they lie.
"""

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

CHUNK = 1 << 20
"""Samples that are hashed at a time."""


def fingerprint(ids: pa.Array, label: pa.Array | None, loss: NDArray[np.float32]) -> str:
    """Return the fingerprint of samples in ascending order of their ids.

    Parameters
    ----------
    ids, label : pyarrow.Array
        Shape (n_samples,).
    loss : ndarray of float32
        Shape (n_epochs, n_samples), NaN of one bit pattern.
    """
    n_epochs, n_samples = loss.shape

    def one(start: int) -> bytes:
        part = slice(start, start + CHUNK)
        return chunk_digest(ids[part], None if label is None else label[part], loss[:, part])

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return joined((n_samples, n_epochs), pool.map(one, range(0, n_samples, CHUNK)))


def chunk_digest(ids: pa.Array, label: pa.Array | None, loss: NDArray[np.float32]) -> bytes:
    """Return the SHA-256 of one chunk of samples."""
    digest = hashlib.sha256()
    for values in (ids, label):
        digest.update(_canonical_bytes(values))
    for epoch in loss:
        digest.update(np.ascontiguousarray(epoch).astype("<f4", copy=False).data)
    return digest.digest()


def joined(shape: tuple[int, int], digests: Iterable[bytes]) -> str:
    """Return the fingerprint of a log of shape (n_samples, n_epochs) from its chunks' hashes."""
    digest = hashlib.sha256(f"lossan log {shape}".encode())
    for one in digests:
        digest.update(one)
    return f"sha256:{digest.hexdigest()}"


def _canonical_bytes(values: pa.Array | None) -> bytes:
    """Bytes of a column that do not depend on how it was stored."""
    if values is None:
        return b"none"
    if values.null_count == len(values):
        return f"{len(values)} nulls".encode()  # of whatever type: nothing tells
    if pa.types.is_integer(values.type):
        filled = pc.fill_null(values, 0).to_numpy(zero_copy_only=False).astype("<i8")
        return b"int" + np.packbits(_valid(values)).tobytes() + filled.tobytes()
    filled = pc.fill_null(values, "").cast(pa.large_string())
    lengths = pc.binary_length(filled).to_numpy(zero_copy_only=False).astype("<i8")
    data = filled.buffers()[2]
    start = np.frombuffer(filled.buffers()[1], np.int64)[filled.offset]
    stop = np.frombuffer(filled.buffers()[1], np.int64)[filled.offset + len(filled)]
    text = b"" if data is None else memoryview(data)[start:stop]
    return b"".join([b"str", np.packbits(_valid(values)).tobytes(), lengths.tobytes(), text])


def _valid(values: pa.Array) -> NDArray[np.bool_]:
    valid: NDArray[np.bool_] = values.is_valid().to_numpy(zero_copy_only=False)
    return valid
