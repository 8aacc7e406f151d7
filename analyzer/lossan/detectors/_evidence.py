"""What says that labels are wrong: rates of pairs that differ, firm contradictions, an excess."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lossan.detectors._contradiction import Margins, average
from lossan.detectors._epochs import EARLY, LEAST, early
from lossan.detectors._firmness import FEW, Contradicted, Firmness
from lossan.detectors._floors import SIGNIFICANT, Floors
from lossan.excess import fit_excess
from lossan.lapse import Lapse, fit_lapse

Vector = NDArray[np.float64]
Matrix = NDArray[np.float32]

# Of the contradicted labels: how many more may be so firmly where none is wrong, of two classes and
# of more, or of two of which one is rare, so that a network doubts its labels before it knows them;
# more still of margins made of probabilities, whose spread over the others is assumed.
_FIRM, _FIRM_OF_MANY, _MADE = 0.01, 0.05, 0.015
_FIRMER, _LITTLE_FIRMER = 0.02, 0.01  # where a lapse rate says so too, or an excess
# nats a sample: what a lapse rate may gain where no label is wrong, or of margins so made
_MISFIT, _MISFIT_MADE = 0.003, 0.008
# Nats of likelihood, half a quantile of chi-square: an excess, three parameters, at 95%; at 98%
# where it is asked a second time; at 99.9%, where of few samples nothing else says so.
_SEEN, _SEEN_EARLY, _SEEN_ALONE = 3.907, 4.919, 8.133
# nats a sample: more than a null that is nearly right leaves, and a rare class of two
_LARGE, _LARGE_OF_RARE = 0.03, 0.06
_SCATTERED = 0.05  # of the labels: a network that is unsure of all it sees scatters a few
_COMMON = 2 / 3  # of the labels: a class that has more leaves the other of two rare
_RARE = 0.01  # fewer wrong labels than this are those of any gold standard
_NEAR = 1.2  # times: that rates of pairs of classes are low by
_SETTLED = 5  # epochs: after fewer a network lapses on what it has not learnt yet
_LATE = 1.5  # power of an epoch's number where an excess is asked for


@final
@dataclass(frozen=True)
class Seen:
    """What says that labels are wrong, other than an excess, and how many.

    Parameters
    ----------
    firmness : Firmness
    made : bool
        Whether margins are made of probabilities spread over several classes.
    lapse : Lapse, optional
        None where it is not significant, or the samples are few and of two classes.
    wrong : float
        The share of wrong labels by the rates of pairs of classes; 0 where it may be none.
    differ : bool
        Whether these rates surely differ.
    scattered : float
        The share of labels that stand on classes which are never hard to tell apart.
    n_samples : int
    even : bool
        Whether no class has more than two thirds of the labels, as far as they are known.
    many : bool
        Whether there are surely more than two.
    settled : bool
        Whether there are epochs enough for a network to know them.
    """

    firmness: Firmness
    made: bool
    lapse: Lapse | None
    wrong: float
    differ: bool
    scattered: float
    n_samples: int
    even: bool
    many: bool
    settled: bool

    @classmethod
    def of(
        cls,
        plain: Vector,
        counts: Contradicted,
        classes: int | None,
        common: float,
        scale: Margins,
        floors: Floors | None,
    ) -> "Seen":
        """Ask everything but the excess.

        ``plain`` is the mean contradiction over the epochs, in units of what is typical,
        ``common`` the share of the labels that the most common of the classes has, if known.
        """
        wrong = floors.wrong if floors is not None and floors.wrong >= _RARE else 0.0
        many = classes is not None and classes > 2
        lapse = fit_lapse(-plain, classes or 2) if many or len(plain) >= FEW else None
        there = lapse is not None and lapse.gain >= SIGNIFICANT and lapse.share >= _RARE
        return cls(
            firmness=Firmness.of(counts, many=many),
            made=scale.others > 1,
            lapse=lapse if there else None,
            wrong=wrong,
            differ=floors is not None and floors.trust > 0 and wrong > 0,
            scattered=floors.scattered if floors is not None else 0.0,
            n_samples=len(plain),
            even=common <= _COMMON,
            many=many,
            settled=len(scale.typical) >= _SETTLED,
        )

    @property
    def few(self) -> bool:
        """Whether the samples are few and of two classes, as far as is known."""
        return not self.many and self.n_samples < FEW

    @property
    def enough(self) -> bool:
        """Whether it shows that some are."""
        least = _FIRM if self.even and not self.many and not self.few else _FIRM_OF_MANY
        firm = self.firmness.surely >= least + (_MADE if self.made else 0.0)
        misfit = (_MISFIT_MADE if self.made else _MISFIT) * self.n_samples
        lapses = self.settled and self.lapse is not None and self.lapse.gain >= misfit
        anywhere = self.scattered >= _SCATTERED
        return self.differ or firm or anywhere or (lapses and self.firmness.excess >= _FIRMER)

    @property
    def rates(self) -> list[float]:
        """The noise rates that it says there may be, from 0 where it may be none."""
        rates = [] if self.lapse is None else [self.lapse.share]
        rates += [self.wrong] if self.wrong > 0 else []
        return rates if self.enough else [0.0, *rates]

    def wanted(self, split: float, half: float, firm: float, *, shown: bool) -> tuple[float, float]:
        """Return the least and largest share to flag.

        Parameters
        ----------
        split, half, firm : float
            The shares that the split takes for wrong, and that are contradicted half as firmly as
            is typical, and firmly (`Contradicted.over_epochs`).
        shown : bool
            Whether anything shows that labels are wrong; else the user has said so, and hardly any
            wrong one is contradicted so firmly.
        """
        near = _NEAR * self.wrong
        if self.differ:
            most = min(max(near, firm), 1.0)
            return max(self.wrong, most / 2), most
        if shown and not (self.many or self.made):
            split = min(split, max(half, near))
        return split, split


def lacking(seen: Seen, against: Matrix, weights: Vector, scale: Margins) -> float:
    """Return how many nats an excess lacks to be seen; 0 where it is, or needs not be.

    It is asked for only where the contradicted are at least a little firmer than right labels
    would be: hard ones pile up too, but mildly. A null that is only nearly right leaves one as
    well, the larger the more samples there are, of few it hardly does; and so do the samples of a
    rare class, of two. Of few samples of classes which look alike hard ones pile up by chance, more
    than mildly: half as much is asked, as far as it is no longer chance, unless rates of pairs say
    that some are wrong.
    """
    if seen.enough:
        return 0.0
    large = _LARGE if seen.even or seen.many else _LARGE_OF_RARE
    asked = max(_SEEN, large * seen.n_samples)
    if seen.few:
        asked = _SEEN if seen.wrong > 0 else min(max(_SEEN, asked / 2), _SEEN_ALONE)
    if seen.firmness.excess < _LITTLE_FIRMER or not (seen.few or seen.settled):
        return asked
    late = weights * np.arange(1, len(weights) + 1) ** _LATE
    missing = [asked - _gain(against, late, scale)]
    if seen.few and seen.even and len(weights) > EARLY:
        missing.append(max(_SEEN_EARLY, asked) - _gain(against, early(late), scale))
    return max(min(missing), 0.0)


def _gain(against: Matrix, weights: Vector, scale: Margins) -> float:
    """Return how many nats of likelihood an excess of the mean over the epochs gains."""
    return fit_excess(average(against, np.tanh, weights, scale.typical), least=LEAST).gain
