"""Where the engines keep what is too large for memory: a folder, or a place in a store."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.errors import OutputError
from lossan.io import is_remote, open_remote, open_store

Writer = Callable[[Any], None]


@dataclass(frozen=True)
class Spill:
    """Files that every worker can read and write; each is written once and whole.

    Parameters
    ----------
    root : str
        A folder, or the URL of a place in a store.
    """

    root: str

    def write_batches(
        self, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
    ) -> None:
        """Write batches to be read one by one."""

        def write(file: Any) -> None:
            with pa.ipc.new_file(file, schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)

        self._write(name, write)

    def read_batch(
        self, name: str, number: int = 0, columns: list[str] | None = None
    ) -> pa.RecordBatch:
        """Read one batch, or some of its columns."""
        with self._open(name) as file:
            reader = pa.ipc.open_file(file)
            if columns is not None:
                wanted = [i for i, c in enumerate(reader.schema.names) if c in columns]
                options = pa.ipc.IpcReadOptions(included_fields=wanted)
                file.seek(0)
                reader = pa.ipc.open_file(file, options=options)
            return reader.get_batch(number)

    def write_matrix(self, name: str, values: NDArray[np.float64]) -> None:
        """Write numbers of shape (n_rows, n), to be read by columns."""

        def write(file: Any) -> None:
            for row in values:
                file.write(np.ascontiguousarray(row).data)

        self._write(name, write)

    def read_matrix(self, name: str, shape: tuple[int, int], columns: slice) -> NDArray[np.float64]:
        """Read some columns of numbers of that shape."""
        n_rows, n = shape
        out = np.empty((n_rows, columns.stop - columns.start))
        with self._open(name) as file:
            for number, row in enumerate(out):
                file.seek(8 * (number * n + columns.start))
                row[:] = np.frombuffer(file.read(row.nbytes), np.float64)
        return out

    def remove(self, names: Iterable[str]) -> None:
        """Make room: remove files that are of no more use."""
        for name in names:
            with suppress(OSError):
                if is_remote(self.root):
                    store, place = open_store(f"{self.root}/{name}")
                    store.rm_file(place)
                else:
                    Path(self.root, name).unlink()

    def _write(self, name: str, write: Writer) -> None:
        if is_remote(self.root):
            url = f"{self.root}/{name}"
            with open_remote(url) as file:
                write(file)
            return
        path = Path(self.root, name)
        # A worker thought dead may write the same file: each under a name of its own at first.
        temporary = path.with_name(f".{name}.{uuid4().hex}")
        try:
            with temporary.open("wb") as file:
                write(file)
            temporary.replace(path)
        except FileNotFoundError as error:
            raise _gone(self.root) from error
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise _no_room(self.root, error) from error

    @contextmanager
    def _open(self, name: str) -> Iterator[Any]:
        if is_remote(self.root):
            url = f"{self.root}/{name}"
            with open_remote(url, "rb") as file:
                yield file
        else:
            try:
                local = pa.OSFile(str(Path(self.root, name)))
            except FileNotFoundError as error:
                raise _gone(self.root) from error
            with local:
                yield local


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """Return a table as one batch; of an empty one Arrow makes none."""
    if len(table):
        return table.combine_chunks().to_batches()[0]
    schema = table.schema
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)


@contextmanager
def spill_below(folder: str | None) -> Iterator[Spill]:
    """Make a place of its own for one analysis, and leave nothing of it behind.

    Parameters
    ----------
    folder : str, optional
        A folder or the URL of a place in a store; by default where temporary files go.

    Raises
    ------
    OutputError, LogError
        When nothing can be written there.
    """
    if folder is not None and is_remote(folder):
        url = f"{folder.rstrip('/')}/lossan-{uuid4().hex}"
        store, place = open_store(url)
        try:
            yield Spill(url)
        finally:
            with suppress(Exception):
                store.rm(place, recursive=True)
        return
    parent = folder or tempfile.gettempdir()
    try:
        # whole, for workers may run in other folders
        root = tempfile.mkdtemp(prefix="lossan-", dir=Path(parent).absolute())
    except OSError as error:
        raise _no_room(parent, error) from error
    try:
        yield Spill(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _gone(folder: str) -> OutputError:
    return OutputError(
        f"what was spilled to {folder} is gone: it was removed while it was needed, or this worker "
        "cannot reach it. Name a folder that nobody tidies up and every worker reaches: --spill "
        "DIR, and run it again."
    )


def _no_room(folder: str, error: OSError) -> OutputError:
    reason = error.strerror or os.strerror(error.errno or 0)
    return OutputError(
        f"cannot spill to {folder}: {reason}. What does not fit in memory is kept on disk, about "
        "30 bytes a row of the log; name a folder with room for it: --spill DIR."
    )
