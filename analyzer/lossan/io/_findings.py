"""Write findings and read them again."""

import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from lossan.columns import is_text
from lossan.errors import LogError, TableError
from lossan.io._atomic import atomic_file, create_parquet
from lossan.io._footer import PARQUET_MAGIC, read_table
from lossan.io._labels import integers_where_all_are
from lossan.io._metadata import KEY
from lossan.io._remote import is_remote, open_remote
from lossan.io._source import arrow_errors
from lossan.io._write import write_log
from lossan.losslog import LossLog

_NAMES = ("sample_id", "label", "suggested_label", "true_label", "path", "group")
# Left to guess, Arrow reads the id "007" as 7 and the class "NA" as unknown.
_AS_WRITTEN = pyarrow.csv.ConvertOptions(
    column_types=dict.fromkeys(_NAMES, pa.large_string()),
    strings_can_be_null=True,
    quoted_strings_can_be_null=False,
    null_values=[""],
)
# without it Arrow cuts a long file anywhere between two lines, those of one cell included
_OF_LINES = pyarrow.csv.ParseOptions(newlines_in_values=True)

PARQUET, CSV, SUMMARY = "findings.parquet", "findings.csv", "summary.json"
SEQUENCES = "sequences.parquet"
"""The loss log of the suspects, beside the findings."""
PARTS = (SUMMARY, PARQUET, CSV, SEQUENCES)
"""What findings consist of; a picture of the sequences may stand beside them."""

_TEXT_ROWS = 1 << 16  # written as text at a time, by each core
_METADATA = {KEY: json.dumps({"kind": "findings", "schema_version": "1"}).encode()}


def part_name(number: int) -> str:
    """Return the name of a part of findings.parquet, below the folder of the findings."""
    return f"{PARQUET}/part-{number:05}.parquet"


def write_findings_part(table: pa.Table, folder: str, number: int) -> None:
    """Write one part of findings.parquet as a file of its own.

    Parameters
    ----------
    table : pyarrow.Table
    folder : str
        A folder of findings, or its URL.
    number : int
        From 0 on: parts in the order of their numbers are the ranking.
    """
    name = part_name(number)
    table = table.replace_schema_metadata(_METADATA)
    if not is_remote(folder):
        target = Path(folder, name)
        target.parent.mkdir(exist_ok=True)
        with atomic_file(target) as file, create_parquet(file, table.schema) as rows:
            rows.write_table(table)
        return
    with open_remote(f"{folder}/{name}") as file, create_parquet(file, table.schema) as rows:
        rows.write_table(table)


def write_findings(parts: Iterable[pa.Table], summary: Callable[[], str], folder: Path) -> None:
    """Write ``findings.parquet``, ``findings.csv`` and ``summary.json`` into a folder.

    Parameters
    ----------
    parts : iterable of pyarrow.Table
        The findings, one part after another; at least one.
    summary : callable
        Returns it, when all else is written.
    folder : Path
    """
    tables = (part.replace_schema_metadata(_METADATA) for part in parts)
    first = next(tables)
    cores = os.cpu_count() or 1
    with (
        atomic_file(folder / PARQUET) as parquet,
        atomic_file(folder / CSV) as csv,
        create_parquet(parquet, first.schema) as rows,
        ThreadPoolExecutor(cores) as pool,
    ):
        csv.write(_text(first.slice(0, 0), header=True))
        writing: deque[Future[pa.Buffer]] = deque()  # text takes longer than all the rest
        for table in chain([first], tables):
            for start in range(0, len(table), _TEXT_ROWS):
                writing.append(pool.submit(_text, table.slice(start, _TEXT_ROWS)))
            rows.write_table(table)
            while len(writing) > 2 * cores:  # busy while the next table is put together
                csv.write(writing.popleft().result())
        for text in writing:
            csv.write(text.result())
    with atomic_file(folder / SUMMARY) as file:
        file.write(summary().encode() + b"\n")


