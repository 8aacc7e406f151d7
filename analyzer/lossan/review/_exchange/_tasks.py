"""A queue as other programs get it."""

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from lossan.review._decision import Name
from lossan.review._fingerprint import findings_fingerprint
from lossan.review._queue import queue, refuse_telling_order
from lossan.review._suspects import Suspect, read_suspects


@dataclass(frozen=True)
class Tasks:
    """What is to be looked at.

    Parameters
    ----------
    suspects : tuple of Suspect
        In the order of the queue, their image as a path or URL; blinded ones without the given and
        the suggested label and without the probability.
    classes : tuple of int or str
        Every label that the findings give or suggest.
    fingerprint : str
        Of the findings.
    blinded : bool
    """

    suspects: tuple[Suspect, ...]
    classes: tuple[Name, ...]
    fingerprint: str
    blinded: bool


def make_tasks(
    folder: Path,
    *,
    order: str = "suspicion",
    only_flagged: bool = True,
    top: int | None = None,
    blinded: bool = False,
    image_prefix: str = "",
) -> Tasks:
    """Make the queue of findings ready for another program.

    Parameters
    ----------
    folder : Path
        What ``lossan analyze -o`` wrote.
    order, only_flagged, top
        As of `queue`.
    blinded : bool
        Leave out the given and the suggested label.
    image_prefix : str
        What stands before each image's path; where it is a URL the path is escaped as its part.

    Raises
    ------
    TableError, OptionError
        When it is not such a folder, or the order is none or shows what is hidden.
    """
    refuse_telling_order(order, blinded=blinded)
    fingerprint = findings_fingerprint(folder)
    found = read_suspects(folder)
    rows = found.learn(queue(found.table, order=order, only_flagged=only_flagged, top=top))
    suspects = [suspect for row in rows if (suspect := found.at(row)) is not None]
    return Tasks(
        suspects=tuple(_shown(suspect, blinded, image_prefix) for suspect in suspects),
        classes=tuple(found.labels()),
        fingerprint=fingerprint,
        blinded=blinded,
    )


def _shown(suspect: Suspect, blinded: bool, prefix: str) -> Suspect:
    is_url = "://" in prefix or prefix.startswith("/data/")  # the latter is Label Studio's own
    image = prefix + (quote(suspect.image) if is_url else suspect.image)
    if blinded:
        return replace(suspect, image=image, given=None, suggested=None, probability=None)
    return replace(suspect, image=image)
