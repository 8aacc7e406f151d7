"""The detector to recommend: a sharpened loss, weighed by epoch, against what right labels do."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from lossan.clustering import two_means
from lossan.config import Config
from lossan.detectors._base import Context, Detection, Detector
from lossan.detectors._confusion import Confusions
from lossan.detectors._contradiction import Margins, average
from lossan.detectors._epochs import EARLY, LEAST, early, sharp, sharpened, weigh_epochs
from lossan.detectors._evidence import Seen, lacking
from lossan.detectors._firmness import Contradicted, knows_at_once
from lossan.detectors._gap import above_gap
from lossan.evaluate import wilson
from lossan.excess import fit_excess
from lossan.losslog import LossLog
from lossan.signals import commonest, n_classes

Vector = NDArray[np.float64]
Matrix = NDArray[np.float32]
Rows = NDArray[np.intp]

_BULK = 0.3  # quantile: below it lie right labels alone, whatever their scores
_UNSEEN = (
    "no more contradicted labels than hard right ones explain, so none is flagged; the ranking "
    "stands: look at its top and stop when that finds nothing, or, where you know that some are "
    "wrong, flag the likeliest with --set some_wrong=true"
)
_UNLABELLED = (
    "without labels it is not known how many classes there are, and less counts as a sign of wrong "
    "ones: record the labels, and margins if there are more than two classes"
)
_SLOPES = np.geomspace(0.5, 1.5, 25)
_DOUBTS = (0.1, 0.9)  # probabilities between which a label may be wrong or right
_BY_SCORE = 2.0  # power of the score that odds grow by, where an excess does not say
_UNTIED = 1e-6  # of the score, added to log odds: where all are certain the score still ranks
_Z = 1.959963984540054


@final
class AutoParameters(Config):
    """Parameters of `Auto`.

    Parameters
    ----------
    some_wrong : bool
        Flag the likeliest labels without asking whether the log alone shows that any is wrong:
        where it is known that some are.
    """

    some_wrong: bool = False


@final
class Auto(Detector):
    """Score how firmly the network contradicts a label, and flag what right labels cannot explain.

    1. The margin of the given label (or, where there is a loss alone, one made of its probability,
       `Margins`) is measured in units of the log's median absolute margin. A sample's score is the
       mean over the epochs of the sharpened loss, log(1 + exp(-2 margin)): it grows with the
       contradiction, as the loss does, and cares less how firmly a label is confirmed. Epochs are
       weighed by how well they tell apart what the score calls wrong and right, times the spread of
       their losses, and later ones more unless wrong labels are learnt by heart (`_epochs`).
    2. Whether any label is wrong is asked in four ways. Hard right labels are contradicted the more
       rarely the more firmly, wrong ones as firmly as right ones are confirmed: of the contradicted
       labels more are so firmly than hard right ones would be (`Firmness`). That is asked of each
       early epoch, before wrong labels are learnt by heart: of the second to eighth, and where most
       are learnt so, of the first if it was recorded in a pass of its own (`knows_at_once`). It
       says so where two standard errors leave .01 more of two classes about as common, .05 of
       others or of few samples, .065 of margins made of probabilities. Where that is not sure, a
       lapse rate or an excess says so with it. Wrong labels are contradicted however sure the
       network is: with .02 more that are firm a lapse rate of 1% or more that gains 0.003 nats a
       sample (0.008 of margins so made) counts (`lossan.lapse`), but of fewer than five epochs,
       after which a network lapses on what it has not learnt yet. Wrong labels pile up where right
       ones only thin out: with .01 more that are firm an excess of the mean over the epochs over a
       falling null (`lossan.excess`) counts, if it gains 0.03 nats a sample (0.06 of two classes of
       which one is rare). Of fewer than 1,000 samples of two classes it, or that of the first eight
       epochs, counts if it gains half as much or is significant at the 0.1% level; where the rates
       below say that 1% are wrong, at the 5% level, or of the first eight epochs at the 2% level.
       And where labels are mistakes for one class rather than another, those of some pairs of
       classes stay contradicted where the network is surest and those of others do not, or labels
       of one class stand on another where none stand the other way: rates that surely differ
       (`fit_floors`) and make 1% of all labels say so alone, or 5% where only a pass of its own
       after the first epoch shows them. So do 5% of all labels that stand, of five classes or more,
       on classes which are never hard to tell apart, as only labels wrong at random do
       (`scattered`). Without any of these nothing is flagged, unless the user knows that some
       labels are wrong.
    3. How many are flagged is read from the paper's split of the six features in two, which knows
       when a sample was learnt as well as how high its losses are. Where the rates of pairs of
       classes differ, the split is of confused classes rather than of labels. The rates leave out
       every hard sample, and a sixth or so of the wrong labels: a fifth more than they say is
       flagged, or what the early epochs contradict as firmly as wrong labels are (`Contradicted`),
       if that is more; where the scores leave a gap between the rates, or half of that number, and
       that number, what lies above it. The split counts for no more than are contradicted in one
       early epoch; of two classes for no more than are so half as firmly as is typical
       (`Contradicted`), nor for fewer than the rates of pairs and a fifth. The excess of the scores
       gives the probabilities, moved so that they cross 1/2 there; where it sees fewer, odds grow
       with the square of the score.
    4. Which samples these are is asked once more where it is known which classes are predicted:
       scores are multiplied by a factor of the pair of classes, given and predicted
       (`Confusions`). How many there are stays as it is.
    5. The noise rate is the share flagged, where the missed and the wrongly flagged balance. Its
       interval spans all readings, the mirrored margins among them (wrong labels look like right
       ones with the sign turned), and begins at 0 where nothing but an excess says that some are
       wrong. Where nothing is flagged, or rates of pairs differ, it ends no lower than the share
       that one early epoch contradicts: as many may be wrong. Nor does it ever end lower than
       Wilson's bound of none among so many samples.
    """

    name: ClassVar[str] = "auto"
    summary: ClassVar[str] = "the sharpened loss, weighed by epoch, against what right labels do"
    reference: ClassVar[str] = (
        "lossan; margins after Pleiss et al. 2020, lapse rate after Wichmann and Hill 2001, "
        "rates of pairs after Patrini et al. 2017, empirical null after Efron 2004"
    )
    Parameters = AutoParameters

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
            score=_spread_out(log.n_samples, found.rows, found.score),
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
            pairs=found.pairs,
            scores=found.score[order],
            probabilities=found.probability[order],
            found=bool(found.flags.any()),
            noise_rate=found.noise_rate,
            notes=found.notes,
        )

    def _judge(self, log: LossLog, context: Context) -> "_Judged":
        assert isinstance(self.parameters, AutoParameters)  # noqa: S101  (as Parameters states)
        rows = np.flatnonzero(context.features.scorable)
        scale = Margins.of(log, rows)
        against = scale.against(log, rows)
        epochs = weigh_epochs(self.name, against, scale, log.loss[rows])
        weights, unpicked = epochs.weights, epochs.unpicked
        score = average(against, sharpened, weights)
        plain = average(against, np.asarray, unpicked, scale.typical)
        first = plain
        if len(unpicked) > EARLY:
            first = average(against, np.asarray, early(unpicked), scale.typical)
        at_once = epochs.by_heart and knows_at_once(log.recorded, len(rows))
        pairs = Confusions.of(log, rows, score, weights, early(weights), sharp(0), at_once=at_once)
        classes = n_classes(log)
        floors = pairs.floors if pairs is not None else None
        counts = Contradicted.of(against, scale.typical, 0 if at_once else 1)
        seen = Seen.of(plain, counts, classes, commonest(log), scale, floors)
        missing = lacking(seen, against, unpicked, scale)
        excess = fit_excess(score, least=sharp(LEAST), start=_BULK)
        contradicted = float(counts.at_all.max())
        split = min(float(_split(context, rows).mean()), contradicted)
        alone = score
        if pairs is not None:
            score = score * pairs.factor(log, rows, weights)
        half, firm = counts.over_epochs(weights, epochs.kept)
        wanted = 0
        if missing == 0 or self.parameters.some_wrong:
            ends = seen.wanted(split, half, firm, shown=missing == 0)
            wanted = above_gap(score, *(round(share * len(rows)) for share in ends))
        found = wanted > 0
        if found:
            probability = _moved(alone, excess.probability, wanted)
        else:  # no more believable than the excess itself is
            probability = excess.probability / (1 + np.exp(missing))
        if pairs is not None:  # others are the first; how many there are stays as it is
            probability = _looked_up(score, np.sort(score), np.sort(probability))
        flags = (probability > 0.5) & found
        doubts = () if seen.differ else _DOUBTS  # their pairs are not equally firm
        doubted = [float((probability > doubt).mean()) for doubt in doubts]
        shares = [excess.share, split, firm, *doubted, *seen.rates] if found else []
        most = split if found and not seen.differ else contradicted
        return _Judged(
            rows=rows,
            scale=scale,
            weights=weights,
            pairs=pairs,
            score=score,
            probability=probability,
            flags=flags,
            notes=_notes(pairs, found=found, known=classes is not None),
            noise_rate=_noise_rate([plain, first], float(flags.mean()), shares, most),
        )


@dataclass(frozen=True, eq=False)
class _Judged:
    """What was found of the scorable samples, and how."""

    rows: Rows
    scale: Margins
    weights: Vector
    pairs: Confusions | None
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
    pairs : Confusions, optional
    scores, probabilities : ndarray of float64
        Of the samples it was fitted to, by ascending score.
    found : bool
        Whether anything is flagged.
    noise_rate : tuple of float
    notes : tuple of str
    """

    scale: Margins
    weights: Vector
    pairs: Confusions | None
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
        score = average(self.scale.against(log, rows), sharpened, self.weights)
        if self.pairs is not None:
            score *= self.pairs.factor(log, rows, self.weights)
        probability = _looked_up(score, self.scores, self.probabilities)
        flags = (probability > 0.5) & self.found
        return Detection(
            score=_spread_out(log.n_samples, rows, score),
            flagged=_spread_out(log.n_samples, rows, flags.astype(np.float64)) == 1,
            probability=_spread_out(log.n_samples, rows, probability),
            notes=self.notes,
            noise_rate=self.noise_rate,
        )


