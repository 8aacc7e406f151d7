"""The Recorder against a plain dictionary, and what it tells."""

import threading
from datetime import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lossan
from lossan import LossanError, Recorder, RecordingWarning, pending, read_log
from lossan.errors import OutputError


def cells(log):
    """Return {(id, epoch): loss} of what was observed."""
    return {
        (log.sample_id[row].as_py(), int(log.epochs[column])): float(log.loss[row, column])
        for row, column in zip(*np.nonzero(~np.isnan(log.loss)), strict=True)
    }


@settings(max_examples=40, deadline=None)
@given(
    epochs=st.lists(
        st.lists(
            st.tuples(st.integers(0, 12), st.floats(0, 50, width=32)), min_size=1, max_size=30
        ),
        min_size=2,
        max_size=4,
    ),
    batch=st.integers(1, 7),
    text=st.booleans(),
)
@pytest.mark.filterwarnings("ignore::lossan.RecordingWarning")
def test_is_a_dictionary_of_last_records(epochs, batch, text, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run.parquet"
    expected = {}
    with Recorder(path) as recorder:
        for number, records in enumerate(epochs, 1):
            for start in range(0, len(records), batch):
                ids, losses = zip(*records[start : start + batch], strict=True)
                ids = [f"s{i}" for i in ids] if text else ids
                recorder.record(ids, losses)
                expected |= {(i, number): v for i, v in zip(ids, losses, strict=True)}
            recorder.end_epoch()
    assert cells(read_log(path)) == expected
    assert list(path.parent.iterdir()) == [path]


class Arrayish:
    def __init__(self, values):
        self._values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self._values, dtype)


def torch_tensor(kind):
    def make(values):
        torch = pytest.importorskip("torch")
        return torch.tensor(values, dtype=getattr(torch, kind), requires_grad=True)

    return make


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        pd.Series,
        Arrayish,
        *(lambda v, kind=kind: np.array(v, kind) for kind in ("f2", "f4", "f8", "i4")),
        lambda v: np.array(v)[:, None],
        lambda v: [np.float32(x) for x in v],
        lambda v: np.array([Decimal(x) for x in v], object),
        lambda v: pd.Series(v, dtype="Float64"),
        lambda v: pa.array(v, pa.float64()),
        torch_tensor("float32"),
        torch_tensor("bfloat16"),
    ],
)
def test_takes_any_array_of_losses(make, tmp_path):
    with Recorder(tmp_path / "run.parquet") as recorder:
        for _ in range(2):
            recorder.record([7, 8], make([1.0, 2.0]))
            recorder.end_epoch()
    np.testing.assert_array_equal(read_log(tmp_path / "run.parquet").loss, [[1, 1], [2, 2]])


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([2, 1], [1, 2]),
        (np.array([2, 1], np.int32), [1, 2]),
        ([np.int64(2), np.int64(1)], [1, 2]),
        (range(2), [0, 1]),
        (("b", "a"), ["a", "b"]),
        (np.array(["b", "a"]), ["a", "b"]),
        (np.array(["b", "a"], object), ["a", "b"]),
        ([np.str_("b"), np.str_("a")], ["a", "b"]),
        (pd.Series(["b", "a"]), ["a", "b"]),
    ],
)
def test_takes_any_array_of_ids(ids, expected, tmp_path):
    with Recorder(tmp_path / "run.parquet") as recorder:
        for _ in range(2):
            recorder.record(ids, [1.0, 2.0])
            recorder.end_epoch()
    assert read_log(tmp_path / "run.parquet").sample_id.to_pylist() == expected


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((["a"], 0.5), {}, "reduction='none'"),
        ((["a"], [[0.5, 0.1]]), {}, "shape"),
        ((["a", "b"], [0.5]), {}, "2 ids but 1"),
        ((["a", None], [0.5, 1]), {}, "null"),
        ((["a", 1], [0.5, 1]), {}, "mixes types"),
        (([1], [0.5]), {}, "ids are integers, but in the labels given they were strings"),
        (([1.5], [0.5]), {}, "integers or strings"),
        ((["a"], ["high"]), {}, "numbers, one a sample, but value 0 is .*'high'"),
        ((["a", "b"], ["1.5", "2"]), {}, "value 0 is .*'1.5'"),
        ((["a", "b"], [1.0, "2"]), {}, "numbers, one a sample"),
        ((["a", "b"], np.array([1.0, "2"], object)), {}, "value 1 is '2', of the type str"),
        ((["a", "b"], np.array([None, 1 + 2j], object)), {}, "value 1 is .1.2j"),
        ((["a", "b"], np.array([1, 2j])), {}, "complex128"),
        ((["a"], np.array(["2020-01-01"], "M8[D]")), {}, "datetime64"),
        ((["a"], [datetime(2020, 1, 1)]), {}, "datetime"),
        ((["a"], [np.timedelta64(3, "s")]), {}, "timedelta64"),
        ((["a", "b"], [True, False]), {}, "value 0 is .*True.* of the type bool"),
        ((["a"], [10**400]), {}, "numbers"),
        ((["a"], [0.5]), {"margin": ["1"]}, "margin must be numbers"),
        ((["a"], [0.5]), {"loss_prob": [1]}, "no channel"),
        ((["a"], [0.5]), {"margin": [1, 2]}, "2 values of margin"),
    ],
)
def test_refuses_what_is_no_record_and_keeps_nothing_of_it(arguments, options, words, tmp_path):
    recorder = Recorder(tmp_path / "run.parquet", labels={"a": 0, "b": 1})
    recorder.record(["a", "b"], [1, 2])
    with pytest.raises(LossanError, match=words):
        recorder.record(*arguments, **options)
    assert recorder.end_epoch().n_samples == 2


