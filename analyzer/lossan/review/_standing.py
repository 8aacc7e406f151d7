"""Which decisions stand, kept up as they come: a page asks after every key."""

from collections.abc import Sequence
from typing import final

from lossan.review._decision import Decision, Name
from lossan.review._outcomes import standing

_Key = tuple[str | None, Name]


@final
class Standing:
    """The decisions that were not taken back, by reader and by sample.

    It says what `standing` says of all of them, without going through all of them each time.
    """

    def __init__(self) -> None:
        self._followed = 0
        self._ids: set[str] = set()
        self._looked: set[tuple[str, Name]] = set()
        self._by_reader: dict[str, dict[str, Decision]] = {}
        self._by_sample: dict[_Key, dict[str, Decision]] = {}

    def follow(self, decisions: Sequence[Decision]) -> None:
        """Take in what was added to the log since."""
        for decision in decisions[self._followed :]:
            self._ids.add(decision.id)
            self._looked.add((decision.reader, decision.sample_id))
            if decision.undoes is None:
                self._add(decision)
            elif not self._remove(decision):  # an undo of an undo, as other programs may write
                self._start_again(decisions)
                break
        self._followed = len(decisions)

    def __contains__(self, decision_id: str) -> bool:
        return decision_id in self._ids

    def has_decided(self, reader: str, sample_id: Name) -> bool:
        """Tell whether a reader ever said something of a sample, taken back or not."""
        return (reader, sample_id) in self._looked

    def of(self, reader: str, sample_id: Name) -> Decision | None:
        """Return a reader's last opinion of a sample."""
        return _last(self._by_sample.get((reader, sample_id)))

    def settled(self, sample_id: Name) -> Decision | None:
        """Return the last adjudication of a sample, whoever made it."""
        return _last(self._by_sample.get((None, sample_id)))

    def last(self, reader: str) -> Decision | None:
        """Return what a reader decided last, of whichever sample."""
        return _last(self._by_reader.get(reader))

    def readers(self) -> list[str]:
        """Return the readers with decisions that stand, the first one first."""
        return [reader for reader, decisions in self._by_reader.items() if decisions]

    def _add(self, decision: Decision) -> None:
        self._by_reader.setdefault(decision.reader, {})[decision.id] = decision
        self._by_sample.setdefault(_key(decision), {})[decision.id] = decision

    def _remove(self, undo: Decision) -> bool:
        gone = self._by_reader.get(undo.reader, {}).pop(str(undo.undoes), None)
        if gone is not None:
            del self._by_sample[_key(gone)][gone.id]
        return gone is not None

    def _start_again(self, decisions: Sequence[Decision]) -> None:
        self._by_reader, self._by_sample = {}, {}
        self._ids.update(decision.id for decision in decisions)
        self._looked.update((d.reader, d.sample_id) for d in decisions)
        for decision in standing(decisions):
            self._add(decision)


def _key(decision: Decision) -> _Key:
    return (None if decision.adjudication else decision.reader), decision.sample_id


def _last(decisions: dict[str, Decision] | None) -> Decision | None:
    return next(reversed(decisions.values())) if decisions else None
