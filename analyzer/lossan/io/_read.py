"""Read a log in any of its physical forms."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from lossan.build import Reading, finish
from lossan.errors import Fault, LogError
from lossan.io._long import read_long
from lossan.io._metadata import KEY, parse_metadata
from lossan.io._npz import read_npz
from lossan.io._options import ReadOptions
from lossan.io._parts import Progress, open_parts
from lossan.io._source import Part, parts_of
from lossan.io._wide import read_wide
from lossan.losslog import LossLog

Source = TypeVar("Source")


def read_log(source: str | Path, *, progress: Progress | None = None, **options: Any) -> LossLog:
    """Read a loss log: long or wide Parquet, a directory of Parquet files, or NPZ.

    Parameters
    ----------
    source : str or Path
        The log; ``"-"`` reads Parquet from standard input.
    progress : callable, optional
        Called with the rows read so far and the rows there are.
    **options
        Fields of `ReadOptions`: ``id_column``, ``epoch_column``, ``loss_column``,
        ``label_column``, ``true_label_column``, ``duplicates``, ``invalid``.

    Returns
    -------
    LossLog

    Raises
    ------
    LogError
        With every fault found in the log.
    """
    return scan_log(source, progress=progress, **options).unwrap(str(source))


def read_logs(sources: Iterable[Source], read: Callable[[Source], LossLog]) -> list[LossLog]:
    """Read several logs, each by a function; what is wrong with any of them is told at once.

    Raises
    ------
    LogError
        With the faults of all that cannot be used.
    """
    logs, errors = [], []
    for source in sources:
        try:
            logs.append(read(source))
        except LogError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        faults = [fault.inside(error.where) for error in errors for fault in error.faults]
        raise LogError("what was given", faults)
    return logs


def scan_log(source: str | Path, *, progress: Progress | None = None, **options: Any) -> Reading:
    """Read a log and return it together with its faults, instead of raising them.

    Raises
    ------
    LogError
        Where nothing can be made of the file at all.
    """
    wanted = ReadOptions(**options)
    if not str(source):
        raise LogError(repr(source), [Fault("not_found", "no file's name is empty; name a log.")])
    with parts_of(str(source)) as parts:
        if isinstance(parts, Path):
            return read_npz(parts, wanted)
        return _read_parts(parts, wanted, progress)


def _read_parts(parts: list[Part], options: ReadOptions, progress: Progress | None) -> Reading:
    opened, stored = open_parts(parts, options)
    metadata = parse_metadata(stored.get(KEY), parts[0].name)
    layout = opened.columns.layout
    if layout == "long":
        draft = read_long(opened, options, progress)
    else:
        draft = read_wide(opened, progress)
    pa.default_memory_pool().release_unused()  # what batches took; an analysis needs as much
    draft.metadata = metadata
    return finish(draft, layout, invalid=options.invalid, duplicates=options.duplicates)
