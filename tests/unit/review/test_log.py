"""What was acknowledged is there, once, whatever happened to the process or the file."""

import json
import os

import pytest

from lossan.errors import DecisionsError, LossanError, OutputError
from lossan.review import Decision


def ids(log):
    return [decision.id for decision in log.decisions]


def test_what_is_appended_is_read_again(open_log, decide):
    log, first, second = open_log(), decide(sample_id=7), decide(sample_id="7", action="relabel")
    assert log.append(first)
    assert log.append(second)
    assert open_log().decisions == log.decisions == (first, second)
    lines = log.path.read_text().splitlines()
    assert [json.loads(line)["sample_id"] for line in lines] == [7, "7"]


def test_an_id_counts_once(open_log, decide):
    log, decision = open_log(), decide()
    assert log.append(decision)
    assert not log.append(decision.model_copy(update={"time": "2027-01-01T00:00:00.000Z"}))
    assert open_log().decisions == (decision,)
    again = log.path.read_bytes() * 2
    log.path.write_bytes(again)
    assert open_log().decisions == (decision,)


def test_two_logs_of_one_file_see_each_other(open_log, decide):
    one, other = open_log(), open_log()
    first, second = decide(), decide(reader="B")
    assert one.append(first)
    assert not other.append(first)
    assert other.append(second)
    assert other.decisions == (first, second)
    one.refresh()
    assert one.decisions == other.decisions


@pytest.mark.parametrize("text", ['quo"te, \\ back', "Ärztin 東京 😀", "line\nbreak\u2028"])
def test_a_line_cut_anywhere_does_not_count(text, open_log, decide):
    log, first, cut, third = open_log(), decide(), decide(label=text, action="relabel"), decide()
    log.append(first)
    size = log.path.stat().st_size
    log.append(cut)
    whole = log.path.read_bytes()
    for end in range(size + 1, len(whole) - 1):
        log.path.write_bytes(whole[:end])
        assert (ids(open_log()), open_log().n_cut) == ([first.id], 1)
    again = open_log()
    assert again.append(third)
    assert again.append(cut)
    assert again.decisions == open_log().decisions == (first, third, cut)
    assert again.n_cut == open_log().n_cut == 1
    assert log.path.read_bytes().startswith(whole[: len(whole) - 2] + b"\n")


def test_a_last_line_that_lacks_only_its_end_counts(open_log, decide):
    log, first, second = open_log(), decide(), decide()
    log.append(first)
    log.path.write_bytes(log.path.read_bytes()[:-1])
    again = open_log()
    assert (again.decisions, again.n_cut) == ((first,), 0)
    assert again.append(second)
    assert again.decisions == open_log().decisions == (first, second)


@pytest.mark.parametrize("left", [b"\0" * 50, b'{"id":"x\0\0\0', b"\0"])
def test_what_a_power_cut_leaves_does_not_count(left, open_log, decide):
    log, first, second = open_log(), decide(), decide()
    log.append(first)
    log.path.write_bytes(log.path.read_bytes() + left)
    again = open_log()
    assert (again.decisions, again.n_cut) == ((first,), 1)
    again.append(second)
    assert (open_log().decisions, open_log().n_cut) == ((first, second), 1)


def test_all_lines_that_are_no_decisions_are_told(open_log, decide):
    log = open_log()
    log.append(decide())
    line = log.path.read_text()
    bad = ["hello", "[1]", line.strip() + line.strip(), line.replace("keep", "delete").strip()]
    log.path.write_text(line + "".join(b + "\n" for b in bad) + "\n" + line)
    with pytest.raises(DecisionsError) as told:
        open_log()
    assert "4 lines are not decisions" in str(told.value)
    for number in (2, 3, 4, 5):
        assert f"line {number}: " in str(told.value)
    assert str(log.path) in str(told.value)


def test_faults_beyond_a_limit_are_counted(open_log):
    open_log().path.write_text("x\n" * 500)
    with pytest.raises(DecisionsError, match=r"500 lines(.|\n)*and 490 more") as told:
        open_log()
    assert len(str(told.value)) < 2000


def test_decisions_of_other_findings_are_refused(open_log, decide):
    log = open_log()
    log.append(decide())
    with pytest.raises(DecisionsError, match="sha256:ours") as told:
        open_log(fingerprint="sha256:theirs")
    assert "sha256:theirs" in str(told.value)
    with pytest.raises(DecisionsError, match="other findings"):
        log.append(decide(fingerprint="sha256:theirs"))
    assert len(open_log().decisions) == 1


def test_whose_findings_may_stay_open(open_log, decide):
    log = open_log(fingerprint=None)
    assert log.fingerprint is None
    log.append(decide())
    assert open_log(fingerprint=None).fingerprint == "sha256:ours"
    with pytest.raises(DecisionsError, match="other findings"):
        log.append(decide(fingerprint="sha256:theirs"))


def test_one_takes_back_only_what_one_decided(open_log, decide):
    log, mine = open_log(), decide(reader="A")
    log.append(mine)
    for undo in (
        mine.undo().model_copy(update={"reader": "B"}),
        mine.undo().model_copy(update={"undoes": "nothing"}),
    ):
        with pytest.raises(DecisionsError, match="cannot take back"):
            log.append(undo)
    assert log.append(mine.undo())


def test_a_file_that_shrank_is_told(open_log, decide):
    log = open_log()
    log.append(decide())
    log.path.write_bytes(b"")
    with pytest.raises(DecisionsError, match="shorter"):
        log.append(decide())


@pytest.mark.parametrize("name", ["fsync", "write"])
def test_what_failed_to_reach_the_disk_is_not_there(name, open_log, decide, monkeypatch):
    log, first, second = open_log(), decide(), decide()
    log.append(first)
    real = getattr(os, name)

    def full(handle, *data):
        if data:
            return real(handle, data[0][:10])  # a full disk takes the beginning
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, name, full)
        with pytest.raises(OutputError, match="cannot write"):
            log.append(second)
    assert (open_log().decisions, open_log().n_cut) == ((first,), 0)
    assert log.append(second)
    assert open_log().decisions == (first, second)


def test_where_there_is_no_file(open_log, tmp_path):
    with pytest.raises(DecisionsError, match="no such file"):
        open_log(create=False)
    assert list(tmp_path.iterdir()) == []
    assert open_log().decisions == ()
    (tmp_path / "decisions.jsonl").unlink()
    (tmp_path / "decisions.jsonl").mkdir()
    with pytest.raises(LossanError, match="directory"):
        open_log()


@pytest.mark.parametrize(
    "other",
    [
        {"action": "relabel", "label": None},
        {"action": "keep", "label": 1},
        {"action": "undo"},
        {"action": "keep", "undoes": "d0"},
        {"action": "delete"},
        {"sample_id": 1.0},
        {"sample_id": True},
        {"reader": ""},
        {"reader": "a\nb"},
        {"id": "a b"},
        {"time": "2026-03-01"},
        {"seconds": float("nan")},
        {"seconds": -1},
        {"adjudication": 1},
        {"colour": "red"},
    ],
)
def test_what_is_no_decision_is_refused(other, decide):
    with pytest.raises(ValueError, match="validation error"):
        decide(**other)


def test_a_decision_keeps_its_types(decide):
    for sample in (1, "1", "007", -5, "", "a\u2028b"):
        made = decide(sample_id=sample, action="relabel", label=sample)
        read = Decision.model_validate_json(made.model_dump_json())
        assert read == made
        assert type(read.sample_id) is type(sample) is type(read.label)