def _looked_up(score: Vector, scores: Vector, probabilities: Vector) -> Vector:
    """Return the probability of the highest of the ascending scores that is not above a score."""
    place = np.searchsorted(scores, score, side="right") - 1
    return probabilities[np.maximum(place, 0)]


def _split(context: Context, rows: Rows) -> NDArray[np.bool_]:
    """Split the samples in two by their standardised features, the paper's way."""
    values = context.features.values[:, rows]
    second = two_means(values, context.seed)
    if second.all() or not second.any():  # all look alike: there are no two
        return np.zeros(len(rows), bool)
    level = values[0]
    return second if level[second].mean() > level[~second].mean() else ~second


def _moved(score: Vector, probability: Vector, wanted: int) -> Vector:
    """Move the log odds so that so many are above 1/2."""
    known = np.clip(probability, 1e-9, 1 - 1e-9)
    odds = np.log(known) - np.log1p(-known) + _UNTIED * score
    above = probability > 0
    if above.sum() < wanted:  # the excess has not seen them all: the odds grow with the score
        odds, above = _BY_SCORE * np.log(np.maximum(score, 1e-12)), score > 0
    steps = np.sort(odds)[::-1]
    middle = (steps[wanted - 1] + steps[min(wanted, len(steps) - 1)]) / 2
    # as steep as it takes for the missed and the wrongly flagged to balance at the cut
    slope = min(_SLOPES, key=lambda a: abs(_logistic(a * (odds[above] - middle)).sum() - wanted))
    moved = _logistic(slope * (odds - middle))
    return np.asarray(np.where(above, moved, 0.0), np.float64)


