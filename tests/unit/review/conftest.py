"""Decisions made by hand, and a log of them in a folder."""

import itertools

import pytest

from lossan.review import Decision, DecisionLog

OURS = "sha256:ours"


@pytest.fixture
def decide():
    """Return a function that makes decisions, each with an id of its own."""
    count = itertools.count()

    def make(sample_id=1, action="keep", reader="A", **other):
        number = next(count)
        given = {
            "id": f"d{number}",
            "time": f"2026-03-01T09:{number // 60:02}:{number % 60:02}.000Z",
        }
        given |= {"given_label": "dog", "fingerprint": OURS}
        if action == "relabel":
            given["label"] = "cat"
        return Decision(
            **(given | {"reader": reader, "sample_id": sample_id, "action": action} | other)
        )

    return make


@pytest.fixture
def open_log(tmp_path):
    """Return a function that opens the log of the test."""

    def open_it(**other):
        return DecisionLog.open(tmp_path / "decisions.jsonl", **({"fingerprint": OURS} | other))

    return open_it
