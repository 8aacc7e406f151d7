"""Write a log in any of its physical forms, a slice at a time."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.errors import OptionError, hint
from lossan.io._atomic import atomic_file, atomic_folder, create_parquet
from lossan.io._metadata import KEY
from lossan.io._npz import write_npz
from lossan.losslog import FLOAT_CHANNELS, STATIC_FIELDS, Coded, LossLog, misnamed, stamp

ROWS = 1 << 20


def write_log(log: LossLog, target: str | Path, *, layout: str | None = None) -> None:
    """Write a log as Parquet, NPZ or a directory, told by the target's name.

    Parameters
    ----------
    log : LossLog
    target : str or Path
        ``*.npz`` is written as NPZ; a name that ends in ``/`` or is a directory becomes a
        directory with a long Parquet file an epoch; anything else is one Parquet file, but for
        names of other formats, such as ``*.csv``.
    layout : {"long", "wide"}, optional
        Of a Parquet file; long if not given.

    Raises
    ------
    OptionError
        For a layout that the target cannot have, or a name of another format.
    OutputError
        When it cannot be written; nothing half-written stays behind.
    """
    path = Path(target)
    if layout not in (None, "long", "wide"):
        raise OptionError(f"layout is {layout!r}; {hint(layout, ['long', 'wide'])}")
    is_folder = str(target).endswith("/") or path.is_dir()
    if not is_folder and (fault := misnamed(path)):
        raise OptionError(fault)
    metadata = stamp({**log.metadata, "format_version": None, "producer": None, "created": None})
    metadata |= {k: v for k, v in log.metadata.items() if k in ("producer", "created")}
    if path.suffix.lower() == ".npz":
        if layout:
            raise OptionError(f"--layout {layout} is for Parquet; {path} is NPZ. Leave it out.")
        with atomic_file(path) as file:
            write_npz(_arrays(log), metadata, file)
    elif is_folder:
        if layout == "wide":
            raise OptionError(f"a directory log is long; {target} names a directory.")
        if path.is_dir() and any(path.iterdir()):
            raise OptionError(f"the directory {path} is not empty; give an empty or a new one.")
        write_folder(log, path, metadata)
    else:
        with atomic_file(path) as file:
            tables = _wide_tables(log) if layout == "wide" else _long_tables(log)
            _write_tables(file, tables, metadata)


def write_folder(log: LossLog, path: Path, metadata: dict[str, Any]) -> None:
    """Write a long Parquet file an epoch into a folder, all or none."""
    with atomic_folder(path) as folder:
        for epoch in range(log.n_epochs):
            name = f"epoch-{log.epochs[epoch]:06d}.parquet"
            with atomic_file(folder / name) as file:
                _write_tables(file, _long_tables(log, [epoch]), metadata)


def _write_tables(file: Any, tables: Iterator[pa.Table], metadata: dict[str, Any]) -> None:
    first = next(tables)
    schema = first.schema.with_metadata({KEY: json.dumps(metadata).encode()})
    with create_parquet(file, schema) as writer:
        writer.write_table(first.replace_schema_metadata(schema.metadata), row_group_size=ROWS)
        for table in tables:
            writer.write_table(table.replace_schema_metadata(schema.metadata), row_group_size=ROWS)


def _long_tables(log: LossLog, epochs: list[int] | None = None) -> Iterator[pa.Table]:
    for epoch in range(log.n_epochs) if epochs is None else epochs:
        for start in range(0, log.n_samples, ROWS):
            rows = slice(start, start + ROWS)
            columns = {"sample_id": log.sample_id[rows]}
            columns["epoch"] = pa.array(np.full(len(columns["sample_id"]), log.epochs[epoch]))
            columns["loss"] = _nullable(log.loss[rows, epoch])
            columns |= {f: v[rows] for f, v in _static(log).items()}
            columns |= {f: _nullable(v[rows, epoch]) for f, v in _channels(log).items()}
            if log.predicted is not None:
                columns["predicted"] = decode(log.predicted, (rows, epoch))
            yield pa.table(columns)


def _wide_tables(log: LossLog) -> Iterator[pa.Table]:
    """Yield a row a sample: lists, or a column an epoch where epochs do not count from 1."""
    numbers = None if _unnamed(log) or _from_one(log) else log.epochs.tolist()

    def put(columns: dict[str, pa.Array], field: str, flat: pa.Array) -> None:
        if numbers is None:
            columns[field] = pa.FixedSizeListArray.from_arrays(flat, log.n_epochs)
        else:
            columns |= {f"{field}_{n}": flat[k :: log.n_epochs] for k, n in enumerate(numbers)}

    step = max(1, ROWS // log.n_epochs)
    for start in range(0, log.n_samples, step):
        rows = slice(start, start + step)
        columns = {"sample_id": log.sample_id[rows]}
        put(columns, "loss", _nullable(log.loss[rows].ravel()))
        columns |= {f: v[rows] for f, v in _static(log).items()}
        for field, values in _channels(log).items():
            put(columns, field, _nullable(values[rows].ravel()))
        if log.predicted is not None:
            put(columns, "predicted", decode(log.predicted, rows))
        yield pa.table(columns)


def renumbered(log: LossLog, target: str | Path, layout: str | None) -> bool:
    """Tell whether writing a log so leaves out how its epochs are numbered."""
    if Path(target).suffix.lower() == ".npz":
        return not _from_one(log)
    return layout == "wide" and _unnamed(log) and not _from_one(log)


def _from_one(log: LossLog) -> bool:
    """Tell whether the epochs are numbered from 1 on."""
    return bool((log.epochs == np.arange(1, log.n_epochs + 1)).all())


def _unnamed(log: LossLog) -> bool:
    """Tell whether no column can be named by an epoch's number, which has up to nine digits."""
    return bool(log.epochs.min() < 0 or log.epochs.max() >= 10**9)