def _logistic(odds: Vector) -> Vector:
    return np.asarray(1 / (1 + np.exp(np.clip(-odds, -700, 700))), np.float64)


def _notes(pairs: Confusions | None, *, found: bool, known: bool) -> tuple[str, ...]:
    """Return what is to be known of the findings beside them."""
    if not found:
        return (_UNSEEN,) if known else (_UNSEEN, _UNLABELLED)
    return () if pairs is None else pairs.notes


def _noise_rate(
    plain: list[Vector], estimate: float, shares: list[float], most: float
) -> tuple[float, float, float]:
    """Return estimate, low and high; without shares nothing was found."""
    n = len(plain[0])
    high = max([*shares, most, *(_mirrored(mean, at) for mean in plain for at in (0.5, 1.0))])
    high = min(1.0, high + _Z * float(np.sqrt(high * (1 - high) / n)))
    high = max(high, wilson(0, n)[1])  # that none is contradicted says little of a few samples
    if not shares:
        return 0.0, 0.0, high
    low = min(shares)
    low = max(0.0, low - _Z * float(np.sqrt(low * (1 - low) / n)))
    return estimate, min(low, estimate), max(high, estimate)


def _mirrored(plain: Vector, at: float) -> float:
    """Return the share of wrong labels if they were the right ones' scores with the sign turned."""
    against, for_it = float((plain >= at).sum()), float((plain <= -at).sum())
    return against / max(against + for_it, 1.0)


def _spread_out(n: int, rows: Rows, values: Vector) -> Vector:
    """Put values of some samples back among all."""
    whole = np.full(n, np.nan)
    whole[rows] = values
    return whole
