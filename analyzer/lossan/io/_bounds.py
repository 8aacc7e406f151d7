"""What a Parquet file claims, held against what so many bytes can hold, before Arrow acts on it.

Arrow believes the sizes that a file states: a few hundred bytes can ask for gigabytes, and numbers
below zero or that contradict each other reach code that ends the process. The numbers of fields are
those of the format's parquet.thrift.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa

from lossan.io._thrift import Struct, ThriftError, ThriftReader

_INT32, _INT64, _INT96, _BYTE_ARRAY, _FIXED = 1, 2, 3, 6, 7
_REPEATED = 2
_WHOLE_NUMBERS = range(11, 19)  # converted types: whole numbers with and without a sign
_LOGICAL_WHOLE = 10
_DICTIONARY_PAGE = 2
_DELTA_BYTE_ARRAY = 7  # each text may repeat as much of the one before as it likes
_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_FREE_VALUES, _FREE_BYTES = 1 << 22, 1 << 26
# What a byte of a file may stand for: losses alone need about one each, texts may repeat.
_VALUES_EACH, _BYTES_EACH = 64, 256
_WIDEST = 32  # bytes of a number with its levels, generously
_HEAD = 1 << 8  # bytes of most page headers


@dataclass(frozen=True)
class Chunk:
    """A column of a row group.

    Parameters
    ----------
    kind : int
        Its physical type.
    values : int
        With nulls, and of a list column those of all lists.
    start, size : int
        Where its pages stand in the file, and their bytes.
    codec : int
    ends : tuple of bytes, optional
        The least and the greatest value, as the statistics give them.
    constant : int, optional
        The one value of all rows, where it is a whole number below 2^31 and the statistics tell.
    """

    kind: int
    values: int
    start: int
    size: int
    codec: int
    ends: tuple[bytes, bytes] | None
    constant: int | None


@dataclass(frozen=True)
class Group:
    """A row group.

    Parameters
    ----------
    number : int
        Its place in the file.
    rows : int
    chunks : dict
        By the path of the column, pieces joined by dots.
    room : int
        Bytes of text that the file may stand for.
    """

    number: int
    rows: int
    chunks: dict[str, Chunk]
    room: int

    def check_pages(self, file: IO[bytes], columns: list[str]) -> int | None:
        """Hold what the pages of some columns claim against what they can hold.

        Returns
        -------
        int, optional
            How many rows may be decoded at a time at most, where that matters.

        Raises
        ------
        pyarrow.ArrowInvalid
            When a page claims too much.
        """
        widest = 0
        if not self.rows:  # then there may be no page at the place that is stated
            return None
        for path, chunk in self.chunks.items():
            if any(path == column or path.startswith(f"{column}.") for column in columns):
                with _kinds_of_value(f"a page of {path}"):
                    total, row = _check_chunk(file, path, chunk, self.room)
                    if total > self.room:  # were the longest text of a dictionary in every row
                        total = _text_bytes(file, self.number, path, total)
                    if total > self.room:
                        raise _too_much(path, total)
                    widest = max(widest, row)
        return max(1, self.room // widest) if widest else None


def check_footer(footer: Struct, size: int) -> tuple[Group, ...]:
    """Hold a footer against its file's size, and return its row groups.

    Raises
    ------
    pyarrow.ArrowInvalid
        When its numbers contradict each other, or the file is too small for what it claims.
    """
    with _kinds_of_value("its footer"):
        leaves = _leaves(footer[2])
        room = _FREE_BYTES + _BYTES_EACH * size
        groups = tuple(
            _group(number, group, leaves, size, room) for number, group in enumerate(footer[4])
        )
        rows = footer[3]
        if sum(group.rows for group in groups) != rows:
            raise pa.ArrowInvalid(f"its footer claims {rows} rows, its row groups others")
        values = sum(chunk.values for group in groups for chunk in group.chunks.values())
        if max(values, rows) > _FREE_VALUES + _VALUES_EACH * size:
            raise pa.ArrowInvalid(f"it claims {values:,} values, more than {size:,} bytes can hold")
    return groups


@contextmanager
def _kinds_of_value(what: str) -> Iterator[None]:
    """Refuse a struct in which a field is missing or holds a value of another kind."""
    try:
        yield
    except pa.ArrowInvalid:
        raise
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise pa.ArrowInvalid(f"{what} is not what it should be ({error!r})") from error


@dataclass(frozen=True)
class _Leaf:
    """A column as the schema describes it.

    Parameters
    ----------
    kind : int
        Its physical type.
    lists : bool
    width : int
        Bytes of a value of fixed length.
    whole : bool
        Whether it holds whole numbers: decimals and times are stored as such, too.
    """

    kind: int
    lists: bool
    width: int
    whole: bool

    @classmethod
    def of(cls, element: Struct, *, lists: bool) -> "_Leaf":
        kind, plain = element[1], element.get(6) is None or element[6] in _WHOLE_NUMBERS
        whole = kind in (_INT32, _INT64) and plain and set(element.get(10, ())) <= {_LOGICAL_WHOLE}
        return cls(kind, lists, element.get(2, 0), whole)


def _leaves(schema: list[Struct]) -> list[_Leaf]:
    """Return the columns in their order."""
    found: list[_Leaf] = []
    place = 1

    def below(count: int, repeated: bool, depth: int) -> None:
        nonlocal place
        if depth > 64:
            raise pa.ArrowInvalid("its columns nest too deep")
        for _ in range(count):
            element = schema[place]
            place += 1
            lists = repeated or element.get(3) == _REPEATED
            if element.get(5):
                below(element[5], lists, depth + 1)
            elif 1 in element:
                found.append(_Leaf.of(element, lists=lists))

    below(schema[0][5], repeated=False, depth=0)
    return found


def _group(number: int, group: Struct, leaves: list[_Leaf], size: int, room: int) -> Group:
    rows, columns = group[3], group[1]
    if rows < 0 or len(columns) != len(leaves):
        raise pa.ArrowInvalid(
            f"a row group of {rows} rows has {len(columns)} columns, the schema {len(leaves)}"
        )
    chunks = {}
    for column, leaf in zip(columns, leaves, strict=True):
        about = column[3]
        path = ".".join(piece.decode() for piece in about[3])
        chunk = chunks[path] = _chunk(about, path, leaf, size)
        if chunk.kind != leaf.kind:
            raise pa.ArrowInvalid(f"{path} has another type in a row group than in the schema")
        if chunk.values != rows and (chunk.values < 0 or not leaf.lists):
            raise pa.ArrowInvalid(f"{path} has {chunk.values} values in {rows} rows")
        if leaf.kind == _FIXED and not 0 <= leaf.width * chunk.values <= room:
            raise pa.ArrowInvalid(f"{path} claims {chunk.values:,} values of {leaf.width:,} bytes")
    return Group(number, rows, chunks, room)


def _chunk(about: Struct, path: str, leaf: _Leaf, size: int) -> Chunk:
    kind, codec, values, held = about[1], about[4], about[5], about[7]
    start = about[9]
    if 0 < about.get(11, 0) < start:  # some writers state a dictionary at 0 that is not there
        start = about[11]
    if start < 0 or held < 0 or start + held > size:
        raise pa.ArrowInvalid(f"{path} claims {held} bytes from {start} on, of {size}")
    stated = about.get(12, {})
    low, high = stated.get(6, stated.get(2)), stated.get(5, stated.get(1))
    ends = (low, high) if isinstance(low, bytes) and isinstance(high, bytes) else None
    constant = None
    if leaf.whole and ends is not None and ends[0] == ends[1] and stated.get(3) == 0:
        number = int.from_bytes(ends[0], "little")
        # greater ones may as well be below zero
        constant = number if len(ends[0]) in (4, 8) and number < 1 << 31 else None
    return Chunk(kind, values, start, held, codec, ends, constant)


def _check_chunk(file: IO[bytes], path: str, chunk: Chunk, room: int) -> tuple[int, int]:
    """Hold the pages of a chunk against its values.

    Returns the most bytes that they become, and a value of them where not all at once should be
    decoded: 0 where that does not matter.
    """
    place, stop = chunk.start, chunk.start + chunk.size
    total, most, widest = 0, 0, 0
    of_bytes = chunk.kind in (_BYTE_ARRAY, _FIXED)  # of the latter the footer bounds the values
    while place < stop:
        head, length = _page_head(file, place, stop, path)
        values, encoding = _page_values(head)
        claimed, held = head.get(2, -1), head.get(3, -1)
        if min(values, claimed, held) < 0 or place + length + held > stop:
            raise pa.ArrowInvalid(f"a page of {path} claims {held} bytes, more than there are")
        is_dictionary = head.get(1) == _DICTIONARY_PAGE
        total += claimed
        if chunk.kind == _BYTE_ARRAY and is_dictionary and claimed * chunk.values > room:
            most = chunk.values * _longest(file, place + length, held, claimed, chunk)
        elif chunk.kind == _BYTE_ARRAY and encoding == _DELTA_BYTE_ARRAY:
            widest = max(widest, claimed)
        elif not (is_dictionary or of_bytes) and claimed > _WIDEST * values + _HEAD:
            raise pa.ArrowInvalid(f"a page of {path} claims {claimed:,} bytes of {values} numbers")
        if total > room and (of_bytes or is_dictionary):
            raise _too_much(path, total)
        place += length + held
    return most, widest


def _too_much(path: str, total: int) -> pa.ArrowInvalid:
    return pa.ArrowInvalid(f"{path} claims {total:,} bytes, more than its file can hold")


def _text_bytes(file: IO[bytes], group: int, path: str, most: int) -> int:
    """Return the bytes of a column's texts, each as often as it stands; at most what is stated."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    file.seek(0)
    column = pq.ParquetFile(file, read_dictionary=[path]).read_row_group(group, [path]).column(0)
    total = 0
    for texts in column.chunks:
        if not pa.types.is_dictionary(texts.type):
            return most
        lengths = pc.fill_null(pc.binary_length(texts.dictionary), 0)
        total += pc.sum(lengths.take(texts.indices)).as_py() or 0
    return total


