"""``lossan convert`` and ``lossan merge``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lossan.cli import _common as common

if TYPE_CHECKING:
    from lossan.losslog import LossLog


@common.reads_log
def convert(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The log to read.")],
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="*.parquet, *.npz, or a new directory, ending in /."),
    ],
    layout: Annotated[
        str | None, typer.Option("--layout", help="Of a Parquet file: long (default) or wide.")
    ] = None,
    *,
    hash_ids: Annotated[
        bool,
        typer.Option("--hash-ids", help="Pseudonyms for sample_id and group, no paths."),
    ] = False,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file", metavar="FILE", help="The pseudonyms' key; made where it is not there."
        ),
    ] = None,
    **reading: Any,
) -> None:
    """Turn a loss log into another of its physical forms, under pseudonyms if wanted."""
    from lossan.errors import OptionError
    from lossan.io import read_log, renumbered, write_log

    if key_file is not None and not hash_ids:
        raise OptionError("--key-file is for --hash-ids; give both or none.")
    with common.reading_progress("reading") as progress:
        log = read_log(source, progress=progress, **reading)
    if hash_ids:
        _write_hashed(log, target, layout, key_file or Path(target.rstrip("/") + ".key"))
    else:
        write_log(log, target, layout=layout)
    if renumbered(log, target, layout):
        first, last = int(log.epochs[0]), int(log.epochs[-1])
        typer.echo(
            f"note: {target} holds no numbers of epochs: {first} to {last} are 1 to "
            f"{log.n_epochs} in it",
            err=True,
        )
    typer.echo(f"Wrote {log.n_samples:,} samples x {log.n_epochs} epochs to {target}", err=True)


def _write_hashed(log: Any, target: str, layout: str | None, key_file: Path) -> None:
    from lossan.io import write_log
    from lossan.pseudonyms import pseudonymise, read_key

    common.refuse_same(Path(target), key_file)
    key, made = read_key(key_file)
    try:
        write_log(pseudonymise(log, key), target, layout=layout)
    except BaseException:
        if made:
            key_file.unlink(missing_ok=True)
        raise
    what = "a new one" if made else "the one that was there"
    typer.echo(
        f"The key is {what} in {key_file}: keep it apart from the log, and secret. The same key "
        "gives the same pseudonyms.",
        err=True,
    )


@common.reads_log
def merge(
    shards: Annotated[list[str], typer.Argument(metavar="SHARD", help="Logs to merge.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="LOG", help="The log to write.")],
    **reading: Any,
) -> None:
    """Merge the logs of several processes into one."""
    from lossan.io import read_logs, scan_log, write_log
    from lossan.merge import merge_logs

    def read(shard: str) -> "LossLog":
        with common.reading_progress(f"reading {shard}") as progress:
            found = scan_log(shard, progress=progress, **reading)
        # A shard may hold one epoch, and nothing observed in it: what they make up together counts.
        part = tuple(f for f in found.faults if f.code not in ("one_epoch", "all_nan"))
        return replace(found, faults=part).unwrap(shard)

    logs = read_logs(shards, read)
    log = merge_logs(logs, names=shards, duplicates=reading["duplicates"])
    write_log(log, output)
    typer.echo(f"Wrote {log.n_samples:,} samples x {log.n_epochs} epochs to {output}", err=True)


COMMANDS = {"convert": convert, "merge": merge}
