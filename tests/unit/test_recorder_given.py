"""What a Recorder is given is checked at once, and what is there already stays."""

import json
from datetime import date
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import numpy as np
import pyarrow.parquet as pq
import pytest

from lossan import LossanError, Recorder, read_log


def record_epoch(recorder, losses=(1, 2), **fields):
    recorder.record([1, 2], losses, **fields)
    recorder.end_epoch()


def crashed(path, *epochs, **options):
    """Leave a recording as a crash does."""
    recorder = Recorder(path, **options)
    for fields in epochs:
        record_epoch(recorder, **fields)
    recorder._folder.release()
    return recorder._folder.path


def files(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def closed(folder):
    """Record two epochs; return the log's path and every file that is there."""
    path = folder / "run.parquet"
    with Recorder(path) as recorder:
        for _ in range(2):
            record_epoch(recorder)
    return path, files(folder)


@pytest.mark.parametrize("count", [-1, 1.5, 1.0, "1", True, np.float64(1), np.True_, [1]])
def test_what_is_no_number_of_epochs_is_refused_and_the_log_kept(count, tmp_path):
    path, before = closed(tmp_path)
    with pytest.raises(LossanError, match=r"keep_epochs is .*; allowed: an integer from 0 on"):
        Recorder(path, resume=True, keep_epochs=count)
    assert files(tmp_path) == before


@pytest.mark.parametrize("options", [{}, {"overwrite": True}])
def test_epochs_are_kept_only_when_resuming(options, tmp_path):
    path, before = closed(tmp_path)
    with pytest.raises(LossanError, match="keep_epochs is 1, but nothing is resumed"):
        Recorder(path, keep_epochs=1, **options)
    assert files(tmp_path) == before


@pytest.mark.parametrize("count", [1, np.int64(1), np.array(1)])
def test_a_number_of_epochs_may_be_any_integer(count, tmp_path):
    crashed(tmp_path / "run.parquet", {}, {})
    with Recorder(tmp_path / "run.parquet", resume=True, keep_epochs=count) as recorder:
        assert recorder.n_epochs == 1
        record_epoch(recorder)


def test_arrays_and_paths_become_plain_metadata(tmp_path):
    given = {
        "lr": np.float32(0.5),
        "seed": np.int64(3),
        "amp": np.bool_(True),
        "mean": np.array([0.25, 0.5]),
        "weights": PurePosixPath("models/a.pt"),
        "nested": MappingProxyType({"folders": (Path("x"), [np.uint8(2), None])}),
        "text": np.str_("a"),
    }
    with Recorder(tmp_path / "run.parquet", metadata=given, classes=np.array([0, 1])) as recorder:
        for _ in range(2):
            record_epoch(recorder)
    stated = read_log(tmp_path / "run.parquet").metadata
    assert (
        stated.items()
        >= {
            "lr": 0.5,
            "seed": 3,
            "amp": True,
            "mean": [0.25, 0.5],
            "weights": "models/a.pt",
            "nested": {"folders": ["x", [2, None]]},
            "text": "a",
            "classes": [0, 1],
        }.items()
    )
    json.dumps(stated, allow_nan=False)


def test_a_tensor_becomes_plain_metadata(tmp_path):
    torch = pytest.importorskip("torch")
    given = {"lr": torch.tensor(0.5, requires_grad=True), "mean": torch.ones(2).bfloat16()}
    with Recorder(tmp_path / "run.parquet", metadata=given) as recorder:
        for _ in range(2):
            record_epoch(recorder)
    stated = read_log(tmp_path / "run.parquet").metadata
    assert (stated["lr"], stated["mean"]) == (0.5, [1, 1])


endless = []
endless.append(endless)


@pytest.mark.parametrize(
    "value",
    [
        *({1, 2}, 1j, date(2020, 1, 1), b"x", object(), float("nan"), {(1, 2): 3}, [{"a": {1}}]),
        *(endless, np.array([np.inf]), np.datetime64("2020-01-01")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_is_refused_at_once_and_named(value, tmp_path):
    path = tmp_path / "run.parquet"
    crashed(path, {}, {})
    before = files(tmp_path)
    for how in ({"overwrite": True}, {"resume": True, "keep_epochs": 1}):
        with pytest.raises(LossanError, match=r"metadata\['optimiser'\] is .* JSON cannot hold"):
            Recorder(path, metadata={"model": "tiny", "optimiser": value}, **how)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("stated", "words"),
    [({"recorded": "both"}, "allowed: 'train', 'eval'"), ({"format_version": "9"}, "reads '1'")],
)
def test_metadata_that_contradicts_the_format_is_refused(stated, words, tmp_path):
    with pytest.raises(LossanError, match=words):
        Recorder(tmp_path / "run.parquet", metadata=stated)
    assert not list(tmp_path.iterdir())


def test_another_kind_of_recording_is_refused_before_epochs_are_removed(tmp_path):
    path = tmp_path / "run.parquet"
    folder = crashed(path, {}, {}, recorded="train")
    before = files(tmp_path)
    for count in (0, 1):
        with pytest.raises(LossanError, match="'eval', but"):
            Recorder(path, resume=True, keep_epochs=count, recorded="eval")
        assert files(tmp_path) == before
    with Recorder(path, resume=True) as recorder:
        assert recorder.n_epochs == 2
    assert not folder.exists()


def test_overwriting_a_recording_takes_nothing_over_from_it(tmp_path):
    path = tmp_path / "run.parquet"
    crashed(path, {}, {}, recorded="train", metadata={"model": "old"})
    with Recorder(path, overwrite=True, recorded="eval") as recorder:
        assert recorder.n_epochs == 0
        for _ in range(2):
            record_epoch(recorder)
    log = read_log(path)
    assert (log.recorded, "model" in log.metadata) == ("eval", False)


INTEGERS, STRINGS = [0, 1], ["a", "b"]


@pytest.mark.parametrize("field", ["labels", "predicted"])
@pytest.mark.parametrize(("first", "second"), [(INTEGERS, STRINGS), (STRINGS, INTEGERS)])
@pytest.mark.parametrize("name", ["run.parquet", "run.npz"])
def test_labels_and_classes_of_another_kind_are_refused_in_the_call(
    field, first, second, name, tmp_path
):
    kinds = {True: "integers", False: "strings"}
    words = f"{field} are {kinds[second is INTEGERS]}, .* they were {kinds[first is INTEGERS]}"
    with Recorder(tmp_path / name) as recorder:
        record_epoch(recorder, **{field: first})
        for _ in range(2):  # as the first call of an epoch, and as a later one
            with pytest.raises(LossanError, match=words):
                recorder.record([1, 2], [3, 4], **{field: second})
            recorder.record([1, 2], [5, 6], **{field: first})
        with pytest.warns(match="repeat"):
            recorder.end_epoch()
    assert read_log(tmp_path / name).loss.tolist() == [[1, 5], [2, 6]]


@pytest.mark.parametrize("field", ["labels", "true_labels", "paths", "groups"])
def test_what_is_given_is_of_the_kind_recorded_before(field, tmp_path):
    path = tmp_path / "run.parquet"
    crashed(path, {}, {}, **{field: {1: "a", 2: "b"}})
    before = files(tmp_path)
    for wrong in ({1: 0, 2: 1}, {"1": "a", "2": "b"}):
        for count in (1, 2, None):
            with pytest.raises(LossanError, match=r"in epoch 1 of .*recording they were"):
                Recorder(path, resume=True, keep_epochs=count, **{field: wrong})
    assert files(tmp_path) == before
    with Recorder(path, resume=True, **{field: {1: "c", 2: "d"}}) as recorder:
        record_epoch(recorder)
        if field == "labels":
            with pytest.raises(LossanError, match="labels are integers"):
                recorder.record([1], [1], labels=[0])


def test_epochs_of_two_kinds_are_told_and_may_be_left_out(tmp_path):
    path = tmp_path / "run.parquet"
    folder = crashed(path, {"labels": INTEGERS}, {"labels": INTEGERS}, {"labels": INTEGERS})
    file = folder / "epoch-000003.parquet"  # as an earlier lossan let it be recorded
    table = pq.read_table(file)
    place = table.column_names.index("label")
    pq.write_table(table.set_column(place, "label", table["label"].cast("large_string")), file)
    with pytest.raises(LossanError, match="labels are strings, but in epoch 1 of"):
        Recorder(path, resume=True)
    with Recorder(path, resume=True, keep_epochs=2) as recorder:
        assert recorder.n_epochs == 2
    assert read_log(path).label.to_pylist() == INTEGERS


def test_ids_of_what_is_given_are_of_one_kind(tmp_path):
    with pytest.raises(LossanError, match="ids are integers, but in the labels given they were"):
        Recorder(tmp_path / "run.parquet", labels={"a": 0}, groups={1: 0})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("known", [INTEGERS, STRINGS])
@pytest.mark.parametrize("given", [None, {}, {1: None, 2: None}])
@pytest.mark.filterwarnings("ignore:.*have no label")
def test_labels_not_known_are_of_no_kind(known, given, tmp_path):
    with Recorder(tmp_path / "run.parquet", labels=given) as recorder:
        for labels in ([None, None], known, [None, known[1]], None):
            for row in range(2):
                part = None if labels is None else labels[row : row + 1]
                recorder.record([row + 1], [1], labels=part)
            recorder.end_epoch()
    log = read_log(tmp_path / "run.parquet")
    assert (log.n_epochs, log.label.to_pylist()) == (4, known)


def test_labels_given_count_where_records_bring_none(tmp_path):
    with Recorder(tmp_path / "run.parquet", labels={1: "a", 2: "b"}) as recorder:
        for _ in range(2):
            record_epoch(recorder, labels=[None, None])
    assert read_log(tmp_path / "run.parquet").label.to_pylist() == ["a", "b"]
