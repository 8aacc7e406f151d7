"""Files that appear whole or not at all, and stay after a power cut."""

import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

from lossan.errors import OutputError


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Write to a hidden file beside ``path``; on success flush it to disk and rename it.

    A symbolic link stays one: the file that it leads to is written.

    Raises
    ------
    OutputError
        When the file cannot be written, or ``path`` is a device or a pipe, which a file would take
        the place of; nothing is left behind.
    """
    temporary: Path | None = None
    try:
        check_local(path)
        path = _written_to(path)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            temporary.chmod(0o666 & ~_umask())
            os.fsync(file.fileno())
        temporary.replace(path)
        sync(path.parent)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError.from_os_error(path, error) from error
        raise


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Let files be written to a hidden folder; on success it becomes ``path``.

    Where ``path`` is there already each file is moved into it, whole, one after another.

    Raises
    ------
    OutputError
        When they cannot be written; nothing new is left in ``path``.
    """
    made: list[Path] = []
    temporary: Path | None = None
    try:
        place = path if path.exists() else path.parent
        if not place.exists():
            made = make_folder(place)
        elif not place.is_dir():
            raise _no_folder(path)  # noqa: TRY301  (the handler tidies up)
        temporary = place / f".{path.name}.{token_hex(4)}.tmp"
        temporary.mkdir()
        yield temporary
        files = sorted(temporary.iterdir())
        for written in (*temporary.rglob("*"), temporary):
            sync(written)
        if path.exists():
            _move_into(path, files)
            temporary.rmdir()
            sync(path)
        else:
            temporary.rename(path)
            temporary = path  # new, so it goes as well if its name cannot be flushed
            sync(path.parent)
    except BaseException as error:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        _remove_empty(made)
        if isinstance(error, OSError):
            raise OutputError.from_os_error(path, error) from error
        if isinstance(error, OutputError) and str(temporary) in str(error):
            # of a file in it: told by the name it would have had
            raise OutputError(str(error).replace(str(temporary), str(path))) from error
        raise


def _written_to(path: Path) -> Path:
    """Return the file that a name leads to, there or not."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OutputError(f"{path} is a device or a pipe; give the name of a file.")
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _no_folder(path: Path) -> OSError:
    code = errno.EEXIST if path.exists() else errno.ENOTDIR
    return OSError(code, os.strerror(code))


def _move_into(path: Path, files: list[Path]) -> None:
    if taken := [file.name for file in files if (path / file.name).is_dir()]:
        raise IsADirectoryError(errno.EISDIR, f"{taken[0]} in it is a directory")
    for file in files:
        file.replace(path / file.name)


def make_folder(path: Path) -> list[Path]:
    """Make a folder and those above it, to stay after a power cut.

    Returns
    -------
    list of Path
        Those that were not there, the deepest first.
    """
    check_local(path)
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        # its own entry too where it was there: a crash may have come before this flush
        for folder in made or [path]:
            sync(folder.parent)
    except OSError:
        _remove_empty(made)
        raise
    return made


def check_local(path: Path) -> None:
    """Refuse what is no name of a file here: ``-``, and a URL, as a path with one slash less."""
    if str(path) == "-":
        raise OutputError("nothing is written to standard output; give the name of a file.")
    first = path.parts[0] if path.parts else ""
    if len(first) > 2 and first.endswith(":"):  # a drive has one letter
        raise OutputError(
            f"{path}: to a store only lossan analyze writes; name a file or folder here."
        )


def _remove_empty(folders: list[Path]) -> None:
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def remove_file(path: Path) -> None:
    """Remove a file, if it is there, not to come back after a power cut."""
    path.unlink(missing_ok=True)
    sync(path.parent)


def remove_unfinished(path: Path) -> None:
    """Remove what killed writers of a file left beside it; nobody may be writing it."""
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    for file in path.parent.glob(f".{glob.escape(path.name)}.????????.tmp"):
        file.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file's data or a folder's entries to disk, where the system lets one."""
    if os.name != "posix":
        return
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder one may write to but not read
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def create_parquet(file: IO[bytes], schema: Any) -> Any:
    """Open a Parquet writer with the settings every file of ours has."""
    import pyarrow.parquet as pq

    few = [n for n in schema.names if n in ("epoch", "label", "true_label", "predicted", "flagged")]
    return pq.ParquetWriter(
        file, schema, compression="zstd", use_dictionary=few, write_page_index=True
    )
