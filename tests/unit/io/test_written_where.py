"""Outputs go where their names lead, and never in the place of what is no file or is needed."""

import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossan import Recorder, build_log, read_log, write_log
from lossan.cli import run
from lossan.errors import OutputError, RecorderError

RNG = np.random.default_rng(0)


@pytest.fixture
def log(tmp_path):
    made = build_log(
        RNG.gamma(2.0, 0.2, (20, 3)),
        label=RNG.integers(0, 2, 20),
        margin=RNG.normal(size=(20, 3)),
        predicted=RNG.integers(0, 2, (20, 3)),
    )
    made = replace(made, epochs=np.array([3, 7, 100]))
    write_log(made, tmp_path / "log.parquet")
    return made


@pytest.fixture
def findings(log, tmp_path, capsys):
    assert run(["analyze", str(tmp_path / "log.parquet"), "-o", str(tmp_path / "found")]) == 0
    capsys.readouterr()
    return tmp_path / "found"


@pytest.mark.parametrize("name", ["log.csv", "LOG.CSV", "log.npy"])
def test_a_log_is_not_named_as_what_it_is_not(log, tmp_path, name, capsys):
    source = str(tmp_path / "log.parquet")
    for command in (["convert", source, str(tmp_path / name)], ["merge", source, "-o", name]):
        assert run(command) == 2
        assert "a loss log is Parquet or NPZ. Name it *.parquet" in capsys.readouterr().err
    with pytest.raises(RecorderError, match="Name it"):
        Recorder(tmp_path / name)
    assert not (tmp_path / name).exists()
    write_log(log, f"{tmp_path}/folder.csv/")  # a folder may be called as it likes
    assert read_log(tmp_path / "folder.csv").n_samples == 20


def test_a_link_stays_one(log, tmp_path):
    (tmp_path / "far").mkdir()
    for there in (True, False):
        link, target = tmp_path / f"link-{there}.parquet", tmp_path / "far" / f"{there}.parquet"
        if there:
            target.write_bytes(b"old")
        link.symlink_to(os.path.relpath(target, tmp_path))
        write_log(log, link)
        assert link.is_symlink()
        assert read_log(target).n_samples == 20
    assert sorted(p.name for p in (tmp_path / "far").iterdir()) == ["False.parquet", "True.parquet"]


@pytest.mark.parametrize("linked", [True, False])
def test_a_pipe_is_not_replaced(log, tmp_path, linked):
    pipe = tmp_path / "pipe.parquet"
    os.mkfifo(pipe)
    if linked:
        (tmp_path / "link.parquet").symlink_to(pipe)
    with pytest.raises(OutputError, match="is a device or a pipe; give the name of a file"):
        write_log(log, tmp_path / "link.parquet" if linked else pipe)
    assert pipe.is_fifo()


def test_what_would_be_written_over_is_told(findings, tmp_path, capsys):
    labels = tmp_path / "labels.csv"
    labels.write_text("sample_id,label\n0,1\n")
    (findings / "decisions.jsonl").write_text("")
    before = {file: file.read_bytes() for file in findings.iterdir()}
    for name in ("decisions.jsonl", "findings.parquet", "findings.csv", "summary.json"):
        for command in (["report", str(findings)], ["apply", str(labels), str(findings)]):
            assert run([*command, "-o", str(findings / name)]) == 2
            assert "the original is never overwritten" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in findings.iterdir()} == before


def test_labels_are_not_corrupted_in_place_by_whatever_name(tmp_path, capsys):
    labels, other = tmp_path / "labels.csv", tmp_path / "other.csv"
    labels.write_text("sample_id,label\n0,1\n1,0\n")
    other.hardlink_to(labels)
    for output in (labels, other):
        assert run(["corrupt", str(labels), "-o", str(output), "--rate", "1"]) == 2
        told = capsys.readouterr().err
        assert "the original is never overwritten. Give another name" in told
    assert other.samefile(labels)


