"""``lossan report``."""

from pathlib import Path
from typing import Annotated

import typer

from lossan.cli import _common as common


def report(
    findings: common.Findings,
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.html", help="The page to write.")
    ],
    images: common.Images = None,
    top: Annotated[
        int, typer.Option("--top", min=1, max=10_000, help="How many suspects to show at most.")
    ] = 1000,
) -> None:
    """Write one self-contained HTML page of findings: it opens offline and asks nobody."""
    from lossan.io import atomic_file
    from lossan.report import check_report, findings_page, read_report

    check_report()
    common.refuse_parts(output, findings)
    shown = read_report(findings, top=top)
    with common.reading_progress("reading images", "images") as progress:
        page = findings_page(shown, images, progress=progress)
    with atomic_file(output) as file:
        file.write(page.html.encode())
    if page.note is not None:
        typer.echo(page.note, err=True)
    typer.echo(f"Wrote {output}", err=True)


COMMANDS = {"report": report}
