"""The samples of a review, as the findings describe them."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, final

import pyarrow as pa
import pyarrow.compute as pc

from lossan.columns import is_text
from lossan.errors import LossanError, TableError
from lossan.io import SEQUENCES, SUMMARY, read_findings, read_log
from lossan.report import read_reasons
from lossan.review._decision import Name

_COLUMNS = (
    *("sample_id", "flagged", "rank", "label", "score", "probability", "suggested_label"),
    *("path", "group", "f1_mean"),
)


@dataclass(frozen=True)
class Suspect:
    """A sample to look at.

    Parameters
    ----------
    row : int
        Its place in the findings; the page knows samples by it.
    sample_id : int or str
    image : str
        The path of its image, relative to the folder of images.
    given, suggested : int or str or None
    group : int or str or None
    rank : int
    probability : float or None
    """

    row: int
    sample_id: Name
    image: str
    given: Name | None
    suggested: Name | None
    group: Name | None
    rank: int
    probability: float | None


@final
class Suspects:
    """Findings, read as far as somebody asks for them.

    Parameters
    ----------
    table : pyarrow.Table
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table.select([c for c in _COLUMNS if c in table.column_names])
        self._known: dict[int, Suspect] = {}
        self._rows: dict[Name, int] = {}

    def learn(self, ids: Iterable[Name]) -> list[int]:
        """Return the rows of samples, which `at` knows from then on; others are left out."""
        wanted = list(ids)
        new = [sample for sample in wanted if sample not in self._rows]
        column = self.table["sample_id"]
        strings = is_text(column.type)
        fitting = [s for s in new if isinstance(s, str) == strings and is_unicode(s)]
        if fitting:
            values = pa.array(fitting, pa.large_string() if strings else pa.int64())
            found = pc.index_in(values, value_set=column.cast(values.type))
            rows = [row for row in found.to_pylist() if row is not None]
            for row, entry in zip(
                rows, self.table.take(pa.array(rows, pa.int64())).to_pylist(), strict=True
            ):
                self._known[row] = _suspect(row, entry)
                self._rows[entry["sample_id"]] = row
        return [self._rows[sample] for sample in wanted if sample in self._rows]

    def at(self, row: int) -> Suspect | None:
        """Return the sample in a row, None for one that was never asked for."""
        return self._known.get(row)

    def labels(self) -> list[Name]:
        """Return every label that is given or suggested, in order."""
        found: set[Name] = set()
        for column in ("label", "suggested_label"):
            if column in self.table.column_names:
                found.update(pc.unique(self.table[column]).drop_null().to_pylist())
        return sorted(found, key=lambda label: (isinstance(label, str), label))


def is_unicode(value: Name) -> bool:
    """Tell whether a text can be written: JSON may bring halves of characters."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_suspects(folder: Path) -> Suspects:
    """Read the findings of a folder that ``lossan analyze -o`` wrote.

    Raises
    ------
    TableError
        When it is not such a folder.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise TableError(f"{folder} {what}; give the folder that lossan analyze LOG -o DIR wrote.")
    if not (folder / SUMMARY).is_file():
        raise TableError(
            f"{folder} holds no {SUMMARY}; give the folder that lossan analyze LOG -o DIR wrote."
        )
    return Suspects(read_findings(folder))


def class_names(folder: Path, labels: list[Name]) -> dict[Name, str]:
    """Return the names of classes that are numbers, where the log states them."""
    if not (folder / SEQUENCES).is_file():
        return {}
    try:
        stated = read_log(folder / SEQUENCES).metadata.get("classes")
    except LossanError:  # the names are a convenience; the report tells what is wrong with the file
        return {}
    if not isinstance(stated, list):
        return {}
    numbers = [label for label in labels if isinstance(label, int) and 0 <= label < len(stated)]
    return {number: str(stated[number]) for number in numbers}


def reasons(folder: Path, suspects: pa.Table) -> dict[Name, str]:
    """Return why samples are suspected, of those whose losses the folder holds."""
    try:
        return read_reasons(folder, suspects)
    except LossanError:  # a convenience, as names are; the report tells what is wrong
        return {}


def _suspect(row: int, entry: dict[str, Any]) -> Suspect:
    path, probability = entry.get("path"), entry.get("probability")
    return Suspect(
        row=row,
        sample_id=entry["sample_id"],
        # where it has no path its id is taken for one, as the report does
        image=str(entry["sample_id"] if path is None else path),
        given=entry.get("label"),
        suggested=entry.get("suggested_label"),
        group=entry.get("group"),
        rank=entry.get("rank", row + 1),
        probability=None if probability is None or isnan(probability) else probability,
    )
