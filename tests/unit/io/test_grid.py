"""Wide logs whose ids are each integer once are put in order as they are read."""

import io
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossan import read_log
from lossan.build import build_log
from lossan.io import _wide, scan_log

pytestmark = pytest.mark.usefixtures("small_batches", "small_segments")


@pytest.fixture
def small_segments(monkeypatch):
    """Rows are turned three at a time, so that there are several times of it."""
    monkeypatch.setattr("lossan.order._SEGMENT", 3)


def table(ids, loss, **other):
    return pa.table({"sample_id": pa.array(ids, pa.int64()), "loss": loss} | other)


@st.composite
def logs(draw):
    """Ids from any one on, in whole runs or shuffled; lists of which later ones may be longer."""
    n = draw(st.integers(1, 14))
    ids = list(range(n))
    if draw(st.booleans()):
        ids = draw(st.permutations(ids))
    lengths = [draw(st.integers(2, 5)) for _ in ids]
    lists = [
        [float(10 * i + k) for k in range(length)] for i, length in zip(ids, lengths, strict=True)
    ]
    return np.array(ids) + draw(st.sampled_from([0, 5, -3])), lists


@given(logs())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_in_whatever_order_they_come(put, log):
    ids, lists = log
    label = pa.array([f"c{i % 3}" for i in ids])
    predicted = pa.array(
        [[f"c{(i + k) % 3}" for k in range(len(r))] for i, r in zip(ids, lists, strict=True)]
    )
    found = read_log(put(table(ids, pa.array(lists), label=label, predicted=predicted)))
    order = np.argsort(ids)
    loss = np.full((len(ids), max(map(len, lists))), np.nan)
    for row, i in enumerate(order):
        loss[row, : len(lists[i])] = lists[i]
    assert found.sample_id.to_pylist() == sorted(ids.tolist())
    np.testing.assert_array_equal(found.loss, loss)
    assert found.label.to_pylist() == [label[int(i)].as_py() for i in order]
    classes = [*found.predicted.values.to_pylist(), None]
    told = [[classes[c] for c in codes] for codes in found.predicted.codes]
    width = loss.shape[1]
    assert told == [
        predicted[int(i)].as_py() + [None] * (width - len(predicted[int(i)])) for i in order
    ]


def test_they_are_put_in_order_without_being_sorted(put, monkeypatch):
    reached = []
    monkeypatch.setattr("lossan.build.stable_order", reached.append)
    read_log(put(table([3, 1, 2, 0, 5, 4], [[1.0, 2]] * 6)))
    assert reached == []


def test_an_id_that_stands_twice_in_a_range_is_named_or_its_last_row_taken(put):
    path = put(table([3, 1, 2, 0, 5, 3], pa.array([[float(i), 1] for i in range(6)])))
    (fault,) = scan_log(path).faults
    assert (fault.code, fault.count) == ("duplicate", 1)
    assert "sample 3" in fault.message
    last = read_log(path, duplicates="last")
    assert last.sample_id.to_pylist() == [0, 1, 2, 3, 5]
    assert last.loss[:, 0].tolist() == [3, 1, 2, 5, 4]


@pytest.mark.parametrize("ids", [[3, 1, 2, 0, None, 5], [0, 1, 2, 3, 4, 9]], ids=["null", "gap"])
def test_a_range_that_is_not_whole(put, ids):
    faults = scan_log(put(table(ids, [[1.0, 2]] * 6))).faults
    assert [fault.code for fault in faults] == (["null_sample_id"] if None in ids else [])


@pytest.mark.parametrize("said", [(0, 5), (1, 6)])
def test_statistics_that_are_wrong_are_not_believed(put, monkeypatch, said):
    path = put(table([9, 1, 7, 0, 5, 3], pa.array([[float(i), 1] for i in range(6)])))

    class Lying:
        def __init__(self, parts):
            self._parts = parts
            self.ranges = {"sample_id": said, "epoch": None}

        def __getattr__(self, name):
            return getattr(self._parts, name)

    read = _wide.read_wide
    monkeypatch.setattr(
        "lossan.io._read.read_wide", lambda parts, progress: read(Lying(parts), progress)
    )
    log = read_log(path)
    assert log.sample_id.to_pylist() == [0, 1, 3, 5, 7, 9]
    assert log.loss[:, 0].tolist() == [3, 1, 5, 4, 2, 0]


def test_one_that_is_piped_in_can_be_read_again():
    """An id that stands twice is only known at the end: the rows are gone through once more."""
    file = io.BytesIO()
    pq.write_table(table([1, 0, 1], [[1.0, 2], [3.0, 4], [5.0, 6]]), file)
    command = [sys.executable, "-m", "lossan", "inspect", "-", "--duplicates", "last"]
    done = subprocess.run(command, input=file.getvalue(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"2" in done.stdout


def test_arrays_give_the_same(put):
    rng = np.random.default_rng(0)
    ids, loss = rng.permutation(50), rng.random((50, 4), np.float32)
    found = read_log(put(table(ids, pa.array(loss.tolist(), pa.list_(pa.float32())))))
    assert found.fingerprint == build_log(loss, sample_id=ids).fingerprint
