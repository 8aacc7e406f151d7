"""Commands run to their end: seconds from start to exit, and the peak of their memory."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile


@dataclass(frozen=True)
class Cost:
    """What one run of a command took.

    Parameters
    ----------
    seconds : float
        Wall time.
    busy : float
        Seconds of all cores.
    peak : float
        Bytes.
    """

    seconds: float
    busy: float
    peak: float

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s ({self.busy:.1f} of cores), {self.peak / 1e9:.2f} GB"


# Linux counts the memory of the process that starts a command as the command's own until it is
# running; ours has held whole logs. So a small process starts and measures it.
_MEASURE = """
import json, os, subprocess, sys, time
began = time.perf_counter()
child = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(child.pid, 0)
seconds = time.perf_counter() - began
with open(sys.argv[1], "w") as file:
    json.dump([seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024], file)
sys.exit(status != 0)
"""


def run(*command: str) -> Cost:
    """Run a command; what it prints is shown only if it fails."""
    with NamedTemporaryFile() as cost:
        small = [sys.executable, "-S", "-c", _MEASURE, cost.name, *command]
        done = subprocess.run(small, capture_output=True, check=False)
        if done.returncode:
            said = (done.stdout + done.stderr).decode()[-2000:]
            raise SystemExit(f"{' '.join(command)} failed:\n{said}")
        return Cost(*json.load(cost))


def in_turn(works: Sequence[Callable[[], Cost]], rounds: int) -> list[list[Cost]]:
    """Run several works one after another, some rounds, so that a busy machine is so for all."""
    return [
        list(costs) for costs in zip(*([w() for w in works] for _ in range(rounds)), strict=True)
    ]


def middle(costs: Sequence[Cost]) -> Cost:
    """Return the medians."""
    fields = ("seconds", "busy", "peak")
    return Cost(*(statistics.median(getattr(c, f) for c in costs) for f in fields))


def times(ours: Sequence[Cost], others: Sequence[Cost]) -> float:
    """Return the median of the ratios of neighbouring runs."""
    return statistics.median(o.seconds / p.seconds for o, p in zip(ours, others, strict=True))


def analyze(log: Path, *options: str) -> Cost:
    """Run ``lossan analyze`` on a log."""
    return run(sys.executable, "-m", "lossan", "analyze", str(log), "--top", "5", *options)


def python(code: str, log: Path) -> Cost:
    """Run a program; LOG in it is the log."""
    return run(sys.executable, "-c", code.replace("LOG", repr(str(log))))


DECODE = """
import pyarrow.parquet as pq
file = pq.ParquetFile(LOG)
for group in range(file.num_row_groups):
    file.read_row_group(group)
"""
LOAD_NPZ = """
import numpy as np
with np.load(LOG) as arrays:
    for name in arrays.files:
        arrays[name]
"""
PANDAS = """
import numpy as np, pandas as pd
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler
rows = pd.read_parquet(LOG)
loss = rows.pivot(index="sample_id", columns="epoch", values="loss").to_numpy(np.float64)
del rows
n, epochs = loss.shape
q = np.argmax(loss[:, :-1] - loss[:, 1:], axis=1)
sums = np.cumsum(loss, axis=1)
before = sums[np.arange(n), q] / (q + 1)
after = (sums[:, -1] - sums[np.arange(n), q]) / (epochs - q - 1)
f1, f2 = sums[:, -1] / epochs, sums[:, epochs // 2 - 1] / (epochs // 2)
features = np.stack([f1, f2, q + 1, before, after, before - after], axis=1)
labels = KMeans(2, n_init=10, random_state=0).fit_predict(StandardScaler().fit_transform(features))
print(np.bincount(labels))
"""
