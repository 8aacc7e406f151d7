"""``lossan decisions``: how a review stands; queues for other programs, and back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lossan.cli import _common as common

if TYPE_CHECKING:
    from lossan.review import ReviewSummary

FORMATS = ("csv", "label-studio", "fiftyone")
app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="How a review stands; queues for Label Studio, CSV, FiftyOne, and decisions back.",
)


@app.command("show")
def show(findings: common.Findings, *, as_json: common.AsJson = False) -> None:
    """Print progress, outcomes, conflicts and the readers' agreement."""
    from lossan.review import summarise_review

    summary = summarise_review(findings)
    if as_json:
        print(summary.model_dump_json(indent=2))
    else:
        _print(summary)


@app.command("export")
def export(
    findings: common.Findings,
    *,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="The file; FiftyOne: the name.")
    ],
    to: Annotated[str, typer.Option("--to", help="csv, label-studio or fiftyone.")],
    blinded: Annotated[
        bool, typer.Option("--blinded", help="Without the given and the suggested label.")
    ] = False,
    image_prefix: Annotated[
        str, typer.Option("--image-prefix", help="Before each path: a folder/ or a URL.")
    ] = "",
    order: Annotated[
        str, typer.Option("--order", help="suspicion, class-pair or group.")
    ] = "suspicion",
    top: Annotated[
        int | None, typer.Option("--top", min=1, help="Only the most suspicious ones.")
    ] = None,
) -> None:
    """Write the queue for another program."""
    from lossan.errors import OptionError
    from lossan.io import atomic_file
    from lossan.review import exchange

    _check(to, "--to")
    tasks = exchange.make_tasks(
        findings, order=order, top=top, blinded=blinded, image_prefix=image_prefix
    )
    if to == "fiftyone":
        exchange.write_fiftyone(tasks, output)
    else:
        path = Path(output)
        common.refuse_parts(path, findings)
        if not path.name:
            raise OptionError(f"-o {output!r} names no file; give one, such as -o queue.json.")
        if to == "label-studio":
            config = path.with_suffix(".config.xml")
            text = exchange.labelling_config(tasks).encode()
            with atomic_file(path) as file:
                file.write(exchange.write_label_studio(tasks))
            with atomic_file(config) as file:
                file.write(text)
            typer.echo(f"Wrote {config}: the project's labelling configuration", err=True)
            if not tasks.classes:
                typer.echo(
                    'note: the findings hold no labels, so add a <Choice value="..."/> for each '
                    f"class to {config}, and import by --new-labels.",
                    err=True,
                )
        else:
            with atomic_file(path) as file:
                file.write(exchange.write_csv(tasks))
    typer.echo(f"Wrote {len(tasks.suspects):,} samples to {output}", err=True)


@app.command("import")
def import_(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="The file; FiftyOne: the data set's name.")
    ],
    *,
    kind: Annotated[str, typer.Option("--from", help="csv, label-studio or fiftyone.")],
    findings: Annotated[
        Path, typer.Option("--findings", metavar="DIR", help="The findings they are decisions on.")
    ],
    reader: Annotated[
        str | None, typer.Option("--reader", help="Who decided, where the file does not say.")
    ] = None,
    new_labels: Annotated[
        bool, typer.Option("--new-labels", help="Allow labels that the findings do not have.")
    ] = False,
) -> None:
    """Add another program's decisions to decisions.jsonl; twice adds nothing."""
    from lossan.review import exchange

    _check(kind, "--from")
    if kind == "fiftyone":
        batch = exchange.read_fiftyone(source, reader)
    elif kind == "label-studio":
        batch = exchange.read_label_studio(Path(source), reader)
    else:
        batch = exchange.read_csv(Path(source), reader)
    added, known = exchange.import_answers(findings, batch, new_labels=new_labels)
    typer.echo(
        f"Added {added:,} decisions; {known:,} were there already, {batch.n_skipped:,} samples "
        "have none",
        err=True,
    )


def _check(kind: str, option: str) -> None:
    from lossan.errors import OptionError, hint

    if kind not in FORMATS:
        raise OptionError(f"{option} {kind}: {hint(kind, FORMATS)}")


def _print(summary: "ReviewSummary") -> None:
    from lossan.cli._show import console, table

    out, stop = console(), summary.stopping
    out.print(
        f"{summary.n_reviewed_in_queue:,} of {summary.n_queue:,} suspects reviewed; "
        f"{stop.wrong_found:,} wrong label{'' if stop.wrong_found == 1 else 's'} found",
        style="bold",
    )
    out.print(stop.advice, markup=False)
    if summary.n_cut:
        out.print(f"{summary.n_cut:,} cut-off lines do not count", markup=False)
    for title, columns, rows in _tables(summary):
        if rows:
            out.print()
            out.print(table(title, columns, rows))


def _tables(summary: "ReviewSummary") -> list[tuple[str, dict[str, str], list[list[Any]]]]:
    outcomes = [[name, f"{count:,}"] for name, count in summary.outcomes.items()]
    readers = [
        [
            r.reader,
            f"{r.n_samples:,}",
            f"{r.n_adjudicated:,}",
            "" if r.median_seconds is None else f"{r.median_seconds:.1f}",
        ]
        for r in summary.readers
    ]
    conflicts = [
        [
            c.sample_id,
            c.given_label,
            "; ".join(f"{who}: {what}" for who, what in c.opinions.items()),
        ]
        for c in summary.conflicts
    ]
    return [
        ("Outcomes", {"": "left", "samples": "right"}, outcomes),
        (
            "Readers",
            {"": "left", "samples": "right", "adjudicated": "right", "median seconds": "right"},
            readers,
        ),
        (
            "Agreement",
            {"": "left", "both read": "right", "agree": "right", "Cohen's kappa": "left"},
            _agreement(summary),
        ),
        (
            "To adjudicate",
            {"sample": "left", "label": "left", "readers say": "left"},
            conflicts,
        ),
    ]


def _agreement(summary: "ReviewSummary") -> list[list[str]]:
    from lossan.cli._show import percent

    rows = []
    for a in summary.agreement:
        kappa = "-" if a.kappa is None else f"{a.kappa:.2f} ({a.low:.2f} to {a.high:.2f})"
        rows.append([" and ".join(a.readers), f"{a.n:,}", percent(a.agreement), kappa])
    return rows
