"""What each command does when all is well."""

import csv
import json
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lossan
from lossan.cli import run
from lossan.testing import planted_log

N = 300


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    lossan.write_log(planted_log(n_samples=N), path)
    return path


@pytest.fixture
def done(capsys):
    """Run a command that must work, and return what it printed on both streams."""

    def check(*arguments):
        assert run([str(a) for a in arguments]) == 0
        return capsys.readouterr()

    return check


@pytest.mark.parametrize("arguments", [["--help"], ["analyze", "--help"], ["merge", "--help"]])
def test_help(arguments, done):
    assert done(*arguments).out.startswith("Usage: lossan")


@pytest.mark.parametrize(("command", "what"), [("analyze", "LOG"), ("merge", "SHARD")])
def test_usage_says_once_that_several_may_be_given(command, what, done):
    usage = done(command, "--help").out.splitlines()[0]
    assert what in usage
    assert usage.count("...") == 1


def test_one_is_told_as_one_and_what_is_not_stated_as_nothing(tmp_path, done):
    lossan.write_log(lossan.build_log([[0.7, 0.1], [0.9, 0.8]]), tmp_path / "two.parquet")
    said = done("analyze", tmp_path / "two.parquet", "--top", "1").out
    assert "\n1 label to look at again (50.0%)\n" in said
    assert "\nThe most suspicious" in said
    held = [line.split() for line in done("inspect", tmp_path / "two.parquet").out.splitlines()]
    assert ["recorded", "-"] in held


def test_version(done):
    assert done("--version").out == f"lossan {lossan.__version__}\n"


def test_analyze_writes_what_it_prints(log, tmp_path, done):
    said = done("analyze", log, "-o", tmp_path / "out", "--json")
    summary = json.loads(said.out)
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary
    assert said.err.startswith("Wrote findings.csv, findings.parquet")
    findings = pd.read_parquet(tmp_path / "out" / "findings.parquet")
    assert findings["flagged"].sum() == summary["n_flagged"] > 0
    assert len(pd.read_csv(tmp_path / "out" / "findings.csv")) == len(findings) == N
    expected = lossan.analyze(log).findings
    pd.testing.assert_frame_equal(findings, expected)


def test_analyze_takes_its_options(log, done):
    options = ["-d", "kmeans", "-p", "2", "--scale", "none", "--by-class", "--seed", "7"]
    options += ["--set", "n_init=3", "--set", " max_iter = 50 "]
    parameters = json.loads(done("analyze", log, *options, "--json").out)["detector"]["parameters"]
    given = {"early_epochs": 2, "scale": "none", "by_class": True, "seed": 7}
    assert parameters == given | {"n_init": 3, "max_iter": 50, "tol": 1e-4}


@pytest.mark.parametrize("top", [0, 3])
def test_analyze_shows_the_top(log, top, done):
    out = done("analyze", log, "--top", top).out
    assert (f"The {top} most suspicious" in out) == bool(top)
    for sample in lossan.analyze(log).findings["sample_id"][:top]:
        assert f"{sample}" in out
    assert "Against the known truth" in out
    assert "Typical loss sequences" in out


def test_inspect(log, done):
    found = json.loads(done("inspect", log, "--json").out)
    read = lossan.read_log(log)
    assert (found["n_samples"], found["n_epochs"]) == (N, read.n_epochs)
    assert found["fingerprint"] == read.fingerprint
    assert found["fields"] == ["loss", *read.channels]
    assert found["loss_range"] == [read.loss.min(), read.loss.max()]
    assert found["labels"] == dict(Counter(str(v) for v in read.label.to_pylist()))
    assert found["faults"] == []
    text = done("inspect", log).out
    assert read.fingerprint in text.replace("\n", "")
    assert "no faults found" in text


@pytest.mark.parametrize("arguments", [["a.npz"], ["a.parquet", "--layout", "wide"], ["a/"]])
def test_convert(log, arguments, tmp_path, done):
    target, *options = arguments
    said = done("convert", log, f"{tmp_path}/{target}", *options)
    assert said.out == ""
    assert lossan.read_log(tmp_path / target).fingerprint == lossan.read_log(log).fingerprint


@pytest.mark.parametrize("by", ["epoch", "sample_id"])
@pytest.mark.parametrize("target", ["all.parquet", "all.npz", "all/"])
def test_merge(log, by, target, tmp_path, done):
    frame = pq.read_table(log).to_pandas()
    shards = []
    for shard, part in frame.groupby(frame[by] % 4):
        shards.append(tmp_path / f"{shard}.parquet")
        pq.write_table(pa.Table.from_pandas(part, preserve_index=False), shards[-1])
    done("merge", *shards, "-o", f"{tmp_path}/{target}")
    assert lossan.read_log(tmp_path / target).fingerprint == lossan.read_log(log).fingerprint


