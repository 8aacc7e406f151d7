"""Data whose samples' ids travel with them."""

import os
import threading
from collections.abc import Iterator
from typing import Any, final

import keras
import numpy as np
from numpy.typing import NDArray

from lossan import LossanError

_MOST = np.iinfo(np.int64).max
_ROWS, _X = "lossan_rows", "lossan_x"


@final
class Codes:
    """Integers that stand for ids on their way through a graph; integers stand for themselves."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._names: list[str] = []
        self._lock = threading.Lock()  # the workers of a PyDataset are threads
        self._process = os.getpid()

    def rows(self, ids: Any) -> NDArray[np.int64]:
        """Return the integers of some ids, shape (n,)."""
        ids = plain_ids(ids)
        if isinstance(ids, np.ndarray):
            return ids
        if os.getpid() != self._process:
            raise LossanError(
                "string ids cannot be counted across processes; use integer ids or "
                "use_multiprocessing=False."
            )
        with self._lock:
            for name in ids:
                if name not in self._codes:
                    self._codes[name] = len(self._names)
                    self._names.append(name)
            return np.array([self._codes[name] for name in ids], np.int64)

    def ids(self, rows: NDArray[np.int64]) -> Any:
        """Return the ids that some integers stand for."""
        return [self._names[row] for row in rows.tolist()] if self._names else rows


def plain_ids(ids: Any) -> NDArray[np.int64] | list[str]:
    """Bring ids of any framework to an array of integers or a list of strings.

    Raises
    ------
    LossanError
        For another shape than (n,) or what is neither integer nor string.
    """
    array = np.asarray(ids)
    if array.ndim != 1:
        raise LossanError(
            f"ids have the shape {array.shape}; needed: (n,), one a sample of each batch."
        )
    if array.dtype.kind in "iu":
        if array.dtype.kind == "u" and array.size and array.max() > _MOST:
            raise LossanError(
                f"id {array.max()} is above {_MOST}, the largest integer an id may be."
            )
        return array.astype(np.int64)
    values = array.tolist()
    if not all(isinstance(value, str | bytes) for value in values):
        raise LossanError(f"ids have the type {array.dtype}; needed: integers or strings.")
    return [v.decode() if isinstance(v, bytes) else v for v in values]


def plain_array(values: Any) -> Any:
    """Bring a table or a column of one to numpy; a backend's arrays stay as they are.

    Raises
    ------
    LossanError
        For what is no array, such as the numbers of a list.
    """
    if hasattr(values, "iloc"):
        return values.to_numpy()
    if not hasattr(values, "shape"):
        raise LossanError(
            f"x and y are arrays, or dicts and lists of arrays, but there is a value of the type "
            f"{type(values).__name__} among them; make one of it by numpy.asarray."
        )
    return values


def tagged_data(x: Any, y: Any, ids: Any, codes: Codes) -> Any:
    """Return the first argument of ``fit`` so that every batch's x brings the ids along.

    Parameters
    ----------
    x : arrays, tf.data.Dataset, PyDataset or generator
        All but arrays yield ``(ids, x, y)`` or ``(ids, x, y, sample_weight)``.
    y : array or None
        The targets of arrays.
    ids : sequence or None
        The ids of arrays; the samples' row numbers if not given.
    codes : Codes
        What will stand for the ids.

    Raises
    ------
    LossanError
        For data of another kind, or ids that do not fit.
    """
    if _yields_batches(x):
        if ids is not None:
            raise LossanError("ids= is for arrays; this data must yield (ids, x, y) itself.")
        if isinstance(x, keras.utils.PyDataset):
            return _TaggedPyDataset(x, codes)
        if isinstance(x, Iterator):
            return _tagged_batches(x, codes)
        return _tagged_dataset(x, codes)
    if y is None:
        raise LossanError(
            f"x is a {type(x).__name__} without y; needed are arrays x and y, or a "
            "tf.data.Dataset, PyDataset or generator that yields (ids, x, y)."
        )
    return {_ROWS: codes.rows(_array_ids(x, ids)), _X: x}


def keeps_its_order(x: Any) -> bool:
    """Tell whether data come in an order that ``fit`` cannot change."""
    return isinstance(x, Iterator) or hasattr(x, "element_spec")


def untagged(data: Any) -> tuple[Any, Any]:
    """Part a step's data into the integers that stand for ids and the data of a plain step.

    The integers are None where the data bring none, as a validation's.
    """
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    if not (isinstance(x, dict) and _ROWS in x):
        return None, data
    return x[_ROWS], keras.utils.pack_x_y_sample_weight(x[_X], y, weight)


def first_batch(x: Any) -> tuple[Any, Any]:
    """Return the first batch of tagged data and data that still has it; arrays give a sample."""
    if isinstance(x, keras.utils.PyDataset):
        return x[0], x
    if isinstance(x, Iterator):
        first = next(x)
        return first, _with_first(first, x)
    return next(iter(x.take(1).as_numpy_iterator())), x


def batches(data: Any, ids: Any, batch_size: int) -> Iterator[tuple[Any, Any, Any]]:
    """Yield ``(ids, x, y)`` of any data, once through.

    Parameters
    ----------
    data : tuple of arrays, tf.data.Dataset, PyDataset, iterable, or function that returns one
        Arrays are ``(x, y)`` or ``(ids, x, y)``; all else yields ``(ids, x, y)``.
    ids : sequence or None
        The ids of arrays; the samples' row numbers if not given.
    batch_size : int
        Of arrays.

    Raises
    ------
    LossanError
        For data of another kind, or ids that do not fit.
    """
    if isinstance(data, tuple):
        yield from _array_batches(data, ids, batch_size)
        return
    if ids is not None:
        raise LossanError("ids= is for arrays; this data must yield (ids, x, y) itself.")
    for batch in _iterable(data):
        own, x, y = _parts(batch)[:3]
        yield plain_ids(own), x, y


def check_validation(validation: Any, x: Any) -> None:
    """Refuse validation data with ids, which Keras would take for the model's input.

    Parameters
    ----------
    validation : tuple of arrays, tf.data.Dataset, PyDataset, generator or None
        As ``fit`` takes it. A generator is let through: it cannot be looked at before it is used.
    x
        What is trained on, as of `tagged_data`: ids are told from it by their one dimension.

    Raises
    ------
    LossanError
        For data of ``(ids, x, y)`` or ``(ids, x, y, sample_weight)``.
    """
    parts = _shown(validation)
    if parts is None or len(parts) not in (3, 4):
        return
    own = _shown(x) if _yields_batches(x) else (None, x)
    takes_rows = own is None or any(map(_is_row, own[1:2]))  # then a row may be the input itself
    if len(parts) == 4 or (_is_row(parts[0]) and not takes_rows):
        raise LossanError(
            "validation_data is (ids, x, y), but of a validation nothing is recorded. Leave the "
            "ids out: (x, y) or (x, y, sample_weight)."
        )


def _shown(data: Any) -> Any:
    """Return the parts of data, or of a batch of it, None where they cannot be looked at."""
    if isinstance(data, keras.utils.PyDataset):
        return data[0]
    data = getattr(data, "element_spec", data)
    return data if isinstance(data, tuple | list) else None


def _is_row(part: Any) -> bool:
    if isinstance(part, list):
        return all(isinstance(value, str | int) for value in part)
    return hasattr(part, "shape") and len(part.shape) == 1


def _yields_batches(x: Any) -> bool:
    return isinstance(x, keras.utils.PyDataset) or keeps_its_order(x)


def _parts(batch: Any) -> tuple[Any, ...]:
    if not isinstance(batch, tuple | list) or len(batch) not in (3, 4):
        found = f"{len(batch)} parts" if isinstance(batch, tuple | list) else type(batch).__name__
        raise LossanError(
            f"a batch is (ids, x, y) or (ids, x, y, sample_weight), but the data yields {found}."
        )
    return tuple(batch)


def _tagged(batch: Any, codes: Codes) -> tuple[Any, ...]:
    ids, x, *rest = _parts(batch)
    return ({_ROWS: codes.rows(ids), _X: x}, *rest)


def _tagged_batches(data: Iterator[Any], codes: Codes) -> Iterator[Any]:
    for batch in data:
        yield _tagged(batch, codes)


def _with_first(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _tagged_dataset(dataset: Any, codes: Codes) -> Any:
    import tensorflow as tf

    spec = _parts(dataset.element_spec)[0]
    if spec.shape.rank != 1:
        raise LossanError(f"ids have the shape {spec.shape}; needed: (n,). Batch the dataset.")
    if not (spec.dtype.is_integer or spec.dtype == tf.string):
        raise LossanError(f"ids have the type {spec.dtype.name}; needed: integers or strings.")

    def tag(ids: Any, x: Any, *rest: Any) -> tuple[Any, ...]:
        rows = ids
        if ids.dtype == tf.string:
            rows = tf.numpy_function(codes.rows, [ids], tf.int64)
            rows.set_shape(ids.shape)
        return ({_ROWS: tf.cast(rows, tf.int64), _X: x}, *rest)

    return dataset.map(tag)


@final
class _TaggedPyDataset(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """A PyDataset whose batches bring their ids along in x."""

    def __init__(self, inner: Any, codes: Codes) -> None:
        super().__init__(
            workers=inner.workers,
            use_multiprocessing=inner.use_multiprocessing,
            max_queue_size=inner.max_queue_size,
        )
        self._inner, self._codes = inner, codes

    def __getitem__(self, index: int) -> Any:
        return _tagged(self._inner[index], self._codes)

    @property
    def num_batches(self) -> int | None:
        return self._inner.num_batches

    def on_epoch_begin(self) -> None:
        self._inner.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._inner.on_epoch_end()


def _array_ids(x: Any, ids: Any) -> Any:
    n = len(keras.tree.flatten(x)[0])
    if ids is not None and len(ids) != n:
        raise LossanError(f"{len(ids)} ids for {n} samples.")
    return np.arange(n) if ids is None else ids


def _array_batches(
    data: tuple[Any, ...], ids: Any, batch_size: int
) -> Iterator[tuple[Any, Any, Any]]:
    if len(data) not in (2, 3) or (len(data) == 3 and ids is not None):
        raise LossanError(
            f"arrays are (x, y), with or without ids=, or (ids, x, y), not {len(data)}."
        )
    own, x, y = data if len(data) == 3 else (ids, *data)
    x, y = (keras.tree.map_structure(plain_array, part) for part in (x, y))
    own = plain_ids(_array_ids(x, own))
    for start in range(0, len(own), batch_size):
        rows = slice(start, start + batch_size)
        yield (
            own[rows],
            *(keras.tree.map_structure(lambda a, r=rows: a[r], part) for part in (x, y)),
        )


def _iterable(data: Any) -> Any:
    if isinstance(data, keras.utils.PyDataset):
        return (data[index] for index in range(data.num_batches))
    if hasattr(data, "as_numpy_iterator"):
        return data.as_numpy_iterator()
    made = data() if callable(data) else data
    if made is data and isinstance(data, Iterator):
        raise LossanError(
            "a generator is used up after one epoch; pass the function that makes it."
        )
    return made
