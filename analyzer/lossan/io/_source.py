"""What a path holds, told by its content; the Parquet files behind it."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Any

import pyarrow as pa

from lossan.errors import Fault, LogError
from lossan.io._footer import (
    PARQUET_ENDINGS,
    PARQUET_MAGIC,
    Footer,
    group_batches,
    open_parquet,
    read_footer,
)
from lossan.io._remote import RemoteFile, is_hidden, is_remote, remote_files

ZIP_MAGIC = b"PK\x03\x04"
ITSELF = "the log"
"""What a fault names that is of no single file; whoever opened the log says which it is."""


@dataclass(frozen=True)
class Part:
    """One Parquet file of a log.

    Parameters
    ----------
    name : str
        The file, as messages call it.
    source : Path, RemoteFile or file object
    epoch : int, optional
        The epoch its folder names, as in ``epoch=3/part-0.parquet``, or its statistics tell: that
        of rows without one.
    """

    name: str
    source: Any
    epoch: int | None = None

    @property
    def can_be_shared(self) -> bool:
        """Whether several threads may have it open: each opens a path for itself."""
        return isinstance(self.source, Path)

    @property
    def can_be_sent(self) -> bool:
        """Whether another process can open it."""
        return isinstance(self.source, Path | RemoteFile)

    def footer(self) -> Footer:
        """Read the file's footer."""
        return read_footer(self._file())

    def schema(self, footer: Footer) -> pa.Schema:
        """Return the columns that its footer states."""
        return open_parquet(self._file(), footer).schema_arrow

    def batches(
        self, footer: Footer, groups: list[int], columns: list[str]
    ) -> Iterator[pa.RecordBatch]:
        """Decode those of some columns that are there, on the calling thread."""
        return group_batches(self._file(), footer, groups, columns)

    def _file(self) -> Any:
        source = self.source
        if isinstance(source, RemoteFile):
            return source.open()
        if not self.can_be_shared:
            source.seek(0)
        return source


@contextmanager
def parts_of(path: str) -> Iterator[list[Part] | Path]:
    """Yield the Parquet parts of a log, or the path itself where it is an NPZ file.

    A fault names the log, also one of a file inside it or of none.
    """
    with _opened(path) as parts:
        try:
            yield parts
        except LogError as error:
            faults = error.faults
            if error.where in _inside(path, parts):
                faults = tuple(fault.inside(error.where) for fault in faults)
            elif error.where != ITSELF:
                raise
            raise LogError(path, faults) from error


def _inside(path: str, parts: list[Part] | Path) -> set[str]:
    """Return the names of a log's files that are not the log itself."""
    if isinstance(parts, Path) or not all(part.can_be_sent for part in parts):
        return set()
    return {part.name for part in parts} - {path, str(Path(path))}


@contextmanager
def _opened(path: str) -> Iterator[list[Part] | Path]:
    """Open what is piped in, and yield the parts, or the path of an NPZ file."""
    if is_remote(path):
        yield [Part(n, file, _epoch_of(PurePosixPath(n))) for n, file in remote_files(path)]
        return
    place = Path(path)
    try:
        if path == "-":
            with _spooled(_standard_input(), "standard input") as parts:
                yield parts
        elif place.is_fifo():
            with place.open("rb") as pipe, _spooled(pipe, path) as parts:
                yield parts
        elif place.is_dir():
            yield _directory_parts(place)
        else:
            yield _file_parts(place)
    except ValueError as error:
        if "\0" not in path:
            raise
        raise LogError(path, [Fault("not_found", "no file's name holds a NUL.")]) from error
    except FileNotFoundError as error:
        raise LogError(
            path, [Fault("not_found", f"there is no such file.{_near(place)}")]
        ) from error
    except PermissionError as error:
        message = "it cannot be read: permission denied. Ask its owner, or run as another user."
        raise LogError(str(error.filename or path), [Fault("permission", message)]) from error
    except OSError as error:
        message = f"it cannot be read: {error.strerror or error}."
        raise LogError(path, [Fault("unreadable", message)]) from error


def _standard_input() -> IO[bytes]:
    if sys.stdin is None:  # closed by whoever started us
        raise LogError("-", [Fault("not_found", "standard input is closed.")])
    return sys.stdin.buffer


