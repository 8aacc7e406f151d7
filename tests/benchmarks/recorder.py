"""How many records a second the Recorder takes, beside the least that keeping them can cost.

``python tests/benchmarks/recorder.py [--records 2000000]``
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from _measure import table

from lossan import Recorder


def main() -> None:
    """Print records a second by batch size, with integer and with string ids."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=2_000_000)
    n = parser.parse_args().records
    losses = np.random.default_rng(0).gamma(1, 1, n).astype(np.float32)
    integers = np.random.default_rng(1).permutation(n)
    rows = []
    for batch in (32, 256, 4096):
        for kind, ids in (("integer", integers), ("string", [f"img_{i:07d}" for i in integers])):
            parts = [(ids[s : s + batch], losses[s : s + batch]) for s in range(0, n, batch)]
            began = time.perf_counter()
            kept = [(np.asarray(i), np.asarray(v)) for i, v in parts]
            np.concatenate([i for i, _ in kept]), np.concatenate([v for _, v in kept])
            limit = time.perf_counter() - began
            with tempfile.TemporaryDirectory() as folder:
                recorder = Recorder(Path(folder) / "run.parquet")
                began = time.perf_counter()
                for part in parts:
                    recorder.record(*part)
                recorded = time.perf_counter() - began
                recorder.end_epoch()
                whole = time.perf_counter() - began
            rows.append([kind, batch, *(f"{n / t / 1e6:.2f}" for t in (recorded, whole, limit))])
    table(
        f"Million records a second, {n:,} records an epoch (target: 2, integer ids)",
        ["ids", "batch", "record()", "with end_epoch()", "list and one concatenation"],
        rows,
    )


if __name__ == "__main__":
    main()
