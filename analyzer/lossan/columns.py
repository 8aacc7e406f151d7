"""Columns of a log as everybody has them: ids, labels and numbers brought to one form."""

from typing import Any

import numpy as np
import pyarrow as pa

from lossan.errors import Fault


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column holds strings."""
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def kind_word(kind: pa.DataType) -> str:
    """Say in a word what a column holds.

    Examples
    --------
    >>> kind_word(pa.int64()), kind_word(pa.large_string())
    ('integers', 'strings')
    """
    if pa.types.is_integer(kind):
        return "integers"
    return "strings" if is_text(kind) else str(kind)


def ids_fault(name: str, kind: pa.DataType) -> Fault:
    """Say that a column cannot hold ids or labels."""
    what = (
        "sample ids are integers or strings"
        if name == "sample_id"
        else "it holds integers or strings"
    )
    return Fault(
        "type", f"{name} has the type {kind}; {what}. Cast it, for example with astype(str)."
    )


def plain_column(name: str, values: pa.Array, faults: list[Fault]) -> pa.Array | None:
    """Bring ids, labels, paths or groups to int64 or large_string, or tell why that cannot be."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    try:
        if pa.types.is_integer(kind):
            return values.cast(pa.int64())
        if pa.types.is_null(kind):
            return values.cast(pa.large_string())
        if is_text(kind):
            values.validate(full=True)
            return values.cast(pa.large_string())
    except pa.ArrowInvalid as error:
        reason = "is not valid UTF-8" if "UTF8" in str(error) else f"cannot be used: {error}"
        faults.append(Fault("encoding", f"{name} {reason}. Write it as UTF-8 strings or int64."))
        return None
    faults.append(ids_fault(name, kind))
    return None


def null_fault(name: str, count: int) -> Fault:
    """Say in how many rows an id or epoch is missing."""
    message = f"{name} is null in {count} row{'s' * (count > 1)}; every row needs one. Remove them."
    return Fault(f"null_{name}", message, count)


def to_arrow(name: str, values: Any, faults: list[Fault]) -> pa.Array | None:
    """Turn any one-dimensional sequence into an Arrow array; tell a fault if it is mixed."""
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    if isinstance(values, pa.Array):
        return values
    values = none_where_masked(values)
    if getattr(values, "ndim", 1) != 1:
        message = f"{name} has the shape {values.shape}; it must be (n_samples,)."
        faults.append(Fault("shape", message))
        return None
    try:
        if isinstance(values, np.ndarray) and values.dtype.kind == "S":
            values = np.char.decode(values, "utf-8")
        if isinstance(values, np.ndarray) and values.dtype.kind in "OUT":
            values = values.tolist()  # object, str and StringDType arrays
        if isinstance(values, np.ndarray) and not values.dtype.isnative:
            values = values.astype(values.dtype.newbyteorder("="))
        return pa.array(values)
    except (UnicodeError, SystemError) as error:  # the latter for numbers beyond Unicode
        faults.append(Fault("encoding", f"{name} is not valid Unicode ({error})."))
    # Arrow's errors are ValueError, TypeError or NotImplementedError; the last is of large integers
    except (ValueError, TypeError, NotImplementedError, OverflowError) as error:
        message = f"{name} mixes types or holds neither int64 nor strings ({error})."
        faults.append(Fault("type", message))
    return None


def unmasked(values: Any) -> Any:
    """Return numbers of which those that a mask hides are NaN, not observed."""
    if not isinstance(values, np.ma.MaskedArray) or values.dtype.kind not in "fiu":
        return values
    kind = values.dtype if values.dtype.kind == "f" else np.float64
    return np.ma.filled(values.astype(kind), np.nan)


def none_where_masked(values: Any) -> Any:
    """Return values of which those that a mask hides are None, unknown."""
    if not isinstance(values, np.ma.MaskedArray):
        return values
    found = np.ma.getdata(values).astype(object)
    found[np.ma.getmaskarray(values)] = None
    return found
