"""NPZ logs: plain arrays by name; never pickled objects."""

import json
import math
import os
import sys
import tokenize
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lossan.build import Reading, build_reading
from lossan.errors import Fault, LogError, hint
from lossan.io._metadata import parse_metadata
from lossan.io._options import FIELDS, ReadOptions

# What numpy lets through where a header is not the Python literal it should be.
_BAD_HEADER = (SyntaxError, TypeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error)
_TURNED = 1 << 21  # bytes of rows that are turned to columns at a time, by each core
_RATIO = 1100  # deflate cannot compress better; a header that claims more is lying


def read_npz(path: Path, options: ReadOptions) -> Reading:
    """Read an NPZ log; every member's header is checked before anything is allocated."""
    source = str(path)
    with _zip_errors(source), zipfile.ZipFile(path) as archive:
        arrays = _load(archive, source, options)
    metadata = parse_metadata(str(arrays.pop("meta")) if "meta" in arrays else None, source)
    loss = arrays.pop("loss")
    return build_reading(
        loss,
        arrays.pop("sample_id", None),
        arrays,
        metadata=metadata,
        layout="npz",
        invalid=options.invalid,
        duplicates=options.duplicates,
        ours=True,
    )


def read_arrays(path: Path) -> dict[str, Any]:
    """Read every array of an NPZ file that is no log, such as a checkpoint.

    Raises
    ------
    LogError
        When it is no whole NPZ file of plain arrays.
    """
    with _zip_errors(str(path)), zipfile.ZipFile(path) as archive:
        members = _members(archive)
        return _read_all(
            archive, members, {name: name for name in members}, str(path), turned=False
        )


def write_npz(arrays: dict[str, Any], metadata: dict[str, Any], file: Any) -> None:
    """Write arrays and metadata as an NPZ log."""
    np.savez_compressed(file, meta=np.array(json.dumps(metadata)), **arrays, allow_pickle=False)


@contextmanager
def _zip_errors(source: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        message = f"it is not a whole zip archive ({error}). Copy or write it again."
        raise LogError(source, [Fault("truncated", message)]) from error
    except MemoryError as error:
        raise LogError(source, [Fault("memory", f"not enough memory: {error}")]) from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {info.filename.removesuffix(".npy"): info for info in archive.infolist()}


def _load(archive: zipfile.ZipFile, source: str, options: ReadOptions) -> dict[str, Any]:
    members = _members(archive)
    faults = [
        Fault("no_column", f"there is no array {column!r} ({option}); {hint(column, members)}")
        for option, column in options.given().items()
        if column not in members
    ]
    wanted = {f: options.column(f) for f in FIELDS if f != "epoch" and options.column(f) in members}
    if "loss" not in wanted and not faults:
        message = (
            f"there is no array 'loss'; its arrays are: {', '.join(members) or 'none'}. "
            "Name the one with the losses by --loss-column."
        )
        faults.append(Fault("no_column", message))
    wanted |= {"meta": "meta"} if "meta" in members else {}
    if faults:
        raise LogError(source, faults)
    return _read_all(archive, members, wanted, source, turned=True)


def _read_all(
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    wanted: dict[str, str],
    source: str,
    *,
    turned: bool,
) -> dict[str, Any]:
    """Read members by the names wanted for them, once every header was found sound."""
    faults = []
    for name in wanted.values():
        faults += _header_faults(archive, members[name], name)
    if faults:
        raise LogError(source, faults)
    arrays = {}
    for field, name in wanted.items():
        try:
            with archive.open(members[name]) as member:
                found = _read_rows(member) if turned else None
            if found is None:
                with archive.open(members[name]) as member:
                    found = npy.read_array(member, allow_pickle=False)
            if not _is_text(found):
                message = f"the array {name!r} is damaged (its text holds what is no character)"
                raise LogError(source, [Fault("damaged", f"{message}. Write the log again.")])
            arrays[field] = found
        except ValueError as error:
            message = f"the array {name!r} is damaged ({error}). Write the log again."
            raise LogError(source, [Fault("damaged", message)]) from error
    return arrays


def _is_text(values: NDArray[Any]) -> bool:
    """Tell whether strings, if that is what they are, hold characters; numpy takes any number."""
    if values.dtype.kind != "U" or not values.dtype.itemsize or not values.size:
        return True
    codes = np.ascontiguousarray(values).reshape(-1)
    return bool(
        codes.view(np.dtype("u4").newbyteorder(codes.dtype.byteorder)).max() <= sys.maxunicode
    )


def _read_rows(member: IO[bytes]) -> NDArray[Any] | None:
    """Read numbers of shape (n_samples, n_epochs), each epoch together in memory; None of others.

    Turned as they come, on all cores, they are held once, and while the next are decompressed.
    """
    shape, by_column, dtype = _header(member)
    if len(shape) != 2 or by_column or dtype.kind not in "fiu" or 0 in shape:
        return None
    size = dtype.itemsize * shape[1]
    matrix = np.empty(shape[::-1], dtype)
    step = max(1, _TURNED // size)
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        turning: deque[Future[None]] = deque()
        for start in range(0, shape[0], step):
            stop = min(start + step, shape[0])
            data = member.read((stop - start) * size)
            if len(data) < (stop - start) * size:
                raise ValueError(f"it ends after {start + len(data) // size} of {shape[0]} rows")
            rows = np.frombuffer(data, dtype).reshape(-1, shape[1])
            if len(turning) > cores:
                turning.popleft().result()
            turning.append(pool.submit(np.copyto, matrix[:, start:stop], rows.T))
    return matrix.T


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(member)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return read(member)


def _header_faults(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> list[Fault]:
    try:
        with archive.open(info) as member:
            shape, _, dtype = _header(member)
    except (ValueError, EOFError, OSError, RuntimeError, *_BAD_HEADER) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        return [Fault("damaged", f"the array {name!r} has no readable header ({first}).")]
    if dtype.hasobject:
        message = (
            f"the array {name!r} holds pickled Python objects, which can run code and are never "
            "loaded. Save numbers, or fixed-width strings by astype(str)."
        )
        return [Fault("pickle", message)]
    # Items of no bytes, as of the type U0, cost memory all the same once they are strings.
    claimed = math.prod((max(1, dtype.itemsize), *shape))
    if claimed > info.file_size or info.file_size > _RATIO * (info.compress_size + 64):
        message = f"the array {name!r} claims {claimed} bytes, more than its member can hold."
        return [Fault("damaged", message)]
    return []
