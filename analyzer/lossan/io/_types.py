"""Which Arrow types a column may have, checked before a row is read."""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.build import ids_fault
from lossan.errors import Fault
from lossan.losslog import FLOAT_CHANNELS

if TYPE_CHECKING:
    from lossan.io._options import Columns

Number = NDArray[np.float32]


def check_types(schema: pa.Schema, columns: "Columns", faults: list[Fault]) -> None:
    """Tell every column whose type cannot hold what it should."""
    for field, column in columns.single.items():
        kind = schema.field(column).type
        if field in ("loss", *FLOAT_CHANNELS):
            kind = kind.value_type if columns.layout == "wide" and is_list(kind) else kind
            if columns.layout == "wide" and not is_list(schema.field(column).type):
                faults.append(Fault("type", f"{column} must be a list column, like loss."))
            elif not is_number(kind):
                faults.append(Fault("type", f"{column} has the type {kind}; it must be a number."))
        elif field == "epoch":
            if not pa.types.is_integer(value_type(kind)):
                message = f"{column} has the type {kind}; epochs are integers. Cast it."
                faults.append(Fault("type", message))
        elif not is_name(value_type(kind.value_type if is_list(kind) else kind)):
            faults.append(ids_fault(column, kind))
    for names in columns.numbered.values():
        for name in names:
            kind = schema.field(name).type
            if not (is_number(kind) or (name.startswith("predicted_") and is_name(kind))):
                faults.append(Fault("type", f"{name} has the type {kind}; it must be a number."))


def is_list(kind: pa.DataType) -> bool:
    """Tell whether a column holds a list a row."""
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def value_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a dictionary-encoded column."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def is_number(kind: pa.DataType) -> bool:
    """Tell whether losses can be of this type."""
    return bool(
        pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    )


def is_name(kind: pa.DataType) -> bool:
    """Tell whether ids and labels can be of this type; null stands for an empty column."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_null(kind)
    )


def to_float32(values: pa.Array) -> Number:
    """Return numbers as float32, null as NaN; what is too large becomes infinite."""
    if not pa.types.is_floating(values.type):
        values = values.cast(pa.float64())
    array = values.to_numpy(zero_copy_only=False)
    if array.dtype == np.float32:
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float32)
