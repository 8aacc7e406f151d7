"""What testers tried by hand and got a traceback, a wrong reason or a wrong result for."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lossan
from lossan import LossanError, analyze, build_log, compute_features, read_log, write_log
from lossan.cli import run
from lossan.testing import planted_log

needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")  # noqa: PTH110


@pytest.fixture
def log(tmp_path):
    write_log(planted_log(n_samples=60, channels=True), tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


def changed(path, **columns):
    """Write the log with other columns."""
    table = pq.read_table(path)
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, path)
    return str(path)


@pytest.mark.parametrize("detector", ["auto", "kmeans"])
def test_classes_predicted_of_another_kind_count_for_nothing_on_disk_either(log, detector, capsys):
    predicted = pq.read_table(log)["predicted"].cast(pa.string())
    source = changed(log, predicted=pa.chunked_array([[f"c{p}" for p in predicted.to_pylist()]]))
    found = []
    for engine in ("local", "disk"):
        assert run(["analyze", source, "-d", detector, "--engine", engine, "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0]["n_flagged"] == found[1]["n_flagged"]
    if detector == "auto":
        assert found[0]["notes"] == found[1]["notes"]
        assert "classes predicted were not used" in found[0]["notes"][0]


@pytest.mark.parametrize("name", ["margin", "label_prob", "predicted_prob"])
def test_a_channel_that_is_all_missing_is_left_out(log, name, capsys):
    n_rows = pq.read_metadata(log).num_rows
    source = changed(log, **{name: pa.array([np.nan] * n_rows)})
    for engine in ("local", "disk"):
        assert run(["analyze", source, "-d", "auto", "--engine", engine]) == 0
        assert f"{name} was not used: it is all missing" in "".join(capsys.readouterr())
    assert (
        run(["analyze", source, "-d", "aum"]) == (2 if name == "margin" else 0) or name == "margin"
    )


@pytest.mark.parametrize("given", ["a=", "=run.parquet", "a=x.parquet,", "a=,x.parquet"])
def test_a_run_has_a_name_and_logs(given, capsys):
    assert run(["compare", given, "b=run.parquet"]) == 2
    assert "names a run without a name or a log" in capsys.readouterr().err


def test_losses_near_the_least_of_numbers_are_drawn(tmp_path, capsys):
    loss = np.full((30, 3), 1e-45, np.float32)
    loss[::3] = [0, 1e-45, 3e-45]
    write_log(build_log(loss), tmp_path / "log.parquet")
    assert run(["analyze", str(tmp_path / "log.parquet"), "-o", str(tmp_path / "found")]) == 0
    assert "▁" in capsys.readouterr().out


def test_findings_of_other_ids_are_not_of_this_analysis(log, tmp_path, capsys):
    found = tmp_path / "found"
    assert run(["analyze", str(log), "-o", str(found)]) == 0
    table = pq.read_table(found / "findings.parquet")
    named = pa.array([f"s{i}" for i in table["sample_id"].to_pylist()])
    place = table.column_names.index("sample_id")
    pq.write_table(table.set_column(place, "sample_id", named), found / "findings.parquet")
    capsys.readouterr()
    assert run(["report", str(found), "-o", str(tmp_path / "page.html")]) == 2
    assert "of another analysis" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shell", "code", "words"),
    [
        ("lossan analyze - <&-", 2, "error: -: standard input is closed."),
        pytest.param("lossan --version >/dev/full", 2, "cannot write the output", marks=needs_full),
        pytest.param("lossan analyze nosuch 2>/dev/full", 2, "", marks=needs_full),
    ],
)
def test_streams_that_are_closed_or_full(shell, code, words):
    command = shell.replace("lossan", f"{sys.executable} -m lossan", 1)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["analyze", "LOG", "--top", "-1"], "Invalid value for '--top': Input should be greater"),
        (["analyze", "LOG", "--top", "-1"], "; it is '-1'. See: lossan analyze --help"),
        (["analyze", "LOG", "--seed", "x"], "; it is 'x'. See: lossan analyze --help"),
        (["decisions"], "no command is given; allowed: show, export, import. See: lossan dec"),
        (["analyze", ""], "no file's name is empty"),
        (["analyze", "LOG", "-o", ""], "the folder of findings is named ''"),
        (["convert", "LOG", "s3://bucket/x.parquet"], "to a store only lossan analyze writes"),
    ],
)
def test_what_was_given_is_told(log, arguments, words, capsys):
    assert run([str(log) if word == "LOG" else word for word in arguments]) == 2
    assert words in capsys.readouterr().err


def test_two_columns_of_one_epoch_are_told(tmp_path, capsys):
    columns = {"sample_id": [1, 2], "loss_1": [1.0, 2], "loss_01": [1.0, 2], "loss_2": [1.0, 2]}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    assert run(["analyze", str(tmp_path / "log.parquet")]) == 2
    assert "columns loss_1 and loss_01 are both of epoch 1" in capsys.readouterr().err


def test_the_first_value_that_is_no_probability_is_told():
    with pytest.raises(LossanError, match=r"2 values of label_prob .* -1 of sample 'a' at epoch 2"):
        build_log([[1, 2], [3, 4]], sample_id=["b", "a"], label_prob=[[0.5, 1.5], [0.1, -1]])


def test_metadata_that_json_cannot_hold_is_shown_as_text(log, capsys):
    made = replace(read_log(log), metadata={"best": float("nan"), "all": [float("inf")]})
    write_log(made, log)
    run(["inspect", str(log), "--json"])
    shown = capsys.readouterr().out
    assert "NaN" not in shown
    assert json.loads(shown)["metadata"]["best"] == "nan"


@pytest.mark.parametrize("values", [[[1, 2, 99], [3, 99, 4]], [[1.0, 2.0, 99.0], [3.0, 99.0, 4.0]]])
def test_what_a_mask_hides_was_not_observed(values, tmp_path):
    hidden = np.ma.masked_greater(values, 50)
    expected = [[1, 2, np.nan], [3, np.nan, 4]]
    made = build_log(hidden, label=np.ma.masked_greater([1, 9], 5), predicted=hidden.astype(int))
    np.testing.assert_array_equal(made.loss, expected)
    assert made.label.to_pylist() == [1, None]
    assert (made.predicted.codes < 0).tolist() == np.isnan(expected).tolist()
    with lossan.Recorder(tmp_path / "run.parquet") as recorder:
        for epoch in hidden.T:
            recorder.record([0, 1], epoch)
            recorder.end_epoch()
    np.testing.assert_array_equal(read_log(tmp_path / "run.parquet").loss, expected)


@pytest.mark.parametrize("kind", [">i4", ">i8", ">u2"])
def test_integers_of_the_other_byte_order(kind):
    made = build_log([[1, 2], [3, 4]], sample_id=np.array([7, 300], kind))
    assert made.sample_id.to_pylist() == [7, 300]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: analyze(pd.DataFrame({"loss": [1]})), "was given a DataFrame; allowed: the path"),
        (lambda: analyze(b"x"), "was given a bytes"),
        (lambda: analyze([]), "an empty list"),
        (lambda: compute_features([1.0, 2.0]), r"loss has the shape \(2,\) and the type float64"),
        (lambda: compute_features([["a", "b"]]), "and the type <U1; needed: numbers"),
        (lambda: read_log("x", duplicates=None), "duplicates is None; allowed: error, last"),
        (lambda: build_log([[1, 2], [3, 4]], predicted=[[1], [2, 3]]), "predicted is not a rect"),
    ],
)
def test_arguments_that_cannot_be(call, message):
    with pytest.raises(LossanError, match=message):
        call()


def test_a_log_may_be_called_anything(log):
    assert analyze(str(log), name=log).summary.log.path == str(log)


def test_a_truth_of_other_names_is_no_truth(log, tmp_path, capsys):
    """As 0.0 for 0, which a spreadsheet makes of it: else every label would be wrong."""
    assert run(["analyze", str(log), "-o", str(tmp_path / "found")]) == 0
    rows = [f"{row},{row % 2}.0" for row in range(60)]
    (tmp_path / "truth.csv").write_text("\n".join(["sample_id,true_label", *rows]))
    capsys.readouterr()
    assert run(["evaluate", str(tmp_path / "found"), "--truth", str(tmp_path / "truth.csv")]) == 2
    assert "none of the true labels is ever a label of" in capsys.readouterr().err


def test_options_of_other_engines_are_told_by_theirs(log, capsys):
    for option, value, engines in (("--scheduler", "x", "dask"), ("--spill", "x", "disk or dask")):
        assert run(["analyze", str(log), option, value]) == 2
        assert f"{option} is for --engine {engines}." in capsys.readouterr().err


def test_nothing_is_written_to_a_file_named_as_standard_output(log, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["convert", str(log), "-"]) == 2
    assert "give the name of a file" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["log.parquet"]


def test_every_shard_that_cannot_be_merged_is_told(log, tmp_path, capsys):
    (tmp_path / "empty.parquet").write_bytes(b"")
    shards = [str(tmp_path / name) for name in ("log.parquet", "nosuch.parquet", "empty.parquet")]
    assert run(["merge", *shards, "-o", str(tmp_path / "whole.parquet")]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in shards[1:])
    assert log.exists()


def test_features_of_a_list_are_those_of_an_array():
    loss = [[4, 3, 1, 0], [1, 1, 1, 1]]
    found, expected = (compute_features(values).values for values in (loss, np.array(loss, float)))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("compare a.log b.log --test c.csv", ["a.log.history", "b.log.history", "c.csv"]),
        ("apply a.csv b.jsonl -o c.csv", ["a.csv", "b.jsonl"]),
        ("evaluate a --truth b.csv", ["a: there", "b.csv: there"]),
    ],
)
def test_all_files_that_are_missing_are_told_at_once(command, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(command.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {len(told)} things that were given cannot be used:\n")
    assert all(f"  {i}. {name}" in said for i, name in enumerate(told, 1))
    assert not list(tmp_path.iterdir())
