"""The short form of ``python tests/faults/run.py --only locks --only clock``."""

import clocks
import kill
import locks
import pytest
import subjects
from filelock import FileLock

from lossan.losslog import stamp


@pytest.fixture(scope="module", autouse=True)
def warm():
    kill.warm()


def test_a_second_writer_is_refused_and_a_crash_lets_go(tmp_path):
    tally = locks.second_writers(tmp_path, 4)
    assert (tally.tried, tally.wrong) == (4, [])


def test_a_crowd_of_writers_loses_no_epoch(tmp_path):
    tally = locks.crowd(tmp_path / "crowd", 3, 5)
    assert (tally.tried, tally.wrong) == (15, [])


def test_without_a_lock_the_second_is_let_in(tmp_path, monkeypatch):
    monkeypatch.setattr(FileLock, "acquire", lambda *_, **__: None)
    monkeypatch.setattr(FileLock, "release", lambda *_, **__: None)
    assert locks.second_writers(tmp_path, 1).wrong


@pytest.mark.parametrize("act", [clocks.record, clocks.analyze])
def test_a_clock_that_jumps_changes_only_dates(act, tmp_path):
    tally = clocks.jump(tmp_path, act.__name__, act)
    assert (tally.tried, tally.wrong) == (len(clocks.CLOCKS), [])


def test_the_clock_is_the_one_that_lossan_reads():
    with clocks.clock(clocks.CLOCKS["is at the epoch"]):
        assert stamp({})["created"].startswith("1970-01-01")


def test_a_result_that_follows_the_clock_is_rejected(tmp_path):
    def dated(folder, age):
        subjects.record(folder / "run.parquet", lambda _: None, 2)
        return stamp({})["created"]

    assert len(clocks.jump(tmp_path, "dated", dated).wrong) == len(clocks.CLOCKS)
