"""The detector to recommend: contradiction, weighed by epoch, against a stated null."""

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from lossan.detectors._base import Context, Detection, Detector
from lossan.detectors._scored import check_apart
from lossan.excess import Excess, fit_excess
from lossan.losslog import LossLog
from lossan.signals import complete, label_probs, losses, margins
from lossan.thresholds import two_means

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_LEAST = 0.2  # where wrong labels may pile up: the network contradicts them by more than this
_SEEN = 3.907  # nats: the 95% quantile of chi-square with 3 degrees of freedom, halved
_ENOUGH = 2000  # samples: with fewer, unsqueezed scores show nothing
_UNSEEN = (
    "no more contradicted labels than hard right ones explain, so none is flagged; the ranking "
    "stands: look at its top and stop when that finds nothing"
)
_HINT = 1.0  # nats: what unsqueezed scores, whose pile of wrong labels is flatter, must show
_APART = 2.0  # the two readings count for no more than this factor either way
_SLOPES = np.geomspace(0.5, 1.5, 25)
_KEPT = 0.999  # of the unsqueezed scores: the highest few would set the scale
_Z = 1.959963984540054


@final
class Auto(Detector):
    """Score how firmly the network contradicts a label, and flag what right labels cannot explain.

    1. At each epoch the margin of the given label (or, from the loss alone, the logit of its
       probability) is divided by the epoch's median absolute margin and squeezed by tanh, so that
       1 means contradicted as firmly as other samples are confirmed, and -1 confirmed.
    2. Epochs are averaged with weights, the square of: the variance of their losses, which falls
       to nothing once all is memorised, times how well the epoch tells apart what the others call
       wrong from what they call right (Fisher's criterion).
    3. The scores are taken apart into a falling null and an excess (`lossan.excess`), squeezed in
       three ways; their mean gives probabilities. Nothing is flagged unless null and excess pass
       a likelihood-ratio test at the 5% level against the best falling log-concave density alone,
       in two of the three ways, and the unsqueezed scores of 2,000 samples or more show an excess
       too.
    4. How many are flagged is the geometric mean of two readings: the excess, which misses wrong
       labels that were memorised, and the paper's split of the six features in two, which takes
       hard samples for wrong labels; the probabilities are moved so that they cross 1/2 there.
       The noise rate is the share flagged, where the missed and the wrongly flagged balance. Its
       interval spans all readings, the mirrored scores among them: wrong labels look like right
       ones with the sign turned.
    """

    name: ClassVar[str] = "auto"
    summary: ClassVar[str] = "contradiction of the label, weighed by epoch, against a stated null"
    reference: ClassVar[str] = (
        "lossan; margins after Pleiss et al. 2020, empirical null after Efron 2004"
    )

    def detect(self, log: LossLog, context: Context) -> Detection:
        """Score, and flag what stands above the null.

        Raises
        ------
        DetectorError
            When fewer than two samples can be scored, or all look alike.
        """
        rows = np.flatnonzero(context.features.scorable)
        against = _contradiction(log, rows)
        seen = ~np.isnan(against)
        filled = np.where(seen, against, 0.0)
        weights = self._weights(np.tanh(filled), seen, losses(log)[rows])
        score = _average(np.tanh(filled), seen, weights)
        fits = [
            fit_excess(score, least=_LEAST),
            fit_excess(_average(filled / (1 + np.abs(filled)), seen, weights), least=_LEAST / 2),
            fit_excess(_average(np.tanh(filled / 2), seen, weights), least=_LEAST / 2),
        ]
        probability = _agreed(score, fits)
        gain = _gain(fits, _average(filled, seen, weights))
        split = _split(context, rows)
        found = bool((probability > 0.5).any()) and gain >= _SEEN
        if found:
            probability = _moved(score, probability, split)
        else:  # no more believable than the excess itself is
            probability = probability / (1 + np.exp(min(max(_SEEN - gain, 0.0), 700.0)))
        flags = (probability > 0.5) & found
        shares = [fitted.share if fitted.gain >= _SEEN else 0.0 for fitted in fits]
        shares += [float(split.mean())] if found else []
        return Detection(
            score=_spread_out(log.n_samples, rows, (1 + score) / 2),
            flagged=_spread_out(log.n_samples, rows, flags.astype(np.float64)) == 1,
            probability=_spread_out(log.n_samples, rows, probability),
            notes=() if found else (_UNSEEN,),
            noise_rate=_noise_rate(score, float(flags.mean()), shares, found),
        )

    def _weights(self, squeezed: Matrix, seen: NDArray[np.bool_], loss: Matrix) -> Vector:
        """Return what each epoch weighs, shape (n_epochs,)."""
        weights = _variance(loss)
        score = _average(squeezed, seen, weights)
        check_apart(self.name, score)
        probability = fit_excess(score, least=_LEAST).probability
        return np.asarray((weights * _fisher(squeezed, seen, probability)) ** 2, np.float64)


def _contradiction(log: LossLog, rows: NDArray[np.intp]) -> Matrix:
    """Return how firmly each epoch contradicts the label, against the epoch's typical margin."""
    log = complete(log, ("margin",))
    if log.margin is not None:
        against = -margins(log)[rows]
    else:
        sure = np.clip(label_probs(log)[rows], 1e-12, 1 - 1e-12)
        against = np.log1p(-sure) - np.log(sure)
    against[np.isnan(losses(log)[rows])] = np.nan
    size = np.abs(against)
    for epoch in range(against.shape[1]):
        there = size[:, epoch][~np.isnan(size[:, epoch])]
        typical = float(np.median(there)) if len(there) else 0.0
        against[:, epoch] /= typical if typical > 0 else 1.0
    return against