def test_irregular_epochs_are_reported_each_time_and_warned_of_once(tmp_path):
    labels = {"a": 0, "b": 1, "c": 0}
    with Recorder(tmp_path / "run.parquet", labels=labels) as recorder:
        recorder.record(["a", "b", "a"], [1, 2, 3])
        with pytest.warns(RecordingWarning) as told:
            report = recorder.end_epoch()
        assert (report.n_samples, report.n_missed, report.n_repeated) == (2, 1, 1)
        assert sorted(str(w.message).split(": ", 2)[2][:8] for w in told) == [
            "1 known ",
            "1 record",
        ]
        recorder.record(["a", "a", "c"], [1, 2, 3])
        report = recorder.end_epoch()
        assert (report.n_samples, report.n_missed, report.n_repeated) == (2, 1, 1)
    assert cells(read_log(tmp_path / "run.parquet")) == {
        ("a", 1): 3.0,
        ("b", 1): 2.0,
        ("a", 2): 2.0,
        ("c", 2): 3.0,
    }


def test_infinite_losses_and_unknown_ids_are_told(tmp_path):
    with Recorder(tmp_path / "run.parquet", labels={"a": 0}) as recorder:
        recorder.record(["a", "b"], [np.inf, 1])
        with pytest.warns(RecordingWarning, match="infinite|no label") as told:
            recorder.end_epoch()
        assert len(told) == 2
        recorder.record(["a", "b"], [1, 1])
        recorder.end_epoch()


