"""``lossan compare``."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from lossan.cli import _common as common


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Logs of `lossan train --test`, their history beside; NAME=LOG,LOG for seeds.",
        ),
    ],
    *,
    test: Annotated[
        Path | None,
        typer.Option(
            "--test", metavar="LABELS", help="What they were tested on: its groups stay together."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.html", help="A page to write.")
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Hold training runs against each other on their test set; the first is the baseline."""
    from lossan.compare import compare_runs
    from lossan.errors import each_of
    from lossan.io import atomic_file
    from lossan.training import read_history, read_test_set

    if output is not None:
        from lossan.report import check_report

        check_report()
    named = dict(map(_seeds, runs))
    histories = [partial(read_history, log) for logs in named.values() for log in logs]
    tables = [] if test is None else [partial(_groups, test)]
    read = iter(each_of([*histories, *tables]))
    sets = {name: [next(read) for _ in logs] for name, logs in named.items()}
    tested = {name: [read_test_set(log) for log in logs] for name, logs in named.items()}
    groups, of_table = next(read, (None, None))
    summary, curves = compare_runs(sets, groups, tested)
    if of_table is not None:
        _check_table(test, of_table, tested)
    if output is not None:
        with atomic_file(output) as file:
            file.write(_page(summary, curves).encode())
        typer.echo(f"Wrote {output}", err=True)
    if as_json:
        print(json.dumps(summary, indent=2, allow_nan=False))
        return
    _print(summary)


def _seeds(text: str) -> tuple[str, list[Path]]:
    """Return a run's name and its logs, one a seed."""
    from lossan.errors import OptionError
    from lossan.training import history_file

    name, equals, logs = text.partition("=")
    if not equals or history_file(Path(text)).exists():  # a file's name may hold the sign too
        return text, [Path(text)]
    if not name or "" in logs.split(","):
        raise OptionError(
            f"{text!r} names a run without a name or a log; allowed: LOG, NAME=LOG or "
            "NAME=LOG,LOG,... with a log a seed."
        )
    return name, [Path(log) for log in logs.split(",")]


def _check_table(test: Path | None, found: str, tested: dict[str, list[str | None]]) -> None:
    """Refuse a table that is not the runs' own: its groups would be those of other samples."""
    from lossan.errors import TableError

    known = [(name, seed) for name, seeds in tested.items() for seed in seeds if seed is not None]
    others = [(name, seed) for name, seed in known if seed != found]
    if others:
        name, theirs = others[0]
        raise TableError(
            f"{test} holds other samples or labels than {name} was tested on, or in another order "
            f"(its fingerprint is {found[:19]}, that of the run {theirs[:19]}); give the table of "
            "lossan train --test."
        )


def _groups(test: Path) -> tuple[Any, str | None]:
    """Return the codes of the groups, and the table's fingerprint where it has labels."""
    import numpy as np

    from lossan.errors import TableError
    from lossan.io import read_labels
    from lossan.training import fingerprint_of_test

    table = read_labels(test, needed=("sample_id", "group"))
    groups = table.column("group").to_pylist()
    empty = sum(group in (None, "") for group in groups)
    if empty:
        raise TableError(f"{test}: group is empty in {empty} of {len(groups)} rows.")
    found = None
    if table.has("label"):
        ids, labels = (table.column(field).to_pylist() for field in ("sample_id", "label"))
        found = fingerprint_of_test(ids, labels)
    return np.unique([str(group) for group in groups], return_inverse=True)[1], found


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
            "-" if run["best_loss"] is None else f"{run['best_loss']:.4f}",
            ""
            if i == 0
            else percent(run["difference"], run["difference_low"], run["difference_high"]),
        ]
        for i, run in enumerate(summary["runs"])
    ]
    out = console()
    seeds = summary["runs"][0]["n_seeds"]
    of_seeds = f", mean of {seeds} seeds" if seeds > 1 else ""
    title = f"{len(rows)} runs on {summary['n_test']} test samples{of_seeds}"
    out.print(table(title, columns, rows))
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
