"""A review in progress: what a reader may see, and what happens when one decides."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from threading import Lock
from typing import Any, final

import pyarrow as pa

from lossan.errors import OptionError
from lossan.review._agreement import cohen_kappa
from lossan.review._decision import Decision, Name, Shown, now
from lossan.review._fingerprint import findings_fingerprint
from lossan.review._log import DECISIONS, DecisionLog
from lossan.review._outcomes import active, outcomes
from lossan.review._press import Plan, Press, ReviewError
from lossan.review._queue import queue, refuse_telling_order
from lossan.review._standing import Standing
from lossan.review._stopping import stopping
from lossan.review._suspects import Suspect, Suspects, class_names, read_suspects, reasons

_EXACT = 2**53 - 1  # JavaScript holds whole numbers up to it


@final
class Review:
    """A review of findings; made by `open_review`. Safe to use from several threads.

    Parameters
    ----------
    folder : Path
    plan : Plan
    suspects : Suspects
    log : DecisionLog
    """

    def __init__(self, folder: Path, plan: Plan, suspects: Suspects, log: DecisionLog) -> None:
        self._folder, self.plan, self._suspects, self._log = folder, plan, suspects, log
        self._lock, self._standing = Lock(), Standing()
        ids = queue(suspects.table, order=plan.order, only_flagged=plan.top is None, top=plan.top)
        self._queue = suspects.learn(ids)
        self._places = _places([suspects.at(row) for row in self._queue])
        self._labels = _labels(plan.classes, suspects.labels())
        self._by_shown = {_exact(label): label for label in self._labels}
        self._names = class_names(folder, self._labels)
        self._why = reasons(folder, suspects.table.take(pa.array(self._queue, pa.int64())))
        self._refresh()

    @property
    def n_cut(self) -> int:
        """How many lines of the decisions were cut off and do not count."""
        return self._log.n_cut

    @property
    def log_path(self) -> Path:
        """Where decisions go."""
        return self._log.path

    def images(self) -> list[str]:
        """Return the paths of the images to look at, in order."""
        rows = self._differing() if self.plan.adjudicate else self._queue
        return [self._at(row).image for row in rows]

    def image(self, row: int) -> str:
        """Return the path of a sample's image."""
        return self._at(row).image

    def state(self, reader: str | None, *, adjudicating: bool) -> dict[str, Any]:
        """Return what a page needs to begin: the queue, how far the reader came, the classes."""
        with self._lock:
            self._refresh()
            known = self._standing.readers()
            told: dict[str, Any] = {
                "findings": self._folder.resolve().name,
                "readers": known,
                "fixed_reader": self.plan.reader,
                "only_differences": self.plan.adjudicate,
            }
            if reader is None:
                return told
            name = _same_reader(reader, known)
            if adjudicating:
                self._check_adjudicator(name)
            rows = self._differing() if adjudicating else self._queue
            return told | {
                "reader": name,
                "adjudicating": adjudicating,
                "blinded": self.plan.blinded,
                "order": self.plan.order,
                "queue": rows,
                "decided": [self._decided(name, row, adjudicating) for row in rows],
                "classes": [{"label": _exact(x), "name": self._names.get(x)} for x in self._labels],
                "last": self._last(name),
                "may_adjudicate": self._may_adjudicate(name),
                "folder": str(self._folder),
                "file": self._log.path.name,
            }

    def items(
        self, rows: Iterable[int], reader: str, *, adjudicating: bool
    ) -> list[dict[str, Any]]:
        """Return what a reader may see of samples."""
        with self._lock:
            self._refresh()
            if adjudicating:
                self._check_adjudicator(reader)
            return [self._item(self._at(row), reader, adjudicating) for row in rows]

    def decide(self, press: Press) -> dict[str, Any]:
        """Keep a decision; when this returns it is on disk.

        Raises
        ------
        ReviewError
            When it does not fit what the page showed, or what there is.
        OutputError
            When it could not be kept.
        """
        with self._lock:
            self._refresh()
            press = self._with_own_label(press)
            suspect = self._at(press.row)
            if press.id not in self._standing:  # otherwise it was kept, and its answer lost
                self._log.append(self._decision(press, suspect))
                self._standing.follow(self._log.decisions)
            return {
                "item": self._item(suspect, press.reader, press.adjudication),
                "last": self._last(press.reader),
            }

    def progress(self, reader: str) -> dict[str, Any]:
        """Return how far a reader came, when to stop, and how far readers agree."""
        with self._lock:
            self._refresh()
            decisions = self._log.decisions
        counting = active(decisions)
        own = [d for d in counting if d.reader == reader and not d.adjudication]
        seconds = [d.seconds for d in own if d.seconds is not None]
        made = outcomes(counting)
        return {
            "stopping": asdict(stopping(self._suspects.table, own)),
            "seconds": median(seconds) if seconds else None,
            "agreement": [asdict(pair) for pair in cohen_kappa(counting)],
            "differ": sum(outcome.state == "conflict" for outcome in made.values()),
            "adjudicated": sum(outcome.state == "adjudicated" for outcome in made.values()),
        }

    def _refresh(self) -> None:
        self._log.refresh()
        self._standing.follow(self._log.decisions)

    def _at(self, row: int) -> Suspect:
        suspect = self._suspects.at(row)
        if suspect is None:
            raise ReviewError(404, f"There is no image {row} in this review.")
        return suspect

    def _differing(self) -> list[int]:
        """Return the rows on which readers differ or did, the most suspicious first."""
        made = outcomes(self._log.decisions)
        apart = [s for s, found in made.items() if found.state in ("conflict", "adjudicated")]
        return sorted(self._suspects.learn(apart))

    def _may_adjudicate(self, reader: str) -> bool:
        """Tell whether a reader may see others' opinions: not while reading on their own."""
        return self.plan.adjudicate or all(
            self._decided(reader, row, adjudicating=False) for row in self._queue
        )

    def _check_adjudicator(self, reader: str) -> None:
        if not self._may_adjudicate(reader):
            raise ReviewError(403, "Differences are shown to who has read the whole queue.")

    def _decided(self, reader: str, row: int, adjudicating: bool) -> bool:
        return self._stands(reader, self._at(row), adjudicating) is not None

    def _stands(self, reader: str, suspect: Suspect, adjudicating: bool) -> Decision | None:
        if adjudicating:
            return self._standing.settled(suspect.sample_id)
        return self._standing.of(reader, suspect.sample_id)

    def _last(self, reader: str) -> dict[str, Any] | None:
        """Return what an undo takes back."""
        last = self._standing.last(reader)
        if last is None or not (rows := self._suspects.learn([last.sample_id])):
            return None
        return {"id": last.id, "row": rows[0], "adjudication": last.adjudication}

    def _is_open(self, reader: str, suspect: Suspect) -> bool:
        return not self.plan.blinded or self._standing.has_decided(reader, suspect.sample_id)

    def _item(self, suspect: Suspect, reader: str, adjudicating: bool) -> dict[str, Any]:
        """Return what a reader may see of a sample: blinded, names go too, as they may tell."""
        is_open = self._is_open(reader, suspect)
        item: dict[str, Any] = {
            "row": suspect.row,
            "open": is_open,
            "place": self._places.get(suspect.row),
            "decision": _told(self._stands(reader, suspect, adjudicating)),
        }
        if not is_open:
            return item
        item |= {
            "id": _exact(suspect.sample_id),
            "group": _exact(suspect.group),
            "given": _exact(suspect.given),
            "suggested": _exact(suspect.suggested),
            "rank": suspect.rank,
            "probability": suspect.probability,
            "why": self._why.get(suspect.sample_id),
        }
        if adjudicating:
            item["opinions"] = self._opinions(suspect)
        return item

    def _opinions(self, suspect: Suspect) -> list[dict[str, Any]]:
        said = ((r, self._standing.of(r, suspect.sample_id)) for r in self._standing.readers())
        return [{"reader": r, **(_told(d) or {})} for r, d in said if d is not None]

    def _decision(self, press: Press, suspect: Suspect) -> Decision:
        self._check(press, suspect)
        is_open = self._is_open(press.reader, suspect)
        relabel = press.action == "relabel"
        keeps = relabel and press.label == suspect.given
        return Decision(
            id=press.id,
            time=now(),
            reader=press.reader,
            sample_id=suspect.sample_id,
            action="keep" if keeps else press.action,
            label=press.label if relabel and not keeps else None,
            undoes=press.undoes,
            given_label=suspect.given,
            suggested_label=suspect.suggested,
            shown=Shown(
                given_label=is_open and suspect.given is not None,
                suggested_label=is_open and suspect.suggested is not None,
                order=self.plan.order,
                position=self._position(press),
                image=suspect.image,
            ),
            seconds=press.seconds,
            adjudication=press.adjudication,
            fingerprint=str(self._log.fingerprint),
        )

    def _with_own_label(self, press: Press) -> Press:
        """Return a press with its label as the findings have it, not as the page shows it."""
        return press.model_copy(update={"label": self._by_shown.get(press.label, press.label)})

    def _position(self, press: Press) -> int | None:
        """Return the place of the press's sample: an undo comes while another one is shown."""
        if press.action != "undo":
            return press.position
        last = self._standing.last(press.reader)
        return None if last is None or last.shown is None else last.shown.position

    def _check(self, press: Press, suspect: Suspect) -> None:
        # the page was told the name as the log has it, maybe in another case than the option
        if self.plan.reader is not None and not _is_same(press.reader, self.plan.reader):
            raise ReviewError(403, f"This review is read by {self.plan.reader}.")
        if press.adjudication:
            self._check_adjudicator(press.reader)
        self._check_action(press, suspect)
        if press.action == "undo":
            last = self._standing.last(press.reader)
            if last is None or (last.id, last.sample_id) != (press.undoes, suspect.sample_id):
                raise ReviewError(409, "That is not what you decided last; see what stands now.")
            return
        stands = self._stands(press.reader, suspect, press.adjudication)
        if press.replaces != (None if stands is None else stands.id):
            raise ReviewError(409, "It was decided in another window meanwhile; see what stands.")

    def _check_action(self, press: Press, suspect: Suspect) -> None:
        if (press.label is not None) != (press.action == "relabel"):
            raise ReviewError(422, "A label is given with relabel, and with nothing else.")
        if press.label is not None and press.label not in self._labels:
            raise ReviewError(422, f"{press.label!r} is none of the classes.")
        if press.action == "keep" and suspect.given is None:
            raise ReviewError(422, "There is no given label to keep.")
        if press.action == "keep" and not self._is_open(press.reader, suspect):
            raise ReviewError(422, "Say which class it is: the given label is hidden until then.")
        if press.action != "undo" and press.undoes is not None:
            raise ReviewError(422, "Only an undo takes a decision back.")


