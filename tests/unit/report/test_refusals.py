"""What a report cannot be made of: exit code 2, one message, and nothing written."""

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from lossan import analyze
from lossan.cli import run
from lossan.testing import planted_log


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "findings"
    analyze(planted_log(n_samples=100)).save(folder)
    return folder


@pytest.fixture
def refused(tmp_path, capsys):
    def check(*arguments):
        page = tmp_path / "page.html"
        page.write_text("what was there")
        assert run(["report", *map(str, arguments), "-o", str(page)]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("error: ")
        assert "Traceback" not in said.err
        assert page.read_text() == "what was there"
        assert not list(tmp_path.glob(".page*"))
        return said.err

    return check


def test_a_folder_that_is_none(tmp_path, folder, refused):
    assert f"{tmp_path / 'no'} does not exist" in refused(tmp_path / "no")
    file = folder / "findings.parquet"
    assert f"{file} is a file; give the folder" in refused(file)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"{empty} holds no summary.json" in refused(empty)


def test_findings_of_an_older_version(folder, refused):
    file = folder / "summary.json"
    summary = json.loads(file.read_text())
    for field in ("class_pairs", "scores", "features", "loss_by_epoch"):
        del summary[field]
    for entry in summary["per_class"]:
        del entry["expected_wrong"], entry["median_loss"]
    summary["lossan_version"] = "0.0.9"
    file.write_text(json.dumps(summary))
    said = refused(folder)
    assert "older lossan (0.0.9)" in said
    assert f"lossan analyze LOG -o {folder}" in said


def test_findings_of_a_newer_version(folder, refused):
    file = folder / "summary.json"
    summary = json.loads(file.read_text())
    file.write_text(json.dumps(summary | {"schema_version": "2"}))
    assert "schema_version '2'; this lossan reads '1'" in refused(folder)
    file.write_text(json.dumps(summary | {"moon": 1, "schema_version": "2"}))
    assert "schema_version '2'; this lossan reads '1'" in refused(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": "1"}', '{"a": "\ud800"}'])
def test_a_broken_summary(text, folder, refused):
    (folder / "summary.json").write_text(text, errors="surrogatepass")
    assert "summary.json" in refused(folder)


@pytest.mark.parametrize("name", ["findings.parquet", "sequences.parquet"])
def test_files_that_are_missing_or_broken(name, folder, refused):
    file = folder / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    assert name in refused(folder)
    file.unlink()
    assert str(folder) in refused(folder)


def test_files_of_two_analyses(tmp_path, folder, refused):
    analyze(planted_log(n_samples=90, seed=3)).save(tmp_path / "other")
    other = tmp_path / "other" / "findings.parquet"
    kept = (folder / "findings.parquet").read_bytes()
    (folder / "findings.parquet").write_bytes(other.read_bytes())
    assert "not of one analysis: 90 samples" in refused(folder)
    (folder / "findings.parquet").write_bytes(kept)
    analyze(planted_log(n_samples=90, string_ids=True)).save(tmp_path / "other")
    sequences = (tmp_path / "other" / "sequences.parquet").read_bytes()
    (folder / "sequences.parquet").write_bytes(sequences)
    assert "sequences.parquet lacks" in refused(folder)


def test_findings_without_a_column(folder, refused):
    file = folder / "findings.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["f1_mean", "group"]), file)
    assert "its findings lack f1_mean, group" in refused(folder)


def test_images_that_are_not_there(tmp_path, folder, refused):
    assert "there is no such folder" in refused(folder, "--images", tmp_path / "none")
    assert "is not a folder" in refused(folder, "--images", folder / "summary.json")
    said = refused(folder, "--images", tmp_path)
    assert "none of the" in said
    assert "Give the folder that paths are relative to" in said


@pytest.mark.parametrize("top", ["0", "-1", "10001", "many"])
def test_how_many(top, folder, refused):
    assert "--top" in refused(folder, "--top", top)


@pytest.mark.parametrize("package", ["jinja2", "matplotlib", "PIL"])
def test_without_the_extra(package, folder, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    assert "pip install 'lossan[report]'" in refused(folder)


def test_without_anything_of_the_extra(tmp_path, folder):
    """As a core installation is: nothing of it was ever imported."""
    lacking = dict.fromkeys(["jinja2", "markupsafe", "matplotlib", "PIL"])
    program = f"import sys; sys.modules |= {lacking}; from lossan.cli import run; "
    program += f"sys.exit(run({['report', str(folder), '-o', str(tmp_path / 'page.html')]}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the report needs jinja2, matplotlib, PIL: pip install")


def test_a_page_that_cannot_be_written(tmp_path, folder, capsys):
    assert run(["report", str(folder), "-o", str(tmp_path / "no" / "page.html")]) == 2
    assert "cannot write" in capsys.readouterr().err
