"""``lossan review``."""

import csv
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from lossan.cli import _common as common
from lossan.errors import OptionError, TableError, hint

if TYPE_CHECKING:
    from lossan.review import ImageFolder


def review(
    findings: common.Findings,
    *,
    images: Annotated[
        Path, typer.Option("--images", metavar="DIR", help="What paths are relative to.")
    ],
    reader: Annotated[
        str | None, typer.Option("--reader", help="Who reads; without it the page asks.")
    ] = None,
    blinded: Annotated[
        bool, typer.Option("--blinded", help="Hide labels and names until the first opinion.")
    ] = False,
    order: Annotated[
        str,
        typer.Option(
            "--order", help="suspicion, class-pair, or group: all of a patient's together."
        ),
    ] = "suspicion",
    top: Annotated[
        int | None,
        typer.Option("--top", min=1, help="So many most suspicious ones, flagged or not."),
    ] = None,
    adjudicate: Annotated[
        bool, typer.Option("--adjudicate", help="Only what readers do not agree on.")
    ] = False,
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            metavar="A,B,...",
            help='The classes in the order of their keys; "A, B" in quotes is one.',
        ),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: any.")] = 8765,
    host: Annotated[str, typer.Option("--host", help="Others than this machine: take care.")] = (
        "127.0.0.1"
    ),
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
) -> None:
    """Look at the suspects in a browser and decide; decisions go to decisions.jsonl."""
    from lossan.review import ORDERS, Listener, Plan, check_review, open_review, serve_review

    check_review()
    if order not in ORDERS:
        raise OptionError(f"--order {order}: {hint(order, ORDERS)}")
    plan = Plan(
        order=cast("Any", order),
        top=top,
        blinded=blinded,
        adjudicate=adjudicate,
        reader=_reader(reader),
        classes=_classes(classes),
    )
    folder = _image_folder(images)
    shown = open_review(findings, plan)
    paths = shown.images()
    _tell_lacking(images, paths, folder.lacking(paths))
    if shown.n_cut:
        typer.echo(f"{shown.log_path}: {shown.n_cut} cut-off lines do not count.", err=True)
    listener = Listener(host, port)
    if not listener.is_loopback:
        typer.echo(
            f"warning: {host} is not this machine alone: whoever has the address sees the images, "
            "and what is sent is not encrypted.",
            err=True,
        )

    def ready(url: str) -> None:
        print(url, flush=True)
        typer.echo("Ctrl-C ends it; every decision is kept as it is made.", err=True)
        if not no_open and _has_screen():
            typer.launch(url)

    serve_review(shown, folder, listener, ready=ready)
    typer.echo(f"Ended. Decisions: {shown.log_path}", err=True)


def _reader(name: str | None) -> str | None:
    if name is None:
        return None
    from lossan.review import LEGIBLE, is_legible

    if not is_legible(name):
        raise OptionError(f"--reader {name!r}: {LEGIBLE}.")
    return name.strip()


def _classes(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    try:
        # as CSV has it, so that a name may hold a comma
        (cells,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        cells = []
    names = [name.strip() for name in cells]
    if not names or not all(names) or len(set(names)) != len(names):
        raise OptionError(
            f"--classes {text}: needed are different names with commas between; one that holds a "
            "comma stands in double quotes, such as --classes '\"a, b\",c'."
        )
    return tuple(names)


def _image_folder(images: Path) -> "ImageFolder":
    from lossan.review import ImageFolder

    if not images.is_dir():
        what = "is not a folder" if images.exists() else "there is no such folder"
        raise TableError(f"--images {images}: {what}.")
    return ImageFolder(images)


def _tell_lacking(images: Path, paths: list[str], lacking: list[tuple[str, str]]) -> None:
    if not lacking:
        return
    path, trouble = lacking[0]
    if len(lacking) == len(paths):
        raise TableError(
            f"--images {images}: none of the {len(paths):,} images can be shown, first {path!r}: "
            f"{trouble}. Give the folder that paths are relative to."
        )
    typer.echo(
        f"{len(lacking):,} of {len(paths):,} images cannot be shown, first {path!r}: {trouble}.",
        err=True,
    )


def _has_screen() -> bool:
    """Tell whether a browser would have a window, and not take this terminal."""
    if not sys.stdout.isatty() or os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in ("win32", "darwin") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


COMMANDS = {"review": review}
