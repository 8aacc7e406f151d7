"""``lossan convert`` and ``lossan merge``."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from lossan.cli import _common as common


@common.reads_log
def convert(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The log to read.")],
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="*.parquet, *.npz, or a directory ending in /."),
    ],
    layout: Annotated[
        str | None, typer.Option("--layout", help="Of a Parquet file: long (default) or wide.")
    ] = None,
    **reading: Any,
) -> None:
    """Turn a loss log into another of its physical forms."""
    from lossan.io import read_log, write_log

    with common.reading_progress("reading") as progress:
        log = read_log(source, progress=progress, **reading)
    write_log(log, target, layout=layout)
    typer.echo(f"Wrote {log.n_samples:,} samples x {log.n_epochs} epochs to {target}", err=True)


@common.reads_log
def merge(
    shards: Annotated[list[str], typer.Argument(metavar="SHARD ...", help="Logs to merge.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="LOG", help="The log to write.")],
    **reading: Any,
) -> None:
    """Merge the logs of several processes into one."""
    from lossan.io import scan_log, write_log
    from lossan.merge import merge_logs

    logs = []
    for shard in shards:
        with common.reading_progress(f"reading {shard}") as progress:
            found = scan_log(shard, progress=progress, **reading)
        # A shard may hold one epoch, and nothing observed in it: what they make up together counts.
        part = tuple(f for f in found.faults if f.code not in ("one_epoch", "all_nan"))
        logs.append(replace(found, faults=part).unwrap(shard))
    log = merge_logs(logs, duplicates=reading["duplicates"])
    write_log(log, output)
    typer.echo(f"Wrote {log.n_samples:,} samples x {log.n_epochs} epochs to {output}", err=True)


COMMANDS = {"convert": convert, "merge": merge}