def _text(table: pa.Table, *, header: bool = False) -> pa.Buffer:
    """Return findings as lines of CSV."""
    stream = pa.BufferOutputStream()
    pa.csv.write_csv(_for_spreadsheets(table), stream, pa.csv.WriteOptions(include_header=header))
    return stream.getvalue()


def write_sequences(log: LossLog, folder: Path, created: str) -> None:
    """Write ``sequences.parquet`` into a folder.

    Parameters
    ----------
    log : LossLog
        Of the samples shown.
    folder : Path
    created : str
        When the analysis ran: what a log that does not say when it was made is stamped with, as
        the same result is saved in the same bytes at any time.
    """
    log = replace(log, metadata={"created": created, **log.metadata})
    write_log(log, folder / SEQUENCES, layout="wide")


def _for_spreadsheets(table: pa.Table) -> pa.Table:
    """Put an apostrophe before text that a spreadsheet would run as a formula."""
    for place, field in enumerate(table.schema):
        text = table[field.name]
        if is_text(field.type) and text.null_count < len(text):
            quote, nothing = pa.scalar("'", field.type), pa.scalar("", field.type)
            quoted = pc.binary_join_element_wise(quote, text, nothing)
            shown = pc.if_else(_would_run(text), quoted, text)
            table = table.set_column(place, field, shown.cast(field.type))
    return table


def _as_it_was(text: pa.Array) -> pa.Array:
    """Take that apostrophe off again."""
    put = pc.and_(_would_run(text), pc.starts_with(text, "'"))
    return pc.if_else(put, pc.utf8_slice_codeunits(text, 1), text)


def _would_run(text: Any) -> Any:
    """Tell what begins as a formula, be it behind apostrophes; a sign alone or a number does not.

    The answer for a text is the same with one apostrophe more, so that what was put on is what is
    taken off.
    """
    signs = r"=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}"  # the last four are full-width
    begins = pc.match_substring_regex(text, rf"(?s)^'*[{signs}].")
    number = pc.match_substring_regex(text, r"^'*[+-]?[0-9]+(\.[0-9]+)?$")
    return pc.and_not(begins, number)


def read_findings(path: Path) -> pa.Table:
    """Read findings from a folder, a Parquet or a CSV file.

    Raises
    ------
    TableError
        When they are not there or are not findings.
    """
    file = path
    try:
        file = path / PARQUET if path.is_dir() else path
        table = _read(file)
    except FileNotFoundError as error:
        raise TableError(
            f"{file}: there is no such file. Findings are written by: lossan analyze LOG -o DIR"
        ) from error
    except OSError as error:
        raise TableError(f"{file} cannot be read: {error.strerror or error}.") from error
    except LogError as error:
        raise TableError(str(error)) from error
    missing = [c for c in ("sample_id", "flagged") if c not in table.column_names]
    if missing:
        raise TableError(
            f"{file} is not findings: it lacks {', '.join(missing)}; its columns are: "
            f"{', '.join(table.column_names)}."
        )
    return table


def _read(file: Path) -> Any:
    if file.is_dir():  # in parts, each written by a worker
        parts = sorted(file.glob("part-*.parquet"))
        if not parts:
            raise FileNotFoundError(file)
        tables = [_read(part) for part in parts]
        with arrow_errors(str(file)):
            return pa.concat_tables(tables)
    table = _read_file(file)
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise TableError(f"{file} is not findings: the column {twice[0]!r} stands in it twice.")
    return table


def _read_file(file: Path) -> Any:
    with file.open("rb") as handle:
        parquet = handle.read(4) == PARQUET_MAGIC
    with arrow_errors(str(file)):
        if parquet:
            return read_table(file)
        table = pa.csv.read_csv(file, parse_options=_OF_LINES, convert_options=_AS_WRITTEN)
        names = table.column_names
    for field in (f for f in _NAMES if names.count(f) == 1):
        values = integers_where_all_are(_as_it_was(table[field].combine_chunks()))
        table = table.set_column(table.column_names.index(field), field, values)
    return table
