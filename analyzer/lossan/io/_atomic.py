"""Files that appear whole or not at all, and stay after a power cut."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from lossan.errors import OutputError


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Write to a hidden file beside ``path``; on success flush it to disk and rename it.

    Raises
    ------
    OutputError
        When the file cannot be written; nothing is left behind.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError.from_os_error(path, error) from error
        raise


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Let files be written to a hidden folder, then move each into ``path``.

    Raises
    ------
    OutputError
        When they cannot be written; nothing new is left in ``path``.
    """
    made: list[Path] = []
    temporary: Path | None = None
    try:
        made = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=path))
        yield temporary
        files = sorted(temporary.iterdir())
        if taken := [file.name for file in files if (path / file.name).is_dir()]:
            raise IsADirectoryError(errno.EISDIR, f"{taken[0]} in it is a directory")  # noqa: TRY301
        for file in files:
            file.replace(path / file.name)
        temporary.rmdir()
        sync_folder(path)
    except BaseException as error:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):
            for folder in made:
                folder.rmdir()
        if isinstance(error, OSError):
            raise OutputError.from_os_error(path, error) from error
        raise


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to disk, where the system lets one."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
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
