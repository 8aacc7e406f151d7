"""Ctrl-C and SIGTERM end a command in order: a message, an exit code and nothing left behind."""

import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

# an analysis that has come to its detector and stays there until it is told to end
WAITING = """
import sys, time
from lossan import pipeline
from lossan.cli import run
from lossan.engines import _run

def wait(*_):
    print("ready", flush=True)
    time.sleep(60)

if __name__ == "__main__":
    pipeline.detect = _run.fit = wait
    sys.exit(run(sys.argv[1:]))
"""
# a conversion that has begun to write
WRITING = """
import sys, time
import pyarrow.parquet as pq
from lossan.cli import run

def wait(*_, **__):
    print("ready", flush=True)
    time.sleep(60)

pq.ParquetWriter.write_table = wait
sys.exit(run(sys.argv[1:]))
"""
IMPORTING = """
import sys, time
from lossan.cli._common import orderly_end

try:
    with orderly_end():
        import half
        time.sleep(60)
except KeyboardInterrupt:
    print(half.whole)
"""
HALF = """
import signal
signal.raise_signal(signal.SIGNUM)
whole = "imported whole"
"""


def start(tmp_path, code, *arguments):
    (tmp_path / "program.py").write_text(code)
    return subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("engine", ["local", "disk", "dask"])
def test_an_analysis_ends_in_order(tmp_path, engine, signum):
    if engine == "dask":
        pytest.importorskip("distributed")
    loss = np.random.default_rng(0).gamma(2, 0.5, (300, 3))
    pq.write_table(pa.table({"sample_id": np.arange(300), "loss": list(loss)}), tmp_path / "log")
    spill, out = tmp_path / "spill", tmp_path / "out"
    spill.mkdir()
    place = () if engine == "local" else ("--spill", str(spill))
    arguments = ("analyze", str(tmp_path / "log"), "--engine", engine, "-o", str(out), *place)
    process = start(tmp_path, WAITING, *arguments)
    assert process.stdout.readline() == "ready\n"
    assert engine == "local" or list(spill.iterdir())
    if signum == signal.SIGINT:  # a terminal sends it to the workers too
        os.killpg(process.pid, signum)
    else:
        process.send_signal(signum)
    _, said = process.communicate(timeout=60)
    # a slow machine tells how far it has read before
    assert said.splitlines()[-1:] == ["error: interrupted; nothing half-written stays behind."]
    assert "Traceback" not in said
    assert process.returncode == 130
    assert not out.exists()
    assert not list(spill.iterdir())


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_conversion_leaves_no_part_of_a_file(tmp_path, signum):
    source, folder = tmp_path / "log", tmp_path / "out"
    pq.write_table(pa.table({"sample_id": [1, 2], "loss": [[0.5, 1.5], [2.0, 1.0]]}), source)
    folder.mkdir()
    process = start(tmp_path, WRITING, "convert", str(source), str(folder / "out.parquet"))
    assert process.stdout.readline() == "ready\n"
    assert list(folder.iterdir())
    process.send_signal(signum)
    _, said = process.communicate(timeout=60)
    # a slow machine tells how far it has read before
    assert said.splitlines()[-1:] == ["error: interrupted; nothing half-written stays behind."]
    assert "Traceback" not in said
    assert process.returncode == 130
    assert not list(folder.iterdir())


@pytest.mark.parametrize("signum", ["SIGINT", "SIGTERM"])
def test_an_import_is_not_cut_in_half(tmp_path, signum):
    (tmp_path / "half.py").write_text(HALF.replace("SIGNUM", signum))
    process = start(tmp_path, IMPORTING)
    shown, said = process.communicate(timeout=60)
    assert (shown, said) == ("imported whole\n", "")
