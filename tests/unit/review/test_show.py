"""``lossan decisions show``: how a review stands."""

import json

import pytest

from lossan import analyze
from lossan.cli import run
from lossan.review import DecisionLog, findings_fingerprint
from lossan.testing import planted_log


@pytest.fixture
def review(tmp_path, decide):
    """Return findings with decisions of two readers on the five most suspicious samples."""
    result = analyze(planted_log(n_samples=200, rate=0.2, string_ids=True), detector="auto")
    result.save(tmp_path)
    fingerprint = findings_fingerprint(tmp_path)
    log = DecisionLog.open(tmp_path / "decisions.jsonl", fingerprint=fingerprint)
    found = result.findings
    for place, (one, other) in enumerate(
        [("keep", "keep"), ("relabel", "relabel"), ("keep", "relabel"), ("exclude", None)]
    ):
        sample, given = found["sample_id"][place], int(found["label"][place])
        for reader, action in (("A", one), ("B", other)):
            if action:
                log.append(
                    decide(
                        sample,
                        action,
                        reader,
                        label=1 - given if action == "relabel" else None,
                        given_label=given,
                        seconds=2.0 + place,
                        fingerprint=fingerprint,
                    )
                )
    return tmp_path, found


def test_as_json(review, capsys):
    folder, found = review
    with (folder / "decisions.jsonl").open("a") as file:
        file.write('{"id": "cu')
    assert run(["decisions", "show", str(folder), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    flagged = int(found["flagged"].sum())
    assert (shown["n_lines"], shown["n_cut"]) == (7, 1)
    assert (shown["n_queue"], shown["n_reviewed_in_queue"]) == (flagged, min(4, flagged))
    assert shown["outcomes"] == {"conflict": 1, "exclude": 1, "keep": 1, "relabel": 1}
    assert shown["states"] == {"agreed": 2, "conflict": 1, "single": 1}
    first, second = shown["readers"]
    assert (first["reader"], first["n_samples"], first["median_seconds"]) == ("A", 4, 3.5)
    assert (second["reader"], second["n_samples"], second["median_seconds"]) == ("B", 3, 3.0)
    (conflict,) = shown["conflicts"]
    given = int(found["label"][2])
    assert conflict["sample_id"] == found["sample_id"][2]
    assert conflict["opinions"] == {"A": "keep", "B": f"relabel {1 - given}"}
    (agreement,) = shown["agreement"]
    assert (agreement["n"], agreement["agreement"]) == (3, pytest.approx(2 / 3))
    assert shown["stopping"]["wrong_found"] == 2
    assert shown["stopping"]["expected_left"] == pytest.approx(found["probability"][4:].sum())


def test_for_people(review, capsys):
    folder, found = review
    assert run(["decisions", "show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert f"4 of {int(found['flagged'].sum())} suspects reviewed; 2 wrong labels found" in shown
    for words in ("Outcomes", "A and B", "Cohen's kappa", "To adjudicate", "Go on"):
        assert words in shown


def test_without_decisions_and_of_other_findings(review, tmp_path, capsys):
    folder, _ = review
    analyze(planted_log(n_samples=200, string_ids=True), detector="mean_loss").save(folder)
    assert run(["decisions", "show", str(folder)]) == 2
    assert "of other findings" in capsys.readouterr().err
    (folder / "decisions.jsonl").unlink()
    assert run(["decisions", "show", str(folder)]) == 2
    assert "lossan review" in capsys.readouterr().err
