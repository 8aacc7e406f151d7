"""What readers answered in another program, turned into decisions."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from lossan.errors import DecisionsError, hint
from lossan.review._decision import LEGIBLE, Decision, Name, is_legible, now
from lossan.review._fingerprint import findings_fingerprint
from lossan.review._log import DECISIONS, DecisionLog
from lossan.review._outcomes import active, opinion
from lossan.review._suspects import Suspect, Suspects, is_unicode, read_suspects

UNSURE, EXCLUDE = "(unsure)", "(exclude)"
"""How a choice says that it is none of the classes."""
_TOLD = 50  # faults that a message lists


@dataclass(frozen=True)
class Answer:
    """What a reader said of a sample, all as text.

    Parameters
    ----------
    where : str
        Where it stood, such as ``row 3``.
    sample : str
    reader : str
    action : str
    label : str, optional
        Exactly where the action is ``relabel``.
    time : str, optional
        As `Decision` has it; None where it is not known.
    seconds : float, optional
    given : str, optional
        The given label that the reader saw.
    findings : str, optional
        The fingerprint of the findings the queue was made of.
    """

    where: str
    sample: str
    reader: str
    action: str
    label: str | None = None
    time: str | None = None
    seconds: float | None = None
    given: str | None = None
    findings: str | None = None


@dataclass
class Batch:
    """The answers in a file, and all that is wrong with it.

    Parameters
    ----------
    name : str
        The file.
    source : str
        What tells this file from others where its answers have no time of their own.
    answers : list of Answer
    faults : list of str
    n_skipped : int
        Samples without an answer.
    """

    name: str
    source: str
    answers: list[Answer] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    n_skipped: int = 0


def import_answers(folder: Path, batch: Batch, *, new_labels: bool = False) -> tuple[int, int]:
    """Add answers to the decisions on findings.

    An answer that is there already, or that says what its reader last said of the sample, is not
    added again, so that importing twice adds nothing. Nor is one that was given before the last:
    the later of two answers counts, in whichever order they are imported.

    Parameters
    ----------
    folder : Path
        The findings.
    batch : Batch
    new_labels : bool
        Allow labels that the findings neither give nor suggest.

    Returns
    -------
    tuple of int
        How many were added, and how many were there already or were given before what is there.

    Raises
    ------
    DecisionsError
        With all faults at once; then nothing was added.
    """
    fingerprint = findings_fingerprint(folder)
    samples = {answer.sample for answer in batch.answers}
    readers = _readers(folder / DECISIONS, fingerprint)
    known = _Known(read_suspects(folder), samples, new_labels, readers)
    made: list[Decision] = []
    for answer in batch.answers:
        try:
            made.append(known.decision(answer, batch.source, fingerprint))
        except ValueError as error:
            batch.faults.append(f"{answer.where}: {_reason(error)}")
    if batch.faults:
        raise DecisionsError(_told(batch))
    log = DecisionLog.open(folder / DECISIONS, fingerprint=fingerprint)
    dated = {
        decision.id for answer, decision in zip(batch.answers, made, strict=True) if answer.time
    }
    added = log.extend(_news(log, made, dated))
    return added, len(made) - added


class _Known:
    """What the findings hold, by its text."""

    def __init__(
        self, suspects: Suspects, samples: set[str], new_labels: bool, readers: list[str]
    ) -> None:
        self._readers = {reader.casefold(): reader for reader in reversed(readers)}
        self._labels: dict[str, Name] = {str(label): label for label in suspects.labels()}
        self._new_labels = new_labels
        self._samples: dict[str, Suspect] = {}
        wanted: list[Name] = [*samples, *(int(text) for text in samples if _is_integer(text))]
        for row in suspects.learn(wanted):
            suspect = suspects.at(row)
            if suspect is not None:
                self._samples[str(suspect.sample_id)] = suspect

    def decision(self, answer: Answer, source: str, fingerprint: str) -> Decision:
        """Turn an answer into a decision; a `ValueError` says why it cannot be one."""
        if answer.findings is not None and answer.findings != fingerprint:
            raise ValueError(f"it is of other findings ({answer.findings}; these: {fingerprint})")
        suspect = self._samples.get(answer.sample)
        if suspect is None:
            raise ValueError(f"the findings have no sample {answer.sample!r}")
        given = suspect.given
        if answer.given is not None and answer.given != str(given):
            raise ValueError(f"its given label is {answer.given!r}, in the findings {str(given)!r}")
        action, label = answer.action, None
        if action == "relabel":
            label = self._label(answer.label or "")
            if given is not None and label == given:
                action, label = "keep", None
        return Decision(
            id=_id(answer, source),
            time=answer.time or now(),
            reader=self._reader(answer.reader),
            sample_id=suspect.sample_id,
            action=action,  # type: ignore[arg-type]  # Decision checks it
            label=label,
            given_label=given,
            suggested_label=suspect.suggested,
            seconds=answer.seconds,
            fingerprint=fingerprint,
        )

    def _reader(self, text: str) -> str:
        """Return a reader's name as it stands already, though it be typed in another case."""
        name = text.strip()
        if not name:
            raise ValueError("its reader has no name; give --reader NAME")
        if not is_legible(name):
            raise ValueError(f"reader {name!r}: {LEGIBLE}")
        return self._readers.setdefault(name.casefold(), name)

    def _label(self, text: str) -> Name:
        if text in self._labels:
            return self._labels[text]
        if not self._new_labels:
            raise ValueError(
                f"the label {text!r} is new to the findings; {hint(text, self._labels)} Or allow "
                "it by --new-labels."
            )
        if not is_unicode(text):
            raise ValueError(f"the label {text!r} holds half a character, which no file can hold")
        numbers = [isinstance(label, int) for label in self._labels.values()]
        if not numbers or not all(numbers):
            return text
        if not _is_integer(text):
            raise ValueError(f"the label {text!r} is no integer, as those of the findings are")
        return int(text)