def _nullable(values: NDArray[np.float32]) -> pa.Array:
    """Return an Arrow array in which NaN, not observed, is null."""
    return pa.array(np.ascontiguousarray(values), from_pandas=True)


def decode(coded: Coded, where: Any) -> pa.Array:
    """Return class names for codes, null for -1."""
    codes = np.ascontiguousarray(coded.codes[where]).ravel()
    return coded.values.take(pa.array(codes, mask=codes < 0))


def _static(log: LossLog) -> dict[str, pa.Array]:
    return {f: v for f in STATIC_FIELDS if (v := getattr(log, f)) is not None}


def _channels(log: LossLog) -> dict[str, NDArray[np.float32]]:
    return {f: v for f in FLOAT_CHANNELS if (v := getattr(log, f)) is not None}


def _arrays(log: LossLog) -> dict[str, Any]:
    """Return the arrays of an NPZ log; what it cannot hold is told."""
    arrays: dict[str, Any] = {"sample_id": _numpy("sample_id", log.sample_id)}
    arrays["loss"] = np.ascontiguousarray(log.loss)
    arrays |= {f: _numpy(f, v) for f, v in _static(log).items()}
    arrays |= {f: np.ascontiguousarray(v) for f, v in _channels(log).items()}
    if log.predicted is not None:
        if (log.predicted.codes < 0).any():
            raise OptionError("NPZ cannot hold gaps in predicted; use Parquet instead.")
        flat = _numpy("predicted", decode(log.predicted, slice(None)))
        arrays["predicted"] = flat.reshape(log.loss.shape)
    return arrays


def _numpy(field: str, values: pa.Array) -> NDArray[Any]:
    if values.null_count:
        raise OptionError(
            f"{field} is unknown for {values.null_count} samples, which NPZ cannot hold; use "
            "Parquet instead."
        )
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    if array.dtype != object:
        return array
    if pc.any(pc.ends_with(values, "\0")).as_py():
        raise OptionError(
            f"{field} holds text that ends in the character NUL, which NPZ drops; use "
            "Parquet instead."
        )
    return array.astype(str)
