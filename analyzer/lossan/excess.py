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
Mask = NDArray[np.bool_]

_BINS = 200
_KNOTS = 20
_ROUNDS = 300
_GAIN = 1e-4  # nats of likelihood a further round must bring
_STARTS = ((0.05, 0.9), (0.2, 0.8), (0.4, 0.85), (0.1, 0.6))  # share and place of the excess
_FLOOR = 1e-300
_STEPS = 3  # of Newton's a round
_PARTS = (1.0, 0.5, 0.25, 0.1, 0.02)  # of a step that may help
_TINY = 1e-12  # nats a count: less is no help
_RIDGE = 1e-7  # keeps a step finite where a density is all in one place


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
    likelihood, posterior = _separate(counts, grid, peak)
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


def _separate(counts: Vector, grid: Vector, peak: float) -> tuple[float, Vector]:
    """Run expectation maximisation from all starts; return the best's likelihood and posterior.

    All starts go side by side, each until it gains no more: they are too small for one by one.
    """
    share, centre = np.array(_STARTS).T[:, :, None]
    null = _LogConcave(grid, np.full((len(_STARTS), 2), (-4.0, -1.0)))
    far = np.full_like(centre, -0.5)
    excess = _LogConcave(grid, np.concatenate([centre, far], axis=1) / 0.04, peak)
    likelihood = np.full(len(_STARTS), -np.inf)
    posterior = np.zeros((len(_STARTS), len(grid)))
    rising = np.ones(len(_STARTS), bool)
    for _ in range(_ROUNDS):
        total = (1 - share) * null.density + share * excess.density
        reached = np.log(total + _FLOOR) @ counts
        now = share * excess.density / np.maximum(total, _FLOOR)
        posterior[rising] = now[rising]
        gained = reached - likelihood
        likelihood = np.where(rising, reached, likelihood)
        rising &= ~(gained < _GAIN)
        if not rising.any():
            break
        share[rising] = (posterior[rising] @ counts / counts.sum())[:, None]
        null.fit(counts * (1 - posterior), rising)
        excess.fit(counts * posterior, rising)
    best = int(np.argmax(likelihood))
    centre_of_null = float(null.density[best] @ grid)
    return float(likelihood[best]), np.where(grid < centre_of_null, 0.0, posterior[best])


class _LogConcave:
    """Densities exp(a t + b t^2) on a grid over [0, 1], b <= 0, with the peak where it may be.

    Without ``peak`` they are unconstrained but for b <= 0; with it, they peak there or above.
    """

    def __init__(self, grid: Vector, shapes: Vector, peak: float | None = None) -> None:
        self._powers = grid ** np.arange(1, 5)[:, None]  # of a density's moments up to the fourth
        self._shapes = shapes
        self._peak = peak
        self.density = self._densities(shapes)[1]

    def fit(self, counts: Vector, which: Mask) -> None:
        """Climb the likelihood by Newton's steps, halved until they help.

        Counts are of shape (n_densities, n_bins); ``which`` says of which densities.
        """
        total = counts.sum(axis=1)
        climbing = which & (total > 0)
        wanted = counts @ self._powers[:2].T / np.where(total > 0, total, 1)[:, None]
        reached = self._likelihood(self._shapes, wanted)[0]
        for _ in range(_STEPS):
            step, gain = self._newton(wanted)
            climbing &= gain > _TINY
            if not climbing.any():
                return
            waiting = climbing.copy()
            for part in _PARTS:
                shapes = self._allowed(self._shapes + part * step)
                values, densities = self._likelihood(shapes, wanted)
                helped = waiting & (values > reached + _TINY)
                np.copyto(self._shapes, shapes, where=helped[:, None])
                np.copyto(self.density, densities, where=helped[:, None])
                np.copyto(reached, values, where=helped)
                waiting &= ~helped
                if not waiting.any():
                    break
            climbing &= ~waiting

    def _newton(self, wanted: Vector) -> tuple[Vector, Vector]:
        """Return Newton's steps, and by how much each may help."""
        one, two, three, four = self._powers @ self.density.T
        a, b, c = two - one * one + _RIDGE, three - one * two, four - two * two + _RIDGE
        off = wanted - np.stack([one, two], axis=1)
        step = np.stack([c * off[:, 0] - b * off[:, 1], a * off[:, 1] - b * off[:, 0]], axis=1)
        step /= (a * c - b * b)[:, None]
        return step, (step * off).sum(axis=1) / 2

    def _allowed(self, shapes: Vector) -> Vector:
        np.minimum(shapes[..., 1], 0.0, out=shapes[..., 1])
        if self._peak is not None:
            least = -2 * self._peak * shapes[..., 1]
            np.maximum(shapes[..., 0], least, out=shapes[..., 0])
        return shapes

    def _likelihood(self, shapes: Vector, wanted: Vector) -> tuple[Vector, Vector]:
        logs, density = self._densities(shapes)
        return (shapes * wanted).sum(axis=-1) - logs, density

    def _densities(self, shapes: Vector) -> tuple[Vector, Vector]:
        """Return the logarithms of the sums that normalise the densities, and these."""
        logs = shapes @ self._powers[:2]
        top = logs.max(axis=-1, keepdims=True)
        density = np.exp(logs - top)
        whole = density.sum(axis=-1, keepdims=True)
        return np.asarray((top + np.log(whole))[..., 0]), density / whole
