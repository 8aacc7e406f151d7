"""Any framework's arrays to Arrow, without importing the framework."""

import sys
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.columns import plain_column, to_arrow, unmasked
from lossan.errors import Fault, RecorderError

_TAKEN = list | tuple | pa.Array | pa.ChunkedArray  # of names: Arrow knows them as they are
_NO_NUMBERS = "bcmMOSTU"  # kinds of arrays: of objects each must be a number, of the others none is


def to_numpy(values: Any) -> Any:
    """Bring any framework's array to numpy without importing the framework.

    Examples
    --------
    >>> to_numpy([1, 2]).tolist()
    [1, 2]
    """
    if isinstance(values, np.ndarray | _TAKEN):
        return values if isinstance(values, np.ndarray) else np.asarray(values)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        values = values.detach()
        if values.dtype in (torch.bfloat16, torch.float16):
            values = values.float()  # numpy has no bfloat16
        return values.cpu().numpy()
    if hasattr(values, "__array__") or np.isscalar(values):
        return np.asarray(values)
    return np.asarray(list(values))


def floats(name: str, values: Any) -> NDArray[np.float32]:
    """Return one number a sample, in memory of our own.

    Raises
    ------
    RecorderError
        For another shape than (n,) or (n, 1), or what is neither integers nor floats.
    """
    try:
        if isinstance(values, list | tuple) and values and hasattr(values[0], "detach"):
            values = [v.item() for v in values]  # numpy takes no tensor that has a gradient
        given = to_numpy(unmasked(values))
        if given.dtype.kind in _NO_NUMBERS:
            _refuse_others(name, given)
        numbers = np.array(given, np.float32)
    except (TypeError, ValueError, OverflowError, RuntimeError, AttributeError) as error:
        raise RecorderError(f"{name} must be numbers, one a sample ({error}).") from error
    if numbers.ndim == 2 and numbers.shape[1] == 1:
        numbers = numbers[:, 0]
    if numbers.ndim != 1:
        raise RecorderError(
            f"{name} has the shape {numbers.shape}; needed: (n,), one value a sample. A reduced "
            "loss is of no use: ask for reduction='none'."
        )
    return numbers


def _refuse_others(name: str, given: NDArray[Any]) -> None:
    """Tell the first value that numpy would turn into a number though it is none."""
    for place, value in enumerate(given.reshape(-1)):
        if not _is_number(value):
            raise RecorderError(
                f"{name} must be numbers, one a sample, but value {place} is {value!r}, of the "
                f"type {type(value).__name__}. Allowed are integers and floats, and NaN or None "
                "for what was not observed; convert them to floats first."
            )


def _is_number(value: Any) -> bool:
    if isinstance(value, np.generic | np.ndarray):
        return value.dtype.kind in "fiu"
    return value is None or (hasattr(value, "__float__") and not isinstance(value, bool))


def ids_or_labels(name: str, values: Any) -> NDArray[np.int64] | pa.Array:
    """Return integers as numpy's int64, in memory of our own, and anything else as `names` does.

    Raises
    ------
    RecorderError
        As `names`.
    """
    array = values if isinstance(values, _TAKEN) else to_numpy(values)
    plain = isinstance(array, np.ndarray) and not isinstance(array, np.ma.MaskedArray)
    if plain and array.dtype.kind == "i" and array.ndim == 1:
        return array.astype(np.int64)
    column = names(name, array)
    if pa.types.is_integer(column.type) and not column.null_count and len(column):
        return np.array(column.to_numpy())
    return column


def names(name: str, values: Any) -> pa.Array:
    """Return ids or labels, one a sample, as an Arrow array of int64 or large_string.

    Where all are None its type is null, as what they are cannot be told.

    Raises
    ------
    RecorderError
        For another shape than (n,), or values that are neither integers nor strings.
    """
    faults: list[Fault] = []
    array = values if isinstance(values, _TAKEN) else to_numpy(values)
    if isinstance(array, np.ndarray) and array.ndim != 1:
        raise RecorderError(f"{name} has the shape {array.shape}; needed: (n,).")
    if isinstance(values, list | tuple) and values and not isinstance(values[0], str | int | None):
        array = [v.item() if hasattr(v, "item") else v for v in values]
    column = to_arrow(name, array, faults)
    if column is not None and len(column) == 0:
        return pa.array([], pa.int64())
    column = None if column is None else plain_column(name, column, faults)
    if column is None:
        raise RecorderError(f"{name}: {faults[0].message}")
    return column if column.null_count < len(column) else pa.nulls(len(column))