def test_everything_given_is_in_the_log(tmp_path):
    with Recorder(
        tmp_path / "run.parquet",
        recorded="eval",
        labels={1: "cat", 2: "dog"},
        true_labels={1: "cat", 2: "cat"},
        paths={1: "x/1.png", 2: "x/2.png"},
        groups={1: 10, 2: 10},
        classes=["cat", "dog"],
        metadata={"model": "tiny", "learning_rate": 0.1},
    ) as recorder:
        for _ in range(2):
            recorder.record(
                [2, 1],
                [0.2, 0.1],
                label_prob=[0.8, 0.9],
                margin=[1.0, 2.0],
                predicted=["dog", "dog"],
                predicted_prob=[0.8, 0.1],
            )
            recorder.end_epoch()
    log = read_log(tmp_path / "run.parquet")
    assert log.label.to_pylist() == ["cat", "dog"]
    assert log.true_label.to_pylist() == ["cat", "cat"]
    assert log.path.to_pylist() == ["x/1.png", "x/2.png"]
    assert log.group.to_pylist() == [10, 10]
    np.testing.assert_allclose(log.margin[:, 0], [2, 1])
    np.testing.assert_allclose(log.predicted_prob[:, 1], [0.1, 0.8], rtol=1e-6)
    assert log.predicted.values.to_pylist() == ["dog"]
    stated = dict(log.metadata)
    datetime.fromisoformat(stated.pop("created"))
    assert stated == {
        "format_version": "1",
        "producer": f"lossan {lossan.__version__}",
        "recorded": "eval",
        "loss_name": "cross_entropy",
        "classes": ["cat", "dog"],
        "model": "tiny",
        "learning_rate": 0.1,
    }


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.float32])
def test_the_caller_may_use_its_arrays_again(kind, tmp_path):
    ids, losses = np.zeros(4, np.int64), np.zeros(4, kind)
    with Recorder(tmp_path / "run.parquet") as recorder:
        for epoch in range(2):
            for start in (0, 4):
                ids[:], losses[:] = np.arange(start, start + 4), epoch + start
                recorder.record(ids, losses, predicted=ids)
            recorder.end_epoch()
    log = read_log(tmp_path / "run.parquet")
    assert log.loss.tolist() == [[0, 1]] * 4 + [[4, 5]] * 4
    assert log.predicted.values.take(pa.array(log.predicted.codes[:, 1])).to_pylist() == [*range(8)]


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("spread", [1, 10**12])
def test_many_repeated_records_are_dropped_as_they_come(text, spread, tmp_path, monkeypatch):
    monkeypatch.setattr(pending, "_BLOCK", 8)
    monkeypatch.setattr(pending, "_KEPT", 50)
    rng = np.random.default_rng(0)
    sample = rng.integers(0, 12, 5000) * spread
    recorder, last = Recorder(tmp_path / "run.parquet"), {}
    for start in range(0, len(sample), 7):
        part = [f"s{i}" if text else int(i) for i in sample[start : start + 7]]
        losses = rng.random(len(part)).astype(np.float32)
        more = {"margin": losses} if start % 2 else {}
        recorder.record(part, losses, **more)
        last |= dict(zip(part, losses.tolist(), strict=True))
    assert sum(map(len, recorder._pending._tables)) <= 4 * 12 + 50 + 8 * 10
    with pytest.warns(RecordingWarning, match="4988 records repeat"):
        report = recorder.end_epoch()
    assert (report.n_samples, report.n_repeated) == (12, 4988)
    with pytest.warns(RecordingWarning, match="only one epoch"):
        recorder.close()
    rows = pq.read_table(tmp_path / "run.parquet")
    assert dict(zip(rows["sample_id"].to_pylist(), rows["loss"].to_pylist(), strict=True)) == last
    assert rows["sample_id"].to_pylist() == sorted(last)


def test_the_training_thread_makes_no_table(tmp_path, monkeypatch):
    monkeypatch.setattr(pending, "_BLOCK", 10)
    at_work = set()
    plain = pending._joined

    def told(batches):
        at_work.add(threading.current_thread())
        return plain(batches)

    monkeypatch.setattr(pending, "_joined", told)
    with Recorder(tmp_path / "run.parquet") as recorder:
        for _ in range(2):
            for start in range(0, 100, 4):
                recorder.record(np.arange(start, start + 4), np.ones(4))
            assert recorder.end_epoch().n_samples == 100
        (thread,) = at_work
        assert thread is not threading.main_thread()
    assert not thread.is_alive()


def test_kinds_of_ids_do_not_mix_within_an_epoch(tmp_path):
    recorder = Recorder(tmp_path / "run.parquet")
    recorder.record([1], [0.5])
    with pytest.raises(LossanError, match="ids are strings, but in an earlier call"):
        recorder.record(["a"], [0.5])
    assert recorder.end_epoch().n_samples == 1


def test_labels_may_come_with_the_records(tmp_path):
    with Recorder(tmp_path / "run.parquet") as recorder:
        for _ in range(2):
            recorder.record([1, 2], [0.1, 0.2], labels=np.array([5, 6]))
            recorder.end_epoch()
    assert read_log(tmp_path / "run.parquet").label.to_pylist() == [5, 6]


def test_a_store_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="to a store only lossan analyze writes"):
        Recorder("s3://bucket/run.parquet")
    assert not list(tmp_path.iterdir())
