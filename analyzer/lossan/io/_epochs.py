"""The folder of a recording in progress: an atomic file an epoch."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, final

import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock, Timeout

from lossan.columns import plain_column
from lossan.errors import Fault, LogError, OutputError, RecorderError
from lossan.io._atomic import atomic_file, create_parquet, make_folder, remove_file
from lossan.io._footer import open_parquet, read_footer, read_table
from lossan.io._metadata import KEY, parse_metadata
from lossan.io._read import scan_log
from lossan.io._source import arrow_errors
from lossan.io._types import value_type
from lossan.io._write import write_folder, write_log
from lossan.losslog import CHANNELS, STATIC_FIELDS, LossLog

# what makes a log unfit for analysis and no less a recording, to be kept as it is
_KEPT = frozenset({"one_epoch", "infinite", "all_nan", "probability"})
_ORDER = ("sample_id", "epoch", "loss", *STATIC_FIELDS, *CHANNELS)
_OURS: set[Path] = set()  # folders that this process holds
_CHANCES = 100  # to lock a folder that another process is just removing
_EPOCH = re.compile(r"epoch-(-?\d+)\.parquet")  # below 0 in logs that others wrote
_LOCK = ".lock"  # hidden, so that nobody takes it for a part of the log


@final
class EpochFolder:
    """Epochs of a recording, each in a file of its own, held by one process at a time.

    Parameters
    ----------
    path : Path
        Created if it is not there.

    Raises
    ------
    RecorderError
        When another process holds it. A crash lets go of it.
    OutputError
        When it cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / _LOCK)
        try:
            self._take()
        except Timeout as error:
            raise RecorderError(_held_by(path)) from error
        except OSError as error:
            raise OutputError.from_os_error(path, error) from error
        self._remove_all(".*.tmp")
        self._numbers: list[int] = []
        self._metadata: dict[str, Any] = {}
        self._look()

    @property
    def n_epochs(self) -> int:
        """How many epochs it holds, whatever their numbers: those of a log need not begin at 1."""
        return len(self._numbers)

    @property
    def last_epoch(self) -> int:
        """The number of the last epoch, 0 where there is none."""
        return self._numbers[-1] if self._numbers else 0

    def describe(self, metadata: dict[str, Any]) -> None:
        """State what goes into every file, over what earlier epochs stated.

        Raises
        ------
        RecorderError
            When earlier epochs were recorded in the other mode.
        """
        before, now = self._metadata.get("recorded"), metadata.get("recorded")
        if before and now and before != now:
            raise RecorderError(
                f"recorded is {now!r}, but the epochs in {self.path} were recorded as {before!r}; "
                "a log is of one kind."
            )
        self._metadata = self._metadata | metadata

    def reopen(self, log: Path) -> None:
        """Turn a closed log into a recording again; a recording is left as it is.

        When both are there, closing was cut off after the log was complete: the log counts.
        """
        if not log.exists():
            return
        closed = _as_recorded(log)  # first, for what cannot be read cannot count
        self.clear()
        write_folder(closed, self.path, dict(closed.metadata))
        remove_file(log)  # for good: were it to come back it would count, not what follows
        self._look()

    def write(self, epoch: int, table: pa.Table) -> None:
        """Write an epoch; when this returns it survives kill -9 and a power cut."""
        table = table.append_column("epoch", pa.repeat(pa.scalar(epoch), len(table)))
        table = table.select([f for f in _ORDER if f in table.column_names and _known(table[f])])
        table = table.replace_schema_metadata(self._stored())
        with (
            atomic_file(self.path / f"epoch-{epoch:06d}.parquet") as file,
            create_parquet(file, table.schema) as writer,
        ):
            writer.write_table(table)
        self._numbers.append(epoch)

    def keep(self, n_epochs: int) -> None:
        """Remove all but the first epochs, the last first: a crash leaves no gap."""
        for file in reversed(self._files()[n_epochs:]):
            remove_file(file)
            self._numbers.pop()

    def clear(self) -> None:
        """Remove all epochs and forget what they stated."""
        self.keep(0)
        self._metadata = {}

    def types(self, n_epochs: int) -> Iterator[tuple[int, dict[str, pa.DataType]]]:
        """Yield the number of each of the first epochs and the types of its columns' values."""
        for file in self._files()[:n_epochs]:
            yield _number(file), {f.name: value_type(f.type) for f in _schema(file)}

    def sample_ids(self) -> pa.Array:
        """Return every id recorded so far; its epochs hold one kind of them."""
        columns = [_ids(file) for file in self._files()]
        return pc.unique(pa.chunked_array(columns or [pa.array([], pa.int64())]))

    def compact(self, target: Path) -> None:
        """Write all epochs into one log, an epoch at a time."""
        if target.suffix.lower() == ".npz":
            write_log(_as_recorded(self.path), target)
            return
        files = self._files()
        schemas = [_schema(file) for file in files]
        with arrow_errors(str(self.path)):
            schema = pa.unify_schemas(schemas, promote_options="permissive")
        schema = schema.with_metadata(self._stored())
        with atomic_file(target) as file, create_parquet(file, schema) as writer:
            for epoch in files:
                table = _read(epoch)
                with arrow_errors(str(epoch)):
                    table = _conform(table, schema)
                writer.write_table(table)

    def release(self) -> None:
        """Let another process have the folder; what is recorded stays."""
        _OURS.discard(self.path.absolute())
        self._lock.release()

    def remove(self) -> None:
        """Remove the folder and what is in it."""
        lock, posix = self.path / _LOCK, os.name == "posix"
        with suppress(OSError):
            self._remove_all("[!.]*")
            if posix:  # while it is held: after that the name may be another process's lock
                lock.unlink(missing_ok=True)
        self.release()
        with suppress(OSError):
            if not posix:
                lock.unlink(missing_ok=True)
            self.path.rmdir()

    def _take(self) -> None:
        """Lock the folder, made if it is not there; whoever held it may just be removing it."""
        for chances in range(_CHANCES, -1, -1):
            try:
                make_folder(self.path)
                self._lock.acquire(timeout=0)
            except (FileNotFoundError, FileExistsError):
                if not chances:
                    raise
            else:
                _OURS.add(self.path.absolute())
                return

    def _remove_all(self, pattern: str) -> None:
        for path in self.path.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _stored(self) -> dict[bytes, bytes]:
        return {KEY: json.dumps(self._metadata).encode()}

    def _look(self) -> None:
        """See what is on disk."""
        self._numbers = [_number(file) for file in self._files()]
        self._metadata = self._stated()

    def _stated(self) -> dict[str, Any]:
        """Return what the last epoch on disk states about the run."""
        files = self._files()
        if not files:
            return {}
        with arrow_errors(str(files[-1])):
            stored = read_footer(files[-1]).arrow.metadata or {}
        return parse_metadata(stored.get(KEY), str(files[-1]))

    def _files(self) -> list[Path]:
        there = self.path.glob("epoch-*.parquet")
        return sorted((file for file in there if _EPOCH.fullmatch(file.name)), key=_number)