def test_a_log_does_not_take_the_place_of_its_key(log, tmp_path, capsys):
    key, source = tmp_path / "key.parquet", tmp_path / "log.parquet"
    assert run(["convert", str(source), str(key), "--hash-ids", "--key-file", str(key)]) == 2
    assert "Give another name" in capsys.readouterr().err
    assert not key.exists()


def test_a_table_is_named_as_what_it_is(tmp_path, capsys):
    labels = tmp_path / "labels.csv"
    labels.write_text("sample_id,label\na,x\nb,y\n")
    command = ["corrupt", str(labels), "--rate", "0.5", "-o"]
    assert run([*command, str(tmp_path / "wrong.xlsx")]) == 2
    assert "allowed endings: .csv, .parquet" in capsys.readouterr().err
    assert run([*command, str(tmp_path / "right.CSV")]) == 0


@pytest.mark.parametrize("field", ["loss", "margin"])
def test_numbers_of_epochs_stay_in_columns_of_their_own(log, tmp_path, field):
    write_log(log, tmp_path / "wide.parquet", layout="wide")
    names = pq.read_schema(tmp_path / "wide.parquet").names
    assert [n for n in names if n.startswith(field)] == [f"{field}_{n}" for n in (3, 7, 100)]
    found = read_log(tmp_path / "wide.parquet")
    assert found.epochs.tolist() == [3, 7, 100]
    np.testing.assert_array_equal(getattr(found, field), getattr(log, field))
    classes = [held.predicted.values.to_numpy()[held.predicted.codes] for held in (found, log)]
    np.testing.assert_array_equal(*classes)


@pytest.mark.parametrize(
    ("name", "layout", "epochs", "told"),
    [
        ("wide.parquet", ["--layout", "wide"], [3, 7, 100], False),
        ("wide.parquet", ["--layout", "wide"], [-3, 7, 100], True),
        ("wide.parquet", ["--layout", "wide"], [1, 2, 3], False),
        ("long.parquet", [], [-3, 7, 100], False),
        ("log.npz", [], [3, 7, 100], True),
        ("log.npz", [], [1, 2, 3], False),
    ],
)
def test_numbers_of_epochs_that_are_lost_are_told(tmp_path, capsys, name, layout, epochs, told):
    log = replace(build_log(RNG.gamma(2.0, 0.2, (5, 3))), epochs=np.array(epochs))
    write_log(log, tmp_path / "from.parquet")
    assert run(["convert", str(tmp_path / "from.parquet"), str(tmp_path / name), *layout]) == 0
    assert ("holds no numbers of epochs" in capsys.readouterr().err) is told
    assert (read_log(tmp_path / name).epochs.tolist() == epochs) is not told


@pytest.mark.parametrize("url", ["dir://x", "zip://x", "jupyter://x", "hdfs://nowhere/x"])
def test_a_store_that_cannot_be_opened_is_told(url, capsys):
    assert run(["analyze", url]) == 2
    assert capsys.readouterr().err.startswith(f"error: {url}: ")


@pytest.mark.parametrize("blank", ["", None])
def test_a_blank_truth_is_unknown(findings, tmp_path, capsys, blank):
    label = pq.read_table(findings / "findings.parquet").sort_by("sample_id")["label"].to_pylist()
    truth = [str(value) if row < 4 else blank for row, value in enumerate(label)]
    table = pa.table({"sample_id": range(20), "true_label": truth})
    if blank is None:
        pq.write_table(table, tmp_path / "truth")
    else:
        rows = [f"{row},{value}" for row, value in enumerate(truth)]
        (tmp_path / "truth").write_text("\n".join(["sample_id,true_label", *rows]))
    assert run(["evaluate", str(findings), "--truth", str(tmp_path / "truth"), "--json"]) == 0
    assert '"n": 4' in capsys.readouterr().out
