"""Figures as SVG text that stands inside a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lossan.results import FeatureSummary, ScoreSummary

if TYPE_CHECKING:
    from markupsafe import Markup

BLUE, RED, GREEN, GREY, VIOLET, OCHRE = (
    *("#2c6fad", "#c0392b", "#2e7d4f", "#777777"),
    *("#8e5ea2", "#b7791f"),
)
# The page's own colours stand in for these, so that a figure suits a dark page and print too.
_AS_THE_PAGE = {
    "#000000": "currentColor",
    "#b0b0b0": "var(--soft)",
    "#222222": "var(--ink)",
    BLUE: "var(--blue)",
    RED: "var(--red)",
    GREEN: "var(--green)",
    GREY: "var(--soft)",
    VIOLET: "var(--violet)",
    OCHRE: "var(--ochre)",
}
_METADATA = ("Date", "Creator", "Format", "Type")  # left out
_UNEQUAL = 20  # times as many in the fullest bin: a linear axis would hide the few


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


def draw_lines(
    lines: Sequence[Line], *, x: str, y: str, alt: str, whole_x: bool = False
) -> "Markup":
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
) -> "Markup":
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


def draw_scores(scores: ScoreSummary, *, alt: str) -> "Markup":
    """Draw the distribution of scores with the cut."""
    figure, axes = _figure()
    for counts, name, colour in (
        (scores.unflagged, "not flagged", BLUE),
        (scores.flagged, "flagged", RED),
    ):
        label = f"{name} ({sum(counts):,})"
        axes.stairs(counts, scores.edges, fill=True, color=colour, alpha=0.75, label=label)
    if scores.cut is not None:
        axes.axvline(scores.cut, color="#222222", lw=1.2, ls="--", label=f"cut {scores.cut:.4g}")
    unit = "samples"
    highest = max(*scores.flagged, *scores.unflagged)
    if any(0 < max(kind) * _UNEQUAL < highest for kind in (scores.flagged, scores.unflagged)):
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        unit = "samples (logarithmic)"
    axes.legend(frameon=False)
    return _finish(figure, axes, "score (higher is more suspicious)", unit, alt, whole_x=False)


def draw_features(
    features: Sequence[FeatureSummary], titles: Mapping[str, str], *, alt: str
) -> "Markup":
    """Draw each feature's distribution among the flagged and among the unflagged."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.6), layout="constrained")
    for axes, feature in zip(figure.subplots(2, 3).flat, features, strict=True):
        for kind, name, colour in (
            (feature.unflagged, "not flagged", BLUE),
            (feature.flagged, "flagged", RED),
        ):
            if kind is not None:
                shares = 100 * np.array(kind.counts) / kind.n
                axes.stairs(
                    shares, feature.edges, fill=True, color=colour, alpha=0.25, label=f"_{name}"
                )
                axes.stairs(shares, feature.edges, color=colour, lw=1.4, label=name)
        axes.set_title(titles[feature.name], fontsize=9)
        _tidy(axes)
    # Above the panels: each of them may be filled by its bars.
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        loc="outside upper left",
        ncols=2,
        frameon=False,
    )
    figure.supylabel("share of its kind (%)", fontsize=10)
    return _svg(figure, alt)


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.8), layout="constrained")
    return figure, figure.add_subplot()


def _finish(figure: Any, axes: Any, x: str, y: str, alt: str, *, whole_x: bool) -> "Markup":
    from matplotlib.ticker import MaxNLocator

    axes.set(xlabel=x, ylabel=y)
    if whole_x:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _tidy(axes)
    return _svg(figure, alt)


def _tidy(axes: Any) -> None:
    axes.grid(alpha=0.18)
    axes.spines[["top", "right"]].set_visible(False)


def _svg(figure: Any, alt: str) -> "Markup":
    from markupsafe import Markup
    from matplotlib import rc_context

    out = BytesIO()
    for part in (figure, *figure.axes):
        part.patch.set_visible(False)
    # the same figure gives the same bytes: no date, no random ids
    with rc_context({"svg.hashsalt": "lossan", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata=dict.fromkeys(_METADATA))
    text = out.getvalue().decode()
    svg = text[text.index("<svg") :]
    for colour, own in _AS_THE_PAGE.items():
        svg = svg.replace(f": {colour}", f": {own}")
    label = Markup('<svg role="img" aria-label="{}"').format(alt)
    return label + Markup(svg[len("<svg") :])  # noqa: S704  (matplotlib escapes what it is given)
