"""New findings take the place of earlier ones, of any engine, whole or not at all."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lossan
from lossan.cli import run
from lossan.engines import LargeResult, _output, analyze_large
from lossan.errors import OutputError
from lossan.io import _results, read_findings

fsspec = pytest.importorskip("fsspec")


def log(folder, n, n_epochs=3):
    loss = np.random.default_rng(n).gamma(2, 0.5, (n, n_epochs))
    pq.write_table(pa.table({"sample_id": np.arange(n), "loss": list(loss)}), folder / f"{n}.pq")
    return str(folder / f"{n}.pq")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(_output, "_PART_ROWS", 100)


def save(source, folder, kind):
    """Save findings as a file, as on one machine, or as a folder of parts, as workers do."""
    if kind == "file":
        return lossan.analyze(source).save(folder)
    with analyze_large(source) as r:
        result = LargeResult(r.source, r.tasks, r.pieces, r.tally, r.detector, r.created, True)
        return result.save(str(folder))


def held(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def check_whole(folder, n):
    assert sorted(read_findings(folder)["sample_id"].to_pylist()) == list(range(n))
    assert json.loads((folder / "summary.json").read_text())["log"]["n_samples"] == n
    assert not [f for f in folder.iterdir() if f.name.startswith(".")]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("first", ["file", "parts"])
@pytest.mark.parametrize("second", ["file", "parts"])
def test_findings_replace_those_of_an_earlier_run(tmp_path, monkeypatch, first, second, at_once):
    if not at_once:  # a system without that call
        monkeypatch.setattr(_results, "_EXCHANGE", 1 << 30)
    out = tmp_path / "out"
    save(log(tmp_path, 350), out, first)
    (out / "decisions.jsonl").write_text("mine")
    (out / "findings.csv").write_text("earlier")
    files = save(log(tmp_path, 150), out, second)
    check_whole(out, 150)
    assert {f.name for f in out.iterdir()} == {*files, "decisions.jsonl"}
    assert (out / "findings.csv").exists() == (second == "file")


@pytest.mark.parametrize(
    ("first", "second", "at"),
    [
        (first, second, at)
        for first in ("file", "parts")
        for second in ("file", "parts")
        for at in ("os.fsync", "lossan.io._atomic._move_into", "lossan.io._results._exchange")
        if "parts" in (first, second) or not at.endswith("_exchange")
    ],
)
def test_a_failure_leaves_the_earlier_ones(tmp_path, monkeypatch, first, second, at):
    out = tmp_path / "out"
    save(log(tmp_path, 350), out, first)
    before = held(out)

    def full(*_):
        raise OSError(28, "No space left on device")

    source = log(tmp_path, 150)
    with monkeypatch.context() as patch:
        patch.setattr(at, full)
        with pytest.raises(OutputError, match="No space left on device"):
            save(source, out, second)
    assert held(out) == before
    check_whole(out, 350)


@pytest.mark.parametrize("engine", ["local", "disk"])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("out", "cannot write OUT: File exists"),
        ("out/summary.json/x", "summary.json in it is a directory, and not one that lossan wrote"),
        ("out/findings.parquet/x", "findings.parquet in it is a directory, and not one that"),
    ],
)
def test_what_stands_in_the_way_is_told_before_the_analysis(
    tmp_path, monkeypatch, capsys, engine, path, words
):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text("mine")
    source, out = log(tmp_path, 150), str(tmp_path / "out")
    for name in ("lossan.io.read_log", "lossan.engines.analyze_large"):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("the analysis began"))
    assert run(["analyze", source, "--engine", engine, "-o", out]) == 2
    assert words.replace("OUT", out) in capsys.readouterr().err
    assert (tmp_path / path).read_text() == "mine"


@pytest.mark.parametrize("first", ["file", "parts"])
@pytest.mark.parametrize("second", ["file", "parts"])
def test_a_store_keeps_nothing_of_an_earlier_run(tmp_path, first, second):
    url = f"memory://{tmp_path.name}/{first}-{second}"
    store, place = fsspec.core.url_to_fs(url)
    save(log(tmp_path, 350), url, first)
    store.pipe_file(f"{place}/decisions.jsonl", b"mine")
    save(log(tmp_path, 150), url, second)
    store.get(f"{place}/", str(tmp_path / "got"), recursive=True)
    check_whole(tmp_path / "got", 150)
    assert (tmp_path / "got" / "decisions.jsonl").read_text() == "mine"
    assert (tmp_path / "got" / "findings.csv").exists() == (second == "file")
