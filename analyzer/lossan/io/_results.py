"""Where findings go: a folder or a place in a store, which may hold those of an earlier run."""

import ctypes
import errno
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

from lossan.errors import OutputError
from lossan.io._atomic import atomic_folder, sync
from lossan.io._findings import PARQUET, PARTS, SUMMARY
from lossan.io._remote import is_remote, open_remote, open_store, store_errors

PICTURE = "sequences.png"
"""The typical sequences, drawn."""
_OURS = (*PARTS, PICTURE)
_PART = re.compile(r"part-\d{5,}\.parquet")
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE, as Linux defines them


def check_output(folder: str) -> None:
    """Refuse a folder that findings cannot be written to, before time is spent on making them.

    Raises
    ------
    OutputError
        When something stands where a folder or a file of the findings is to be.
    """
    if not folder:
        raise OutputError("the folder of findings is named ''; give a name.")
    if is_remote(folder):
        return
    place = Path(folder)
    try:
        above = next(p for p in (place, *place.absolute().parents) if p.exists())
        if not above.is_dir():
            code = errno.EEXIST if above == place else errno.ENOTDIR
            raise _error(folder, code)
        if not os.access(above, os.W_OK | os.X_OK):
            raise _error(folder, errno.EACCES)
    except OSError as error:
        raise OutputError.from_os_error(folder, error) from error
    for name in _OURS:
        if (place / name).is_dir() and not _is_ours(place / name):
            raise OutputError(
                f"cannot write {folder}: {name} in it is a directory, and not one that lossan "
                "wrote. Move it away, or name another folder."
            )


@contextmanager
def findings_folder(folder: str | Path, parts: Collection[str] = ()) -> Iterator[Path]:
    """Let findings be written to a folder that then appears at ``folder``, a path or a URL.

    What an earlier run wrote there is replaced, whichever engine it had. A store gets the summary
    last: where it is, all is.

    Parameters
    ----------
    folder : str or Path
    parts : collection of str
        What was written to a store already, by its names there.

    Raises
    ------
    LogError
        When a store does not take them.
    OutputError
        When they cannot be written; what was there before is there still.
    """
    if not is_remote(str(folder)):
        check_output(str(folder))
        with _local(Path(folder)) as temporary:
            yield temporary
        return
    with TemporaryDirectory() as name:
        yield Path(name)
        files = sorted(Path(name).iterdir(), key=lambda path: (path.name == SUMMARY, path.name))
        clear_store(str(folder), {*parts, *(path.name for path in files)})
        for path in files:
            url = f"{str(folder).rstrip('/')}/{path.name}"
            with path.open("rb") as source, open_remote(url) as file:
                shutil.copyfileobj(source, file)


def clear_store(folder: str, kept: Collection[str]) -> None:
    """Remove what an earlier run left at a URL: first its summary, then what is not kept."""
    store, place = open_store(folder.rstrip("/"))
    with store_errors(folder):
        store.invalidate_cache()
        if store.isfile(f"{place}/{SUMMARY}"):
            store.rm_file(f"{place}/{SUMMARY}")
        for name in (n for n in _OURS if n not in kept):
            if store.isfile(f"{place}/{name}"):
                store.rm_file(f"{place}/{name}")
        for path in store.find(f"{place}/{PARQUET}"):
            name = path.rpartition("/")[2]
            if _PART.fullmatch(name) and f"{PARQUET}/{name}" not in kept:
                store.rm_file(path)
        store.invalidate_cache()


@contextmanager
def _local(place: Path) -> Iterator[Path]:
    """Write to a folder as `atomic_folder` does, which cannot put a file in a folder's place."""
    aside: Path | None = None
    try:
        with atomic_folder(place) as temporary:
            yield temporary
            written = {path.name for path in temporary.iterdir()}
            aside = _make_way(temporary, place)
    except BaseException:
        if aside is not None:
            _exchange(aside, place / PARQUET)
            _remove(aside)
        raise
    stale = [place / name for name in _OURS if name not in written and (place / name).exists()]
    stale += place.glob(f".{PARQUET}.????????.old")
    for path in stale:
        _remove(path)
    if stale:
        with suppress(OSError):
            sync(place)


def _make_way(temporary: Path, place: Path) -> Path | None:
    """Put new findings in the place of earlier ones where a folder is among them; return those."""
    new, old = temporary / PARQUET, place / PARQUET
    if not old.exists() or not (new.is_dir() or old.is_dir()):
        return None
    for written in (*temporary.rglob("*"), temporary):
        sync(written)
    aside = place / f".{PARQUET}.{token_hex(4)}.old"
    new.rename(aside)
    try:
        _exchange(aside, old)
    except OSError:
        _remove(aside)
        raise
    sync(place)
    return aside


def _exchange(one: Path, other: Path) -> None:
    """Let two files or folders change names: at once where the system can."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    if rename and not rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE):
        return
    between = one.with_name(f"{one.name}.old")
    other.rename(between)
    try:
        one.rename(other)
    except OSError:
        between.rename(other)
        raise
    between.rename(one)


def _is_ours(path: Path) -> bool:
    """Tell whether a folder holds nothing but parts of findings."""
    if path.name != PARQUET or path.is_symlink():
        return False
    return all(_PART.fullmatch(p.name) or p.name.startswith(".") for p in path.iterdir())


def _remove(path: Path) -> None:
    """Remove what nobody needs any more; that it cannot be is no reason to fail."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _error(folder: str, code: int) -> OutputError:
    return OutputError.from_os_error(folder, OSError(code, os.strerror(code)))