def _page_head(file: IO[bytes], place: int, stop: int, path: str) -> tuple[Struct, int]:
    """Return the header of a page and its length."""
    asked = _HEAD
    while True:
        file.seek(place)
        data = file.read(min(asked, stop - place))
        reader = ThriftReader(data)
        try:
            return reader.struct(), reader.place
        except ThriftError as error:
            if len(data) < asked:
                raise pa.ArrowInvalid(f"a page of {path} has no header ({error})") from error
        asked *= 16  # statistics of long texts stand in it


def _page_values(head: Struct) -> tuple[int, int]:
    """Return how many values a page claims, and their encoding."""
    for field, encoding in ((5, 2), (8, 4), (7, 2)):
        about: Any = head.get(field)
        if isinstance(about, dict):
            return int(about.get(1, -1)), int(about.get(encoding, -1))
    return 0, -1  # an index page, of which nobody has seen one


def _longest(file: IO[bytes], place: int, held: int, claimed: int, chunk: Chunk) -> int:
    """Return the bytes of the longest text in a dictionary."""
    if claimed > _FREE_BYTES:
        return claimed
    file.seek(place)
    data: Any = file.read(held)
    if chunk.codec:
        codec = _CODECS.get(chunk.codec)
        if codec is None:
            return claimed
        data = memoryview(pa.decompress(data, decompressed_size=claimed, codec=codec))
    longest = place = 0
    while place + 4 <= len(data):
        length = int.from_bytes(data[place : place + 4], "little")
        longest = max(longest, length)
        place += 4 + length
    return longest
