"""Parquet files opened so that nothing in them is more than data."""

import binascii
import struct
from base64 import b64decode
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

PARQUET_MAGIC = b"PAR1"
_SCHEMA_KEY, _PUT_ASIDE = b"ARROW:schema", b"lossan:other"  # of equal length
_EXTENSION = b"ARROW:extension:name"
_VALUE_FOLLOWS = b"\x18"  # in Thrift's compact protocol: the next field, of bytes
_AT_ONCE = 1 << 16  # bytes from the end, enough for most footers


def open_parquet(source: Any, footer: pq.FileMetaData | None = None) -> pq.ParquetFile:
    """Open a Parquet file without acting on extension types named in it.

    Arrow hands what such a type has stored in the file to the code of whoever registered its
    name in this process, whether the column is wanted or not: ``arrow_extensions_enabled`` does
    not stop that. So a schema that names any is put aside, and its columns are what Parquet itself
    says they are.

    Parameters
    ----------
    source : Path or file object
    footer : pyarrow.parquet.FileMetaData, optional
        What this function found before, to spare reading it again.
    """
    return pq.ParquetFile(
        source,
        metadata=read_footer(source) if footer is None else footer,
        pre_buffer=False,
        buffer_size=1 << 16,
        arrow_extensions_enabled=False,
    )


def read_footer(source: Any) -> pq.FileMetaData:
    """Read a file's footer, freed of extension types.

    Raises
    ------
    pyarrow.ArrowInvalid
        When the file has none that is whole.
    """
    raw = raw_footer(source)
    if _names_extensions(raw):  # told before Arrow sees it: it acts on them already here
        raw = raw.replace(_SCHEMA_KEY, _PUT_ASIDE)
    whole = b"".join([PARQUET_MAGIC, raw, struct.pack("<I", len(raw)), PARQUET_MAGIC])
    return pq.read_metadata(pa.BufferReader(whole))


def raw_footer(source: Any) -> bytes:
    """Return a file's footer as it stands in it, in Thrift's compact protocol."""
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
    return tail[len(tail) - length - 8 : -8]


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
