"""Labels tables: CSV or Parquet with ``sample_id``, ``label`` and whatever else they hold."""

import csv
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lossan.columns import is_text, plain_column
from lossan.errors import Fault, LogError, OptionError, TableError, hint
from lossan.io._atomic import atomic_file, create_parquet
from lossan.io._footer import PARQUET_ENDINGS, PARQUET_MAGIC, read_table
from lossan.io._source import arrow_errors

_NAMED = {*PARQUET_ENDINGS, ".csv", ".txt", ""}
# with "\n" alone `csv.writer` leaves a carriage return in a cell unquoted (Python 3.11)
_LINE_END = "\r\n"


@dataclass(frozen=True, eq=False)
class LabelsTable:
    """A labels table as it stands in its file; text of a CSV stays as it was written.

    Parameters
    ----------
    table : pyarrow.Table
    name : str
        The file, for messages.
    """

    table: pa.Table
    name: str

    def column(self, field: str) -> pa.Array:
        """Return a column, null where a cell is empty, integers where all its text is integers."""
        values = plain_column(field, self.table[field].combine_chunks(), [])
        if values is not None and pa.types.is_large_string(values.type):
            # a CSV has no other way to say unknown
            values = pc.if_else(pc.equal(values, ""), pa.scalar(None, values.type), values)
        return integers_where_all_are(values)

    def has(self, field: str) -> bool:
        """Tell whether there is such a column."""
        return field in self.table.column_names

    def with_column(self, field: str, values: pa.Array) -> "LabelsTable":
        """Return the table with a column replaced or added."""
        if self.has(field):
            place = self.table.column_names.index(field)
            return replace(self, table=self.table.set_column(place, field, values))
        return replace(self, table=self.table.append_column(field, values))


def read_labels(path: Path, *, needed: tuple[str, ...] = ("sample_id", "label")) -> LabelsTable:
    """Read a labels table and check it.

    Raises
    ------
    TableError
        With all faults at once: missing columns, empty values, repeated ids.
    """
    try:
        with path.open("rb") as file:
            parquet = file.read(4) == PARQUET_MAGIC
        table = _read_parquet(path) if parquet else _read_csv(path)
    except FileNotFoundError as error:
        raise TableError(f"{path}: there is no such file. Check the path.") from error
    except IsADirectoryError as error:
        raise TableError(
            f"{path} is a directory; a labels table is a CSV or Parquet file."
        ) from error
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror or error}.") from error
    except LogError as error:
        raise TableError(str(error)) from error
    faults = _column_faults(table, needed) or _value_faults(table, needed)
    if faults:
        raise TableError(f"{path}: " + "\n  ".join(faults))
    return LabelsTable(table, str(path))


def write_labels(labels: LabelsTable, path: Path) -> None:
    """Write a labels table, as Parquet or CSV by the file's name.

    Raises
    ------
    OptionError
        For a name that says neither.
    OutputError
        When it cannot be written; nothing half-written stays behind.
    """
    if path.suffix.lower() not in _NAMED:
        raise OptionError(
            f"{path}: a labels table is written as CSV or Parquet; allowed endings: .csv, .parquet."
        )
    if path.suffix.lower() in PARQUET_ENDINGS:
        with atomic_file(path) as file, create_parquet(file, labels.table.schema) as writer:
            writer.write_table(labels.table)
        return
    columns = [column.to_pylist() for column in labels.table.columns]
    with atomic_file(path) as file:
        writer = csv.writer(_Encoder(file), lineterminator=_LINE_END)
        writer.writerow(labels.table.column_names)
        writer.writerows(zip(*columns, strict=True))


class _Encoder:
    """What `csv.writer` needs of a file: write a row, here as UTF-8 and ended by a line feed."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return int(self._file.write((text.removesuffix(_LINE_END) + "\n").encode()))


def _read_parquet(path: Path) -> pa.Table:
    with arrow_errors(str(path)):
        return read_table(path)


def _read_csv(path: Path) -> pa.Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except UnicodeDecodeError as error:
        raise TableError(
            f"{path} is neither Parquet nor UTF-8 text (byte {error.start}). Save it as UTF-8 CSV."
        ) from error
    except csv.Error as error:
        raise TableError(f"{path} is not well-formed CSV: {error}.") from error
    if not rows:
        raise TableError(f"{path} is empty; needed is a CSV with a header and a row per sample.")
    header = rows[0]
    body = [row for row in rows[1:] if row]
    for number, row in enumerate(body, 2):
        if len(row) != len(header):
            raise TableError(
                f"{path}: row {number} has {len(row)} values, the header {len(header)}."
            )
    columns = list(zip(*body, strict=True)) if body else [() for _ in header]
    return pa.table([pa.array(column, pa.large_string()) for column in columns], names=header)


def _column_faults(table: pa.Table, needed: tuple[str, ...]) -> list[str]:
    names = Counter(table.column_names)
    faults = [f"the column {n!r} stands in it {c} times." for n, c in names.items() if c > 1]
    missing = [field for field in needed if field not in names]
    faults += [
        f"there is no column {field!r}; {hint(field, names, word='its columns')}"
        for field in missing
    ]
    if missing:
        faults.append("A labels table has a row per sample: sample_id, label and, of images, path.")
    wrong: list[Fault] = []
    for field in {"sample_id", "label", "true_label", "group", "path"} & names.keys():
        if names[field] == 1:
            plain_column(field, table[field].combine_chunks(), wrong)
    return faults + sorted(fault.message for fault in wrong)


def _value_faults(table: pa.Table, needed: tuple[str, ...]) -> list[str]:
    if not table.num_rows:
        return ["it holds no samples."]
    faults = []
    for field in needed:
        values = table[field]
        empty = values.null_count
        if is_text(values.type):
            empty += int(pc.sum(pc.equal(values, "")).as_py() or 0)
        if empty:
            faults.append(f"{field} is empty in {empty} rows; every row needs one.")
    if "sample_id" in needed:
        counts = pc.value_counts(table["sample_id"].combine_chunks())
        repeated = counts.filter(pc.greater(counts.field("counts"), 1))
        if len(repeated):
            first = repeated.field("values")[0].as_py()
            faults.append(
                f"{len(repeated)} sample_id values stand more than once, first {first!r}."
            )
    return faults


def integers_where_all_are(values: pa.Array) -> pa.Array:
    """Return integers where every text is one in its plain form, so that "007" stays text."""
    if pa.types.is_integer(values.type):
        return values
    plain = pc.match_substring_regex(values, r"^(0|-?[1-9][0-9]{0,17})$")
    if len(values) and values.null_count < len(values) and pc.all(plain).as_py():
        return values.cast(pa.int64())
    return values
