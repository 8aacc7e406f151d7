"""Figures as SVG text that stands inside a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

BLUE, RED, GREEN, GREY = "#2c6fad", "#c0392b", "#2e7d4f", "#777777"
_METADATA = ("Date", "Creator", "Format", "Type")  # left out


@dataclass(frozen=True, eq=False)
class Line:
    """A line of a figure.

    Parameters
    ----------
    x, y : sequence of float
        Of equal length.
    name : str
        What the legend says.
    colour : str
    style : str
        As matplotlib has it.
    """

    x: Sequence[float]
    y: Sequence[float]
    name: str
    colour: str
    style: str = "-"


def draw_lines(lines: Sequence[Line], *, x: str, y: str, alt: str, whole_x: bool = False) -> Markup:
    """Draw lines over one another.

    Parameters
    ----------
    lines : sequence of Line
    x, y : str
        What the axes show, with units.
    alt : str
        What the figure shows, for who cannot see it.
    whole_x : bool
        Whether x counts something.
    """
    figure, axes = _figure()
    for line in lines:
        axes.plot(line.x, line.y, line.style, color=line.colour, label=line.name, lw=1.8)
    axes.legend(frameon=False)
    return _finish(figure, axes, x, y, alt, whole_x=whole_x)


def draw_sequences(
    epochs: NDArray[np.int64], kinds: Mapping[str, NDArray[np.float32]], *, alt: str
) -> Markup:
    """Draw loss sequences of several kinds of samples, as the paper's Fig. 4 does.

    Parameters
    ----------
    epochs : ndarray of int
        Shape (n_epochs,).
    kinds : mapping of str to ndarray
        Shape (n, n_epochs) each, in nats; the later ones are drawn on top.
    alt : str
    """
    figure, axes = _figure()
    styles = ((BLUE, "-"), (RED, "--"))
    for (name, losses), (colour, style) in zip(kinds.items(), styles, strict=False):
        for number, sequence in enumerate(losses):
            label = f"{name} ({len(losses)})" if number == 0 else None
            axes.plot(epochs, sequence, style, color=colour, alpha=0.6, lw=1.1, label=label)
    axes.legend(frameon=False)
    return _finish(figure, axes, "epoch", "loss (nats)", alt, whole_x=True)


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.8), layout="constrained")
    return figure, figure.add_subplot()


def _finish(figure: Any, axes: Any, x: str, y: str, alt: str, *, whole_x: bool) -> Markup:
    from matplotlib import rc_context
    from matplotlib.ticker import MaxNLocator

    axes.set(xlabel=x, ylabel=y)
    if whole_x:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    out = BytesIO()
    # the same figure gives the same bytes: no date, no random ids
    with rc_context({"svg.hashsalt": "lossan", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata=dict.fromkeys(_METADATA))
    text = out.getvalue().decode()
    svg = text[text.index("<svg") :]
    label = Markup('<svg role="img" aria-label="{}"').format(alt)
    return label + Markup(svg[len("<svg") :])  # noqa: S704  (matplotlib escapes what it is given)
