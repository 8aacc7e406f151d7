"""A file that only grows: each line is on disk before whoever wrote it goes on."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import final

from filelock import FileLock, Timeout

from lossan.errors import DecisionsError, OutputError
from lossan.io._atomic import sync

_PATIENCE = 10.0  # seconds; a line takes milliseconds, so a longer wait means a hanging process
_O_BINARY = getattr(os, "O_BINARY", 0)


@final
class LineFile:
    """A file of lines that several processes append to.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Hidden, beside the file: locking the file itself would keep others from reading it where
        # locks are mandatory.
        self._lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=_PATIENCE)
        self._threads = Lock()

    def create(self) -> None:
        """Make the file where there is none, so that a folder one cannot write to is told early.

        Raises
        ------
        OutputError
            When it cannot be written.
        """
        try:
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _O_BINARY, 0o666))
            sync(self.path.parent)
        except OSError as error:
            raise OutputError.from_os_error(self.path, error) from error

    def read(self, start: int = 0) -> bytes:
        """Return what stands in the file from a byte on.

        Raises
        ------
        DecisionsError
            When it cannot be read, or has become shorter than that.
        """
        try:
            with self.path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < start:
                    raise DecisionsError(
                        f"{self.path} has become shorter while it was in use, so lines of it were "
                        "lost. It must only ever grow; restore it and start again."
                    )
                file.seek(start)
                return file.read()
        except FileNotFoundError as error:
            raise DecisionsError(f"{self.path}: there is no such file.") from error
        except OSError as error:
            raise DecisionsError(
                f"{self.path} cannot be read: {error.strerror or error}."
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all others, threads and processes, from appending.

        Raises
        ------
        OutputError
            When that takes too long, or the folder cannot be written to.
        """
        with self._threads:
            try:
                self._lock.acquire()
            except Timeout as error:
                raise OutputError(
                    f"cannot write {self.path}: another process has held {self._lock.lock_file} "
                    f"for {_PATIENCE:.0f} s. End it, or wait; nothing was written."
                ) from error
            except OSError as error:
                raise OutputError.from_os_error(self.path, error) from error
            try:
                yield
            finally:
                self._lock.release()

    def append(self, line: bytes) -> None:
        """Append a line, or several, by one write and flush it to disk; call it inside `locked`.

        A last line that was cut off is ended first, so that the two do not run together.

        Raises
        ------
        OutputError
            When the line could not be kept; then it is not in the file.
        """
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _O_BINARY, 0o666)
            try:
                _write(handle, line)
            finally:
                os.close(handle)
        except OSError as error:
            raise OutputError.from_os_error(self.path, error) from error

    def sync(self) -> None:
        """Flush to disk what others may have written and not yet flushed.

        Raises
        ------
        OutputError
            When that fails.
        """
        try:
            handle = os.open(self.path, os.O_RDWR | _O_BINARY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise OutputError.from_os_error(self.path, error) from error


def _write(handle: int, line: bytes) -> None:
    size = os.lseek(handle, 0, os.SEEK_END)
    whole = size == 0 or _last_byte(handle, size) == b"\n"
    data = (b"" if whole else b"\n") + line + b"\n"
    try:
        if os.write(handle, data) != len(data):
            raise OSError(errno.ENOSPC, "the disk is full")  # noqa: TRY301  (the handler cuts it off)
        os.fsync(handle)
    except OSError:
        # Whoever asked is told that it failed and may ask again: the line must not count already.
        with suppress(OSError):
            os.ftruncate(handle, size)
        raise


def _last_byte(handle: int, size: int) -> bytes:
    os.lseek(handle, size - 1, os.SEEK_SET)
    return os.read(handle, 1)
