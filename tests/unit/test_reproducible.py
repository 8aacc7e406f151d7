"""The same log gives the same bytes: in any form and order, with any number of threads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import lossan
from lossan.detectors import installed
from lossan.io import write_findings, write_log

SAMPLE = Path(__file__).parents[2] / "samples" / "digits" / "long.parquet"
LARGE = 30_000  # BLAS puts sums of as many numbers on several threads


def findings(log, detector, folder):
    """Return the bytes of both findings files."""
    folder.mkdir()
    result = lossan.analyze(log, detector=detector)
    write_findings([result.table], lambda: "{}", folder)
    return [(folder / name).read_bytes() for name in ("findings.parquet", "findings.csv")]


BOTH = """
import sys
from lossan.cli import run
for detector in ("kmeans", "auto"):
    assert run(["analyze", sys.argv[1], "-d", detector, "-o", detector, "--top", "0"]) == 0
"""


def in_another_process(log, folder, **environment):
    """Return the bytes that the command line writes there."""
    folder.mkdir()
    subprocess.run(
        [sys.executable, "-c", BOTH, str(log)],
        check=True,
        capture_output=True,
        cwd=folder,
        env={**os.environ, **environment},
    )
    return [p.read_bytes() for p in sorted(folder.glob("*/findings.*"))]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Return a long log, and the same rows in another order and in other row groups."""
    folder, rng = tmp_path_factory.mktemp("large"), np.random.default_rng(0)
    epochs = 4
    loss = rng.gamma(1.0, size=(LARGE, epochs)) * np.linspace(1, 0.3, epochs)
    loss[rng.random(LARGE) < 0.06] += 3
    table = pa.table(
        {
            "sample_id": np.repeat(np.arange(LARGE), epochs),
            "epoch": np.tile(np.arange(epochs), LARGE),
            "loss": loss.astype(np.float32).ravel(),
            "label": np.repeat(rng.integers(0, 3, LARGE), epochs),
        }
    )
    pq.write_table(table, folder / "sorted.parquet")
    shuffled = table.take(pa.array(rng.permutation(len(table))))
    pq.write_table(shuffled, folder / "shuffled.parquet", row_group_size=7_000)
    return folder / "sorted.parquet", folder / "shuffled.parquet"


@pytest.mark.parametrize("detector", ["kmeans", "auto"])
def test_the_form_and_the_order_of_rows_change_no_byte(detector, tmp_path):
    table = pq.read_table(SAMPLE)
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(len(table))))
    pq.write_table(shuffled, tmp_path / "shuffled.parquet", row_group_size=1_000)
    log = lossan.read_log(SAMPLE)
    write_log(log, tmp_path / "wide.parquet", layout="wide")
    write_log(log, tmp_path / "log.npz")
    write_log(log, f"{tmp_path}/folder/")
    whole = findings(SAMPLE, detector, tmp_path / "expected")
    for name in ("shuffled.parquet", "wide.parquet", "log.npz", "folder"):
        assert findings(tmp_path / name, detector, tmp_path / f"{name}.out") == whole, name


def test_threads_hash_seeds_and_processes_change_no_byte(large, tmp_path):
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    several = {"OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4", "PYTHONHASHSEED": "12345"}
    first = in_another_process(large[0], tmp_path / "one", **one)
    assert len(first) == 4
    assert in_another_process(large[1], tmp_path / "several", **several) == first


def test_threads_of_arrow_change_no_byte(large, tmp_path):
    before = pa.cpu_count()
    try:
        found = []
        for threads in (1, 8):
            pa.set_cpu_count(threads)
            found.append(findings(large[1], "kmeans", tmp_path / f"{threads}"))
    finally:
        pa.set_cpu_count(before)
    assert found[0] == found[1]


def test_every_detector_sees_one_thread_of_blas(monkeypatch):
    seen = {}
    kmeans = installed()["kmeans"].detector
    detect = kmeans.detect

    def watched(self, log, context):
        seen["threads"] = {
            lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"
        }
        return detect(self, log, context)

    monkeypatch.setattr(kmeans, "detect", watched)
    with threadpool_limits(limits=2, user_api="blas"):
        lossan.analyze(SAMPLE)
    assert seen["threads"] == {1}


def test_the_summary_differs_in_its_date_alone(tmp_path):
    summaries = []
    for name in ("a", "b"):
        lossan.analyze(SAMPLE, name="x").save(tmp_path / name)
        summaries.append(json.loads((tmp_path / name / "summary.json").read_text()))
    for summary in summaries:
        del summary["created"]
    assert summaries[0] == summaries[1]
