"""From scores to flags: the pieces that every score shares, whatever it was made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
_ROUNDS = 200  # at most
_BETA_ROUNDS = 10  # with weighted moments
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Mixture:
    """Two components of a score, the second the higher one.

    Parameters
    ----------
    weight : ndarray
        Shape (2,).
    mean, sd : ndarray
        Shape (2,).
    """

    weight: Vector
    mean: Vector
    sd: Vector

    def probability(self, score: Vector) -> Vector:
        """Return the posterior of the higher component, made to grow with the score."""
        with np.errstate(divide="ignore"):
            logs = [
                np.log(w) - np.log(s) - 0.5 * ((score - m) / s) ** 2
                for w, m, s in zip(self.weight, self.mean, self.sd, strict=True)
            ]
        odds = np.clip(logs[1] - logs[0], -700, 700)
        posterior = 1 / (1 + np.exp(-odds))
        return monotone(score, np.where(score < self.mean[0], posterior.min(initial=0), posterior))


def gaussian_mixture(score: Vector, *, floor: float = 5e-4) -> Mixture:
    """Fit two Gaussians by expectation maximisation.

    Parameters
    ----------
    score : ndarray
        Shape (n,), finite.
    floor : float
        Added to each variance, in units of the squared range.

    References
    ----------
    Dempster, Laird, Rubin 1977; on the loss: Li et al. 2020 (DivideMix), section 3.1.
    """
    low, high = float(score.min()), float(score.max())
    span = max(high - low, np.finfo(float).tiny)
    x = (score - low) / span
    weight, mean = np.array([0.5, 0.5]), np.quantile(x, [0.25, 0.9])
    if mean[1] <= mean[0]:
        mean = np.array([x.min(), x.max()])
    variance = np.full(2, x.var() / 2 + floor)
    for _ in range(_ROUNDS):
        logs = (
            np.log(weight + 1e-300)
            - 0.5 * np.log(variance)
            - 0.5 * (x[:, None] - mean) ** 2 / variance
        )
        share = np.exp(logs - logs.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        total = share.sum(axis=0) + 1e-12
        before = mean
        weight, mean = total / len(x), share.T @ x / total
        variance = (share * (x[:, None] - mean) ** 2).sum(axis=0) / total + floor
        if np.abs(mean - before).max() < _TOLERANCE:
            break
    order = np.argsort(mean)
    return Mixture(weight[order], low + span * mean[order], span * np.sqrt(variance[order]))


def beta_mixture(score: Vector) -> Vector:
    """Return the posterior of the higher of two Beta components, growing with the score.

    Parameters
    ----------
    score : ndarray
        Shape (n,), finite.

    References
    ----------
    Arazo et al. 2019, equations 4 to 9: Beta(1, 2) and Beta(2, 1) to begin with, scores brought
    into (1e-4, 1 - 1e-4).
    """
    from scipy.stats import beta

    low, high = float(score.min()), float(score.max())
    x = np.clip((score - low) / max(high - low, 1e-300), 1e-4, 1 - 1e-4)
    shapes, weight = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([0.5, 0.5])
    for _ in range(_BETA_ROUNDS + 1):
        density = np.stack([w * beta.pdf(x, *s) for w, s in zip(weight, shapes, strict=True)])
        share = density / np.maximum(density.sum(axis=0), 1e-300)
        total = share.sum(axis=1) + 1e-12
        mean = share @ x / total
        variance = np.maximum((share * (x - mean[:, None]) ** 2).sum(axis=1) / total, 1e-6)
        a = np.maximum(mean * (mean * (1 - mean) / variance - 1), 1e-2)
        shapes = np.stack([a, a * (1 - mean) / mean], axis=1)
        weight = total / total.sum()
    high_one = int(np.argmax(mean))
    return monotone(score, np.where(x < mean.min(), 0.0, share[high_one]))


def monotone(score: Vector, probability: Vector) -> Vector:
    """Return the probability, made to grow with the score."""
    order = np.argsort(score, kind="stable")
    made = np.empty_like(probability)
    made[order] = np.maximum.accumulate(probability[order])
    return made


def flag_share(score: Vector, share: float) -> NDArray[np.bool_]:
    """Flag the share of the samples with the highest scores, equal scores alike.

    Examples
    --------
    >>> flag_share(np.array([3.0, 1.0, 2.0, 2.0]), 0.5).tolist()
    [True, False, False, False]
    """
    count = int(np.floor(share * len(score) + 0.5))
    if not count:
        return np.zeros(len(score), bool)
    ordered = np.sort(score)[::-1]
    cut = ordered[count - 1]
    if count < len(score) and ordered[count] == cut:  # a tie that the share would divide
        return score > cut
    return score >= cut