@contextmanager
def _spooled(stream: IO[bytes], name: str) -> Iterator[list[Part]]:
    """Keep what a pipe brings in a file, for Parquet is read from its end."""
    with tempfile.TemporaryFile() as spool:
        shutil.copyfileobj(stream, spool, 1 << 20)
        if spool.tell() == 0:
            raise LogError(name, [Fault("empty", "nothing came in.")])
        _check_parquet(spool, name, piped=True)
        yield [Part(name, spool)]


def recording_folder(path: Path) -> Path:
    """Return the folder in which the Recorder keeps the epochs of a log still being written."""
    return path.with_name(path.name + ".recording")


def _near(place: Path) -> str:
    if recording_folder(place).is_dir():
        return (
            f" A recording of it that was not closed is in {recording_folder(place)}: analyse "
            "that, or go on with it by Recorder(..., resume=True)."
        )
    return " Check the path."


def _file_parts(place: Path) -> list[Part] | Path:
    with place.open("rb") as file:
        magic = file.read(4)
        if magic == ZIP_MAGIC:
            return place
        _check_parquet(file, str(place))
    return [Part(str(place), place)]


def _check_parquet(file: IO[bytes], name: str, *, piped: bool = False) -> None:
    """Refuse what is not Parquet, or Parquet whose end is missing."""
    file.seek(0)
    head = file.read(4)
    if not head:
        raise LogError(name, [Fault("empty", "the file is empty.")])
    if head == ZIP_MAGIC and piped:
        message = "what is piped in must be Parquet; this is a zip archive. Give NPZ as a file."
        raise LogError(name, [Fault("format", message)])
    if head != PARQUET_MAGIC:
        message = (
            f"it is neither Parquet nor NPZ: it begins with {head!r}. A loss log is a Parquet "
            "file, a directory of them, or an NPZ file."
        )
        raise LogError(name, [Fault("format", message)])
    size = file.seek(0, 2)
    file.seek(max(0, size - 4))
    if size < 12 or file.read(4) != PARQUET_MAGIC:
        message = "it is truncated: a Parquet file ends with 'PAR1'. Copy or write it again."
        raise LogError(name, [Fault("truncated", message)])
    file.seek(0)


def _directory_parts(place: Path) -> list[Part]:
    parts, faults = [], []
    for path in sorted(_files_below(place)):
        inside = path.relative_to(place)
        if is_hidden(inside.as_posix()):
            continue
        with path.open("rb") as file:
            named = path.suffix.lower() in PARQUET_ENDINGS
            if not named and file.read(4) != PARQUET_MAGIC:
                continue
            try:
                _check_parquet(file, str(path))
            except LogError as error:
                faults += [fault.inside(str(inside)) for fault in error.faults]
                continue
        parts.append(Part(str(inside), path, _epoch_of(inside)))
    if faults:
        raise LogError(str(place), faults)
    if not parts:
        message = "the directory holds no Parquet file; a directory log is made of long ones."
        raise LogError(str(place), [Fault("empty", message)])
    return parts


def _files_below(place: Path) -> Iterator[Path]:
    """Yield every file; a folder that cannot be listed is an error, not an empty one."""

    def stop(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(place, onerror=stop):
        yield from (p for name in names if (p := Path(folder, name)).is_file())


def _epoch_of(inside: PurePath) -> int | None:
    for piece in inside.parts[:-1]:
        if match := re.fullmatch(r"epoch=(-?\d{1,18})", piece):
            return int(match[1])
    return None


@contextmanager
def arrow_errors(name: str) -> Iterator[None]:
    """Turn what Arrow raises on a damaged file into a LogError that names the file."""
    try:
        yield
    except UnicodeError as error:
        message = f"its name, or that of a column, is not valid UTF-8 ({error}). Rename it."
        raise LogError(name, [Fault("encoding", message)]) from error
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, PermissionError | FileNotFoundError):
            raise
        said = str(error).strip().splitlines() or [""]
        first = said[0].rstrip(". ") or type(error).__name__
        if isinstance(error, MemoryError):
            fault = Fault("memory", f"there is not enough memory to read it ({first}).")
        else:
            fault = Fault("damaged", f"it is damaged: {first}. Copy or write it again.")
        raise LogError(name, [fault]) from error
