"""The detector to recommend: contradiction, weighed by epoch, against a stated null."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from lossan.clustering import two_means
from lossan.detectors._base import Context, Detection, Detector
from lossan.detectors._contradiction import Margins, average
from lossan.detectors._scored import check_apart
from lossan.excess import Excess, fit_excess
from lossan.losslog import LossLog

Vector = NDArray[np.float64]
Matrix = NDArray[np.float32]
Rows = NDArray[np.intp]

_LEAST = 0.2  # where wrong labels may pile up: the network contradicts them by more than this
_SEEN = 3.907  # nats: the 95% quantile of chi-square with 3 degrees of freedom, halved
_ENOUGH = 2000  # samples: with fewer, unsqueezed scores show nothing
_UNSEEN = (
    "no more contradicted labels than hard right ones explain, so none is flagged; the ranking "
    "stands: look at its top and stop when that finds nothing"
)
_HINT = 1.0  # nats: what unsqueezed scores, whose pile of wrong labels is flatter, must show
_UNLEARNED = 1.2  # times as many contradicted as found: nothing was learned by heart
_APART = 1.5  # the cut is moved by no more than this factor
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
       wrong from what they call right (Fisher's criterion). Unless wrong labels are being
       memorised, later epochs weigh more.
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
        found = self._judge(log, context)
        flags = found.flags.astype(np.float64)
        return Detection(
            score=_spread_out(log.n_samples, found.rows, (1 + found.score) / 2),
            flagged=_spread_out(log.n_samples, found.rows, flags) == 1,
            probability=_spread_out(log.n_samples, found.rows, found.probability),
            notes=found.notes,
            noise_rate=found.noise_rate,
        )

    def fit(self, log: LossLog, context: Context) -> "FittedAuto":
        """Learn from some samples of a log how to judge all of them.

        Raises
        ------
        DetectorError
            When fewer than two samples can be scored, or all look alike.
        """
        found = self._judge(log, context)
        order = np.argsort(found.score, kind="stable")
        return FittedAuto(
            scale=found.scale,
            weights=found.weights,
            scores=found.score[order],
            probabilities=found.probability[order],
            found=bool(found.flags.any()),
            noise_rate=found.noise_rate,
            notes=found.notes,
        )

    def _judge(self, log: LossLog, context: Context) -> "_Judged":
        rows = np.flatnonzero(context.features.scorable)
        scale = Margins.of(log, rows)
        against = scale.against(log, rows)
        weights = self._weights(against, log.loss, rows)
        score = average(against, np.tanh, weights)
        fits = [
            fit_excess(score, least=_LEAST),
            fit_excess(average(against, _softsign, weights), least=_LEAST / 2),
            fit_excess(average(against, _half_tanh, weights), least=_LEAST / 2),
        ]
        probability = _agreed(score, fits)
        gain = _gain(fits, average(against, np.asarray, weights))
        split = _split(context, rows)
        found = bool((probability > 0.5).any()) and gain >= _SEEN
        if found:
            probability = _moved(score, probability, split)
        else:  # no more believable than the excess itself is
            probability = probability / (1 + np.exp(min(max(_SEEN - gain, 0.0), 700.0)))
        flags = (probability > 0.5) & found
        shares = [fitted.share if fitted.gain >= _SEEN else 0.0 for fitted in fits]
        shares += [float(split.mean())] if found else []
        return _Judged(
            rows=rows,
            scale=scale,
            weights=weights,
            score=score,
            probability=probability,
            flags=flags,
            notes=() if found else (_UNSEEN,),
            noise_rate=_noise_rate(score, float(flags.mean()), shares, found),
        )

    def _weights(self, against: Matrix, loss: Matrix, rows: Rows) -> Vector:
        """Return what each epoch weighs, shape (n_epochs,)."""
        weights = _variance(loss, rows)
        score = average(against, np.tanh, weights)
        check_apart(self.name, score)
        probability = fit_excess(score, least=_LEAST).probability
        weights = np.asarray((weights * _fisher(against, probability)) ** 2, np.float64)
        found = fit_excess(average(against, np.tanh, weights), least=_LEAST).probability > 0.5
        return weights * _later(against, float(found.mean()))


@dataclass(frozen=True, eq=False)
class _Judged:
    """What was found of the scorable samples, and how."""

    rows: Rows
    scale: Margins
    weights: Vector
    score: Vector
    probability: Vector
    flags: NDArray[np.bool_]
    notes: tuple[str, ...]
    noise_rate: tuple[float, float, float]


@final
@dataclass(frozen=True, eq=False)
class FittedAuto:
    """`Auto`, fitted to some samples, for the others of the log.

    Parameters
    ----------
    scale : Margins
    weights : ndarray of float64
        Shape (n_epochs,).
    scores, probabilities : ndarray of float64
        Of the samples it was fitted to, by ascending score.
    found : bool
        Whether anything is flagged.
    noise_rate : tuple of float
    notes : tuple of str
    """

    scale: Margins
    weights: Vector
    scores: Vector
    probabilities: Vector
    found: bool
    noise_rate: tuple[float, float, float]
    notes: tuple[str, ...]

    def apply(self, log: LossLog, scorable: NDArray[np.bool_]) -> Detection:
        """Judge samples: those it was fitted to as `Auto.detect` does, others as those near them.

        Parameters
        ----------
        log : LossLog
            Some samples of the log.
        scorable : ndarray of bool
            Shape (n_samples,).
        """
        rows = np.flatnonzero(scorable)
        score = average(self.scale.against(log, rows), np.tanh, self.weights)
        place = np.searchsorted(self.scores, score, side="right") - 1
        probability = self.probabilities[np.maximum(place, 0)]
        flags = (probability > 0.5) & self.found
        return Detection(
            score=_spread_out(log.n_samples, rows, (1 + score) / 2),
            flagged=_spread_out(log.n_samples, rows, flags.astype(np.float64)) == 1,
            probability=_spread_out(log.n_samples, rows, probability),
            notes=self.notes,
            noise_rate=self.noise_rate,
        )


def _softsign(values: Vector) -> Vector:
    return np.asarray(values / (1 + np.abs(values)), np.float64)


def _half_tanh(values: Vector) -> Vector:
    return np.asarray(np.tanh(values / 2), np.float64)


def _variance(loss: Matrix, rows: Rows) -> Vector:
    """Return the variance of each epoch over the samples that were observed."""
    found = np.zeros(loss.shape[1])
    for epoch in range(loss.shape[1]):
        values = loss[rows, epoch].astype(np.float64)
        values = values[~np.isnan(values)]
        found[epoch] = values.var() if len(values) else 0.0
    return found


def _fisher(against: Matrix, wrong: Vector) -> Vector:
    """Return by epoch how far apart the means of wrong and right lie, in pooled variances."""
    merit = np.zeros(against.shape[1])
    for epoch, values in enumerate(against.T):
        seen = ~np.isnan(values)
        squeezed, share = np.tanh(values[seen].astype(np.float64)), wrong[seen]
        if not len(squeezed):
            continue
        high, of_high = _moments(squeezed, share)
        low, of_low = _moments(squeezed, 1 - share)
        merit[epoch] = max(high - low, 0.0) / max((of_high + of_low) / 2, 1e-12)
    return merit if wrong.sum() >= 1 and merit.sum() > 0 else np.ones(len(merit))


def _later(against: Matrix, found: float) -> Vector:
    """Return how much more later epochs weigh: the more, the less has been memorised.

    While the network still contradicts more labels than stand out as wrong, it has not learned
    the wrong ones by heart, and each epoch knows more than the one before.
    """
    left = next(v for v in against.T[::-1] if not np.isnan(v).all())
    contradicted = float((left > 0).sum() / (~np.isnan(left)).sum())
    times = contradicted / max(found, 1 / len(against))
    power = float(np.clip(4 * np.log(max(times, 1e-9) / _UNLEARNED), 0, 2))
    return (np.arange(1, against.shape[1] + 1) / against.shape[1]) ** power


def _moments(values: Vector, share: Vector) -> tuple[float, float]:
    """Return weighted mean and variance."""
    total = max(float(share.sum()), 1e-12)
    mean = float(share @ values) / total
    return mean, float(share @ (values - mean) ** 2) / total


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


def _split(context: Context, rows: Rows) -> NDArray[np.bool_]:
    """Split the samples in two by their standardised features, the paper's way."""
    values = context.features.values[:, rows]
    second = two_means(values, context.seed)
    level = values[0]
    return second if level[second].mean() > level[~second].mean() else ~second


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


def _spread_out(n: int, rows: Rows, values: Vector) -> Vector:
    """Put values of some samples back among all."""
    whole = np.full(n, np.nan)
    whole[rows] = values
    return whole
