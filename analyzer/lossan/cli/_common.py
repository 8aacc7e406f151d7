"""Options and helpers that several commands share."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Annotated, Any

import typer

from lossan.errors import OptionError

Log = Annotated[str, typer.Argument(metavar="LOG", help="The loss log; - is standard input.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
IdColumn = Annotated[str | None, typer.Option("--id-column", help="The column with sample ids.")]
EpochColumn = Annotated[str | None, typer.Option("--epoch-column", help="The one with epochs.")]
LossColumn = Annotated[str | None, typer.Option("--loss-column", help="The one with losses.")]
LabelColumn = Annotated[str | None, typer.Option("--label-column", help="The given labels.")]
TrueLabelColumn = Annotated[
    str | None, typer.Option("--true-label-column", help="The known truth, for evaluation only.")
]
Duplicates = Annotated[
    str, typer.Option("--duplicates", help="A repeated sample and epoch: error or last.")
]
Invalid = Annotated[str, typer.Option("--invalid", help="Infinite losses: error or mask.")]
Seed = Annotated[int, typer.Option("--seed", help="Everything random follows from it.")]

_QUIET_SECONDS = 2.0


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """Turn ``KEY=VALUE`` options into a dict; the detector's parameters check the values."""
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise OptionError(f"--set {pair}: needed is KEY=VALUE, for example --set max_iter=300.")
        settings[key.strip()] = value.strip()
    return settings


@contextmanager
def reading_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show on standard error how far reading came: a bar on a terminal, plain lines otherwise.

    Nothing is shown for what ends within two seconds.
    """
    began = last = monotonic()
    bar: Any = None

    def update(done: int, total: int) -> None:
        nonlocal bar, last
        now = monotonic()
        if now - began < _QUIET_SECONDS or not total:
            return
        if sys.stderr.isatty():
            if bar is None:
                bar = _bar(what)
            bar.update(0, completed=done, total=total)
        elif now - last >= _QUIET_SECONDS:
            last = now
            print(f"{what}: {done:,} of {total:,} rows", file=sys.stderr, flush=True)

    try:
        yield update
    finally:
        if bar is not None:
            bar.stop()


def _bar(what: str) -> Any:
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    bar.add_task(what)
    bar.start()
    return bar
