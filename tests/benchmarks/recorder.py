"""How many records a second the Recorder takes, beside the least that keeping them can cost.

``python tests/benchmarks/recorder.py [--records 2000000]``

Seconds are those of all threads together, so that the thread which makes the tables is counted and
what others do on the machine is not; ``--one-core`` also keeps both threads on one core.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _measure import table

from lossan import Recorder

Figures = tuple[str, int, dict[str, float], float, float]


def measure(n: int, *, one_core: bool = False) -> Iterator[Figures]:
    """Yield kind of ids, batch, million records a second, bytes, and seconds `end_epoch` blocks.

    The rates are of the second of two epochs, as all but the first of a training are: ``call`` of
    `record` on the training thread, ``whole`` of both threads with `end_epoch`, and ``limit``.
    """
    if one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    losses = np.random.default_rng(0).gamma(1, 1, n).astype(np.float32)
    integers = np.random.default_rng(1).permutation(n)
    strings = [f"img_{i:07d}" for i in integers]
    for batch in (32, 256, 4096):
        for kind, ids in (("integer", integers), ("string", strings)):
            parts = [(ids[s : s + batch], losses[s : s + batch]) for s in range(0, n, batch)]
            began = time.process_time()
            kept = [(np.array(i), np.array(v)) for i, v in parts]
            np.concatenate([i for i, _ in kept]), np.concatenate([v for _, v in kept])
            limit = time.process_time() - began
            del kept
            with tempfile.TemporaryDirectory() as folder:
                called, whole, peak, ending = _record(Path(folder) / "run.parquet", parts)
            seconds = {"call": called, "whole": whole, "limit": limit}
            rates = {name: n / taken / 1e6 for name, taken in seconds.items()}
            yield kind, batch, rates, peak, ending


def _record(path: Path, parts: list[tuple[object, object]]) -> tuple[float, float, float, float]:
    """Record two epochs; return what the second took."""
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    recorder = Recorder(path)
    for _ in range(2):
        whole, own = time.process_time(), time.thread_time()
        for part in parts:
            recorder.record(*part)
        called, began = time.thread_time() - own, time.perf_counter()
        recorder.end_epoch()
        ending, whole = time.perf_counter() - began, time.process_time() - whole
    return called, whole, max(0, _memory("VmHWM") - before), ending


def _memory(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def main() -> None:
    """Print records a second by batch size, with integer and with string ids."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--one-core", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.json:
        print(json.dumps([*measure(options.records, one_core=options.one_core)]))
        return
    rows = [
        [kind, batch, *(f"{r:.2f}" for r in rates.values()), f"{peak / 1e6:.0f}", f"{ending:.2f}"]
        for kind, batch, rates, peak, ending in measure(options.records, one_core=options.one_core)
    ]
    table(
        f"Million records a second, {options.records:,} an epoch (target: 2, integer ids)",
        [
            "ids",
            "batch",
            "record(), training thread",
            "with end_epoch(), all threads",
            "lists and one concatenation",
            "peak MB",
            "end_epoch blocks, s",
        ],
        rows,
    )


if __name__ == "__main__":
    main()
