"""The short form of ``python tests/fuzz/run.py``, and readers that it must reject."""

import time

import pytest
import readers
import run
import sandbox


@pytest.fixture(scope="module")
def box():
    made = sandbox.Sandbox()
    yield made
    made.close()


@pytest.mark.parametrize("name", readers.READERS)
def test_a_valid_file_is_read(name, box):
    if name == "configuration, TOML":  # then it is the labels table that is missed
        expected = ("refused", "error: no-such-table.csv")
    else:
        expected = ("read", "")
    for content in readers.READERS[name].seeds():
        outcome = box.try_case(name, content)
        assert (outcome.kind, outcome.text[: len(expected[1])]) == expected, outcome.text


@pytest.mark.parametrize("name", readers.READERS)
def test_every_file_ends_in_a_result_or_one_error(name, box):
    tally = run.fuzz(readers.READERS[name], box, 33, 0, with_guide=False)
    assert tally.broken == {}
    assert tally.counts["mutated"] == 29
    assert tally.counts["read"] + tally.counts["refused"] >= 33


def crash():
    import os

    os.abort()


def take_memory():
    b"x" * ((sandbox.MEGABYTES + 50) << 20)


def fault():
    raise RecursionError("too deep")


@pytest.mark.parametrize(
    ("harm", "kind"),
    [
        (crash, "crash"),
        (take_memory, "memory"),
        (fault, "traceback"),
        (lambda: time.sleep(60), "hang"),
    ],
)
def test_a_reader_that_breaks_the_promise_is_told(harm, kind, monkeypatch):
    if kind == "hang":  # the others take as long as a loaded machine needs
        monkeypatch.setattr(sandbox, "SECONDS", 0.5)
        monkeypatch.setattr(sandbox, "_PATIENCE", 1.0)
    reader = readers.Reader("harmful", "text", list, lambda _: harm())
    monkeypatch.setitem(readers.READERS, "harmful", reader)
    made = sandbox.Sandbox("fork")  # so that the child has it too
    outcome = made.try_case("harmful", b"")
    made.close()
    assert outcome.kind == kind, outcome
    assert not outcome.held
