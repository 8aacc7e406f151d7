"""The report of findings: what is shown is computed here, the template only lays it out."""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lossan.detectors import BUILT_IN
from lossan.errors import TableError
from lossan.report._figures import draw_features, draw_scores, draw_sequences
from lossan.report._images import Picture, Thumbnails
from lossan.report._page import render_page
from lossan.report._sparkline import draw_path, sparkline
from lossan.report._suspects import Report, Suspect
from lossan.results import LossByEpoch

if TYPE_CHECKING:
    from markupsafe import Markup

_CLASSES, _PAIRS = 50, 20  # rows of a table that a person still reads
_THUMBNAIL = 200  # pixels
_TITLES = {
    "f1_mean": "F1: mean loss",
    "f2_early_mean": "F2: mean of early epochs",
    "f3_drop_position": "F3: epoch before largest drop",
    "f4_mean_before_drop": "F4: mean before the drop",
    "f5_mean_after_drop": "F5: mean after the drop",
    "f6_drop_extent": "F6: F4 minus F5",
}
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Page:
    """A page, and what to tell of its images.

    Parameters
    ----------
    html : str
    note : str, optional
    """

    html: str
    note: str | None


def findings_page(
    report: Report, images: Path | None, *, progress: Progress = lambda _done, _all: None
) -> Page:
    """Write the page of findings.

    Parameters
    ----------
    report : Report
    images : Path, optional
        What paths are relative to; without it the page has no images.
    progress : callable
        Told of how many images were read, and of how many.

    Raises
    ------
    TableError
        When the folder is not there, or none of the images is in it.
    """
    from markupsafe import Markup

    pictures = [Picture()] * len(report.suspects)
    note = None
    if images is not None:
        pictures = _pictures(report.suspects, images, progress)
        note = _note(report.suspects, pictures)
    summary = report.summary
    script = files("lossan.report").joinpath("templates/findings.js").read_text(encoding="utf-8")
    pairs = Counter((s.finding["label"], s.finding["suggested_label"]) for s in report.suspects)
    given = Counter(s.finding["label"] for s in report.suspects)
    choices = {"label": _choices(given), "pair": _choices(pairs)}
    highest = _highest(report.suspects)
    html = render_page(
        "findings.html",
        s=summary,
        provenance=report.provenance,
        detector=BUILT_IN.get(summary.detector.name),
        classes=_first(summary.per_class, _CLASSES),
        n_other_classes=max(0, len(summary.per_class) - _CLASSES),
        pairs=summary.class_pairs[:_PAIRS],
        n_other_pairs=summary.n_flagged - sum(p.n_flagged for p in summary.class_pairs[:_PAIRS]),
        has_probability=any(c.expected_wrong is not None for c in summary.per_class),
        titles=_TITLES,
        figures=_figures(report),
        cards=_cards(report, pictures, choices, highest),
        usual=draw_path(_usual(report), highest),
        cards_total=len(report.suspects),
        choices=choices,
        n_flagged_shown=sum(suspect.finding["flagged"] for suspect in report.suspects),
        n_typical={kind: len(losses) for kind, losses in report.typical.items()},
        with_images=images is not None,
        note=note,
        script=Markup(script),  # noqa: S704  (our own file)
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )
    return Page(html, note)


def _pictures(suspects: list[Suspect], images: Path, progress: Progress) -> list[Picture]:
    if not images.is_dir():
        what = "is not a folder" if images.exists() else "there is no such folder"
        raise TableError(f"--images {images}: {what}.")
    thumbnails = Thumbnails(images, size=_THUMBNAIL)
    pictures = []
    for number, suspect in enumerate(suspects):
        progress(number, len(suspects))
        pictures.append(thumbnails.look(_image_of(suspect)))
    if suspects and all(p.absent for p in pictures):
        raise TableError(
            f"--images {images}: none of the {len(suspects):,} images is in it, first "
            f"{_image_of(suspects[0])!r}. Give the folder that paths are relative to."
        )
    return pictures


