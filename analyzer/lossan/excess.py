"""How many scores are too high to belong to right labels, and which.

Scores of right labels thin out steadily towards the suspicious end: hard samples are the rarer
the harder they are. Wrong labels pile up there instead, for the network contradicts them. So the
upper part of the scores is taken apart into a null, whose density falls and is log-concave, and
an excess, log-concave too, whose peak lies where labels are contradicted. Without a second pile
the null explains everything and nothing is flagged, however hard the samples are.

The idea is the empirical null of Efron 2004, fitted where wrong labels are rare and continued to
where they are not, with the shape of the null and the place of the excess stated in advance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_BINS = 200
_KNOTS = 20
_ROUNDS = 300
_GAIN = 1e-4  # nats of likelihood a further round must bring
_STARTS = ((0.05, 0.9), (0.2, 0.8), (0.4, 0.85), (0.1, 0.6))  # share and place of the excess
_FLOOR = 1e-300


@dataclass(frozen=True, eq=False)
class Excess:
    """What stands above the null.

    Parameters
    ----------
    probability : ndarray
        Shape (n,): of belonging to the excess, growing with the score.
    share : float
        The share of all samples in the excess.
    gain : float
        Nats of likelihood by which null and excess explain more than the best falling log-concave
        density does alone.
    """

    probability: Vector
    share: float
    gain: float


def fit_excess(score: Vector, *, least: float, start: float = 0.4) -> Excess:
    """Take scores apart into a falling null and an excess.

    Parameters
    ----------
    score : ndarray
        Shape (n,), finite, not all equal.
    least : float
        The score from which on the peak of the excess may lie.
    start : float
        Quantile from which on the scores are looked at; the null must fall from there on.

    Returns
    -------
    Excess
    """
    low, high = float(np.quantile(score, start)), float(score.max())
    if high <= low:
        return Excess(np.zeros(len(score)), 0.0, 0.0)
    upper = score >= low
    place = (score[upper] - low) / (high - low)
    counts = np.histogram(place, _BINS, (0, 1))[0].astype(np.float64)
    grid = (np.arange(_BINS) + 0.5) / _BINS
    peak = float(np.clip((least - low) / (high - low), 0, 1))
    likelihood, posterior = max(
        (_separate(counts, grid, peak, *start_at) for start_at in _STARTS), key=lambda r: r[0]
    )
    probability = np.zeros(len(score))
    probability[upper] = np.interp(place, grid, np.maximum.accumulate(posterior))
    return Excess(
        probability, float(probability.mean()), max(likelihood - _best_null(counts, grid), 0.0)
    )


def _best_null(counts: Vector, grid: Vector) -> float:
    """Return the likelihood, in nats, of the best falling log-concave density without an excess.

    Its logarithm is linear between knots, and falls ever faster from each to the next.
    """
    from scipy.optimize import minimize

    knots = np.arange(_KNOTS) / _KNOTS
    bends = np.maximum(grid[None, :] - knots[:, None], 0.0)
    total = counts.sum()
    wanted = bends @ counts / total

    def cost(slopes: Vector) -> tuple[float, Vector]:
        logs = -slopes @ bends
        top = logs.max()
        density = np.exp(logs - top)
        whole = density.sum()
        return float(slopes @ wanted + top + np.log(whole)), wanted - bends @ density / whole

    begin = np.append(2.0, np.zeros(_KNOTS - 1))
    found = minimize(cost, begin, jac=True, method="L-BFGS-B", bounds=[(0, None)] * _KNOTS)
    return -float(found.fun) * float(total)


def _separate(
    counts: Vector, grid: Vector, peak: float, share: float, centre: float
) -> tuple[float, Vector]:
    """Run expectation maximisation from one start; return likelihood and posterior by bin."""
    null = _LogConcave(grid, (-4.0, -1.0))
    excess = _LogConcave(grid, (centre / 0.04, -0.5 / 0.04), peak)
    last = -np.inf
    for _ in range(_ROUNDS):
        total = (1 - share) * null.density + share * excess.density
        posterior = share * excess.density / np.maximum(total, _FLOOR)
        likelihood = float(counts @ np.log(total + _FLOOR))
        if likelihood - last < _GAIN:
            break
        last = likelihood
        share = float(counts @ posterior / counts.sum())
        null.fit(counts * (1 - posterior), 3)
        excess.fit(counts * posterior, 3)
    centre_of_null = float(null.density @ grid)
    return likelihood, np.where(grid < centre_of_null, 0.0, posterior)


class _LogConcave:
    """A density exp(a t + b t^2) on a grid over [0, 1], b <= 0, with its peak where it may be.

    Without ``peak`` it is unconstrained but for b <= 0; with it, it peaks there or above.
    """

    def __init__(self, grid: Vector, shape: tuple[float, float], peak: float | None = None) -> None:
        self._powers = np.stack([grid, grid * grid])
        self._shape = np.array(shape)
        self._peak = peak
        self.density = self._normalised(self._shape)

    def fit(self, counts: Vector, rounds: int) -> "_LogConcave":
        """Climb the likelihood by Newton's steps, halved until they help."""
        total = counts.sum()
        if total <= 0:
            return self
        wanted = self._powers @ counts / total
        reached = self._likelihood(self._shape, wanted)
        for _ in range(rounds):
            mean = self._powers @ self.density
            spread = (self._powers * self.density) @ self._powers.T - np.outer(mean, mean)
            step = np.linalg.solve(spread + 1e-7 * np.eye(2), wanted - mean)
            for part in (1.0, 0.5, 0.25, 0.1, 0.02):
                shape = self._allowed(self._shape + part * step)
                value = self._likelihood(shape, wanted)
                if value > reached + 1e-12:
                    self._shape, reached = shape, value
                    self.density = self._normalised(shape)
                    break
            else:
                break
        return self

    def _allowed(self, shape: Vector) -> Vector:
        shape[1] = min(shape[1], 0.0)
        if self._peak is not None:
            shape[0] = max(shape[0], -2 * shape[1] * self._peak)
        return shape

    def _likelihood(self, shape: Vector, wanted: Vector) -> float:
        logs = shape @ self._powers
        top = logs.max()
        return float(shape @ wanted - top - np.log(np.exp(logs - top).sum()))

    def _normalised(self, shape: Vector) -> Vector:
        logs = shape @ self._powers
        density = np.exp(logs - logs.max())
        return density / density.sum()
