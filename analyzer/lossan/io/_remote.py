"""Files in an object store, by any URL that fsspec knows: s3, gcs, abfs and others."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from lossan.errors import Fault, LogError
from lossan.io._footer import PARQUET_ENDINGS, PARQUET_MAGIC


def is_remote(path: str) -> bool:
    """Tell whether a path is the URL of a store."""
    return "://" in path


@dataclass(frozen=True)
class RemoteFile:
    """One file in a store; opened where it is needed, so that it can be sent to another process.

    Parameters
    ----------
    url : str
    """

    url: str

    def open(self) -> Any:
        """Open the file for reading."""
        store, place = open_store(self.url)
        with store_errors(self.url):
            return _Reader(store.open(place, "rb"), self.url)


class _Reader:
    """A store's file, of which what fails in reading is told: to list one is not to read one."""

    def __init__(self, file: Any, url: str) -> None:
        self._file = file
        self._url = url

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> Any:
        with store_errors(self._url):
            return self._file.read(size)


def open_store(url: str) -> tuple[Any, str]:
    """Return the store of a URL and the place in it.

    Raises
    ------
    LogError
        When fsspec, or what it needs for this kind of store, is not installed or knows no such, or
        the store is not there.
    """
    try:
        import fsspec

        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        message = (
            f"to reach it fsspec and its plug-in for the store are needed ({error}). Install "
            "them: pip install 'lossan[dask]', and s3fs, gcsfs or adlfs."
        )
        raise LogError(url, [Fault("store", message)]) from error
    except ValueError as error:
        raise LogError(url, [Fault("store", f"no such kind of store: {error}.")]) from error
    except Exception as error:  # each store fails in ways of its own
        told = f"cannot be reached: {str(error) or type(error).__name__}."
        raise LogError(url, [Fault("store", told)]) from error


@contextmanager
def open_remote(url: str, mode: str = "wb") -> Iterator[Any]:
    """Open a file in a store; what is written appears whole when it is closed."""
    store, place = open_store(url)
    with store_errors(url):
        file = store.open(place, mode)
        try:
            yield file
        except BaseException:
            _throw_away(file)
            raise
        file.close()


def _throw_away(file: Any) -> None:
    """Leave a file in which something failed: closing it would hide what, or write it as it is."""
    with suppress(Exception):
        file.discard()
        file.closed = True
    with suppress(Exception):
        file.close()


def remote_files(url: str) -> list[tuple[str, RemoteFile]]:
    """Return the Parquet files at or below a URL, each with its name below it.

    As in a folder, a file with another name than Parquet's is one where it begins like one.
    """
    store, place = open_store(url)
    with store_errors(url):
        store.invalidate_cache()
        if store.isfile(place):
            return [(url, RemoteFile(url))]
        sizes = {path: entry.get("size") for path, entry in store.find(place, detail=True).items()}
    scheme = url.split("://", 1)[0]
    # of an empty file a store gives no beginning
    files = {
        path: (inside, RemoteFile(f"{scheme}://{path.split('://')[-1]}"))
        for path in sorted(sizes)
        if not is_hidden(inside := path[len(place.rstrip("/")) + 1 :])
        and (inside.lower().endswith(PARQUET_ENDINGS) or sizes[path] != 0)
    }
    others = {
        path: f for path, (name, f) in files.items() if not name.lower().endswith(PARQUET_ENDINGS)
    }
    for path in others.keys() - _parquet_among(store, url, others):
        del files[path]
    if not files:
        message = "there is no Parquet file at or below it. Check the URL."
        raise LogError(url, [Fault("not_found", message)])
    return list(files.values())


def is_hidden(inside: str) -> bool:
    """Tell whether a file in a log's folder is none of it: unfinished, or a marker as _SUCCESS."""
    return any(piece.startswith((".", "_")) for piece in inside.split("/"))


def _parquet_among(store: Any, url: str, files: dict[str, RemoteFile]) -> set[str]:
    """Return the paths of those files that begin as Parquet does, asking for all at once."""
    size = len(PARQUET_MAGIC)
    with store_errors(url):
        heads = store.cat_ranges([*files], [0] * len(files), [size] * len(files), on_error="return")
    found = set()
    for (path, file), head in zip(files.items(), heads, strict=True):
        with store_errors(file.url):
            if isinstance(head, Exception):
                raise head
        if head[:size] == PARQUET_MAGIC:
            found.add(path)
    return found


@contextmanager
def store_errors(url: str) -> Iterator[None]:
    """Turn what a store raises into a LogError: each has exceptions of its own."""
    try:
        yield
    except LogError:
        raise
    except Exception as error:
        raise LogError(url, [_fault(_first(error))]) from error


def _first(error: Exception) -> Exception:
    """Return what failed first: a writer that closes then writes to a file that is closed."""
    before = error.__context__
    if isinstance(error, ValueError) and isinstance(before, Exception) and not error.__cause__:
        return before
    return error


def _fault(error: Exception) -> Fault:
    said = (str(error).strip().split("\n", 1)[0] or type(error).__name__).rstrip(".")
    if isinstance(error, FileNotFoundError):
        return Fault("not_found", "there is no such file or bucket.")
    if isinstance(error, PermissionError):
        message = f"the store does not let us: {said}. Check the credentials and its rules."
        return Fault("permission", message)
    return Fault("store", f"the store cannot be reached or used: {type(error).__name__}: {said}.")
