"""A loss sequence as a drawing the size of a word."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from markupsafe import Markup

_WIDTH, _HEIGHT = 120, 32
_POINTS = 100  # more would not be seen and would make a page of many samples large


def sparkline(
    epochs: Sequence[int],
    loss: NDArray[np.float32],
    highest: float,
) -> "Markup":
    """Draw a sample's losses over the path ``#usual``, which a page holds once.

    Parameters
    ----------
    epochs : sequence of int
        The epochs' own numbers.
    loss : ndarray of float32
        Shape (n_epochs,), in nats; NaN = not observed.
    highest : float
        The loss at the upper edge; what lies above is drawn there.
    """
    from markupsafe import Markup

    return Markup(
        '<svg class="spark" role="img" aria-label="{}" viewBox="0 0 {} {}" '
        'preserveAspectRatio="none">'
        '<use href="#usual"/><path class="own" d="{}"/></svg>'
    ).format(
        _words(epochs, loss),
        _WIDTH,
        _HEIGHT,
        draw_path(loss, highest),
    )


def _words(epochs: Sequence[int], loss: NDArray[np.float32]) -> str:
    seen = np.flatnonzero(~np.isnan(loss))
    if not len(seen):
        return "no loss observed"
    first, last, top = seen[0], seen[-1], seen[int(loss[seen].argmax())]
    return (
        f"loss by epoch: {loss[first]:.2f} at epoch {epochs[first]}, highest {loss[top]:.2f} at "
        f"epoch {epochs[top]}, {loss[last]:.2f} at epoch {epochs[last]}"
    )


def draw_path(values: NDArray[np.floating], highest: float) -> str:
    """Return the path of a sparkline, with a gap where a value is missing.

    Parameters
    ----------
    values : ndarray of float
        Shape (n_epochs,), in nats; NaN = not observed.
    highest : float
        The loss at the upper edge; what lies above is drawn there.
    """
    count = len(values)
    places = np.unique(np.linspace(0, count - 1, min(count, _POINTS)).round().astype(int))
    steps, pen = [], "M"
    for place in places:
        value = values[place]
        if np.isnan(value):
            pen = "M"
            continue
        x = 2 + (_WIDTH - 4) * place / max(count - 1, 1)
        y = _HEIGHT - 2 - (_HEIGHT - 4) * min(max(float(value), 0) / highest, 1)
        # a point of no length shows an epoch that stands alone between gaps
        steps.append(f"{pen}{x:.1f} {y:.1f}" + ("h0" if pen == "M" else ""))
        pen = "L"
    return "".join(steps)
