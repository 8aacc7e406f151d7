"""Changed files: bytes anywhere, and where each format keeps what it says about itself."""

import io
import random
import struct
import zipfile
import zlib

import readers

_BYTES = (0, 1, 0x7F, 0x80, 0xFF)
_NO_ARCHIVE = (
    *(zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError, OSError),
    *(NotImplementedError,),
)
_TEXTS = [
    *(b"null", b"NaN", b"-1", b"1e999", b"9223372036854775808", b"0.5", b"true", b"[]", b"{}"),
    *(b'"', b"'", b",", b"\n", b"\r", b"\0", b"\xff", b"\xed\xa0\x80", b"[" * 2000, b"{" * 99),
    *(b"\\ud800", b"9" * 5000, b"1979-05-27T07:32:00Z", b"inf", b'"a"', b'[[1], "x"]', b"\xef\xbb"),
    *(b"sample_id", b"label", b"epochs", b"\xe2\x80\xae", b"=1+1", b"-0", b"1_000", b"0x10"),
]


def mutate(kind: str, content: bytes, rng: random.Random) -> bytes:
    """Return a file changed in one to four places."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        how = rng.choice(_WAYS[kind])
        content = how(content, rng)
    return content


def _flip(content: bytes, rng: random.Random) -> bytes:
    return _flip_between(content, 0, len(content), rng)


def _flip_between(content: bytes, start: int, stop: int, rng: random.Random) -> bytes:
    if stop <= start:
        return content
    changed = bytearray(content)
    place = rng.randrange(start, stop)
    changed[place] = rng.choice(
        (*_BYTES, rng.randrange(256), changed[place] ^ 1 << rng.randrange(8))
    )
    return bytes(changed)


def _number(content: bytes, rng: random.Random) -> bytes:
    """Write a telling number over some bytes."""
    value = rng.choice((0, 1, -1, 2**31 - 1, -(2**31), 2**62, -(2**63), rng.getrandbits(32)))
    width = rng.choice(["<i", "<q", ">i", ">q"])
    raw = struct.pack(width, value if "q" in width else max(-(2**31), min(value, 2**31 - 1)))
    place = rng.randrange(max(1, len(content)))
    return content[:place] + raw + content[place + len(raw) :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _drop(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.choice((1, 2, 8, 64)) :]


def _double(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    piece = content[start : start + rng.choice((1, 8, 64, 512))]
    return content[:start] + piece * rng.choice((2, 2, 3, 50)) + content[start + len(piece) :]


def _footer(content: bytes, rng: random.Random) -> bytes:
    """Change a byte of a Parquet footer, which says where and what everything is."""
    if len(content) < 12:
        return content
    length = struct.unpack("<I", content[-8:-4])[0]
    return _flip_between(content, max(4, len(content) - 8 - length), len(content) - 8, rng)


def _varint(content: bytes, rng: random.Random) -> bytes:
    """Put a huge number into a Parquet footer in place of a small one."""
    if len(content) < 12:
        return content
    length = struct.unpack("<I", content[-8:-4])[0]
    start = len(content) - 8 - length
    if start < 4 or not length:
        return content
    footer = bytearray(content[start:-8])
    place = rng.randrange(length)
    value = rng.choice((2**20, 2**31, 2**35, 2**62, 2**63 - 1, 2**64 - 1))
    raw = bytearray()
    while value:
        raw.append((value & 0x7F) | 0x80)
        value >>= 7
    raw[-1] &= 0x7F
    footer[place : place + 1] = raw
    return content[:start] + bytes(footer) + struct.pack("<I", len(footer)) + b"PAR1"


def _text(content: bytes, rng: random.Random) -> bytes:
    """Put a telling text somewhere, or in place of something between two separators."""
    text = rng.choice(_TEXTS)
    place = rng.randrange(len(content) + 1)
    if rng.random() < 0.5:
        return content[:place] + text + content[place:]
    stop = place
    while stop < len(content) and content[stop : stop + 1] not in b",:\n]} ":
        stop += 1
    start = place
    while start and content[start - 1 : start] not in b",:\n[{ ":
        start -= 1
    return content[:start] + text + content[stop:]


def _lines(content: bytes, rng: random.Random) -> bytes:
    """Drop, repeat or exchange a line."""
    lines = content.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    how = rng.randrange(3)
    if how == 0:
        del lines[one]
    elif how == 1:
        lines.insert(one, lines[other])
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _member(content: bytes, rng: random.Random) -> bytes:
    """Change an array inside an NPZ file, whose checksums then hold all the same."""
    try:
        found = readers.members(content)
    except _NO_ARCHIVE:
        return content
    out = io.BytesIO()
    chosen = rng.choice(list(found)) if found else ""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in found.items():
            archive.writestr(name, _array(data, rng) if name == chosen else data)
    return out.getvalue()


def _array(data: bytes, rng: random.Random) -> bytes:
    """Change an array, mostly where it says what it holds."""
    if rng.random() < 0.6:
        return _flip_between(data, 0, min(128, len(data)), rng)
    return rng.choice((_flip, _number, _cut, _double))(data, rng)


_ANY = (_flip, _flip, _number, _cut, _drop, _double)
_WAYS = {
    "parquet": (*_ANY, *(_footer,) * 6, *(_varint,) * 3),
    "npz": (*_ANY, *(_member,) * 6),
    "text": (*_ANY, *(_text,) * 6, _lines, _lines),
}
