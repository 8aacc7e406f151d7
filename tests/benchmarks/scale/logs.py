"""Logs of any size, made a row group at a time: ids in another order at every epoch."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP = 1 << 20


def long_log(path: Path, n: int, n_epochs: int, *, strings: bool = False) -> Path:
    """Write a long log; integer ids 0 to n - 1, or strings of 26 characters."""
    kind = pa.string() if strings else pa.int64()
    schema = pa.schema([("sample_id", kind), ("epoch", pa.int32()), ("loss", pa.float32())])
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=["epoch"]) as writer:
        for epoch in range(n_epochs):
            for ids in _shuffled(n, epoch):
                names = pa.array(ids)
                if strings:
                    names = pa.array([f"img-{i:018d}.png" for i in ids.tolist()])
                numbers = pa.array(np.full(len(ids), epoch, np.int32))
                rows = pa.table([names, numbers, pa.array(losses(ids, epoch))], schema=schema)
                writer.write_table(rows)
    return path


def wide_log(path: Path, n: int, n_epochs: int) -> Path:
    """Write a wide log with a list column."""
    schema = pa.schema([("sample_id", pa.int64()), ("loss", pa.list_(pa.float32(), n_epochs))])
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for ids in _shuffled(n, 0):
            values = np.stack([losses(ids, epoch) for epoch in range(n_epochs)], axis=1)
            lists = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), n_epochs)
            writer.write_table(pa.table([pa.array(ids), lists], schema=schema))
    return path


def npz_log(path: Path, n: int, n_epochs: int, *, compressed: bool) -> Path:
    """Write an NPZ log: compressed as lossan does it, or as it is."""
    ids = np.arange(n)
    save = np.savez_compressed if compressed else np.savez
    save(path, sample_id=ids, loss=np.stack([losses(ids, e) for e in range(n_epochs)], axis=1))
    return path


def auto_log(path: Path, n: int, n_epochs: int, n_classes: int = 10) -> Path:
    """Write a long log with every channel; 6% of the labels are wrong."""
    floats = ("loss", "label_prob", "margin", "predicted_prob")
    schema = pa.schema(
        [("sample_id", pa.int64()), ("epoch", pa.int32()), ("label", pa.int64())]
        + [(name, pa.float32()) for name in floats]
        + [("predicted", pa.int64())]
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for epoch in range(n_epochs):
            for ids in _shuffled(n, epoch):
                loss = losses(ids, epoch)
                own = np.exp(-loss)
                label = ids * 7919 % n_classes
                best = np.maximum(own, (1 - own) * np.float32(0.9))
                predicted = np.where(own >= best, label, (label + 1 + ids % 3) % n_classes)
                margin = np.log(np.maximum(own, 1e-7) / np.maximum(1 - own, 1e-7))
                numbers = np.full(len(ids), epoch, np.int32)
                columns = [ids, numbers, label, loss, own, margin, best, predicted]
                writer.write_table(pa.table(columns, schema=schema))
    return path


def losses(ids: np.ndarray, epoch: int) -> np.ndarray:
    """Return losses that depend on id and epoch alone: 6% of the labels are wrong."""
    mixed = (ids.astype(np.uint64) + np.uint64(epoch * 0x51_7C_C1)) * np.uint64(0x9E3779B97F4A7C15)
    noise = ((mixed >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)) + np.float32(0.5)
    wrong = (ids * 2654435761) % 100 < 6
    level = np.where(wrong, 2.5, 2.3 * np.exp(-0.5 * (epoch + 1) * 8 / (8 + epoch)))
    return (level * noise).astype(np.float32)


def _shuffled(n: int, epoch: int) -> Iterator[np.ndarray]:
    """Yield all ids in an order of the epoch's own, a row group at a time, none held at once."""
    step = next(s for s in range(2_654_435_761 % n | 1, 4 * n + 8, 2) if np.gcd(s, n) == 1)
    for start in range(0, n, ROW_GROUP):
        places = np.arange(start, min(start + ROW_GROUP, n))
        yield (places * step + 7919 * epoch) % n
