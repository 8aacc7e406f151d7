"""kill -9 at any moment: every ended epoch is there once, and resuming completes the log."""

import subprocess
import sys
import time

import numpy as np
import pytest

import lossan

EPOCHS, SAMPLES = 30, 400

# Prints a line once an epoch has ended; the loss of a record follows from sample and epoch alone.
CHILD = f"""
import sys
import numpy as np
import lossan

ids = np.arange({SAMPLES})
with lossan.Recorder(sys.argv[1], resume=True, recorded="train") as recorder:
    print("ready", flush=True)
    for epoch in range(recorder.n_epochs, {EPOCHS}):
        for part in np.array_split(np.random.default_rng(epoch).permutation(ids), 5):
            recorder.record(part, part + 1000.0 * epoch)
        recorder.end_epoch()
        print(f"ended {{epoch}}", flush=True)
print("closed", flush=True)
"""


def expected(epochs):
    return np.arange(SAMPLES)[:, None] + 1000.0 * np.arange(epochs)[None, :]


@pytest.mark.parametrize("seed", range(3))
def test_what_ended_survives_and_resuming_completes(seed, tmp_path):
    path, rng = tmp_path / "run.parquet", np.random.default_rng(seed)
    closed, kills, ended = False, 0, 0
    while not closed:
        command = [sys.executable, "-c", CHILD, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout.readline() == "ready\n"
            if kills < 7:
                time.sleep(rng.uniform(0, 0.05))
                child.kill()
                kills += 1
            said = child.stdout.read().split("\n")
        ended = max([ended, *(int(s.split()[1]) + 1 for s in said if s.startswith("ended"))])
        closed = "closed" in said
        there = path if path.exists() else tmp_path / "run.parquet.recording"
        if ended >= 2:
            log = lossan.read_log(there)
            # an epoch may have reached the disk in the moment before it was said to have ended
            assert log.n_epochs in (ended, ended + 1)
            np.testing.assert_array_equal(log.loss, expected(log.n_epochs))
    assert kills >= 1
    assert [p.name for p in tmp_path.iterdir()] == ["run.parquet"]
    np.testing.assert_array_equal(lossan.read_log(path).loss, expected(EPOCHS))


def test_a_crash_while_closing_leaves_one_log(tmp_path, monkeypatch):
    path = tmp_path / "run.parquet"
    recorder = lossan.Recorder(path)
    for epoch in range(3):
        recorder.record([1, 2], [epoch, epoch])
        recorder.end_epoch()
    monkeypatch.setattr(recorder._folder, "remove", recorder._folder.release)
    recorder.close()  # as if killed after the log was complete, before its folder was removed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.parquet", "run.parquet.recording"]
    with lossan.Recorder(path, resume=True) as again:
        assert again.n_epochs == 3
    assert [p.name for p in tmp_path.iterdir()] == ["run.parquet"]
    assert lossan.read_log(path).loss.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_unfinished_files_are_no_part_of_the_log(tmp_path):
    path = tmp_path / "run.parquet"
    folder = tmp_path / "run.parquet.recording"
    recorder = lossan.Recorder(path)
    for epoch in range(2):
        recorder.record([1, 2], [epoch, epoch])
        recorder.end_epoch()
    recorder._folder.release()  # as a crash does
    (folder / ".epoch-000003.parquet.x.tmp").write_bytes(b"PAR1 half")
    assert lossan.read_log(folder).n_epochs == 2
    with lossan.Recorder(path, resume=True) as recorder:
        assert recorder.n_epochs == 2
    assert lossan.read_log(path).n_epochs == 2


@pytest.mark.parametrize("name", ["run.parquet", "run.npz"])
@pytest.mark.parametrize(
    "losses", [[[1.0, 2.0]], [[1.0, np.inf], [3.0, 4.0]]], ids=["one epoch", "infinite"]
)
@pytest.mark.filterwarnings("ignore::lossan.errors.RecordingWarning")
def test_a_closed_log_unfit_for_analysis_can_be_gone_on_with(losses, name, tmp_path):
    path = tmp_path / name
    with lossan.Recorder(path) as recorder:
        for epoch in losses:
            recorder.record([1, 2], epoch)
            recorder.end_epoch()
    with lossan.Recorder(path, resume=True) as recorder:
        assert recorder.n_epochs == len(losses)
        recorder.record([1, 2], [5.0, 6.0])
        recorder.end_epoch()
    kept = lossan.read_log(path, invalid="mask").loss.T
    np.testing.assert_array_equal(
        kept, np.where(np.isinf([*losses, [5, 6]]), np.nan, [*losses, [5, 6]])
    )


def test_a_log_that_cannot_be_gone_on_with_is_left_alone_and_let_go(tmp_path):
    path = tmp_path / "run.parquet"
    path.write_bytes(b"PAR1 no log PAR1")
    for _ in range(2):  # the second try would be refused if the first had kept the lock
        with pytest.raises(lossan.LossanError, match="damaged"):
            lossan.Recorder(path, resume=True)
    assert [p.name for p in tmp_path.iterdir()] == ["run.parquet"]
    assert path.read_bytes() == b"PAR1 no log PAR1"
