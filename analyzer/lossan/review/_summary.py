"""How a review stands: progress, outcomes, conflicts and agreement."""

from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lossan.review._agreement import Agreement, cohen_kappa
from lossan.review._decision import Decision, Name
from lossan.review._open import open_decisions
from lossan.review._outcomes import active, outcomes
from lossan.review._queue import queue
from lossan.review._stopping import Stopping, stopping
from lossan.review._suspects import read_suspects


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReaderSummary(_Model):
    """What one reader did; `median_seconds` per image, None where it is not known."""

    reader: str
    n_samples: int
    n_adjudicated: int
    median_seconds: float | None


class ConflictSummary(_Model):
    """A sample on which readers differ, and what each of them says."""

    sample_id: Name
    given_label: Name | None
    opinions: dict[str, str]


class ReviewSummary(_Model):
    """How a review stands.

    `n_reviewed_in_queue` counts the flagged samples with a decision that counts; `outcomes` the
    samples by action, conflicts apart; `states` by how the outcome came about.
    """

    fingerprint: str
    n_lines: int
    n_cut: int
    n_queue: int
    n_reviewed_in_queue: int
    stopping: Stopping
    outcomes: dict[str, int]
    states: dict[str, int]
    readers: list[ReaderSummary] = Field(default_factory=list)
    conflicts: list[ConflictSummary] = Field(default_factory=list)
    agreement: list[Agreement] = Field(default_factory=list)


def summarise_review(folder: Path) -> ReviewSummary:
    """Summarise the decisions on findings.

    Parameters
    ----------
    folder : Path
        What ``lossan analyze -o`` wrote, with the decisions in it.

    Raises
    ------
    DecisionsError, TableError
        When it is not such a folder, or its decisions cannot be used.
    """
    table = read_suspects(folder).table
    log = open_decisions(folder)
    counting, made = active(log.decisions), outcomes(log.decisions)
    flagged = queue(table, order="suspicion")
    return ReviewSummary(
        fingerprint=str(log.fingerprint),
        n_lines=len(log.decisions),
        n_cut=log.n_cut,
        n_queue=len(flagged),
        n_reviewed_in_queue=sum(sample in made for sample in flagged),
        stopping=stopping(table, log.decisions),
        outcomes=_counts(o.action or "conflict" for o in made.values()),
        states=_counts(o.state for o in made.values()),
        readers=[_reader(name, counting) for name in dict.fromkeys(d.reader for d in counting)],
        conflicts=[
            ConflictSummary(
                sample_id=sample,
                given_label=outcome.given_label,
                opinions={d.reader: _said(d) for d in outcome.decisions},
            )
            for sample, outcome in made.items()
            if outcome.state == "conflict"
        ],
        agreement=cohen_kappa(log.decisions),
    )


def _counts(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _reader(name: str, counting: list[Decision]) -> ReaderSummary:
    own = [d for d in counting if d.reader == name]
    seconds = [d.seconds for d in own if d.seconds is not None]
    return ReaderSummary(
        reader=name,
        n_samples=sum(not d.adjudication for d in own),
        n_adjudicated=sum(d.adjudication for d in own),
        median_seconds=median(seconds) if seconds else None,
    )


def _said(decision: Decision) -> str:
    return decision.action if decision.label is None else f"{decision.action} {decision.label}"
