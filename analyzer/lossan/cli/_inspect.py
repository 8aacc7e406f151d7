"""``lossan inspect``."""

import json
from typing import Any

import numpy as np
import typer

from lossan.cli import _common as common


def inspect(
    log: common.Log,
    as_json: common.AsJson = False,
    id_column: common.IdColumn = None,
    epoch_column: common.EpochColumn = None,
    loss_column: common.LossColumn = None,
    label_column: common.LabelColumn = None,
    true_label_column: common.TrueLabelColumn = None,
    duplicates: common.Duplicates = "error",
    invalid: common.Invalid = "error",
) -> None:
    """Show what a loss log holds and every fault found in it.

    Exits with 2 when there is a fault that `lossan analyze` would refuse.
    """
    from lossan.errors import LogError
    from lossan.io import scan_log

    with common.reading_progress("reading") as progress:
        reading = scan_log(
            log,
            progress=progress,
            id_column=id_column,
            epoch_column=epoch_column,
            loss_column=loss_column,
            label_column=label_column,
            true_label_column=true_label_column,
            duplicates=duplicates,
            invalid=invalid,
        )
    facts = _facts(reading)
    faults = [{"code": f.code, "count": f.count, "message": f.message} for f in reading.faults]
    if as_json:
        print(json.dumps({"path": log, **facts, "faults": faults}, indent=2, default=str))
    else:
        _print(log, facts)
        if not faults:
            typer.echo("\nno faults found")
    if reading.faults:
        raise LogError(log, reading.faults)


def _facts(reading: Any) -> dict[str, Any]:
    from lossan.cli._facts import describe

    facts: dict[str, Any] = {"layout": reading.layout}
    if reading.log is not None:
        facts |= describe(reading.log)
    return facts | {"metadata": dict(reading.metadata)}


def _print(log: str, facts: dict[str, Any]) -> None:
    from lossan.cli._show import console, table

    out = console()
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            shown = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            shown = ", ".join(str(v) for v in value)
        else:
            shown = f"{value:,}" if isinstance(value, int | np.integer) else str(value)
        rows.append([name.replace("_", " "), shown or "-"])
    out.print(table(log, {"": "left", " ": "left"}, rows))


COMMANDS = {"inspect": inspect}
