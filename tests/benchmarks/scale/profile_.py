"""Where the time of one analysis goes, and what the machine's memory allows.

``python profile_.py LOG`` prints JSON; in a process of its own, for a large parent would be counted
in the memory of the commands it runs.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import lossan
from lossan.clustering import fit_two_means
from lossan.detectors import judge, points_of
from lossan.features import features_of


def stages(log: Path) -> list[tuple[str, float, float, float]]:
    """Return each stage: its seconds, those of all cores, the bytes it must move at the least."""
    found = []

    def timed(name: str, moved: Callable[[], float], work: Callable[[], object]) -> object:
        began, busy = time.perf_counter(), time.process_time()
        result = work()
        found.append((name, time.perf_counter() - began, time.process_time() - busy, moved()))
        return result

    file = pq.ParquetFile(log)
    groups = range(file.num_row_groups)
    timed(
        "decode alone", lambda: log.stat().st_size, lambda: [file.read_row_group(g) for g in groups]
    )
    read = timed("read", lambda: log.stat().st_size, lambda: lossan.read_log(log))
    loss = read.loss
    features = features_of(loss)
    scorable = timed("scorable", lambda: loss.nbytes, lambda: features.scorable)
    points = points_of(features)
    moved = lambda: loss.nbytes  # noqa: E731 - of one pass; Lloyd's iterations take more
    moments = timed("features, moments", moved, points.moments)
    found_ = timed("features, k-means", moved, lambda: fit_two_means(points, moments, 0))
    timed("features, flags", moved, lambda: judge(found_, points, scorable))
    timed("fingerprint", lambda: loss.nbytes, lambda: read.fingerprint)
    return found


def memory_bandwidth() -> float:
    """Return the bytes a second that one core reads and writes when it copies an array."""
    source = np.ones(1 << 25)
    target = np.empty_like(source)
    best = 0.0
    for _ in range(5):
        began = time.perf_counter()
        np.copyto(target, source)
        best = max(best, 2 * source.nbytes / (time.perf_counter() - began))
    return best


def first_touch(size: float = 1e9) -> float:
    """Return the seconds that new memory of so many bytes costs, before anything is done with it.

    A virtual machine may have to get it from its host: up to twenty times as much as where the
    kernel alone clears it, and no work that holds as much is faster.
    """
    began = time.perf_counter()
    np.empty(int(size), np.uint8)[::4096] = 0
    return time.perf_counter() - began


if __name__ == "__main__":
    touched = first_touch()  # before the analysis, that it may not get what that gave back
    found = {"stages": stages(Path(sys.argv[1])), "bandwidth": memory_bandwidth()}
    print(json.dumps(found | {"first_touch": touched}))
