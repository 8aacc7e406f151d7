"""Which Arrow types a column may have, checked before a row is read."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.columns import ids_fault, is_text
from lossan.errors import Fault
from lossan.losslog import CHANNELS, FLOAT_CHANNELS

Number = NDArray[np.float32]
SPARSE = 64
"""Cells a value may cost before the epochs are taken for something else."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a Parquet file hold which field.

    Parameters
    ----------
    layout : {"long", "wide"}
    single : dict
        Field to column.
    numbered : dict
        Field to its columns in epoch order, for a wide file with ``loss_1 ... loss_N``.
    numbers : tuple of int
        The numbers of the loss columns.
    """

    layout: str
    single: dict[str, str]
    numbered: dict[str, list[str]]
    numbers: tuple[int, ...] = ()


def check_types(schema: pa.Schema, columns: Columns, faults: list[Fault]) -> None:
    """Tell every column whose type cannot hold what it should."""
    for field, column in columns.single.items():
        listed = columns.layout == "wide" and field in ("loss", *CHANNELS)
        fault = _type_fault(field, column, schema.field(column).type, listed=listed)
        if fault is not None:
            faults.append(fault)
    for field, names in columns.numbered.items():
        kinds = {name: schema.field(name).type for name in names}
        found = [f for n, k in kinds.items() if (f := _type_fault(field, n, k, listed=False))]
        if field == "predicted" and not found:
            found = _mixture(kinds)
        faults += found


def _type_fault(field: str, column: str, kind: pa.DataType, *, listed: bool) -> Fault | None:
    if listed and not is_list(kind):
        return Fault("type", f"{column} has the type {kind}; it must be a list, like loss.")
    kind = value_type(kind.value_type if listed else kind)
    if field in ("loss", *FLOAT_CHANNELS):
        if is_number(kind):
            return None
        return Fault("type", f"{column} has the type {kind}; it must be a number.")
    if field == "epoch":
        if pa.types.is_integer(kind):
            return None
        return Fault("type", f"{column} has the type {kind}; epochs are integers. Cast it.")
    return None if is_name(kind) else ids_fault(column, kind)


def _mixture(kinds: dict[str, pa.DataType]) -> list[Fault]:
    """Tell of class names that are integers in one column and strings in another."""
    families = {family(kind): name for name, kind in kinds.items()}
    families.pop("null", None)
    if len(families) < 2:
        return []
    what = " and ".join(f"{held} in {name}" for held, name in families.items())
    return [Fault("type", f"the classes are {what}; use integers or strings throughout.")]


def family(kind: pa.DataType) -> str:
    """Return what a column holds, however it is stored; two families cannot be one column."""
    if is_list(kind):
        return f"list of {family(kind.value_type)}"
    kind = value_type(kind)
    for name, test in (("null", pa.types.is_null), ("integer", pa.types.is_integer)):
        if test(kind):
            return name
    return "number" if is_number(kind) else "text"


def is_list(kind: pa.DataType) -> bool:
    """Tell whether a column holds a list a row."""
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
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
    return bool(pa.types.is_integer(kind) or is_text(kind) or pa.types.is_null(kind))


def to_float32(values: pa.Array) -> Number:
    """Return numbers as float32, null as NaN; what is too large becomes infinite."""
    if not pa.types.is_floating(values.type):
        values = values.cast(pa.float64(), safe=False)  # float32 rounds more than this does
    array = values.to_numpy(zero_copy_only=False)
    if array.dtype == np.float32:
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(np.float32)
