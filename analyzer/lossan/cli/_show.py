"""What a person sees in the terminal."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lossan.cli._common import visible

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 110


def console() -> Console:
    """Return a console on standard output, wide enough where nobody's terminal limits it."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=_WIDTH)


def table(title: str, columns: dict[str, str], rows: list[list[Any]]) -> Table:
    """Build a table; ``columns`` maps headings to "left" or "right"."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for heading, side in columns.items():
        made.add_column(heading, justify=side, overflow="fold")  # type: ignore[arg-type]  # a str here
    for row in rows:
        made.add_row(*(escape("" if cell is None else visible(str(cell))) for cell in row))
    return made


def percent(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Write a share, with its interval where there is one."""
    if value is None:
        return "-"
    text = f"{100 * value:.1f}%"
    return text if low is None or high is None else f"{text} ({100 * low:.1f} to {100 * high:.1f})"


def peak(losses: NDArray[np.floating[Any]]) -> float:
    """Return the highest observed loss, 0 where there is none above it."""
    return float(losses.max(initial=0, where=~np.isnan(losses)))


def sparkline(losses: NDArray[np.floating[Any]], highest: float) -> str:
    """Draw a loss sequence; a blank is an epoch at which it was not observed.

    Examples
    --------
    >>> sparkline(np.array([2.0, 1.0, np.nan, 0.0]), 2.0)
    '█▅ ▁'
    """
    top = len(_BARS) - 1
    highest = highest if highest > 0 else 1.0
    # by division: the reciprocal of the least of numbers is infinite
    return "".join(
        " "
        if np.isnan(v)
        else _BARS[int(np.clip(np.floor(float(v) / highest * top + 0.5), 0, top))]
        for v in losses
    )
