"""Results: saved whole or not at all, and the sequences that stand for them."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lossan import analyze, read_log
from lossan.errors import OutputError
from lossan.features import FEATURES
from lossan.io import read_findings
from lossan.testing import planted_log


def assert_same(one, other):
    """Tables are equal, NaN where NaN, in names, types and order of columns."""
    assert one.schema.equals(other.schema)
    pd.testing.assert_frame_equal(one.to_pandas(), other.to_pandas(), check_exact=True)


def test_saved_findings_are_the_findings(tmp_path):
    result = analyze(planted_log(string_ids=True, gaps=0.4, n_epochs=2))
    files = result.save(tmp_path / "made" / "here")
    assert {"findings.parquet", "findings.csv", "summary.json"} <= set(files)
    folder = tmp_path / "made" / "here"
    assert sorted(p.name for p in folder.iterdir()) == files
    read = read_findings(folder)
    assert_same(read, result.table)
    as_csv = read_findings(folder / "findings.csv").to_pandas()
    for name in ("rank", "sample_id", "flagged", "score", *FEATURES):
        assert as_csv[name].equals(result.findings[name].astype(as_csv[name].dtype)), name
    assert json.loads((folder / "summary.json").read_text()) == result.summary.model_dump()


def test_saving_again_replaces(tmp_path):
    analyze(planted_log(seed=1)).save(tmp_path)
    result = analyze(planted_log(seed=2))
    result.save(tmp_path)
    assert_same(read_findings(tmp_path), result.table)


@pytest.mark.parametrize("created", [None, "2020-02-02T00:00:00+00:00"])
def test_a_result_is_saved_in_the_same_bytes_at_any_time(tmp_path, monkeypatch, created):
    log = planted_log()
    result = analyze(replace(log, metadata={"created": created} if created else {}))
    saved = []
    for hour in range(2):
        time = datetime(2030, 1, 1, hour, tzinfo=UTC)
        clock = SimpleNamespace(now=lambda _, time=time: time)
        monkeypatch.setattr("lossan.losslog.datetime", clock)
        files = result.save(tmp_path / str(hour))
        saved.append({name: (tmp_path / str(hour) / name).read_bytes() for name in files})
    assert saved[0] == saved[1]
    stated = read_log(tmp_path / "0" / "sequences.parquet").metadata["created"]
    assert stated == (created or result.summary.created)


def test_text_written_piece_by_piece_on_all_cores_is_the_same(tmp_path, monkeypatch):
    result = analyze(planted_log(n_samples=2000, string_ids=True))
    result.save(tmp_path / "whole")
    monkeypatch.setattr("lossan.pipeline._PART_ROWS", 700)
    monkeypatch.setattr("lossan.io._findings._TEXT_ROWS", 13)
    result.save(tmp_path / "pieces")
    whole, pieces = ((tmp_path / n / "findings.csv").read_bytes() for n in ("whole", "pieces"))
    assert pieces == whole
    assert whole.count(b"\n") == 2001


def test_a_summary_that_fails_leaves_nothing_half_written(tmp_path, monkeypatch):
    def fails(*_):
        raise MemoryError

    monkeypatch.setattr("lossan.pipeline.describe_features", fails)
    with pytest.raises(MemoryError):
        analyze(planted_log()).save(tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_save_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    earlier = analyze(planted_log(seed=1))
    earlier.save(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lossan.pipeline.draw_sequences", full)
    with pytest.raises(OutputError, match="No space left on device"):
        analyze(planted_log(seed=2)).save(tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    with pytest.raises(OutputError):
        analyze(planted_log(seed=2)).save(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_typical_sequences_are_those_of_the_findings():
    log = planted_log(gaps=0.4, n_epochs=2)
    result = analyze(log)
    flagged, unflagged = result.typical(5)
    ids = result.findings["sample_id"].to_numpy()
    kinds = result.findings["flagged"].to_numpy(), result.findings["score"].notna().to_numpy()
    for sequences, kind in ((flagged, kinds[0]), (unflagged, ~kinds[0] & kinds[1])):
        assert sequences.shape == (5, 2)
        allowed = {tuple(log.loss[i]) for i in ids[kind]}
        assert {tuple(s) for s in sequences} <= allowed
        assert not np.isnan(sequences).any()  # two epochs, so unscored samples have a gap
