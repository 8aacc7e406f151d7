"""What says that labels are wrong: lapse and pair rates, firm contradictions, an excess."""

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from lossan.detectors._contradiction import Margins, average
from lossan.detectors._epochs import EARLY, LEAST, SHARP, early
from lossan.detectors._floors import SIGNIFICANT, Floors
from lossan.excess import fit_excess
from lossan.lapse import Lapse, fit_lapse

Vector = NDArray[np.float64]
Matrix = NDArray[np.float32]

# Nats of likelihood, half a quantile of chi-square: an excess, three parameters, at 95%, and at
# 98% where it is asked a second time.
_SEEN, _SEEN_EARLY = 3.907, 4.919
_ENOUGH = 2000  # samples: with fewer, unsqueezed margins show nothing
_MISFIT = 0.0065  # nats a sample: what a null that is nearly right may gain, 3.9 of 600 samples
_MISFIT_OF_LAPSE = 0.01  # nats a sample: so much hard samples may lapse
# Samples of two classes: of fewer a network lapses on what it cannot see, of more the mean of the
# first epochs shows an excess of hard right ones.
_FEW = 1000
# Nats, and nats a sample: what may be gained in a single epoch, where samples pile up that are hard
# only then; the last of a network that does not learn by heart, whose mean would show wrong labels.
_SEEN_IN_ONE, _MISFIT_IN_ONE, _MISFIT_AT_ONCE = 50.0, 0.03, 0.05
_BY_HEART = 1.3  # times as sure at the end as in the middle
_RARE = 0.01  # fewer wrong labels than this are those of any gold standard
_RARE_SPREAD = 0.03  # where margins are made of probabilities: some are hard right ones
_NEAR = 1.2  # times: that rates of pairs of classes are low by
_SHOWN = 0.035  # of all labels, by those rates: they need not differ
# Of margins that are normally spread about as many of the contradicted are so firmly as are
# contradicted of all, be these a seventh or two fifths. More are where labels are wrong, of two
# classes not so many; mirrored, a half: so many are asked for where rates of pairs show none.
_FIRM, _FIRMER, _FIRMER_OF_TWO, _MIRRORED = 0.15, 0.07, 0.03, 0.5
_FIRM_EARLY = 0.18  # fewer than these say nothing while a network is still learning
_VERY_MANY = 0.3  # of the labels: few trained networks contradict as many right ones
_IGNORANT = 0.75  # of the labels: of a network that contradicts more, none says anything
_SETTLED = 5  # epochs: after fewer a network still contradicts labels firmly that it will confirm
_GROWING = 1.6  # times as sure at the end as in the middle: it is then still learning, too
_GROWN = 1.2  # times: of a network that learns little more, and no wrong label by heart
_HALF = 0.5  # of what is typical: so firmly such a network contradicts wrong labels
_LATE = 1.5  # power of an epoch's number where an excess is asked for
_KEPT = 0.999  # of the unsqueezed scores: the highest few would set the scale


