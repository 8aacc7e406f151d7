"""The order of the queue, when to stop, and whose findings they are."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lossan import analyze
from lossan.errors import OptionError, TableError
from lossan.io import read_findings
from lossan.review import findings_fingerprint, queue, stopping
from lossan.review._stopping import rate_at_most
from lossan.testing import planted_log

ROWS = [  # id, given, suggested, group, probability
    ("a", 0, 1, "p", 0.9),
    ("b", 1, 0, "q", 0.8),
    ("c", 0, 2, "r", 0.7),
    ("d", 1, 0, "p", 0.6),
    ("e", 1, 0, None, 0.5),
    ("f", 0, 1, "q", 0.4),
    ("g", 2, None, None, 0.3),
    ("h", 0, 1, "p", 0.2),
    ("i", 0, 1, "p", 0.1),
]


def findings(kind=pa.table, flagged=7):
    ids, given, suggested, groups, probability = zip(*ROWS, strict=True)
    return kind(
        {
            "sample_id": list(ids),
            "label": list(given),
            "flagged": [n < flagged for n in range(len(ROWS))],
            "probability": list(probability),
            "suggested_label": list(suggested),
            "group": list(groups),
        }
    )


@pytest.mark.parametrize("kind", [pa.table, pd.DataFrame])
@pytest.mark.parametrize(
    ("order", "expected"),
    [("suspicion", "abcdefg"), ("class-pair", "bdeafcg"), ("group", "adbfceg")],
)
def test_orders(order, expected, kind):
    assert "".join(queue(findings(kind), order=order)) == expected


def test_what_is_in_the_queue():
    assert "".join(queue(findings(), order="suspicion", only_flagged=False)) == "abcdefghi"
    # the three most suspicious, whatever the order
    assert "".join(queue(findings(), order="class-pair", top=4)) == "bdac"
    assert queue(findings(flagged=0), order="group") == []
    with pytest.raises(OptionError, match="Did you mean 'suspicion'"):
        queue(findings(), order="suspicious")


def keep(decide, ids, **other):
    return [decide(sample_id=s, **other) for s in ids]


def test_stopping_counts_right_labels_in_order_of_suspicion(decide):
    # whatever the order in which they were reviewed
    lines = [*keep(decide, "dce"), decide(sample_id="b", action="relabel"), *keep(decide, "a")]
    found = stopping(findings(), lines, clean=3)
    assert (found.clean_in_a_row, found.reviewed, found.wrong_found) == (3, 5, 1)
    assert (found.queue_left, found.stop) == (2, True)
    assert found.expected_left == pytest.approx(0.4 + 0.3 + 0.2 + 0.1)
    assert found.advice.startswith("You may stop: the last 3")
    # the second row may spend 5% / 6
    assert found.rate_at_most == pytest.approx(1 - (0.05 / 6) ** (1 / 3))
    assert "of the 2 less suspicious ones at most 80% should be wrong" in found.advice
    assert not stopping(findings(), lines, clean=4).stop


@pytest.mark.parametrize("rate", [0.03, 0.1, 0.3])
@pytest.mark.parametrize("clean", [10, 30])
def test_the_bound_holds_though_one_stops_when_it_suits(rate, clean):
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(200):
        streak, row = 0, 1
        for wrong in rng.random(1000) < rate:
            streak, row = (0, row + 1) if wrong else (streak + 1, row)
            if streak == clean:
                missed += rate_at_most(streak, row) < rate
                break
    assert missed <= 200 * 0.05


def test_a_gap_above_is_told(decide):
    found = stopping(findings(), keep(decide, "bcde"), clean=3)
    assert (found.clean_in_a_row, found.stop) == (4, False)
    assert "1 more suspicious ones have not been reviewed" in found.advice


@pytest.mark.parametrize("action", ["relabel", "unsure", "exclude"])
def test_what_breaks_the_row(action, decide):
    lines = [*keep(decide, "abc"), decide(sample_id="d", action=action), *keep(decide, "e")]
    found = stopping(findings(), lines)
    assert found.clean_in_a_row == 1
    assert found.wrong_found == (action == "relabel")


def test_a_conflict_breaks_the_row_until_it_is_settled(decide):
    lines = [*keep(decide, "abc"), decide(sample_id="c", action="relabel", reader="B")]
    found = stopping(findings(), lines)
    assert (found.clean_in_a_row, found.wrong_found) == (0, 1)
    found = stopping(findings(), [*lines, decide(sample_id="c", adjudication=True)])
    assert (found.clean_in_a_row, found.wrong_found) == (3, 0)


def test_stopping_at_both_ends(decide):
    none = stopping(findings(), [])
    assert (none.reviewed, none.clean_in_a_row, none.queue_left, none.stop) == (0, 0, 7, False)
    done = stopping(findings(), [decide(sample_id=s, action="relabel") for s in "abcdefg"])
    assert (done.stop, done.queue_left, done.wrong_found) == (True, 0, 7)
    assert done.advice.startswith("All suspects have been reviewed.")
    assert stopping(findings().drop(["probability"]), []).expected_left is None


def test_stopping_where_nothing_is_flagged(decide):
    none = stopping(findings(flagged=0), [])
    assert (none.queue_left, none.stop) == (0, False)
    assert none.advice.startswith("Nothing is flagged. Go on: 9 samples are left; 30 right labels")
    enough = stopping(findings(flagged=0), keep(decide, "abc"), clean=3)
    assert enough.stop
    assert "You may stop: the last 3" in enough.advice
    gap = stopping(findings(flagged=0), keep(decide, "bcd"), clean=3)
    assert not gap.stop
    assert "but 1 more suspicious ones have not been reviewed" in gap.advice
    every = stopping(findings(flagged=0), keep(decide, "abcdefghi"))
    assert every.stop
    assert every.advice == "Nothing is flagged. All samples have been reviewed. " + (
        "About 0.0 wrong labels are expected among all samples not reviewed."
    )


@pytest.fixture(scope="module")
def log():
    return planted_log(n_samples=200)


def test_the_same_analysis_has_the_same_fingerprint(log, tmp_path):
    analyze(log, name="one").save(tmp_path / "one")
    analyze(log, name="other").save(tmp_path / "other")
    analyze(log, detector="mean_loss").save(tmp_path / "detector")
    analyze(log, settings={"n_init": 3}).save(tmp_path / "parameters")
    analyze(planted_log(n_samples=200, seed=1)).save(tmp_path / "log")
    one, other, *rest = (
        findings_fingerprint(tmp_path / name)
        for name in ("one", "other", "detector", "parameters", "log")
    )
    assert one == other
    assert len({one, *rest}) == 4


def test_a_new_analysis_leaves_the_decisions_alone(log, tmp_path, open_log, decide):
    kept = open_log()
    kept.append(decide())
    before = kept.path.read_bytes()
    for detector in ("kmeans", "mean_loss"):
        analyze(log, detector=detector).save(tmp_path)
        assert kept.path.read_bytes() == before
    assert len(read_findings(tmp_path)) == 200


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"log": {}})])
def test_a_folder_without_a_summary_is_refused(text, tmp_path):
    with pytest.raises(TableError, match="lossan analyze LOG -o"):
        findings_fingerprint(tmp_path)
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(TableError, match="not a summary"):
        findings_fingerprint(tmp_path)
