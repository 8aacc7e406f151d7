"""Reading long Parquet beside pyarrow's decoding, pandas pivot and polars group-by.

``python tests/benchmarks/read.py [--samples 2000000] [--rounds 3]``
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _measure import side_by_side, table

EPOCHS = 8
COLUMNS = '["sample_id", "epoch", "loss"]'


def write_log(path: Path, ids: pa.Array) -> None:
    """Write a long log, ids shuffled within each epoch, as any program might."""
    rng = np.random.default_rng(0)
    n = len(ids)
    parts = []
    for epoch in range(EPOCHS):
        loss = rng.gamma(1.0, 1.0, n).astype(np.float32)
        shuffled = ids.take(pa.array(rng.permutation(n)))
        parts.append(
            pa.table({"sample_id": shuffled, "epoch": np.full(n, epoch, np.int32), "loss": loss})
        )
    pq.write_table(pa.concat_tables(parts), path)


def works(path: Path) -> dict[str, tuple[str, str]]:
    """Return what is compared: set-up and work of each."""
    file = repr(str(path))
    return {
        "pyarrow, decoding alone": (
            "import pyarrow.parquet as pq",
            f"t = pq.read_table({file}, columns={COLUMNS})",
        ),
        "lossan.read_log": (
            # pandas too: pyarrow imports it where it is installed
            "import lossan.io, pyarrow.compute, pandas",
            f"log = lossan.io.read_log({file})",
        ),
        "pandas pivot": (
            "import pandas as pd",
            f"t = pd.read_parquet({file}, columns={COLUMNS})\n"
            "m = t.pivot(index='sample_id', columns='epoch', values='loss').to_numpy()",
        ),
        "polars group-by": (
            "import polars as pl",
            f"t = pl.scan_parquet({file}).sort('epoch').group_by('sample_id')"
            ".agg(pl.col('loss')).sort('sample_id').collect()",
        ),
    }


def main() -> None:
    """Print a table for each kind of id."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    n = options.samples
    sparse = np.random.default_rng(1).permutation(n) * np.int64(7_919) - 10**9
    kinds = {
        "integer ids 0 to n-1 (limit: 3x)": (pa.array(np.arange(n)), 8),
        "integer ids, sparse (limit: 3x)": (pa.array(sparse), 8),
        "string ids, 26 characters (limit: 8x)": (
            pa.array([f"img_{i:018d}.png" for i in range(n)]),
            26 + 8,
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        for title, (ids, id_bytes) in kinds.items():
            path = Path(folder) / "log.parquet"
            write_log(path, ids)
            done = side_by_side(works(path), options.rounds)
            base = done["pyarrow, decoding alone"]["seconds"]
            size = n * (4 * EPOCHS + id_bytes)
            table(
                f"{title}: {n:,} samples x {EPOCHS} epochs, matrix and ids {size / 1e6:.0f} MB",
                ["", "seconds", "x decoding", "peak MB", "x matrix and ids"],
                [
                    [
                        name,
                        f"{r['seconds']:.2f}",
                        f"{r['seconds'] / base:.2f}",
                        f"{r['bytes'] / 1e6:.0f}",
                        f"{r['bytes'] / size:.2f}",
                    ]
                    for name, r in done.items()
                ],
            )


if __name__ == "__main__":
    main()
