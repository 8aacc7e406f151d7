"""How to read a log, and which of its columns means what."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from lossan.errors import Fault, OptionError, hint
from lossan.io._types import Columns, is_list
from lossan.losslog import CHANNELS, STATIC_FIELDS

FIELDS = ("sample_id", "epoch", "loss", *STATIC_FIELDS, *CHANNELS)


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Names of columns and what to do with what should not be there.

    Parameters
    ----------
    id_column, epoch_column, loss_column, label_column, true_label_column : str, optional
        Columns that have other names than the format gives them.
    duplicates : {"error", "last"}
        What to do with a repeated (sample, epoch).
    invalid : {"error", "mask"}
        What to do with infinite losses.
    """

    id_column: str | None = None
    epoch_column: str | None = None
    loss_column: str | None = None
    label_column: str | None = None
    true_label_column: str | None = None
    duplicates: str = "error"
    invalid: str = "error"

    def __post_init__(self) -> None:
        for name, allowed in (("duplicates", ("error", "last")), ("invalid", ("error", "mask"))):
            value = getattr(self, name)
            if value not in allowed:
                raise OptionError(f"{name} is {value!r}; {hint(value, allowed)}")

    def column(self, field: str) -> str:
        """Return the name of the column that holds a field."""
        given = {
            "sample_id": self.id_column,
            "epoch": self.epoch_column,
            "loss": self.loss_column,
            "label": self.label_column,
            "true_label": self.true_label_column,
        }.get(field)
        return given or field

    def given(self) -> dict[str, str]:
        """Return the fields whose column the user named, by option."""
        options = {
            "--id-column": self.id_column,
            "--epoch-column": self.epoch_column,
            "--loss-column": self.loss_column,
            "--label-column": self.label_column,
            "--true-label-column": self.true_label_column,
        }
        return {option: column for option, column in options.items() if column}


def find_columns(
    schema: pa.Schema, options: ReadOptions, *, epoch_in_path: bool, faults: list[Fault]
) -> Columns | None:
    """Tell long from wide and find every field, or say what is missing and what there is."""
    names = schema.names
    told: set[str] = set()  # options that name no column
    for option, column in options.given().items():
        if column in names:
            continue
        if option == "--loss-column" and _numbered(column, names, []):
            continue
        if option == "--epoch-column" and epoch_in_path:
            continue
        told.add(option)
        faults.append(
            Fault("no_column", f"there is no column {column!r} ({option}); {hint(column, names)}")
        )
    single = {f: options.column(f) for f in FIELDS if options.column(f) in names}
    loss_numbers = {} if "loss" in single else _numbered(options.column("loss"), names, faults)
    listed = "loss" in single and is_list(schema.field(names.index(single["loss"])).type)
    layout = "wide" if loss_numbers or listed else "long"
    faults += _lacking(layout, single, bool(loss_numbers), names, epoch_in_path, told)
    if layout == "wide":
        single.pop("epoch", None)
    numbered = {"loss": loss_numbers} if loss_numbers else {}
    for field in CHANNELS if layout == "wide" else ():
        if field not in single and (found := _numbered(field, names, faults)):
            numbered[field] = found
    used = [*single.values(), *(c for found in numbered.values() for c in found.values())]
    faults += _name_faults(names, used, numbered)
    if faults:
        return None
    by_field = {field: list(found.values()) for field, found in numbered.items()}
    return Columns(layout, single, by_field, tuple(loss_numbers))


def _name_faults(
    names: Sequence[str], used: Sequence[str], numbered: dict[str, dict[int, str]]
) -> list[Fault]:
    """Tell of columns whose names leave open which one is meant."""
    faults = [
        Fault("no_column", f"the column {name!r} stands in it {count} times; rename the others.")
        for name, count in Counter(names).items()
        if count > 1 and name in used
    ]
    losses = numbered.get("loss")
    for field, found in numbered.items():
        if losses and found.keys() != losses.keys():
            odd = sorted(found.keys() ^ losses.keys())
            message = (
                f"the columns {field}_N and loss_N must have the same numbers; only one of the "
                f"two has {', '.join(map(str, odd))}."
            )
            faults.append(Fault("no_column", message))
    return faults


def _lacking(
    layout: str,
    single: dict[str, str],
    numbered: bool,
    names: Sequence[str],
    epoch_in_path: bool,
    told: set[str],
) -> list[Fault]:
    """Tell which fields a log cannot do without, but for those told of by their option."""
    needed = {
        "loss": ("--loss-column", "the losses", "loss" in single or numbered),
        "sample_id": ("--id-column", "the sample ids", "sample_id" in single),
        "epoch": (
            "--epoch-column",
            "the epochs (or make loss a list column, a row a sample)",
            layout == "wide" or "epoch" in single or epoch_in_path,
        ),
    }
    faults = []
    for field, (option, what, there) in needed.items():
        if there or option in told:
            continue
        guess = _guess(field, names)
        suggestion = f" Did you mean {option} {guess}?" if guess else ""
        message = (
            f"there is no column {field!r}; its columns are: {', '.join(names) or 'none'}. "
            f"Name the one with {what} by {option}.{suggestion}"
        )
        faults.append(Fault("no_column", message))
    return faults


def _guess(field: str, names: Sequence[str]) -> str | None:
    stems = {
        "loss": ("loss", "nll", "cross_entropy", "ce"),
        "sample_id": ("id", "index", "guid", "name", "file"),
        "epoch": ("epoch", "step", "iteration"),
    }[field]
    for stem in stems:
        for name in names:
            if re.search(rf"(^|[_\W]|[a-z](?=[A-Z])){stem}([_\W]|$)", name, re.IGNORECASE):
                return name
    return None


def _numbered(stem: str, names: Sequence[str], faults: list[Fault]) -> dict[int, str]:
    found: dict[int, str] = {}
    for name in names:
        if match := re.fullmatch(rf"{re.escape(stem)}_(\d{{1,9}})", name):
            if int(match[1]) in found:  # as loss_1 and loss_01
                message = (
                    f"the columns {found[int(match[1])]} and {name} are both of epoch "
                    f"{int(match[1])}; rename one."
                )
                faults.append(Fault("no_column", message))
            found[int(match[1])] = name
    return dict(sorted(found.items()))
