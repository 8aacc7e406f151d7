"""Findings with names that other programs may stumble over."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossan.cli import run
from lossan.review import DecisionLog, findings_fingerprint, outcomes

NAMES = ["a.png", "=HYPERLINK(1)", "-5", 'b,"c"', "'=x", "Ä ß", "@owl", "h", "i", "j"]
GIVEN = ["cat", "dog", "cat", "-1", "cat", "dog", "cat", "dog", "cat", "cat"]
SUGGESTED = ["dog", "cat", "=1+1", "cat", "dog", "cat", "dog", "cat", "dog", None]
FILES = Path(__file__).parent / "files"


@pytest.fixture
def findings(tmp_path):
    """Return a folder of findings, written by hand; the last sample is not flagged."""
    folder = tmp_path / "findings"
    folder.mkdir()
    n = len(NAMES)
    table = {
        "rank": list(range(1, n + 1)),
        "sample_id": NAMES,
        "label": GIVEN,
        "score": [1 - k / n for k in range(n)],
        "flagged": [k < n - 1 for k in range(n)],
        "probability": [0.9 - k / 20 for k in range(n)],
        "suggested_label": SUGGESTED,
        "path": [f"images/{k} #.png" for k in range(n)],
        "group": pa.nulls(n, pa.string()),
    }
    pq.write_table(pa.table(table), folder / "findings.parquet")
    summary = {"log": {"fingerprint": "f"}, "detector": {"name": "d", "parameters": {}}}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


@pytest.fixture
def decisions(findings):
    """Return a function that gives what was decided so far: (action, label, readers) by sample."""

    def read():
        fingerprint = findings_fingerprint(findings)
        log = DecisionLog.open(findings / "decisions.jsonl", fingerprint=fingerprint)
        made = outcomes(log.decisions)
        return {s: (o.action, o.label, o.readers) for s, o in made.items()}

    return read


@pytest.fixture
def lossan(capsys, findings):
    """Return a function that runs a command that must work, and returns its messages."""

    def command(line, *more, code=0):
        words = [w.replace("DIR", str(findings)) for w in line.split()]
        assert run([*words, *map(str, more)]) == code
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    return command
