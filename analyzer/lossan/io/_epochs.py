"""The folder of a recording in progress: an atomic file an epoch."""

import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, final

import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock, Timeout

from lossan.build import plain_column
from lossan.errors import Fault, LogError, OutputError, RecorderError
from lossan.io._atomic import atomic_file, create_parquet, make_folder, remove_file
from lossan.io._footer import open_parquet, read_footer, read_table
from lossan.io._metadata import KEY, parse_metadata
from lossan.io._read import scan_log
from lossan.io._source import arrow_errors
from lossan.io._write import write_folder, write_log
from lossan.losslog import CHANNELS, STATIC_FIELDS, LossLog

# what makes a log unfit for analysis and no less a recording, to be kept as it is
_KEPT = frozenset({"one_epoch", "infinite", "all_nan", "probability"})
_ORDER = ("sample_id", "epoch", "loss", *STATIC_FIELDS, *CHANNELS)
_CHANCES = 100  # to lock a folder that another process is just removing
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
            raise RecorderError(
                f"another process is recording to {path}; let it end, or record to another log."
            ) from error
        except OSError as error:
            raise OutputError.from_os_error(path, error) from error
        self._remove_all(".*.tmp")
        self._metadata = self._stated()
        self.last_epoch = self._last()

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
        self.discard_after(0)
        closed = _as_recorded(log)
        write_folder(closed, self.path, dict(closed.metadata))
        remove_file(log)  # for good: were it to come back it would count, not what follows
        self._metadata = self._stated()
        self.last_epoch = self._last()

    def write(self, epoch: int, table: pa.Table) -> None:
        """Write an epoch; when this returns it survives kill -9 and a power cut."""
        table = table.append_column("epoch", pa.repeat(pa.scalar(epoch), len(table)))
        table = table.select([f for f in _ORDER if f in table.column_names])
        table = table.replace_schema_metadata(self._stored())
        with (
            atomic_file(self.path / f"epoch-{epoch:06d}.parquet") as file,
            create_parquet(file, table.schema) as writer,
        ):
            writer.write_table(table)
        self.last_epoch = epoch

    def discard_after(self, epoch: int) -> None:
        """Remove the epochs after one, the last first: a crash leaves no gap."""
        for file in reversed(self._files()):
            if _number(file) > epoch:
                remove_file(file)
        self.last_epoch = self._last()

    def sample_ids(self) -> pa.Array:
        """Return every id recorded so far."""
        columns = [_ids(file) for file in self._files()]
        kinds = {column.type for column in columns}
        if len(kinds) > 1:
            message = "sample_id holds integers in some epochs and texts in others. Record anew."
            raise LogError(str(self.path), [Fault("type", message)])
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
                return

    def _remove_all(self, pattern: str) -> None:
        for path in self.path.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _stored(self) -> dict[bytes, bytes]:
        return {KEY: json.dumps(self._metadata).encode()}

    def _stated(self) -> dict[str, Any]:
        """Return what the last epoch on disk states about the run."""
        files = self._files()
        if not files:
            return {}
        with arrow_errors(str(files[-1])):
            stored = read_footer(files[-1]).arrow.metadata or {}
        return parse_metadata(stored.get(KEY), str(files[-1]))

    def _files(self) -> list[Path]:
        return sorted(self.path.glob("epoch-*.parquet"), key=_number)

    def _last(self) -> int:
        return max((_number(file) for file in self._files()), default=0)


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
    match = re.fullmatch(r"epoch-(\d+)", file.stem)
    return int(match[1]) if match else 0


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type)
        for f in schema
    ]
    return pa.table(columns, schema=schema)
