"""``lossan inspect``."""

import json
import math
from typing import Any

import numpy as np
import typer

from lossan.cli import _common as common


@common.reads_log
def inspect(
    log: common.Log,
    as_json: common.AsJson = False,
    **reading: Any,
) -> None:
    """Show what a loss log holds and every fault found in it.

    Exits with 2 when there is a fault that `lossan analyze` would refuse.
    """
    from lossan.errors import LogError
    from lossan.io import scan_log

    with common.reading_progress("reading") as progress:
        found = scan_log(log, progress=progress, **reading)
    facts = _facts(found)
    faults = [{"code": f.code, "count": f.count, "message": f.message} for f in found.faults]
    if as_json:
        told = _plain({"path": log, **facts, "faults": faults})
        print(json.dumps(told, indent=2, default=str, allow_nan=False))
    else:
        _print(log, facts)
        if not faults:
            typer.echo("\nno faults found")
    if found.faults:
        raise LogError(log, found.faults)


def _plain(value: Any) -> Any:
    """Return what JSON can hold: a number that is none, in somebody's metadata, as text."""
    if isinstance(value, dict):
        return {key: _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _facts(reading: Any) -> dict[str, Any]:
    from lossan.cli._facts import describe

    facts: dict[str, Any] = {"layout": reading.layout}
    if reading.log is not None:
        facts |= describe(reading.log)
    return facts | {"metadata": dict(reading.metadata)}


def _print(log: str, facts: dict[str, Any]) -> None:
    from rich.markup import escape

    from lossan.cli._show import console, table

    out = console()
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            shown = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            shown = ", ".join(str(v) for v in value)
        else:
            shown = f"{value:,}" if isinstance(value, int | np.integer) else str(value or "")
        rows.append([name.replace("_", " "), shown or "-"])
    out.print(table(escape(common.visible(log)), {"": "left", " ": "left"}, rows))


COMMANDS = {"inspect": inspect}
