"""Outcomes beside a plain loop over the lines, for any history of a review."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossan.review import Decision, DecisionLog, active, outcomes, standing

TIME = "2026-03-01T09:00:00.000Z"
READERS, SAMPLES = ("A", "B", "C"), (1, "1", 2)
ACTIONS = ("keep", "unsure", "exclude", ("relabel", "cat"), ("relabel", "dog"))


@st.composite
def histories(draw):
    """Return decisions, undos and repeated lines as readers might make them."""
    lines = []
    for number in range(draw(st.integers(0, 14))):
        kind = draw(st.sampled_from(["decide"] * 4 + ["undo", "repeat"]))
        if kind == "repeat" and lines:
            lines.append(draw(st.sampled_from(lines)))
        elif kind == "undo" and lines:
            undo = draw(st.sampled_from(lines)).undo(id=f"u{number}", time=TIME)
            lines.append(undo)
        else:
            action = draw(st.sampled_from(ACTIONS))
            action, label = action if isinstance(action, tuple) else (action, None)
            lines.append(
                Decision(
                    id=f"d{number}",
                    time=TIME,
                    reader=draw(st.sampled_from(READERS)),
                    sample_id=draw(st.sampled_from(SAMPLES)),
                    action=action,
                    label=label,
                    given_label="dog",
                    adjudication=draw(st.sampled_from([False, False, True])),
                    fingerprint="f",
                )
            )
    return lines


def in_force(line, lines):
    """Tell whether a line was not taken back by a later line of its reader that is in force."""
    after = lines[lines.index(line) + 1 :]
    return not any(
        other.action == "undo"
        and other.undoes == line.id
        and other.reader == line.reader
        and in_force(other, lines)
        for other in after
    )


def view(line):
    keeps = line.action == "keep" or line.label == "dog"
    return ("keep", "dog") if keeps else (line.action, line.label)


def reference(lines):
    """Return (state, action, label, readers) of each sample: all definitions, spelled out."""
    unique = []
    for line in lines:
        if line.id not in [u.id for u in unique]:
            unique.append(line)
    found = {}
    for sample in SAMPLES:
        mine = [
            d
            for d in unique
            if d.sample_id == sample
            and type(d.sample_id) is type(sample)
            and d.action != "undo"
            and in_force(d, unique)
        ]
        last, said = {}, []
        for line in mine:
            if line.adjudication:
                said.append(line)
            else:
                last[line.reader] = line
        if not mine:
            continue
        views = {reader: view(d) for reader, d in last.items()}
        if said:
            result = ("adjudicated", *view(said[-1]))
        elif len(set(views.values())) > 1:
            result = ("conflict", None, None)
        else:
            result = ("agreed" if len(views) > 1 else "single", *next(iter(views.values())))
        found[sample] = (*result, frozenset(views))
    return found


def plain(made):
    return {s: (o.state, o.action, o.label, frozenset(o.readers)) for s, o in made.items()}


@settings(deadline=None, max_examples=200)
@given(histories())
def test_outcomes_are_those_of_a_plain_loop(lines):
    assert plain(outcomes(lines)) == reference(lines)


@settings(deadline=None, max_examples=60)
@given(histories(), st.data())
def test_a_cut_file_gives_the_outcomes_of_its_whole_lines(lines, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decisions.jsonl"
        logs = [DecisionLog.open(path, fingerprint="f") for _ in range(2)]
        kept = []
        for line in lines:
            if data.draw(st.booleans()):  # the process that decides is killed in a write
                whole = data.draw(st.sampled_from(lines)).model_dump_json().encode()
                end = data.draw(st.integers(1, len(whole) - 1))
                there = path.read_bytes()
                between = b"" if there[-1:] in (b"", b"\n") else b"\n"
                path.write_bytes(there + between + whole[:end])
                logs[0] = DecisionLog.open(path, fingerprint="f")
            logs[data.draw(st.integers(0, 1))].append(line)
            kept.append(line)
        for log in logs:
            log.refresh()
        again = DecisionLog.open(path, fingerprint="f")
        assert again.decisions == logs[0].decisions == logs[1].decisions
        assert plain(outcomes(again.decisions)) == reference(kept)
        assert again.n_cut == sum(
            not line.endswith(b"}") for line in path.read_bytes().split(b"\n") if line
        )


def test_undo_brings_back_what_was_decided_before(decide):
    first, second = decide(action="keep"), decide(action="exclude")
    undo = second.undo()
    lines = [first, second, undo]
    assert active(lines) == [first]
    assert active([*lines, undo.undo()]) == [second]
    assert active([*lines, first.undo()]) == []
    assert standing([first, second]) == [first, second]


@pytest.mark.parametrize(
    ("one", "other", "state"),
    [
        (("keep", None), ("keep", None), "agreed"),
        (("keep", None), ("relabel", "dog"), "agreed"),
        (("relabel", "cat"), ("relabel", "cat"), "agreed"),
        (("relabel", "cat"), ("relabel", "cow"), "conflict"),
        (("unsure", None), ("keep", None), "conflict"),
        (("exclude", None), ("exclude", None), "agreed"),
    ],
)
def test_when_readers_agree(one, other, state, decide):
    lines = [
        decide(action=action, label=label, reader=reader)
        for reader, (action, label) in (("A", one), ("B", other))
    ]
    outcome = outcomes(lines)[1]
    assert (outcome.state, outcome.readers, outcome.adjudicator) == (state, ("A", "B"), None)
    settled = [*lines, decide(action="relabel", label="owl", reader="A", adjudication=True)]
    outcome = outcomes(settled)[1]
    assert (outcome.state, outcome.label, outcome.adjudicator) == ("adjudicated", "owl", "A")
    assert outcome.readers == ("A", "B")
    assert outcomes([*settled, settled[-1].undo()])[1].state == state