def _held_by(path: Path) -> str:
    if path.absolute() in _OURS:
        return (
            f"this process is still recording to {path}: close() that Recorder first (a callback's "
            "is its .recorder), or record to another log."
        )
    return f"another process is recording to {path}; let it end, or record to another log."


def _as_recorded(log: Path) -> LossLog:
    reading = scan_log(log)
    faults = [fault for fault in reading.faults if fault.code not in _KEPT]
    if faults or reading.log is None:
        raise LogError(str(log), faults or reading.faults)
    return reading.log


def _read(file: Path, columns: list[str] | None = None) -> pa.Table:
    with arrow_errors(str(file)):
        return read_table(file, columns)


def _ids(file: Path) -> pa.Array:
    faults: list[Fault] = []
    ids = plain_column(
        "sample_id", _read(file, ["sample_id"])["sample_id"].combine_chunks(), faults
    )
    if ids is None:
        raise LogError(str(file), faults)
    return ids


def _schema(file: Path) -> pa.Schema:
    with arrow_errors(str(file)):
        return open_parquet(file).schema_arrow


def _number(file: Path) -> int:
    return int(file.stem.removeprefix("epoch-"))


def _known(column: pa.ChunkedArray) -> bool:
    return not pa.types.is_null(column.type)


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type)
        for f in schema
    ]
    return pa.table(columns, schema=schema)
