"""What a Recorder is given when it is made, checked before anything is recorded."""

import json
import os
from collections.abc import Mapping, Sequence
from operator import index
from pathlib import Path
from reprlib import repr as brief
from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.arrays import ids_or_labels, names, to_numpy
from lossan.errors import RecorderError
from lossan.losslog import check_metadata, misnamed, stamp
from lossan.order import stable_order


@final
class Lookup:
    """A mapping from sample id to a value, as two Arrow arrays in ascending order of the ids."""

    def __init__(self, field: str, mapping: Mapping[Any, Any]) -> None:
        self.ids = self.values = pa.nulls(0)
        if not isinstance(mapping, Mapping):
            raise RecorderError(
                f"{field}s are a {type(mapping).__name__}; needed: a mapping from sample id to "
                f"{field}, such as dict(zip(ids, values)); of a pandas Series its to_dict()."
            )
        if not mapping:
            return
        ids = names(f"the ids of {field}s", list(mapping.keys()))
        values = names(f"{field}s", list(mapping.values()))
        order = pa.array(stable_order(ids))
        self.ids, self.values = ids.take(order), values.take(order)

    def values_of(self, ids: pa.Array) -> pa.Array:
        """Return the value of each sample, null where there is none."""
        if ids.equals(self.ids):  # as in most epochs
            return self.values
        if not len(self.ids):
            return pa.nulls(len(ids), self.values.type)
        return self.values.take(pc.index_in(ids, value_set=self.ids))


def kept_ids(ids: Any) -> NDArray[np.int64] | pa.Array:
    """Return the ids of some samples, in memory of our own.

    Raises
    ------
    RecorderError
        For another shape than (n,), ids that are neither integers nor strings, and null.
    """
    column = ids_or_labels("ids", ids)
    if isinstance(column, pa.Array) and column.null_count:
        raise RecorderError(f"{column.null_count} ids are null; every sample needs one.")
    return column


@final
class Naming:
    """How adapters record what they measured of a batch: by the classes' names or numbers.

    By numbers where none are named, and where the labels given to the Recorder are numbers: what is
    predicted is like the labels.

    Parameters
    ----------
    classes, labels
        As given to the Recorder.
    """

    def __init__(self, classes: Sequence[Any] | None, labels: Mapping[Any, Any] | None) -> None:
        first = next(iter(labels.values()), None) if labels else None
        numbers = isinstance(first, int | np.integer)
        self._names = None if classes is None or numbers else list(classes)
        self._with_labels = labels is None

    def fields(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Return what `Recorder.record` takes beside the ids.

        Parameters
        ----------
        columns : mapping
            ``loss``, the indices ``label`` and ``predicted``, and other channels by name.

        Raises
        ------
        RecorderError
            For an index that is none of the classes named.
        """
        fields = {name: values for name, values in columns.items() if name not in ("loss", "label")}
        fields |= {"losses": columns["loss"], "predicted": self._named(columns["predicted"])}
        return fields | ({"labels": self._named(columns["label"])} if self._with_labels else {})

    def _named(self, codes: NDArray[Any]) -> Any:
        indices = codes.astype(np.int64)
        if self._names is None:
            return indices
        most = int(indices.max(initial=0))
        if most >= len(self._names):
            raise RecorderError(
                f"classes names {len(self._names)} classes, but there is one of index {most}."
            )
        return [self._names[i] for i in indices.tolist()]


def checked_path(path: Any) -> Path:
    """Return where to record, or raise a RecorderError for what names no file."""
    if not isinstance(path, str | os.PathLike) or not Path(path).name:
        raise RecorderError(f"the path is {path!r}; allowed: that of the log to write.")
    if fault := misnamed(Path(path)):
        raise RecorderError(fault)
    return Path(path)


def checked_classes(classes: Any) -> list[Any] | None:
    """Return the names of the classes, or raise a RecorderError for what is no such list."""
    if classes is None:
        return None
    if isinstance(classes, str | bytes | Mapping) or not hasattr(classes, "__iter__"):
        raise RecorderError(
            f"classes is {brief(classes)}; allowed: a list of the classes' names in index order."
        )
    return list(classes)


def with_column(table: pa.Table, field: str, values: pa.Array) -> pa.Table:
    """Add a column; where records brought values of their own those count."""
    if field not in table.column_names:
        return table.append_column(field, values)
    both = (table[field].combine_chunks(), values)
    typed = [column for column in both if not pa.types.is_null(column.type)]
    merged = pc.coalesce(*typed) if typed else values
    return table.set_column(table.column_names.index(field), field, merged)


def kept_epochs(count: Any, *, resume: bool) -> int | None:
    """Return how many epochs to keep, or raise a RecorderError for what is no such number."""
    if count is None:
        return None
    if not resume:
        raise RecorderError(
            f"keep_epochs is {count!r}, but nothing is resumed: it says how many recorded epochs "
            "to keep. Pass resume=True as well, or leave it out."
        )
    try:
        whole = -1 if isinstance(count, bool) else index(count)
    except TypeError:
        whole = -1
    if whole < 0:
        raise RecorderError(
            f"keep_epochs is {count!r}; allowed: an integer from 0 on, how many of the recorded "
            "epochs to keep, or None for all."
        )
    return whole


def stamped(stated: Mapping[str, Any], metadata: Any) -> dict[str, Any]:
    """Return metadata as it goes into a log, of plain JSON values.

    Parameters
    ----------
    stated : mapping
        What the Recorder itself states.
    metadata : mapping, optional
        What goes over it. Numbers and arrays of numpy and of frameworks become plain ones, paths
        strings.

    Raises
    ------
    RecorderError
        For what JSON cannot hold, or what contradicts the format.
    """
    if not isinstance(metadata, Mapping | None):
        raise RecorderError(
            f"metadata is {brief(metadata)}; allowed: a mapping of names to values."
        )
    both = {**stated, **(metadata or {})}
    plain = {str(key): _plain(f"metadata[{key!r}]", value) for key, value in both.items()}
    stated = stamp(plain)
    if faults := check_metadata(stated):
        raise RecorderError(f"metadata given to the Recorder: {faults[0].message}")
    return stated


def _plain(where: str, value: Any) -> Any:
    try:
        value = _unwrapped(value)
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RecorderError(
            f"{where} is {brief(value)}, which JSON cannot hold ({error}). Allowed: strings, "
            "finite numbers, booleans, None, paths, arrays, and lists and mappings of these."
        ) from error
    return value


def _unwrapped(value: Any) -> Any:
    """Bring arrays, paths and mappings, however deep they stand, to what JSON knows."""
    if isinstance(value, Mapping):
        return {_unwrapped(key): _unwrapped(held) for key, held in value.items()}
    if hasattr(value, "__array__"):  # any framework's, of one number too
        value = to_numpy(value).tolist()
    if isinstance(value, list | tuple):
        return [_unwrapped(held) for held in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value
