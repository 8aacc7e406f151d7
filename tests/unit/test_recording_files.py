"""A recording's files: how one ends, goes on, and is kept from harm."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossan import LossanError, Recorder, RecordingWarning, read_log


def record_epochs(recorder, epochs, ids=("a", "b", "c")):
    for epoch in epochs:
        recorder.record(list(ids), [epoch + place / 10 for place in range(len(ids))])
        recorder.end_epoch()


def test_npz_is_written_when_asked_for(tmp_path):
    with Recorder(tmp_path / "run.npz") as recorder:
        record_epochs(recorder, range(2))
    assert (tmp_path / "run.npz").read_bytes()[:2] == b"PK"
    assert np.isfinite(read_log(tmp_path / "run.npz").loss).sum() == 6


def test_nothing_is_replaced_unasked(tmp_path):
    path = tmp_path / "run.parquet"
    with Recorder(path) as recorder:
        record_epochs(recorder, range(2))
    before = path.read_bytes()
    with pytest.raises(LossanError, match=r"resume=True .* overwrite=True"):
        Recorder(path)
    assert path.read_bytes() == before
    with Recorder(path, overwrite=True) as recorder:
        assert recorder.n_epochs == 0
        record_epochs(recorder, range(3))
    assert read_log(path).n_epochs == 3
    with pytest.raises(LossanError, match="give one"):
        Recorder(path, resume=True, overwrite=True)


def test_resuming_a_closed_log_goes_on(tmp_path):
    path = tmp_path / "run.parquet"
    with Recorder(path, recorded="train", metadata={"model": "tiny"}) as recorder:
        record_epochs(recorder, range(2))
    with Recorder(path, resume=True) as recorder:
        assert recorder.n_epochs == 2
        record_epochs(recorder, [2])
    log = read_log(path)
    assert (log.n_epochs, log.recorded, log.metadata["model"]) == (3, "train", "tiny")
    assert log.loss[0].tolist() == [0, 1, 2]


def test_resuming_keeps_the_epochs_a_checkpoint_has(tmp_path):
    path = tmp_path / "run.parquet"
    recorder = Recorder(path)
    record_epochs(recorder, range(3))
    recorder._folder.release()  # as a crash does
    with pytest.raises(LossanError, match="holds 3 epochs"):
        Recorder(path, resume=True, keep_epochs=4)
    with Recorder(path, resume=True, keep_epochs=1) as recorder:
        assert recorder.n_epochs == 1
        record_epochs(recorder, [7])
    assert read_log(path).loss[0].tolist() == [0, 7]


def test_the_other_kind_of_recording_is_refused(tmp_path):
    path = tmp_path / "run.parquet"
    with Recorder(path, recorded="train") as recorder:
        record_epochs(recorder, range(2))
    with pytest.raises(LossanError, match="'eval', but"):
        Recorder(path, resume=True, recorded="eval")
    with Recorder(path, resume=True, recorded="train") as recorder:
        assert recorder.n_epochs == 2


def test_an_exception_keeps_the_ended_epochs_and_says_where(tmp_path, capsys):
    path = tmp_path / "run.parquet"

    def interrupted():
        with Recorder(path) as recorder:
            record_epochs(recorder, range(2))
            recorder.record(["a"], [9])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert "2 ended epochs are safe in" in capsys.readouterr().err
    assert read_log(f"{path}.recording").n_epochs == 2
    with pytest.raises(LossanError, match=r"run\.parquet\.recording"):
        read_log(path)


def test_an_open_epoch_is_ended_by_closing(tmp_path):
    recorder = Recorder(tmp_path / "run.parquet")
    record_epochs(recorder, range(2))
    recorder.record(["a", "b", "c"], [5, 5, 5])
    with pytest.warns(RecordingWarning, match="not ended"):
        recorder.close()
    recorder.close()
    assert read_log(tmp_path / "run.parquet").n_epochs == 3
    with pytest.raises(LossanError, match="closed"):
        recorder.record(["a"], [1])


def test_epochs_that_were_never_ended_cannot_be_told_apart(tmp_path):
    recorder = Recorder(tmp_path / "run.parquet")
    for _ in range(2):
        recorder.record(["a", "b"], [1, 2])
    with pytest.raises(LossanError, match="end_epoch"):
        recorder.close()


def test_too_little_is_told(tmp_path):
    with pytest.warns(RecordingWarning, match="nothing was recorded"), Recorder(tmp_path / "a.npz"):
        pass
    recorder = Recorder(tmp_path / "b.parquet")
    record_epochs(recorder, [0])
    with pytest.warns(RecordingWarning, match="only one epoch"):
        recorder.close()
    assert [p.name for p in tmp_path.iterdir()] == ["b.parquet"]
    with pytest.raises(LossanError, match="nothing was recorded since"):
        Recorder(tmp_path / "c.parquet").end_epoch()


def test_a_full_disk_keeps_what_was_recorded_for_another_try(tmp_path, monkeypatch):
    path = tmp_path / "run.parquet"
    recorder = Recorder(path)
    record_epochs(recorder, range(2))
    recorder.record(["a", "b", "c"], [5, 5, 5])

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(LossanError, match="No space left"):
            recorder.end_epoch()
    assert read_log(f"{path}.recording").n_epochs == 2
    assert recorder.end_epoch().epoch == 3
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(LossanError, match="No space left"):
            recorder.close()
    assert not path.exists()
    recorder.close()
    assert read_log(path).n_epochs == 3


def test_a_second_process_is_refused(tmp_path):
    path = tmp_path / "run.parquet"
    recorder = Recorder(path)
    code = f"import lossan; lossan.Recorder({str(path)!r}, resume=True)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another process is recording" in done.stderr
    record_epochs(recorder, range(2))
    recorder.close()
    subprocess.run([sys.executable, "-c", code], check=True)


def foreign(path, epochs):
    """Write a log as others do, its epochs by their own numbers."""
    rows = [(i, epoch, float(place)) for place, epoch in enumerate(epochs) for i in ("a", "b")]
    ids, numbers, losses = zip(*rows, strict=True)
    pq.write_table(pa.table({"sample_id": ids, "epoch": numbers, "loss": losses}), path)


@pytest.mark.parametrize("epochs", [range(8), [0], [0, 5, 10], [-3, -1, 0], [3, 10_000_000]])
@pytest.mark.filterwarnings("ignore::lossan.RecordingWarning")
def test_epochs_are_counted_whatever_their_numbers(epochs, tmp_path):
    path, n = tmp_path / "run.parquet", len(epochs)
    foreign(path, epochs)
    with Recorder(path, resume=True) as recorder:
        assert recorder.n_epochs == n
        recorder.record(["a", "b"], [7.0, 7.0])
        assert recorder.end_epoch().epoch == max(epochs) + 1
        assert recorder.n_epochs == n + 1
    log = read_log(path)
    assert log.epochs.tolist() == [*epochs, max(epochs) + 1]
    assert log.loss.tolist() == [[*range(n), 7]] * 2
    with Recorder(path, resume=True, keep_epochs=n) as recorder:
        assert recorder.n_epochs == n
        record_epochs(recorder, [9], ids="ab")
    assert read_log(path).epochs.tolist() == log.epochs.tolist()
    with pytest.raises(LossanError, match=f"holds {n + 1} epochs"):
        Recorder(path, resume=True, keep_epochs=n + 2)


@pytest.mark.parametrize("epochs", [[0], [-1, 0], [0, 1]])
def test_epochs_from_0_on_outlive_an_exception(epochs, tmp_path):
    path = tmp_path / "run.parquet"
    foreign(path, epochs)

    def interrupted(**how):
        with Recorder(path, **how) as recorder:
            raise ZeroDivisionError(recorder.n_epochs)

    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match=str(len(epochs))):
            interrupted(resume=True)
    with pytest.raises(LossanError, match="keep_epochs is 9"):
        Recorder(path, resume=True, keep_epochs=9)
    kept = pq.read_table(f"{path}.recording")
    assert sorted(set(kept["epoch"].to_pylist())) == epochs
    with pytest.raises(LossanError, match="already there"):
        Recorder(path)
    with Recorder(path, overwrite=True) as recorder:
        assert recorder.n_epochs == 0
        record_epochs(recorder, range(2))
    assert read_log(path).epochs.tolist() == [1, 2]


def test_a_damaged_log_does_not_count_over_its_recording(tmp_path):
    path = tmp_path / "run.parquet"
    recorder = Recorder(path)
    record_epochs(recorder, range(2))
    recorder._folder.release()  # as a crash does
    path.write_bytes(b"PAR1 no log PAR1")
    with pytest.raises(LossanError, match="damaged"):
        Recorder(path, resume=True)
    path.unlink()
    with Recorder(path, resume=True) as recorder:
        assert recorder.n_epochs == 2
