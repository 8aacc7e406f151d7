"""The folder of a recording in progress: an atomic file an epoch."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lossan.build import plain_column
from lossan.io._atomic import atomic_file, create_parquet
from lossan.io._metadata import KEY, parse_metadata
from lossan.io._read import read_log
from lossan.io._source import recording_folder
from lossan.io._write import write_log
from lossan.losslog import CHANNELS, STATIC_FIELDS

_ORDER = ("sample_id", "epoch", "loss", *STATIC_FIELDS, *CHANNELS)


@final
class EpochFolder:
    """Epochs of a recording, each in a file of its own.

    Parameters
    ----------
    path : Path
        Created if it is not there.
    metadata : dict
        Goes into every file, over what earlier epochs stated.
    """

    def __init__(self, path: Path, metadata: dict[str, Any]) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        for unfinished in path.glob(".*.tmp"):
            unfinished.unlink(missing_ok=True)
        files = self._files()
        self.last_epoch = max((_number(f) for f in files), default=0)
        self.metadata = self._earlier(files) | metadata

    @property
    def _stored(self) -> dict[bytes, bytes]:
        return {KEY: json.dumps(self.metadata).encode()}

    @staticmethod
    def _earlier(files: list[Path]) -> dict[str, Any]:
        """Return what the epochs recorded before a crash state about the run."""
        if not files:
            return {}
        stored = pq.read_schema(files[-1]).metadata or {}
        return parse_metadata(stored.get(KEY), str(files[-1]))

    @classmethod
    def reopen(cls, log: Path) -> None:
        """Turn a closed log into a recording again; a recording is left as it is.

        When both are there, closing was cut off after the log was complete: the log counts.
        """
        folder = recording_folder(log)
        if not log.exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        write_log(read_log(log), f"{folder}/")
        log.unlink()

    def write(self, epoch: int, table: pa.Table) -> None:
        """Write an epoch; when this returns it survives kill -9 and a power cut."""
        table = table.append_column("epoch", pa.repeat(pa.scalar(epoch), len(table)))
        table = table.select([f for f in _ORDER if f in table.column_names])
        table = table.replace_schema_metadata(self._stored)
        with (
            atomic_file(self.path / f"epoch-{epoch:06d}.parquet") as file,
            create_parquet(file, table.schema) as writer,
        ):
            writer.write_table(table)
        self.last_epoch = epoch

    def sample_ids(self) -> pa.Array:
        """Return every id recorded so far."""
        found = pa.chunked_array(
            [
                pq.ParquetFile(f).read(columns=["sample_id"])["sample_id"].combine_chunks()
                for f in self._files()
            ]
            or [pa.array([], pa.int64())]
        )
        ids = plain_column("sample_id", pc.unique(found), [])
        return pa.array([], pa.int64()) if ids is None else ids

    def compact(self, target: Path) -> None:
        """Write all epochs into one log, an epoch at a time."""
        if target.suffix.lower() == ".npz":
            write_log(read_log(self.path), target)
            return
        files = self._files()
        schemas = [pq.read_schema(f) for f in files]
        schema = pa.unify_schemas(schemas, promote_options="permissive")
        schema = schema.with_metadata(self._stored)
        with atomic_file(target) as file, create_parquet(file, schema) as writer:
            for epoch in files:
                table = pq.ParquetFile(epoch).read()
                writer.write_table(_conform(table, schema))

    def remove(self) -> None:
        """Remove the folder and what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self.path.glob("epoch-*.parquet"), key=_number)


def _number(file: Path) -> int:
    match = re.fullmatch(r"epoch-(\d+)", file.stem)
    return int(match[1]) if match else 0


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type)
        for f in schema
    ]
    return pa.table(columns, schema=schema)
