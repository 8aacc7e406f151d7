"""Thrift's compact protocol, in which Parquet says what a file holds; read, never written."""

from typing import Any, final

Struct = dict[int, Any]
"""The values of a struct by the number of their field."""

_TRUE, _FALSE, _BYTE, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 6, 7, 8, 9, 10, 12
_DEEPEST = 16  # Parquet's own structs nest five deep
_LAST, _TOO_LONG = 63, "an integer has more than 64 bits"  # the last of ten bytes begins there


class ThriftError(ValueError):
    """Bytes that are not what they should be."""


@final
class ThriftReader:
    """Reads structs from bytes that may be anything.

    Parameters
    ----------
    data : bytes
    place : int
        Where the first struct begins; afterwards where the last one ended.
    """

    def __init__(self, data: bytes, place: int = 0) -> None:
        self._data, self.place = data, place

    def struct(self, depth: int = 0) -> Struct:
        """Read a struct.

        Raises
        ------
        ThriftError
            When there is none, or it ends too early.
        """
        if depth > _DEEPEST:
            raise ThriftError("structs nest too deep")
        found: Struct = {}
        number = 0
        data, place = self._data, self.place
        try:
            while head := data[place]:
                place += 1
                number += head >> 4
                if not (head >> 4 and _BYTE < head & 15 <= _I64):
                    self.place = place
                    number = number if head >> 4 else self._integer()
                    found[number] = self._value(head & 15, depth)
                    place = self.place
                    continue
                # most are integers: read here, for a log has tens of thousands of pages
                byte, shift = data[place], 7
                value = byte & 0x7F
                while byte >= 0x80:
                    if shift > _LAST:
                        raise ThriftError(_TOO_LONG)
                    place += 1
                    byte = data[place]
                    value |= (byte & 0x7F) << shift
                    shift += 7
                place += 1
                found[number] = (value >> 1) ^ -(value & 1)
        except IndexError:
            raise ThriftError("it ends too early") from None
        self.place = place + 1
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth)
        if kind == _BINARY:
            return self._bytes(self._unsigned())
        return self._plain(kind)

    def _plain(self, kind: int) -> int | bool | bytes:
        if _BYTE < kind <= _I64:
            return self._integer()
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _BYTE:
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        raise ThriftError(f"there is no type {kind}")  # of maps Parquet has none

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self._unsigned()
        if count > len(self._data) - self.place:  # each value takes a byte at least
            raise ThriftError(f"a list claims {count} values")
        kind = _BYTE if kind in (_TRUE, _FALSE) else kind
        return [self._value(kind, depth) for _ in range(count)]

    def _byte(self) -> int:
        try:
            byte = self._data[self.place]
        except IndexError:
            raise ThriftError("it ends too early") from None
        self.place += 1
        return byte

    def _bytes(self, count: int) -> bytes:
        stop = self.place + count
        if stop > len(self._data):
            raise ThriftError("it ends too early")
        taken = self._data[self.place : stop]
        self.place = stop
        return taken

    def _integer(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > _LAST:
                raise ThriftError(_TOO_LONG)
