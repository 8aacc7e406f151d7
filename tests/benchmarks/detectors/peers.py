"""Run the peers on the logs: ``python peers.py --cache DIR [--fundus DIR] [--only NAME ...]``.

Each result is one Parquet file ``peers/TASK/PEER.parquet`` (``PEER.eval.parquet`` where it was
computed from the log of the pass after each epoch): sample_id, score, flagged.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from log_peers import (
    all_negative,
    at_random,
    clustered_curves,
    data_maps,
    last_loss,
    mean_loss_mixture,
    mean_margin,
)
from make_logs import is_made
from tasks import Task, chosen
from trained_peers import area_under_margin, cleanlab
from work import Found, Work

FILTERS = (
    "prune_by_noise_rate",
    "prune_by_class",
    "both",
    "confident_learning",
    "predicted_neq_given",
)
Peer = Callable[[Work], Found]
OF_LOG: dict[str, Peer] = {
    "ctrl": clustered_curves,
    "gmm-mean-loss": mean_loss_mixture,
    "data-maps": data_maps,
    "mean-margin": mean_margin,
    "last-loss": last_loss,
}
"""Computed from each of a task's logs."""
OF_TASK: dict[str, Peer] = {
    **{f"cleanlab-cv/{f}": cleanlab(f, held_out=True) for f in FILTERS},
    **{f"cleanlab-in-sample/{f}": cleanlab(f, held_out=False) for f in FILTERS},
    "aum": area_under_margin,
    "random": at_random,
    "all-negative": all_negative,
}
"""The same for both of a task's logs."""


def run(task: Task, cache: Path, fundus: Path | None = None) -> None:
    """Run every peer on a task whose result is not there yet."""
    began = time.perf_counter()
    for recorded in ("train", "eval"):
        work = Work(task, cache, fundus, recorded)
        for name, peer in {**OF_LOG, **(OF_TASK if recorded == "train" else {})}.items():
            path = result_path(work, name)
            if not path.exists():
                _write(path, work, peer(work))
    print(f"{task.name}: peers done in {time.perf_counter() - began:.0f} s", flush=True)


def result_path(work: Work, name: str) -> Path:
    """Return where a peer's result on a log stands."""
    of_eval = work.recorded == "eval" and name in OF_LOG
    return work.peers_folder / f"{name.replace('/', '--')}{'.eval' if of_eval else ''}.parquet"


def read(work: Work, name: str) -> Found:
    """Return a peer's result."""
    table = pq.read_table(result_path(work, name))
    score, flagged = (table[c].to_numpy() for c in ("score", "flagged"))
    without = table["flagged"].null_count > 0
    return Found(score, None if without else flagged.astype(bool))


def _write(path: Path, work: Work, found: Found) -> None:
    n = len(work.given)
    flagged = pa.nulls(n, pa.bool_()) if found.flagged is None else pa.array(found.flagged)
    score = np.asarray(found.score, np.float64)
    table = pa.table({"sample_id": work.log.sample_id, "score": score, "flagged": flagged})
    half = path.with_suffix(".half")
    pq.write_table(table, half)
    half.replace(path)


def main() -> None:
    """Run all peers on all tasks chosen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--fundus", type=Path)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    for task in chosen(options.only, options.seeds):
        if is_made(task, options.cache):
            run(task, options.cache, options.fundus)
        else:
            print(f"{task.name}: left out, its log is not made")


if __name__ == "__main__":
    main()
