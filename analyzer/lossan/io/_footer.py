"""Parquet files opened so that nothing in them is more than data."""

import binascii
import struct
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lossan.io._bounds import Group, check_footer
from lossan.io._thrift import ThriftError, ThriftReader

PARQUET_MAGIC = b"PAR1"
PARQUET_ENDINGS = (".parquet", ".parq", ".pq")
BATCH_ROWS = 1 << 17
_SCHEMA_KEY, _PUT_ASIDE = b"ARROW:schema", b"lossan:other"  # of equal length
_EXTENSION = b"ARROW:extension:name"
_VALUE_FOLLOWS = b"\x18"  # in Thrift's compact protocol: the next field, of bytes
_AT_ONCE = 1 << 16  # bytes from the end, enough for most footers


@dataclass(frozen=True)
class Footer:
    """What a Parquet file says about itself, once it was found possible.

    Parameters
    ----------
    arrow : pyarrow.parquet.FileMetaData
        Not to be asked for row groups: over some damaged ones Arrow ends the process.
    groups : tuple of Group
    """

    arrow: pq.FileMetaData
    groups: tuple[Group, ...]

    @property
    def n_rows(self) -> int:
        """How many rows all row groups hold."""
        return sum(group.rows for group in self.groups)


def open_parquet(source: Any, footer: Footer | None = None) -> pq.ParquetFile:
    """Open a Parquet file without acting on extension types named in it.

    Arrow hands what such a type has stored in the file to the code of whoever registered its
    name in this process, whether the column is wanted or not: ``arrow_extensions_enabled`` does
    not stop that. So a schema that names any is put aside, and its columns are what Parquet itself
    says they are.

    Parameters
    ----------
    source : Path or file object
    footer : Footer, optional
        What `read_footer` found before, to spare reading it again.
    """
    return pq.ParquetFile(
        source,
        metadata=(read_footer(source) if footer is None else footer).arrow,
        pre_buffer=False,
        buffer_size=1 << 16,
        arrow_extensions_enabled=False,
    )


def read_footer(source: Any) -> Footer:
    """Read a file's footer, freed of extension types and held against the file's size.

    Raises
    ------
    pyarrow.ArrowInvalid
        When the file has none that is whole, or it claims what cannot be.
    """
    raw, size = raw_footer(source)
    safe = raw
    if _names_extensions(raw):  # told before Arrow sees it: it acts on them already here
        safe = raw.replace(_SCHEMA_KEY, _PUT_ASIDE)
    whole = b"".join([PARQUET_MAGIC, safe, struct.pack("<I", len(safe)), PARQUET_MAGIC])
    arrow = pq.read_metadata(pa.BufferReader(whole))
    try:
        return Footer(arrow, check_footer(ThriftReader(raw).struct(), size))
    except ThriftError as error:
        raise pa.ArrowInvalid(f"its footer cannot be read: {error}") from error


def group_batches(
    source: Any, footer: Footer, numbers: list[int], columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Decode some columns of row groups, on the calling thread, once their pages were checked.

    Parameters
    ----------
    source : Path or file object
        The pages of what is no file of this machine are not checked: each would be a request.
    footer : Footer
    numbers : list of int
    columns : list of str, optional
        Those that the file does not have are left out; without it all that it has.
    """
    file = open_parquet(source, footer)
    stored = file.schema_arrow.names
    there = None if columns is None else [c for c in columns if c in stored]
    for number in numbers:
        group = footer.groups[number]
        most = _checked(source, group, stored if there is None else there)
        rows = BATCH_ROWS if most is None else min(most, BATCH_ROWS)
        decoded = 0
        plain = None
        for batch in file.iter_batches(rows, [number], there, use_threads=False):
            if most is not None:
                decoded += batch.nbytes
                if decoded > group.room:
                    raise pa.ArrowInvalid("its texts take more memory than its file can hold")
            plain = plain or _as_read(batch.schema)
            yield batch if batch.schema.equals(plain) else batch.cast(plain)


def _as_read(schema: pa.Schema) -> pa.Schema:
    """Return a schema with texts in place of views of them: Arrow cannot yet take rows of those."""
    return pa.schema([f.with_type(_without_view(f.type)) for f in schema], schema.metadata)


def _without_view(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string_view(kind):
        return pa.large_string()
    for is_one, make in ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list)):
        if is_one(kind) and pa.types.is_string_view(kind.value_type):
            return make(pa.large_string())
    if pa.types.is_fixed_size_list(kind) and pa.types.is_string_view(kind.value_type):
        return pa.list_(pa.large_string(), kind.list_size)
    return kind


def read_table(source: Any, columns: list[str] | None = None) -> pa.Table:
    """Read a whole Parquet file, checked as `group_batches` does."""
    footer = read_footer(source)
    schema = _as_read(open_parquet(source, footer).schema_arrow)
    if columns is not None:
        missing = [c for c in columns if schema.names.count(c) != 1]
        if missing:
            raise pa.ArrowInvalid(f"it has no column {missing[0]!r}, or has it twice")
        schema = pa.schema([schema.field(c) for c in columns], schema.metadata)
    numbers = list(range(len(footer.groups)))
    return pa.Table.from_batches(group_batches(source, footer, numbers, columns), schema)


def _checked(source: Any, group: Group, columns: list[str]) -> int | None:
    if isinstance(source, Path):
        with source.open("rb", buffering=0) as file:  # heads lie far apart
            return group.check_pages(file, columns)
    if hasattr(source, "fileno"):
        return group.check_pages(source, columns)
    return None


def raw_footer(source: Any) -> tuple[bytes, int]:
    """Return a file's footer as it stands in it, in Thrift's compact protocol, and its size."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            return raw_footer(file)
    size = source.seek(0, 2)
    source.seek(max(0, size - _AT_ONCE))
    tail: bytes = source.read(_AT_ONCE)
    if len(tail) < 12 or not tail.endswith(PARQUET_MAGIC):
        raise pa.ArrowInvalid("a Parquet file ends with 'PAR1'")
    length = struct.unpack("<I", tail[-8:-4])[0]
    if length + 12 > size:
        raise pa.ArrowInvalid(f"its footer claims {length} bytes of {size}")
    if length + 8 > len(tail):
        source.seek(size - length - 8)
        tail = source.read(length + 8)
    return tail[len(tail) - length - 8 : -8], size


def _names_extensions(raw: bytes) -> bool:
    """Tell whether the Arrow schema in a footer names an extension type, or may be hiding one."""
    count = raw.count(_SCHEMA_KEY)
    if count != 1:
        return count > 1
    place = raw.index(_SCHEMA_KEY) + len(_SCHEMA_KEY)
    if raw[place : place + 1] != _VALUE_FOLLOWS:
        return True
    length = shift = 0
    for byte in raw[place + 1 : place + 6]:  # a variable-length integer, low bits first
        place += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    try:
        return _EXTENSION in b64decode(raw[place + 1 : place + 1 + length], validate=True)
    except binascii.Error:
        return True
