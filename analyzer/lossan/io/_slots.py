"""From sample ids, in any order, to the storage slots their losses go to.

Three ways, all vectorised: ids from a dense range address directly; other integers go through an
open-addressing hash table; strings through the same table by a 64-bit hash, each hit compared
with the string itself, so that the result is exact.
"""

from abc import ABC, abstractmethod
from concurrent.futures import Executor, Future
from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.order import padded, stable_order

Slots = NDArray[np.int64]
Hashes = NDArray[np.int64]

_BLOCK = 1 << 16  # look-ups at a time: their temporaries stay in the cache
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads consecutive keys
_LONGEST = 256  # bytes of a string that are hashed as one padded row


class SlotIndex(ABC):
    """Hands out a slot, 0, 1, 2 and so on, to each distinct sample id."""

    @property
    @abstractmethod
    def capacity(self) -> int:
        """One more than the largest slot handed out."""

    @abstractmethod
    def lookup(self, ids: pa.Array, hashes: Hashes | None = None) -> Slots:
        """Return the slots of ids, handing out new ones to ids not seen before.

        Parameters
        ----------
        ids : pyarrow.Array
        hashes : ndarray of int64, optional
            What `hashes_of` returns of them, where that is known.
        """

    @abstractmethod
    def ids_of(self, slots: Slots) -> pa.Array:
        """Return the ids of slots."""

    def ascending(self, used: NDArray[np.bool_]) -> tuple[pa.Array, Slots]:
        """Return the ids of the used slots in ascending order, and their slots: the last call."""
        slots = np.flatnonzero(used)
        ids = self.ids_of(slots)
        order = stable_order(ids)
        return ids.take(pa.array(order)), slots[order]


@final
class RangeSlots(SlotIndex):
    """Integers of a dense range [low, low + size): the slot is the distance to low."""

    def __init__(self, low: int, size: int) -> None:
        self._low, self._size = low, size
        self._all: Future[Slots] | None = None

    def prepare(self, worker: Executor) -> None:
        """Let all slots be listed meanwhile: mostly all are used, and it takes a while."""
        self._all = worker.submit(np.arange, self._size)

    @property
    def capacity(self) -> int:
        return self._size

    def covers(self, ids: pa.Array) -> bool:
        """Tell whether all ids lie in the range; a file's statistics may be wrong."""
        if len(ids) == 0:
            return True
        values = ids.to_numpy()
        if self._low == 0:  # one pass: a negative number is a huge one without its sign
            return bool(values.view(np.uint64).max() < self._size)
        return bool(values.min() >= self._low and values.max() < self._low + self._size)

    def lookup(self, ids: pa.Array, hashes: Hashes | None = None) -> Slots:  # noqa: ARG002  (of strings)
        values = ids.to_numpy()
        return values if self._low == 0 else values - self._low

    def ids_of(self, slots: Slots) -> pa.Array:
        return pa.array(slots if self._low == 0 else slots + self._low)

    def ascending(self, used: NDArray[np.bool_]) -> tuple[pa.Array, Slots]:
        if not used.all():
            slots = np.flatnonzero(used)
        else:
            slots = self._all.result() if self._all else np.arange(self._size)
        return self.ids_of(slots), slots


