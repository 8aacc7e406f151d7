"""What decisions come to: which of them count, and what was decided of each sample."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lossan.review._decision import Decision, Name

State = Literal["single", "agreed", "conflict", "adjudicated"]
Opinion = tuple[str, Name | None]
"""What a reader says of a sample: an action, and the label where it has one."""


@dataclass(frozen=True)
class Outcome:
    """What was decided of a sample.

    Parameters
    ----------
    action : {"keep", "relabel", "unsure", "exclude"} or None
        None where readers differ.
    label : int or str, optional
        The label it should have: the given one where it is kept, None where that is open.
    readers : tuple of str
        Who gave an opinion, the first one first; who only adjudicated is not among them.
    state : {"single", "agreed", "conflict", "adjudicated"}
    given_label : int or str, optional
    adjudicator : str, optional
    decisions : tuple of Decision
        The readers' and then the adjudicator's, which it follows from.
    """

    action: str | None
    label: Name | None
    readers: tuple[str, ...]
    state: State
    given_label: Name | None
    adjudicator: str | None
    decisions: tuple[Decision, ...]


def standing(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the decisions that were not taken back, in their order.

    An undo takes back what its reader decided before it; an undo that was taken back itself does
    nothing. A repeated id counts once.
    """
    once: dict[str, Decision] = {}
    for decision in decisions:
        once.setdefault(decision.id, decision)
    taken_back: set[tuple[str, str]] = set()
    kept = []
    for decision in reversed(once.values()):
        if (decision.reader, decision.id) in taken_back:
            continue
        if decision.undoes is not None:
            taken_back.add((decision.reader, decision.undoes))
        else:
            kept.append(decision)
    return kept[::-1]


def active(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the decisions that count, in their order.

    Of each reader and sample it is the last one that was not taken back; an adjudication leaves
    its reader's own opinion as it is.
    """
    last: dict[tuple[str, Name, bool], Decision] = {}
    for decision in standing(decisions):
        key = decision.reader, decision.sample_id, decision.adjudication
        last.pop(key, None)  # so that the order is that of the decisions which count
        last[key] = decision
    return list(last.values())


def opinion(decision: Decision) -> Opinion:
    """Return what a decision says; to give a sample the label it has is to keep it."""
    if decision.action == "relabel" and decision.label == decision.given_label:
        return "keep", decision.given_label
    if decision.action == "keep":
        return "keep", decision.given_label
    return decision.action, decision.label


def outcomes(decisions: Iterable[Decision]) -> dict[Name, Outcome]:
    """Return what was decided of each sample, in the order of their first decision that counts.

    Readers who say the same agree. Where they differ it is a conflict until somebody adjudicates:
    then the last adjudication counts.
    """
    by_sample: dict[Name, list[Decision]] = {}
    for decision in active(decisions):
        by_sample.setdefault(decision.sample_id, []).append(decision)
    return {sample: _outcome(counting) for sample, counting in by_sample.items()}


def _outcome(counting: list[Decision]) -> Outcome:
    read = [d for d in counting if not d.adjudication]
    settled = [d for d in counting if d.adjudication][-1:]
    used = (*read, *settled)
    action, label = opinion(used[-1])
    state: State
    if settled:
        state = "adjudicated"
    elif len({opinion(d) for d in read}) > 1:
        state, action, label = "conflict", "", None
    else:
        state = "agreed" if len(read) > 1 else "single"
    return Outcome(
        action=action or None,
        label=label,
        readers=tuple(d.reader for d in read),
        state=state,
        given_label=used[-1].given_label,
        adjudicator=settled[0].reader if settled else None,
        decisions=used,
    )
