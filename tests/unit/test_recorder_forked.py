"""A Recorder belongs to the process that made it: one forked from it can take nothing away."""

import os
import subprocess
import sys

import pytest

import lossan

# Forks in every way that could reach the log, then goes on recording. In a process of its own, so
# that the threads of the tests' are not forked.
CODE = """
import os, sys, warnings
import lossan

warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads, from Python 3.12 on
path, ended = sys.argv[1], int(sys.argv[2])

def in_child(work):
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
        return
    try:
        work()
    except lossan.LossanError as error:
        print(error, flush=True)
        os._exit(0)
    os._exit(1)

def leave(recorder):
    recorder.__exit__(ValueError, ValueError(), None)  # as an exception in a with block
    raise lossan.LossanError("left")

with lossan.Recorder(path) as recorder:
    for epoch in range(ended):
        recorder.record([1, 2], [epoch, epoch])
        recorder.end_epoch()
    recorder.record([1], [7.0])
    in_child(lambda: recorder.record([1], [9.0]))
    in_child(recorder.end_epoch)
    in_child(recorder.close)
    in_child(lambda: leave(recorder))
    try:
        os.fork() or os.execvp(sys.executable, [sys.executable, "-c", "import sys, lossan\\n"
            "try: lossan.Recorder(sys.argv[1], overwrite=True)\\n"
            "except lossan.LossanError as error: print('locked')", path])
    finally:
        os.wait()
    recorder.record([2], [8.0])
    recorder.end_epoch()
    recorder.record([1, 2], [5.0, 6.0])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.parametrize("ended", [0, 2])
def test_a_forked_process_is_refused_and_leaves_the_recording_alone(tmp_path, ended):
    path = tmp_path / "run.parquet"
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(path), str(ended)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert "safe in" not in done.stderr
    assert ["forked from it" in line for line in said] == [True, True, True, False, False]
    assert said[3:] == ["left", "locked"]
    assert lossan.read_log(path).loss[:, ended:].tolist() == [[7.0, 5.0], [8.0, 6.0]]