@final
class IntegerSlots(SlotIndex):
    """Any int64 keys: open addressing with linear probing, at most half full."""

    def __init__(self) -> None:
        self._keys = np.empty(1024, np.int64)
        self._n = 0
        self._rebuild(11)

    @property
    def capacity(self) -> int:
        return self._n

    def lookup(self, ids: pa.Array, hashes: Hashes | None = None) -> Slots:  # noqa: ARG002  (of strings)
        return self.lookup_keys(ids.to_numpy())

    def ids_of(self, slots: Slots) -> pa.Array:
        return pa.array(self._keys[slots])

    def ascending(self, used: NDArray[np.bool_]) -> tuple[pa.Array, Slots]:
        keys = self._keys[: self._n]
        if not used.all():
            slots = np.flatnonzero(used)
            slots = slots[np.argsort(keys[slots], kind="stable")]
            return pa.array(keys[slots]), slots
        self._table = np.empty(0, np.int32)  # large, and done with
        slots = np.argsort(keys, kind="stable")
        keys.sort()
        return pa.array(keys), slots

    def lookup_keys(self, keys: NDArray[np.int64]) -> Slots:
        """Return the slots of int64 keys, handing out new ones."""
        slots = np.empty(len(keys), np.int64)
        for start in range(0, len(keys), _BLOCK):
            block = keys[start : start + _BLOCK]
            found = self._find(block)
            missing = np.flatnonzero(found < 0)
            if len(missing):
                self._insert(np.unique(block[missing]))
                found[missing] = self._find(block[missing])
            slots[start : start + _BLOCK] = found
        return slots

    def _home(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        return ((keys.view(np.uint64) * _GOLDEN) >> self._shift).view(np.int64)

    def _find(self, keys: NDArray[np.int64]) -> Slots:
        place = self._home(keys)
        found = self._table[place].astype(np.int64)
        # Most keys sit at home: what is left to probe shrinks fast.
        rest = np.flatnonzero((found >= 0) & (self._keys[found] != keys))
        while len(rest):
            place[rest] = (place[rest] + 1) & self._mask
            candidate = self._table[place[rest]]
            found[rest] = candidate
            rest = rest[(candidate >= 0) & (self._keys[candidate] != keys[rest])]
        return found

    def _insert(self, keys: NDArray[np.int64]) -> None:
        total = self._n + len(keys)
        if total > len(self._keys):
            self._keys = np.concatenate([self._keys[: self._n], np.empty(total, np.int64)])
        self._keys[self._n : total] = keys
        first, self._n = self._n, total
        if 2 * total > len(self._table):
            self._rebuild((2 * total - 1).bit_length())
        else:
            self._place(np.arange(first, total))

    def _rebuild(self, bits: int) -> None:
        self._table = np.full(1 << bits, -1, np.int32)
        self._mask, self._shift = (1 << bits) - 1, np.uint64(64 - bits)
        for start in range(0, self._n, _BLOCK):
            self._place(np.arange(start, min(start + _BLOCK, self._n)))

    def _place(self, slots: Slots) -> None:
        place = self._home(self._keys[slots])
        while len(slots):
            free = np.flatnonzero(self._table[place] < 0)
            self._table[place[free]] = slots[free]
            # Of several keys that wanted one place the last got it; the others move on.
            rest = np.flatnonzero(self._table[place] != slots)
            slots, place = slots[rest], (place[rest] + 1) & self._mask


@final
class _StringPool:
    """Strings one after another in buffers that grow by doubling; readable as an Arrow array."""

    def __init__(self) -> None:
        self._offsets = np.zeros(1024, np.int64)
        self._data = np.empty(1 << 15, np.uint8)
        self.n = 0

    def append(self, values: pa.Array) -> None:
        offsets = np.frombuffer(values.buffers()[1], np.int64)
        offsets = offsets[values.offset : values.offset + len(values) + 1]
        used = self._offsets[self.n]
        size = offsets[-1] - offsets[0]
        self._offsets = _grown(self._offsets, self.n + 1, len(values))
        self._data = _grown(self._data, used, size)
        if size:
            text = np.frombuffer(values.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
            self._data[used : used + size] = text
        stop = self.n + len(values)
        self._offsets[self.n + 1 : stop + 1] = offsets[1:] - offsets[0] + used
        self.n = stop

    def array(self) -> pa.Array:
        buffers = [None, pa.py_buffer(self._offsets), pa.py_buffer(self._data)]
        return pa.Array.from_buffers(pa.large_string(), self.n, buffers)


def _grown(array: NDArray[Any], used: int, more: int) -> NDArray[Any]:
    """Return an array with room for more, at least doubled when it must move."""
    if used + more <= len(array):
        return array
    grown = np.empty(max(used + more, 2 * len(array)), array.dtype)
    grown[:used] = array[:used]
    return grown


@final
class StringSlots(SlotIndex):
    """Strings: an integer index over their 64-bit hashes, each hit compared with the string."""

    def __init__(self) -> None:
        self._index = IntegerSlots()
        self._slot_of_key = np.empty(0, np.int64)
        self._pool = _StringPool()
        self._colliding: dict[str, int] = {}

    @property
    def capacity(self) -> int:
        return self._pool.n

    def lookup(self, ids: pa.Array, hashes: Hashes | None = None) -> Slots:
        keys = self._index.lookup_keys(string_hashes(ids) if hashes is None else hashes)
        known = len(self._slot_of_key)
        if self._index.capacity > known:
            fresh = np.flatnonzero(keys >= known)
            _, first = np.unique(keys[fresh], return_index=True)
            self._slot_of_key = np.append(self._slot_of_key, self._append(ids, fresh[first]))
        slots = self._slot_of_key[keys]
        stored = self.ids_of(slots)
        if not stored.equals(ids):  # one comparison of all; row by row only after a collision
            differs = pc.not_equal(ids, stored).to_numpy(zero_copy_only=False)
            for row in np.flatnonzero(differs):
                slots[row] = self._resolve(ids, int(row))
        return slots

    def ids_of(self, slots: Slots) -> pa.Array:
        return self._pool.array().take(pa.array(slots))

    def _append(self, ids: pa.Array, rows: NDArray[np.intp]) -> Slots:
        first = self._pool.n
        self._pool.append(ids.take(pa.array(rows)))
        return np.arange(first, self._pool.n)

    def _resolve(self, ids: pa.Array, row: int) -> int:
        """Give a string its own slot though another one has the same hash."""
        text = ids[row].as_py()
        if text not in self._colliding:
            self._colliding[text] = int(self._append(ids, np.array([row]))[0])
        return self._colliding[text]


def hashes_of(ids: pa.Array) -> Hashes | None:
    """Hash ids before they are looked up; None of integers, which need none."""
    return None if pa.types.is_integer(ids.type) else string_hashes(ids)


def string_hashes(values: pa.Array) -> Hashes:
    """Hash each string to 64 bits: a multilinear hash of its bytes, eight at a time.

    A string shorter than another hashes as if padded with zero bytes, so that the hash does not
    depend on its neighbours; the length goes in as well.
    """
    raw = values.cast(pa.large_binary())
    lengths = pc.binary_length(raw).to_numpy(zero_copy_only=False).astype(np.int64)
    long = lengths > _LONGEST
    if long.any():
        raw = pc.if_else(pa.array(long), pa.scalar(b"", pa.large_binary()), raw)
    width = max(8, -(-int(np.where(long, 0, lengths).max(initial=0)) // 8) * 8)
    hashes = lengths.view(np.uint64) * _GOLDEN
    factors = _factors(width // 8)
    for start in range(0, len(raw), _BLOCK):
        words = padded(raw[start : start + _BLOCK], width).view(np.uint64)
        mixed = (words * factors).sum(axis=1, dtype=np.uint64)
        hashes[start : start + _BLOCK] += mixed ^ (mixed >> np.uint64(29))
    for row in np.flatnonzero(long):
        hashes[row] = np.uint64(hash(values[int(row)].as_py()) & 0xFFFFFFFFFFFFFFFF)
    return hashes.view(np.int64)


def _factors(count: int) -> NDArray[np.uint64]:
    """Return odd constants, one a word, the same on every machine."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    steps ^= steps >> np.uint64(31)
    return (steps * np.uint64(0xBF58476D1CE4E5B9)) | np.uint64(1)
