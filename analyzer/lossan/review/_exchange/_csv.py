"""A queue as a table for a spreadsheet, and the table filled in."""

import csv
import re
from collections import Counter
from hashlib import sha256
from io import StringIO
from pathlib import Path

from lossan.errors import DecisionsError
from lossan.review._exchange._answers import Answer, Batch
from lossan.review._exchange._tasks import Tasks

ACTIONS = ("keep", "relabel", "unsure", "exclude")
_SHOWN = ("rank", "sample_id", "image", "given_label", "suggested_label", "probability")
_FILLED = ("decision", "label", "reader")
_HIDDEN = ("given_label", "suggested_label", "probability")  # from a blinded reader
# What spreadsheets take for a formula; the last four are the same in full width.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def defuse(text: str) -> str:
    """Keep a spreadsheet from running a cell as a formula.

    Examples
    --------
    >>> defuse("=1+1"), defuse("'=1+1"), defuse("a=1")
    ("'=1+1", "''=1+1", 'a=1')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def arm(text: str) -> str:
    """Return what `defuse` was given.

    Examples
    --------
    >>> arm(defuse("-5")), arm("-5"), arm("'s Gravenhage")
    ('-5', '-5', "'s Gravenhage")
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def write_csv(tasks: Tasks) -> bytes:
    """Write a row per sample, with empty columns for decision, label and reader.

    The byte order mark lets spreadsheets read names in any script.
    """
    shown = [c for c in _SHOWN if not (tasks.blinded and c in _HIDDEN)]
    out = StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*shown, *_FILLED, "findings"])
    for suspect in tasks.suspects:
        values = {
            "rank": suspect.rank,
            "sample_id": suspect.sample_id,
            "image": suspect.image,
            "given_label": suspect.given,
            "suggested_label": suspect.suggested,
            "probability": suspect.probability,
        }
        cells = ["" if values[c] is None else defuse(str(values[c])) for c in shown]
        writer.writerow([*cells, "", "", "", tasks.fingerprint])
    return out.getvalue().encode("utf-8-sig")


def read_csv(path: Path, reader: str | None) -> Batch:
    """Read a table that was filled in.

    Needed are ``sample_id`` and ``decision`` or ``label``; a label alone is a relabel, and a row
    with neither has no answer. Separated by commas, semicolons or tabs.

    Parameters
    ----------
    path : Path
    reader : str, optional
        Who answered, where a row does not say.

    Raises
    ------
    DecisionsError
        When it is no such table.
    """
    data = _read(path)
    rows = _rows(path, data)
    header = [arm(cell).strip() for cell in rows[0]] if rows else []
    _check_header(path, header)
    batch = Batch(str(path), sha256(data).hexdigest())
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            batch.faults.append(f"row {number}: {len(row)} cells, the header has {len(header)}")
            continue
        cells = dict(zip(header, map(arm, row), strict=True))
        _take(batch, number, cells, reader)
    _tell_repeated(batch)
    return batch


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DecisionsError(f"{path}: there is no such file. Check the path.") from error
    except OSError as error:
        raise DecisionsError(f"{path} cannot be read: {error.strerror or error}.") from error


def _rows(path: Path, data: bytes) -> list[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DecisionsError(
            f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8 CSV."
        ) from error
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)  # spreadsheets write what their country writes
    try:
        return list(csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise DecisionsError(f"{path} is not well-formed CSV: {error}.") from error


def _check_header(path: Path, header: list[str]) -> None:
    repeated = [name for name, count in Counter(header).items() if count > 1 and name]
    faults = [f"the column {name!r} stands in it more than once" for name in repeated]
    if "sample_id" not in header:
        faults.append("there is no column 'sample_id'")
    if not {"decision", "label"} & set(header):
        faults.append("there is no column 'decision' or 'label'")
    if faults:
        raise DecisionsError(
            f"{path}: {'; '.join(faults)}. Its columns are: {', '.join(header) or 'none'}. "
            "Start from the table of: lossan decisions export DIR -o FILE --to csv"
        )


def _take(batch: Batch, number: int, cells: dict[str, str], reader: str | None) -> None:
    action = cells.get("decision", "").strip().lower()
    label = cells.get("label", "")
    if not action and not label.strip():
        batch.n_skipped += 1
        return
    action = action or "relabel"
    who = cells.get("reader", "").strip() or reader
    faults = []
    if action not in ACTIONS:
        faults.append(f"the decision is {action!r}; allowed: {', '.join(ACTIONS)}")
    elif (action == "relabel") != bool(label.strip()):
        needs = "needs a label" if action == "relabel" else f"has the label {label!r} beside it"
        faults.append(f"the decision {action!r} {needs}")
    if not who:
        faults.append("nobody is named as its reader; fill the column 'reader' or give --reader")
    batch.faults += [f"row {number}: {fault}" for fault in faults]
    if not faults:
        batch.answers.append(
            Answer(
                where=f"row {number}",
                sample=cells["sample_id"],
                reader=str(who),
                action=action,
                label=label if action == "relabel" else None,
                given=cells.get("given_label") or None,
                findings=cells.get("findings") or None,
            )
        )


def _tell_repeated(batch: Batch) -> None:
    """Refuse two answers of a reader on a sample: which of them counts would be a guess."""
    first: dict[tuple[str, str], str] = {}
    for answer in batch.answers:
        who = answer.reader.casefold()  # one reader, in whichever case the name is typed
        before = first.setdefault((who, answer.sample), answer.where)
        if before != answer.where:
            batch.faults.append(
                f"{answer.where}: {answer.reader!r} decides {answer.sample!r} a second time, "
                f"after {before}"
            )
