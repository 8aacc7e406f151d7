"""``lossan apply``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lossan.cli import _common as common

if TYPE_CHECKING:
    from lossan.review import DecisionLog


def apply(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="CSV or Parquet.")],
    decisions: Annotated[
        Path, typer.Argument(metavar="DECISIONS", help="The folder of findings, or the file.")
    ],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="What to write.")],
    conflicts: Annotated[
        str, typer.Option("--conflicts", help="Where readers differ: error, or keep the label.")
    ] = "error",
    keep_excluded: Annotated[
        bool, typer.Option("--keep-excluded", help="Leave excluded samples in the table.")
    ] = False,
) -> None:
    """Write the corrected labels: label, original_label and the reason."""
    from lossan.errors import each_of
    from lossan.io import read_labels, write_labels
    from lossan.review import apply_decisions, open_decisions, outcomes

    table, log = each_of([lambda: read_labels(labels), lambda: open_decisions(decisions)])
    for original in (labels, log.path):
        common.refuse_same(output, original)
    common.refuse_parts(output, log.path.parent)
    applied = apply_decisions(
        table,
        outcomes(log.decisions),
        conflicts=conflicts,
        keep_excluded=keep_excluded,
    )
    write_labels(applied.labels, output)
    tell_cut(log)
    for label in applied.new_labels:
        typer.echo(f"note: no sample of {labels} had the label {label!r}", err=True)
    told = ", ".join(f"{count:,} {what}" for what, count in sorted(applied.counts.items()))
    typer.echo(f"{told or 'No decisions'}; wrote {output}", err=True)


def tell_cut(log: "DecisionLog") -> None:
    """Say on standard error that lines were cut off, as after a crash."""
    if log.n_cut:
        typer.echo(
            f"note: {log.n_cut:,} cut lines of {log.path} were never acknowledged and do not count",
            err=True,
        )


COMMANDS = {"apply": apply}