def open_review(folder: Path, plan: Plan) -> Review:
    """Open the review of findings, its decisions in ``decisions.jsonl`` beside them.

    Parameters
    ----------
    folder : Path
    plan : Plan

    Raises
    ------
    LossanError
        When the findings or the decisions cannot be used, or there is nothing to review.
    """
    refuse_telling_order(plan.order, blinded=plan.blinded)
    suspects = read_suspects(folder)
    fingerprint = findings_fingerprint(folder)
    log = DecisionLog.open(folder / DECISIONS, fingerprint=fingerprint)
    review = Review(folder, plan, suspects, log)
    if not plan.classes and not suspects.labels():
        raise OptionError(f"{folder}: the findings hold no labels; --classes A,B names them.")
    if not review.images():
        raise OptionError(_nothing(folder, plan))
    return review


def _nothing(folder: Path, plan: Plan) -> str:
    if plan.adjudicate:
        return (
            f"{folder / DECISIONS} holds no sample on which readers differ, so there is nothing to "
            "adjudicate; a second reader reviews by: lossan review --reader NAME"
        )
    return f"{folder}: nothing is flagged; --top 50 reviews the 50 most suspicious all the same."


def _labels(wanted: tuple[str, ...], found: list[Name]) -> list[Name]:
    """Return the classes in the order of their keys; numbers where the findings' are numbers."""
    numbers = bool(found) and all(isinstance(label, int) for label in found)
    try:
        first: list[Name] = [int(name) if numbers else name for name in wanted]
    except ValueError as error:
        raise OptionError(
            f"--classes {','.join(wanted)}: the findings' labels are whole numbers, so must these "
            "be."
        ) from error
    return list(dict.fromkeys([*first, *found]))


def _places(suspects: list[Suspect | None]) -> dict[int, tuple[int, int]]:
    """Return which of its group's samples each is, from 1 on, and of how many."""
    groups = [(s.row, s.group) for s in suspects if s is not None and s.group is not None]
    sizes = Counter(group for _row, group in groups)
    seen: Counter[Name] = Counter()
    places = {}
    for row, group in groups:
        seen[group] += 1
        places[row] = (seen[group], sizes[group])
    return places


def _same_reader(reader: str, known: list[str]) -> str:
    """Return a reader's name as it stands in the log, though it be typed in another case."""
    return next((name for name in known if _is_same(name, reader)), reader)


def _is_same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _exact(name: Name | None) -> Name | None:
    """Return a name as a page can show it: as numbers it would round large ones."""
    return str(name) if isinstance(name, int) and abs(name) > _EXACT else name


def _told(decision: Decision | None) -> dict[str, Any] | None:
    if decision is None:
        return None
    return {"id": decision.id, "action": decision.action, "label": _exact(decision.label)}
