"""What a Recorder tells while there is still time, and what it leaves when closing fails."""

import shlex

import numpy as np
import pandas as pd
import pytest

from lossan import LossanError, Recorder, RecordingWarning, read_log
from lossan.cli import run


def epoch(recorder, ids=(1, 2), losses=(0.1, 0.2), **fields):
    recorder.record(list(ids), list(losses), **fields)
    recorder.end_epoch()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("labels", [0, 1, 2], "labels are a list; needed: a mapping"),
        ("true_labels", pd.Series([0, 1]), "of a pandas Series its to_dict"),
        ("paths", "abc", "paths are a str"),
        ("classes", "abc", "classes is 'abc'; allowed: a list"),
        ("classes", 3, "classes is 3"),
        ("metadata", [1], r"metadata is \[1\]; allowed: a mapping"),
    ],
)
def test_what_cannot_be_given(tmp_path, option, value, message):
    with pytest.raises(LossanError, match=message):
        Recorder(tmp_path / "run.parquet", **{option: value})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("path", [None, "", 3, "/"])
def test_a_path_that_names_no_file(path):
    with pytest.raises(LossanError, match=r"the path is .*; allowed"):
        Recorder(path)


@pytest.mark.parametrize("later", [[2, 1], [3, 2, 1]], ids=["same ids", "more ids"])
def test_labels_that_change_are_told_at_once(tmp_path, later):
    with Recorder(tmp_path / "run.parquet") as recorder:
        epoch(recorder, labels=[0, 1])
        with pytest.warns(
            RecordingWarning, match="epoch 2: 1 samples have another label.* 2: 1, then 0"
        ):
            epoch(recorder, later, [0.1] * len(later), labels=[0] * len(later))
        epoch(recorder, later, [0.1] * len(later), labels=[1] * len(later))  # told once
    with pytest.raises(LossanError, match="label changes between the epochs"):
        read_log(tmp_path / "run.parquet")


def test_labels_that_stay_are_not(tmp_path):
    with Recorder(tmp_path / "run.parquet") as recorder:
        with pytest.warns(RecordingWarning, match="have no label"):
            epoch(recorder, labels=["a", None])
        epoch(recorder, (2, 1), labels=["b", "a"])
        with pytest.warns(RecordingWarning, match="not recorded, first 2"):
            epoch(recorder, (1,), (0.1,), labels=["a"])
        epoch(recorder, labels=[None, None])


@pytest.mark.parametrize("values", [[0.5, 1.5], [-0.1, np.nan]])
def test_probabilities_that_are_none_are_told(tmp_path, values):
    recorder = Recorder(tmp_path / "run.parquet")
    with pytest.warns(RecordingWarning, match="label_prob goes from .* a probability is from 0"):
        epoch(recorder, label_prob=values)
    epoch(recorder, label_prob=[0.0, 1.0], predicted_prob=[np.nan, np.nan])
    recorder.close()


@pytest.mark.parametrize("again", [{"overwrite": True}, {"resume": True}])
def test_what_failed_to_close_does_not_hold_the_log(tmp_path, again):
    path = tmp_path / "run.parquet"

    def fail():
        with Recorder(path) as recorder:
            epoch(recorder)
            recorder.record([1, 1], [0.1, 0.2])
            recorder._folder.write = None

    with pytest.warns(RecordingWarning, match="closing ended it"), pytest.raises(TypeError):
        fail()
    with Recorder(path, **again) as recorder:
        assert recorder.n_epochs == int("resume" in again)
        for _ in range(2):
            epoch(recorder)


def test_a_log_that_this_process_holds_is_said_to_be_so(tmp_path):
    first = Recorder(tmp_path / "run.parquet")
    with pytest.raises(LossanError, match=r"this process is still recording to .*: close\(\)"):
        Recorder(tmp_path / "run.parquet", overwrite=True)
    epoch(first)
    epoch(first)
    first.close()
    Recorder(tmp_path / "run.parquet", resume=True).close()


def test_what_npz_cannot_hold_is_saved_by_the_command_told(tmp_path, capsys):
    def fail():
        with Recorder(tmp_path / "run.npz") as recorder:
            epoch(recorder, predicted=[0, 1])
            with pytest.warns(RecordingWarning, match="not recorded"):
                epoch(recorder, (1,), (0.3,), predicted=[1])

    with pytest.raises(LossanError, match="NPZ cannot hold gaps in predicted") as told:
        fail()
    command = shlex.split(str(told.value).partition("stays as it is: ")[2])
    assert command[0] == "lossan"
    assert run(command[1:]) == 0
    capsys.readouterr()
    np.testing.assert_allclose(
        read_log(tmp_path / "run.parquet").loss, [[0.1, 0.3], [0.2, np.nan]], rtol=1e-6
    )


def test_a_warning_points_at_the_callers_own_line(tmp_path):
    recorder = Recorder(tmp_path / "run.parquet")
    with pytest.warns(RecordingWarning) as of_an_epoch:
        epoch(recorder, losses=(np.inf, 0.2))
    with pytest.warns(RecordingWarning) as of_closing:
        recorder.close()
    assert {told.filename for told in [*of_an_epoch, *of_closing]} == {__file__}


@pytest.mark.filterwarnings("ignore:.*have no label")
def test_what_a_mask_hides_is_unknown(tmp_path):
    hidden = [False, True, False]
    with Recorder(tmp_path / "run.parquet", recorded="train") as recorder:
        for _ in range(2):
            recorder.record(
                [1, 2, 3],
                np.ma.MaskedArray([0.5, 1.0, 1.5], hidden),
                labels=np.ma.MaskedArray([1, 0, 2], hidden),
                predicted=np.ma.MaskedArray([1, 1, 2], hidden),
            )
            recorder.end_epoch()
    log = read_log(tmp_path / "run.parquet")
    assert log.label.to_pylist() == [1, None, 2]
    np.testing.assert_array_equal(np.isnan(log.loss).all(axis=1), hidden)
    assert log.predicted.codes[1].tolist() == [-1, -1]


def test_what_fails_after_closing_tells_of_no_recording(tmp_path, capsys):
    """The log is whole then, and there is nothing to go on with."""
    path = tmp_path / "run.parquet"

    def fail():
        with Recorder(path) as recorder:
            epoch(recorder)
            epoch(recorder)
            recorder.close()
            recorder.record([1], [0.5])

    with pytest.raises(LossanError, match="the Recorder is closed"):
        fail()
    assert "safe in" not in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["run.parquet"]
