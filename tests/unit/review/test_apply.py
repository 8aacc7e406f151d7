"""Corrected labels: what was decided, nothing guessed, and twice is once."""

import os

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossan import analyze
from lossan.cli import run
from lossan.errors import DecisionsError
from lossan.io import LabelsTable, read_labels
from lossan.review import (
    Decision,
    DecisionLog,
    apply_decisions,
    findings_fingerprint,
    outcomes,
)
from lossan.testing import planted_log

ROWS = [(f"s{n}", f"{n}.png", "dog" if n % 2 else "cat", "p=1") for n in range(8)]


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.csv"
    pd.DataFrame(ROWS, columns=["sample_id", "path", "label", "note"]).to_csv(path, index=False)
    return path


@pytest.fixture
def review(decide, open_log):
    """Return what two readers and an adjudicator decided, in a log."""
    log = open_log()
    said = [
        ("s0", "keep", "A", "cat"),
        ("s1", "relabel", "B", "dog"),
        ("s1", "relabel", "A", "dog"),
        ("s2", "unsure", "A", "cat"),
        ("s3", "exclude", "A", "dog"),
        ("s4", "keep", "A", "cat"),
        ("s4", "relabel", "B", "cat"),
    ]
    for sample, action, reader, seen in said:
        label = "cow" if action == "relabel" else None
        log.append(decide(sample, action, reader, given_label=seen, label=label))
    log.append(decide("s4", "relabel", "C", given_label="cat", label="dog", adjudication=True))
    return log


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_was_decided_is_written(kind, review, labels, tmp_path, capsys):
    if kind == "parquet":
        frame, labels = pd.read_csv(labels), labels.with_suffix(".parquet")
        frame.to_parquet(labels)
    output = tmp_path / f"corrected.{kind}"
    before = labels.read_bytes(), review.path.read_bytes()
    assert run(["apply", str(labels), str(review.path), "-o", str(output)]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "1 excluded, 1 kept, 1 left unsure, 2 relabelled" in said.err
    assert "had the label 'cow'" in said.err
    assert (labels.read_bytes(), review.path.read_bytes()) == before
    found = pd.read_csv(output, keep_default_na=False) if kind == "csv" else pd.read_parquet(output)
    assert list(found) == ["sample_id", "path", "label", "note", "original_label", "reason"]
    assert found["sample_id"].tolist() == ["s0", "s1", "s2", "s4", "s5", "s6", "s7"]
    assert found["label"].tolist() == ["cat", "cow", "cat", "dog", "dog", "cat", "dog"]
    assert found["original_label"].tolist() == ["cat", "dog", "cat", "cat", "dog", "cat", "dog"]
    assert found["reason"].tolist() == [
        "kept by A",
        "relabelled by A and B",
        "left unsure by A",
        "adjudicated by C: relabelled",
        "",
        "",
        "",
    ]
    again = tmp_path / f"again.{kind}"
    assert run(["apply", str(output), str(review.path), "-o", str(again)]) == 0
    assert again.read_bytes() == output.read_bytes()


def test_excluded_samples_may_stay(review, labels, tmp_path):
    output = tmp_path / "corrected.csv"
    assert run(["apply", str(labels), str(review.path), "-o", str(output), "--keep-excluded"]) == 0
    found = pd.read_csv(output).set_index("sample_id").loc["s3"]
    assert (found["label"], found["reason"]) == ("dog", "excluded by A")
    assert len(pd.read_csv(output)) == 8


@st.composite
def rounds(draw):
    """Return what readers decided in each of two rounds, with the labels that the first one saw."""
    answers = st.sampled_from(
        [("keep", None), ("unsure", None), ("relabel", 0), ("relabel", 1), ("relabel", 2)]
    )
    samples = st.dictionaries(st.integers(0, 5), st.tuples(answers, answers | st.none()))
    return [draw(samples), draw(samples)]


def decided(answers, seen):
    """Return outcomes of answers by two readers."""
    lines = [
        Decision(
            id=f"{sample}{reader}",
            time="2026-03-01T09:00:00.000Z",
            reader=reader,
            sample_id=sample,
            action=said[0],
            label=said[1],
            given_label=seen[sample],
            fingerprint="f",
        )
        for sample, pair in answers.items()
        for reader, said in zip("AB", pair, strict=True)
        if said
    ]
    return outcomes(lines)


@settings(deadline=None, max_examples=60)
@given(rounds())
def test_twice_is_once_round_after_round(given_rounds):
    first = [0, 1, 0, 1, 0, 1]
    table = LabelsTable(pa.table({"sample_id": range(6), "label": first}), "labels")
    labels = first
    for answers in given_rounds:
        made = decided(answers, labels)
        # the label both gave, the one it had where they differ or said nothing of it
        expected = [
            made[n].label if n in made and made[n].action == "relabel" else labels[n]
            for n in range(6)
        ]
        table = apply_decisions(table, made, conflicts="keep").labels
        again = apply_decisions(table, made, conflicts="keep").labels
        assert again.table.equals(table.table)
        labels = table.table["label"].to_pylist()
        assert labels == expected
        assert table.table["original_label"].to_pylist() == first


def test_a_change_of_mind_is_applied_to_what_was_corrected(decide):
    table = LabelsTable(pa.table({"sample_id": [1], "label": ["dog"]}), "labels")
    once = apply_decisions(table, outcomes([decide(action="relabel")])).labels
    assert once.table["label"].to_pylist() == ["cat"]
    for action in ("keep", "unsure"):
        back = apply_decisions(once, outcomes([decide(action=action)])).labels
        assert (
            back.table["label"].to_pylist() == back.table["original_label"].to_pylist() == ["dog"]
        )


def test_all_faults_are_told_at_once(decide, labels, tmp_path, capsys, open_log):
    log = open_log()
    log.append(decide("s0", "relabel", "A", given_label="cat", label="cow"))
    log.append(decide("s0", "keep", "B", given_label="cat"))
    log.append(decide("s1", "keep", given_label="cow"))
    for n in range(12):
        log.append(decide(f"x{n}"))
    output = tmp_path / "out.csv"
    assert run(["apply", str(labels), str(log.path), "-o", str(output)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {labels} cannot be corrected")
    assert "1 samples on which readers differ" in said
    assert "'s0' (A: relabel 'cow', B: keep)" in said
    assert "'s1' ('cow', here 'dog')" in said
    assert "12 samples with decisions that are not in the table: 'x0'" in said
    assert "'x9' and 2 more." in said
    assert "'x10'" not in said
    assert not output.exists()


def test_conflicts_may_keep_their_label(decide, labels):
    made = outcomes(
        [
            decide("s0", "relabel", "A", given_label="cat"),
            decide("s0", "exclude", "B", given_label="cat"),
        ]
    )
    table = read_labels(labels)
    with pytest.raises(DecisionsError, match="readers differ"):
        apply_decisions(table, made)
    kept = apply_decisions(table, made, conflicts="keep")
    assert kept.labels.table["label"].to_pylist() == table.table["label"].to_pylist()
    assert kept.labels.table["reason"].to_pylist()[0] == "conflict between A and B"
    assert kept.counts == {"conflict": 1}


@pytest.mark.parametrize("column", [pa.array([3, 7]), pa.array(["3", "7"])])
@pytest.mark.parametrize("sample", [7, "7"])
def test_ids_and_labels_are_compared_as_text(column, sample, decide):
    table = LabelsTable(pa.table({"sample_id": column, "label": column}), "labels")
    made = outcomes([decide(sample, "relabel", given_label=sample, label=3)])
    found = apply_decisions(table, made).labels.table
    assert found["label"].to_pylist() == [column[0].as_py()] * 2
    assert found["label"].type == found["original_label"].type == column.type


def test_a_label_the_column_cannot_hold_is_told(decide):
    table = LabelsTable(pa.table({"sample_id": [1], "label": [3]}), "labels")
    with pytest.raises(DecisionsError, match=r"cannot hold: '1' \('cow'\)"):
        apply_decisions(table, outcomes([decide(1, "relabel", given_label=3, label="cow")]))


def test_a_column_of_ones_own_is_not_taken_for_ours(decide):
    table = pa.table({"sample_id": [1], "label": ["dog"], "reason": ["x"]})
    with pytest.raises(DecisionsError, match="'reason' of its own"):
        apply_decisions(LabelsTable(table, "labels"), outcomes([decide()]))


@pytest.mark.parametrize("way", ["same", "dots", "symlink", "hardlink", "decisions"])
def test_the_original_is_never_overwritten(way, review, labels, tmp_path, capsys):
    output = {"same": labels, "decisions": review.path}.get(way, tmp_path / "out.csv")
    if way == "dots":
        output = tmp_path / "." / "x" / ".." / "labels.csv"
    elif way == "symlink":
        output.symlink_to(labels)
    elif way == "hardlink":
        os.link(labels, output)
    before = labels.read_bytes(), review.path.read_bytes()
    assert run(["apply", str(labels), str(review.path), "-o", str(output)]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert (labels.read_bytes(), review.path.read_bytes()) == before


def test_the_folder_of_findings_names_its_decisions(tmp_path, decide, capsys):
    log = planted_log(n_samples=100)
    folder, output = tmp_path / "findings", tmp_path / "out.parquet"
    labels = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"sample_id": log.sample_id, "label": log.label}), labels)
    analyze(log).save(folder)
    fingerprint = findings_fingerprint(folder)
    kept = DecisionLog.open(folder / "decisions.jsonl", fingerprint=fingerprint)
    sample, given = log.sample_id[0].as_py(), log.label[0].as_py()
    kept.append(
        decide(sample, "relabel", label=1 - given, given_label=given, fingerprint=fingerprint)
    )
    for place in (folder, folder / "decisions.jsonl"):
        assert run(["apply", str(labels), str(place), "-o", str(output)]) == 0
        assert pd.read_parquet(output)["label"].to_numpy()[0] == 1 - given
    output.unlink()
    capsys.readouterr()
    analyze(log, detector="mean_loss").save(folder)  # another analysis into the same folder
    for place in (folder, folder / "decisions.jsonl"):
        assert run(["apply", str(labels), str(place), "-o", str(output)]) == 2
        said = capsys.readouterr().err
        assert "of other findings" in said
        assert fingerprint in said
        assert findings_fingerprint(folder) in said
    assert not output.exists()
    # taken out of the folder they are what they are: decisions on samples with given labels
    moved = tmp_path / "moved.jsonl"
    moved.write_bytes(kept.path.read_bytes() + b'{"id": "cut')
    assert run(["apply", str(labels), str(moved), "-o", str(output)]) == 0
    assert "1 cut lines" in capsys.readouterr().err


def test_where_there_are_no_decisions(labels, tmp_path, capsys):
    output = str(tmp_path / "out.csv")
    assert run(["apply", str(labels), str(tmp_path / "no.jsonl"), "-o", output]) == 2
    assert "lossan review" in capsys.readouterr().err
    (tmp_path / "empty.jsonl").touch()
    assert run(["apply", str(labels), str(tmp_path / "empty.jsonl"), "-o", output]) == 0
    assert "No decisions; wrote" in capsys.readouterr().err
    assert pd.read_csv(output)["label"].tolist() == pd.read_csv(labels)["label"].tolist()