def _average(values: Matrix, seen: NDArray[np.bool_], weights: Vector) -> Vector:
    """Return the weighted mean over the observed epochs."""
    if not weights.sum() > 0:
        weights = np.ones(len(weights))
    total = seen @ weights
    # an epoch without weight still counts for a sample that was seen at no other
    plain = np.where(seen, values, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    mean = np.divide((values * seen) @ weights, total, out=plain, where=total > 0)
    return np.asarray(mean, np.float64)


def _variance(values: Matrix) -> Vector:
    """Return the variance of each epoch over the samples that were observed."""
    seen = ~np.isnan(values)
    count = np.maximum(seen.sum(axis=0), 1)
    known = np.where(seen, values, 0.0)
    mean = known.sum(axis=0) / count
    return np.asarray((seen * (known - mean) ** 2).sum(axis=0) / count, np.float64)


def _fisher(values: Matrix, seen: NDArray[np.bool_], wrong: Vector) -> Vector:
    """Return by epoch how far apart the means of wrong and right lie, in pooled variances."""
    moments = []
    for share in (wrong, 1 - wrong):
        total = np.maximum(share @ seen, 1e-12)
        mean = share @ (values * seen) / total
        moments.append((mean, share @ (seen * (values - mean) ** 2) / total))
    (high, of_high), (low, of_low) = moments
    merit = np.maximum(high - low, 0) / np.maximum((of_high + of_low) / 2, 1e-12)
    return merit if wrong.sum() >= 1 and merit.sum() > 0 else np.ones(len(merit))


def _agreed(score: Vector, fits: list[Excess]) -> Vector:
    """Return the mean probability of each rank over several fits, given out by the score."""
    by_rank = np.mean([np.sort(fitted.probability) for fitted in fits], axis=0)
    order = np.argsort(score, kind="stable")
    # equal scores have equal probabilities
    ends = np.searchsorted(score[order], score, side="right") - 1
    return np.asarray(by_rank[ends], np.float64)


def _gain(fits: list[Excess], unsqueezed: Vector) -> float:
    """Return by how many nats the excess shows, 0 where it is the squeezing's own doing."""
    if len(unsqueezed) >= _ENOUGH:
        kept = unsqueezed[unsqueezed <= np.quantile(unsqueezed, _KEPT)]
        if fit_excess(kept, least=_LEAST).gain < _HINT:
            return 0.0
    return float(np.median([fitted.gain for fitted in fits]))


def _split(context: Context, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Split the samples in two by their standardised features, the paper's way."""
    points = context.features.values[:, rows].T
    points = points[:, np.ptp(points, axis=0) > 0]
    points = (points - points.mean(axis=0)) / points.std(axis=0)
    cluster = two_means(points, context.seed)
    first = points[cluster == 0, 0].mean() > points[cluster == 1, 0].mean()
    return cluster == (0 if first else 1)


def _moved(score: Vector, probability: Vector, split: NDArray[np.bool_]) -> Vector:
    """Move the log odds so that as many are above 1/2 as both readings agree on."""
    count = int((probability > 0.5).sum())
    other = min(max(int(split.sum()), count / _APART**2), count * _APART**2, int((score > 0).sum()))
    wanted = round(float(np.sqrt(count * max(other, 1))))
    known = np.clip(probability, 1e-9, 1 - 1e-9)
    odds = np.log(known) - np.log1p(-known)
    steps = np.sort(odds)[::-1]
    middle = (steps[wanted - 1] + steps[min(wanted, len(steps) - 1)]) / 2
    above = probability > 0
    # as steep as it takes for the missed and the wrongly flagged to balance at the cut
    slope = min(_SLOPES, key=lambda a: abs(_logistic(a * (odds[above] - middle)).sum() - wanted))
    moved = _logistic(slope * (odds - middle))
    return np.asarray(np.where(above, moved, 0.0), np.float64)


def _logistic(odds: Vector) -> Vector:
    return np.asarray(1 / (1 + np.exp(np.clip(-odds, -700, 700))), np.float64)


def _noise_rate(
    score: Vector, estimate: float, shares: list[float], found: bool
) -> tuple[float, float, float]:
    mirrored = [_mirrored(score, at) for at in (0.25, 0.5)]
    high = max(shares + mirrored)
    high = min(1.0, high + _Z * float(np.sqrt(high * (1 - high) / len(score))))
    if not found:
        return 0.0, 0.0, high
    low = min(shares)
    low = max(0.0, low - _Z * float(np.sqrt(low * (1 - low) / len(score))))
    return estimate, min(low, estimate), max(high, estimate)


def _mirrored(score: Vector, at: float) -> float:
    """Return the share of wrong labels if they were the right ones' scores with the sign turned."""
    against, for_it = float((score >= at).sum()), float((score <= -at).sum())
    return against / max(against + for_it, 1.0)


def _spread_out(n: int, rows: NDArray[np.intp], values: Vector) -> Vector:
    """Put values of some samples back among all."""
    whole = np.full(n, np.nan)
    whole[rows] = values
    return whole