@final
@dataclass(frozen=True)
class Seen:
    """What says that labels are wrong, other than an excess, and how many.

    Parameters
    ----------
    lapse : Lapse, optional
        None where it is not significant, the rates of pairs of classes deny it, or the samples
        are few and of two classes: a network lapses on what it cannot see in some of them.
    wrong : float
        The share of wrong labels by the rates of pairs of classes; 0 where it may be none.
    differ : bool
        Whether these rates surely differ.
    denied : bool
        Whether there are rates of more than two classes, and they show no wrong label.
    against, half, whole : float
        The shares of labels that are contradicted, and as firmly as half a typical label is
        confirmed, or a whole one.
    known : bool
        Whether it is known how many classes there are.
    many : bool
        Whether there are surely more than two.
    settled : bool
        Whether there are epochs enough for a network to know them.
    growth : float
        How many times as sure it is at the end as in the middle.
    """

    lapse: Lapse | None
    wrong: float
    differ: bool
    denied: bool
    against: float
    half: float
    whole: float
    known: bool
    many: bool
    settled: bool
    growth: float

    @classmethod
    def of(
        cls, plain: Vector, classes: int | None, scale: Margins, floors: Floors | None
    ) -> "Seen":
        wrong = floors.wrong if floors is not None and floors.wrong >= _RARE else 0.0
        differ = floors is not None and floors.trust > 0 and wrong > 0
        many = classes is not None and classes > 2
        denied = floors is not None and many and wrong == 0
        asked = not denied and (many or len(plain) >= _FEW)
        lapse = fit_lapse(-plain, classes or 2) if asked else None
        rare = _RARE if scale.others == 1 else _RARE_SPREAD
        against, half, whole = (float((plain > firm).mean()) for firm in (0.0, 0.5, 1.0))
        settled = len(scale.typical) >= _SETTLED
        found = cls(
            lapse=None,
            wrong=wrong,
            differ=differ,
            denied=denied,
            against=against,
            half=half,
            whole=whole,
            known=classes is not None,
            many=many,
            settled=settled,
            growth=float(scale.typical[-1] / scale.typical[(len(scale.typical) - 1) // 2]),
        )
        least = SIGNIFICANT
        if not (found.firmly and (settled or not many)):
            least = max(SIGNIFICANT, _MISFIT_OF_LAPSE * len(plain))
        there = lapse is not None and lapse.gain >= least and lapse.share >= rare
        return replace(found, lapse=lapse) if there else found

    @property
    def firm(self) -> float:
        """Which share of the contradicted is so as firmly as a typical label is confirmed."""
        return self.whole / max(self.against, _RARE)

    @property
    def firmly(self) -> bool:
        """Whether that is more than hard right labels explain."""
        if not self.many:
            return self.firm >= self.against + _FIRMER_OF_TWO
        least = _MIRRORED if self.denied else _FIRM
        return self.firm >= max(least, self.against + _FIRMER)

    @property
    def pronounced(self) -> bool:
        """Whether an excess need not be that of hard right labels.

        Wrong ones learnt by heart are contradicted mildly, and of very many not all firmly.
        """
        by_heart = not self.many and self.growth >= _GROWING
        return self.firmly or by_heart or self.against >= _VERY_MANY

    @property
    def enough(self) -> bool:
        """Whether it shows that some are."""
        known = self.growth < _GROWING or self.wrong >= _SHOWN
        shown = self.many and self.settled and self.firmly and known
        return self.lapse is not None or self.differ or shown

    @property
    def rates(self) -> list[float]:
        """The noise rates that it says there may be, from 0 where it may be none."""
        rates = [] if self.lapse is None else [self.lapse.share]
        rates += [self.wrong] if self.wrong > 0 else []
        return rates if self.enough else [0.0, *rates]

    @property
    def firmness(self) -> float:
        """How firmly, of what is typical, one of the epochs contradicts a wrong label at least.

        Not at all where the network still learns them by heart.
        """
        return _HALF * float(np.clip((_GROWING - self.growth) / (_GROWING - _GROWN), 0, 1))

    def wanted(self, split: float, firmly: float) -> tuple[float, float]:
        """Return the least and largest share to flag.

        Parameters
        ----------
        split, firmly : float
            The shares that the split takes for wrong, and that are contradicted with `firmness`.
        """
        near = _NEAR * self.wrong
        if self.differ:
            return self.wrong, min(max(near, min(self.half, 2 * self.whole)), 1.0)
        share = split if self.many else min(split, max(firmly, near))
        return share, share


def lacking(seen: Seen, score: Vector, against: Matrix, weights: Vector, scale: Margins) -> float:
    """Return how many nats an excess lacks to be seen; 0 where it is, or needs not be."""
    if not (seen.settled or seen.differ) and seen.firm < _FIRM_EARLY:
        return _SEEN
    if seen.against > _IGNORANT:
        return _SEEN
    if seen.enough:
        return 0.0
    late, n = weights * np.arange(1, len(weights) + 1) ** _LATE, len(score)
    if seen.denied or not (seen.many or n < _FEW or seen.pronounced):
        return _SEEN
    gain = _gain_of_mean(against, late, scale)
    if seen.many or n >= _ENOUGH:
        # what squeezing piled up is none: here in the one margin that would have this score
        firmly = np.log(np.expm1(np.maximum(score, 1e-12))) / SHARP
        pile = fit_excess(firmly[firmly <= np.quantile(firmly, _KEPT)], least=LEAST)
        gain = min(gain, pile.gain if pile.share >= _RARE else 0.0)
    missing = [_asked(seen, n) - gain]
    if missing[0] > 0 and seen.known and not seen.many:
        misfit = _MISFIT_IN_ONE if seen.growth >= _BY_HEART else _MISFIT_AT_ONCE
        missing.append(max(_SEEN_IN_ONE, misfit * n) - _gain_in_one(against, scale))
        if len(weights) > EARLY and n < _FEW:
            missing.append(_SEEN_EARLY - _gain_of_mean(against, early(late), scale))
    return max(min(missing), 0.0)


def _asked(seen: Seen, n: int) -> float:
    """Return how many nats an excess of the mean over the epochs must gain to be seen."""
    if not seen.many:
        return max(_SEEN, _MISFIT * n)
    return _SEEN if seen.settled and seen.pronounced else max(_SEEN, 2 * _MISFIT * n)


def _gain_of_mean(against: Matrix, weights: Vector, scale: Margins) -> float:
    """Return how many nats of likelihood an excess of the mean over the epochs gains."""
    return fit_excess(average(against, np.tanh, weights, scale.typical), least=LEAST).gain


def _gain_in_one(against: Matrix, scale: Margins) -> float:
    """Return that of the one of the first epochs which shows most.

    But the very first, in which whole kinds of samples may still be taken for others.
    Where wrong labels are learnt by heart within a few epochs the mean over all shows none.
    """
    most = 0.0
    for values, unit in zip(against.T[1:EARLY], scale.typical[1:], strict=False):
        seen = values[~np.isnan(values)].astype(np.float64)
        if len(seen):
            most = max(most, fit_excess(np.tanh(seen / unit), least=LEAST).gain)
    return most