def _image_of(suspect: Suspect) -> str:
    """Return a sample's path; where it has none its id is taken for one, as the review does."""
    path = suspect.finding["path"]
    return str(suspect.finding["sample_id"] if path is None else path)


def _note(suspects: list[Suspect], pictures: list[Picture]) -> str | None:
    lacking = [row for row, picture in enumerate(pictures) if picture.trouble]
    if not lacking:
        return None
    first = lacking[0]
    return (
        f"{len(lacking):,} of {len(pictures):,} images cannot be shown, first "
        f"{_image_of(suspects[first])!r}: {pictures[first].trouble}."
    )


def _first(entries: list[Any], count: int) -> list[Any]:
    """Return all entries in their order, or the ones with most flagged where they are many."""
    if len(entries) <= count:
        return entries
    return sorted(entries, key=lambda entry: -entry.n_flagged)[:count]


def _choices(counted: Counter[Any]) -> dict[Any, tuple[int, int]]:
    """Return a number and a count for each value, the most frequent first."""
    ordered = sorted(counted.items(), key=lambda item: (-item[1], str(item[0])))
    return {value: (number, count) for number, (value, count) in enumerate(ordered)}


def _figures(report: Report) -> "dict[str, Markup]":
    summary, found = report.summary, {}
    if summary.scores is not None:
        cut = "" if summary.scores.cut is None else f"; cut at {summary.scores.cut:.4g}"
        alt = (
            f"Histogram of scores: {sum(summary.scores.flagged):,} flagged, "
            f"{sum(summary.scores.unflagged):,} not flagged{cut}"
        )
        found["scores"] = draw_scores(summary.scores, alt=alt)
    if summary.features:
        alt = (
            "Histograms of the six features of flagged and unflagged samples; numbers in the table"
        )
        found["features"] = draw_features(summary.features, _TITLES, alt=alt)
    if any(len(losses) for losses in report.typical.values()):
        kinds = {
            "not flagged": report.typical["unflagged"],
            "flagged": report.typical["flagged"],
        }
        found["sequences"] = draw_sequences(
            np.array(report.by_epoch.epochs),
            kinds,
            alt=_sequences_alt(report.by_epoch),
        )
    return found


def _sequences_alt(losses: LossByEpoch) -> str:
    told = []
    for name, values in (
        ("flagged", losses.flagged),
        ("unflagged", losses.unflagged),
    ):
        known = [value for value in values if value is not None]
        if known:
            told.append(f"{name} from {known[0]:.2f} to {known[-1]:.2f}")
    return "Loss by epoch of typical samples; median of all " + ", ".join(told)


def _cards(
    report: Report,
    pictures: list[Picture],
    choices: dict[str, dict[Any, tuple[int, int]]],
    highest: float,
) -> Iterable[dict[str, Any]]:
    for suspect, picture in zip(report.suspects, pictures, strict=True):
        finding = suspect.finding
        pair = finding["label"], finding["suggested_label"]
        yield {
            **finding,
            "name": str(finding["sample_id"]),
            "probability": _known(finding["probability"]),
            "label_number": choices["label"][finding["label"]][0],
            "pair_number": choices["pair"][pair][0],
            "picture": picture,
            "why": suspect.why,
            "spark": sparkline(report.by_epoch.epochs, suspect.loss, highest),
        }


def _known(value: float | None) -> float | None:
    return None if value is None or isnan(value) else value


def _highest(suspects: list[Suspect]) -> float:
    """Return the loss at the sparklines' upper edge: one wild sample must not flatten the rest."""
    if not suspects:
        return 1.0
    peaks = [np.nanmax(s.loss) for s in suspects if not np.isnan(s.loss).all()]
    return max(float(np.quantile(peaks, 0.98)), 1e-9)


def _usual(report: Report) -> NDArray[np.float64]:
    return np.array([np.nan if v is None else v for v in report.by_epoch.unflagged])
