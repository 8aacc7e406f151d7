"""Plots a person looks at instead of reading numbers (extra ``report``)."""

from importlib.util import find_spec
from typing import IO

import numpy as np
from numpy.typing import NDArray

_FLAGGED, _UNFLAGGED = "#c0392b", "#2c6fad"


def can_plot() -> bool:
    """Tell whether the extra ``report`` is installed."""
    return find_spec("matplotlib") is not None


def draw_sequences(
    file: IO[bytes],
    epochs: NDArray[np.int64],
    flagged: NDArray[np.float32],
    unflagged: NDArray[np.float32],
) -> None:
    """Draw typical loss sequences of flagged and unflagged samples, as the paper's Fig. 4 does.

    Parameters
    ----------
    file : binary file
        Where the PNG goes.
    epochs : ndarray of int
        Shape (n_epochs,).
    flagged, unflagged : ndarray of float
        Shape (n, n_epochs), in nats.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for losses, colour, style, name in (
        (unflagged, _UNFLAGGED, "-", "not flagged"),
        (flagged, _FLAGGED, "--", "flagged"),
    ):
        for number, sequence in enumerate(losses):
            label = f"{name} ({len(losses)} typical)" if number == 0 else None
            axes.plot(
                epochs, sequence, style, color=colour, alpha=0.6, lw=1.1, marker=".", label=label
            )
    axes.set(xlabel="epoch", ylabel="loss (nats)", title="Loss sequences of typical samples")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right")  # the best place is slow to find among many points
    figure.savefig(file, format="png", dpi=130)