def _readers(path: Path, fingerprint: str) -> list[str]:
    """Return who decided so far, the first one first."""
    if not path.exists():
        return []
    log = DecisionLog.open(path, fingerprint=fingerprint, create=False)
    return [decision.reader for decision in log.decisions]


def _is_integer(text: str) -> bool:
    try:
        return str(int(text)) == text and -(2**63) <= int(text) < 2**63
    except ValueError:
        return False


def _id(answer: Answer, source: str) -> str:
    """Return the same id for the same answer, whenever it is imported."""
    said = [answer.sample, answer.reader, answer.action, answer.label]
    when = ["time", answer.time] if answer.time else ["source", source]
    return f"import-{sha256(json.dumps([*when, *said]).encode()).hexdigest()[:32]}"


def _news(log: DecisionLog, made: Iterable[Decision], dated: set[str]) -> Iterable[Decision]:
    """Yield what changes an opinion; of those whose time is known, only what is no older."""
    last = {(d.reader, d.sample_id): d for d in active(log.decisions) if not d.adjudication}
    for decision in made:
        before = last.get((decision.reader, decision.sample_id))
        if before is not None:
            older = decision.id in dated and decision.time < before.time
            if older or opinion(before) == opinion(decision):
                continue
        last[decision.reader, decision.sample_id] = decision
        yield decision


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    value = "" if first["type"] == "value_error" else f" {first['input']!r}"
    return f"{'.'.join(map(str, first['loc']))}{value}: {first['msg']}"


def _told(batch: Batch) -> str:
    faults = batch.faults
    more = f"\n  and {len(faults) - _TOLD:,} more" if len(faults) > _TOLD else ""
    what = "fault" if len(faults) == 1 else "faults"
    return (
        f"{batch.name} has {len(faults):,} {what}; nothing was imported.\n  "
        + "\n  ".join(faults[:_TOLD])
        + more
    )