def test_merge_of_single_epochs_and_of_one_without_losses(tmp_path, done):
    for epoch, loss in enumerate([1.0, 2.0, np.nan]):
        part = pa.table({"sample_id": [1], "epoch": [epoch], "loss": [loss]})
        pq.write_table(part, tmp_path / f"{epoch}.parquet")
    done("merge", *(tmp_path / f"{e}.parquet" for e in (2, 0, 1)), "-o", tmp_path / "all.npz")
    np.testing.assert_array_equal(lossan.read_log(tmp_path / "all.npz").loss, [[1, 2, np.nan]])


def test_merge_takes_the_last_where_asked(log, tmp_path, done):
    done("merge", log, log, "--duplicates", "last", "-o", tmp_path / "all.parquet")
    merged = lossan.read_log(tmp_path / "all.parquet")
    assert merged.fingerprint == lossan.read_log(log).fingerprint


@pytest.mark.parametrize("target", ["out.csv", "out.parquet"])
def test_corrupt_flips_labels_and_keeps_the_truth(target, tmp_path, done):
    rows = [["0" + str(i), "a" if i % 4 else "b", f"{i}.png"] for i in range(100)]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["sample_id", "label", "path"], *rows])
    before = (tmp_path / "labels.csv").read_bytes()
    said = done("corrupt", tmp_path / "labels.csv", "-o", tmp_path / target, "--rate", "0.2")
    assert "Flipped 20 of 100 labels" in said.err
    if target == "out.csv":
        table = pd.read_csv(tmp_path / target, dtype=str)
    else:
        table = pd.read_parquet(tmp_path / target)
    assert table[["sample_id", "true_label", "path"]].to_numpy().tolist() == rows
    wrong = table[table["label"] != table["true_label"]]
    assert wrong["true_label"].value_counts().to_dict() == {"a": 15, "b": 5}
    assert (tmp_path / "labels.csv").read_bytes() == before


def test_corrupt_keeps_a_truth_that_is_already_there(tmp_path, done):
    (tmp_path / "l.csv").write_text("sample_id,label,true_label\n1,0,1\n2,1,1\n3,0,0\n4,1,0\n")
    done("corrupt", tmp_path / "l.csv", "-o", tmp_path / "o.csv", "--rate", "1")
    assert pd.read_csv(tmp_path / "o.csv").to_dict("list") == {
        "sample_id": [1, 2, 3, 4],
        "label": [1, 0, 1, 0],
        "true_label": [1, 1, 0, 0],
    }


@pytest.mark.parametrize("what", ["", "findings.csv", "findings.parquet"])
@pytest.mark.parametrize("own", [True, False])
def test_evaluate_says_what_analyze_said(what, own, log, tmp_path, done):
    summary = json.loads(done("analyze", log, "-o", tmp_path / "out", "--json").out)
    arguments = ["evaluate", tmp_path / "out" / what, "--json"]
    if not own:
        read = lossan.read_log(log)
        truth = {"sample_id": read.sample_id, "label": read.true_label}
        pq.write_table(pa.table(truth), tmp_path / "truth.parquet")
        arguments += ["--truth", tmp_path / "truth.parquet"]
    assert json.loads(done(*arguments).out) == pytest.approx(summary["evaluation"], abs=1e-9)


def test_evaluate_tells_how_many_have_no_known_truth(log, tmp_path, done):
    done("analyze", log, "-o", tmp_path / "out")
    ids = lossan.read_log(log).sample_id.to_pylist()[:40]
    rows = "".join(f"{i},0\n" for i in ids)
    (tmp_path / "truth.csv").write_text(f"sample_id,label\n{rows}")
    said = done("evaluate", tmp_path / "out", "--truth", tmp_path / "truth.csv")
    assert "Against the known truth (40 samples)" in said.out
    assert said.err == f"{N - 40} findings have no known truth and were left out\n"


@pytest.mark.parametrize("command", ["detectors", "adapters"])
def test_what_is_installed(command, done):
    rows = json.loads(done(command, "--json").out)
    names = {row["name"] for row in rows}
    assert {"detectors": "kmeans", "adapters": "torch"}[command] in names
    text = done(command).out
    assert all(name in text for name in names)


def test_reading_shows_how_far_it_came(log, monkeypatch, done):
    monkeypatch.setattr("lossan.cli._common._QUIET_SECONDS", 0.0)
    monkeypatch.setattr("lossan.io._footer.BATCH_ROWS", 1000)
    lines = done("inspect", log).err.splitlines()
    rows = pq.read_metadata(log).num_rows
    told = [int(line.split()[1].replace(",", "")) for line in lines if line.startswith("reading: ")]
    assert len(told) > 1  # a row group is handed on as soon as it is read
    assert told == sorted(set(told))
    assert lines[-1] == f"reading: {rows:,} of {rows:,} rows"
