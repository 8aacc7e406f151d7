"""``lossan compare``."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lossan.cli import _common as common


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN ...", help="Logs of `lossan train --test`, their history beside."
        ),
    ],
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.html", help="A page to write.")
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Hold training runs against each other on their test set; the first is the baseline."""
    from lossan.compare import compare_runs
    from lossan.io import atomic_file
    from lossan.training import read_history

    if output is not None:
        from lossan.report import check_report

        check_report()
    summary, curves = compare_runs({name: read_history(Path(name)) for name in runs})
    if output is not None:
        with atomic_file(output) as file:
            file.write(_page(summary, curves).encode())
        typer.echo(f"Wrote {output}", err=True)
    if as_json:
        print(json.dumps(summary, indent=2))
        return
    _print(summary)


def _print(summary: dict[str, Any]) -> None:
    from lossan.cli._show import console, percent, table

    columns = {"run": "left", "best accuracy": "left", "at epoch": "right", "last": "right"}
    columns |= {"best loss": "right", "against the first": "left"}
    rows = [
        [
            common.printable(run["name"]),
            percent(run["best_accuracy"], run["low"], run["high"]),
            run["best_epoch"],
            percent(run["last_accuracy"]),
            f"{run['best_loss']:.4f}",
            ""
            if i == 0
            else percent(run["difference"], run["difference_low"], run["difference_high"]),
        ]
        for i, run in enumerate(summary["runs"])
    ]
    out = console()
    out.print(table(f"{len(rows)} runs on {summary['n_test']} test samples", columns, rows))
    for note in summary["notes"]:
        out.print(f"note: {note}", markup=False)


def _page(summary: dict[str, Any], curves: dict[str, Any]) -> str:
    from lossan.report import (
        BLUE,
        GREEN,
        GREY,
        OCHRE,
        RED,
        VIOLET,
        Line,
        draw_lines,
        render_page,
    )

    colours = (BLUE, RED, GREEN, VIOLET, OCHRE, GREY)
    figures = {}
    for field, what in (("accuracy", "test accuracy"), ("loss", "test loss (nats)")):
        lines = [
            Line(
                range(1, len(getattr(run, field)) + 1),
                getattr(run, field),
                name,
                colours[place % len(colours)],
                ("-", "--", ":")[place // len(colours) % 3],
            )
            for place, (name, run) in enumerate(curves.items())
        ]
        figures[field] = draw_lines(lines, x="epoch", y=what, alt=f"{what} by epoch", whole_x=True)
    return render_page("compare.html", s=summary, **figures)


COMMANDS = {"compare": compare}
