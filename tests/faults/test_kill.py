"""The short form of ``python tests/faults/run.py --only kill``, and a writer it must reject."""

import kill
import pytest
import subjects
from tally import Tally


@pytest.fixture(scope="module", autouse=True)
def warm():
    kill.warm()


def test_kills_of_a_recording_lose_nothing(tmp_path):
    tally = kill.kill_recordings(tmp_path, 20, 1)
    assert (tally.tried, tally.wrong) == (20, [])


def test_an_epoch_that_is_not_on_disk_is_missed(tmp_path):
    path = tmp_path / "run.parquet"
    subjects.record(path, lambda _: None, epochs=3)
    whole = subjects.expected()
    assert subjects.check_log(path, 3, 4, whole) == 3
    with pytest.raises(AssertionError, match="3 epochs on disk, not 4 to 5"):
        subjects.check_log(path, 4, 5, whole)
    with pytest.raises(AssertionError, match="other losses"):
        subjects.check_log(path, 3, 4, subjects.expected(shift=0.5))


def test_what_does_not_hold_is_counted(tmp_path):
    tally = Tally("kill -9", "a file", "kills")
    tally.hold("here", subjects.check_complete, tmp_path / "none", {})
    assert tally.tried == 1
    assert tally.wrong == ["a file, here: AssertionError: resuming completed no log"]
    assert "1 NOT HELD" in tally.row()
