"""The short form of ``python tests/faults/run.py --only review``, and a loss it must see."""

import day
import pytest
from tally import Tally

pytest.importorskip("starlette")


def test_a_short_day_loses_nothing(tmp_path, monkeypatch):
    checked = []
    check = day._check
    monkeypatch.setattr(day, "_check", lambda *given: (check(*given), checked.append(given)))
    tally = day.a_day(tmp_path, decisions=40, readers=2, ends=2, seed=0)
    assert (tally.tried, tally.wrong) == (80, [])
    (findings, people), file = checked[0], tmp_path / "findings" / "decisions.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    one, two = [n for n, line in enumerate(lines) if '"reader":"R0"' in line][:2]
    swapped = lines.copy()
    swapped[one], swapped[two] = lines[two], lines[one]
    for broken in (lines[:-1], [*lines, lines[0]], swapped):
        file.write_text("".join(broken))
        tally = Tally("a day's review", "2 readers", "decisions")
        tally.also("changed", check, findings, people)
        assert tally.wrong
