"""How often labels of one class stand on what is surely another: the noise of a pair of classes.

The surer a network is of a class, the more rarely a sample of it is a hard one of another class;
so the share of the samples labelled otherwise falls to nothing, unless those labels are wrong.
What it falls to is the rate at which samples of the class were given the other label: an entry of
the transition matrix of noisy-label learning, read where the network is surest (the anchor points
of Patrini et al. 2017), as a lapse rate is (`lossan.lapse`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lossan.detectors._one_way import NOTABLE, fit_one_way
from lossan.detectors._pair_counts import BINS, Epoch, PairCounts
from lossan.detectors._scattered import scattered

Vector = NDArray[np.float64]
Keys = NDArray[np.int64]

_SEEN = 60  # samples taken for a class, to say anything about it
_CONFIDENT = 0.55  # probability, in the middle of the surest quarter: else a class is never sure
_OFTEN = 10.0  # samples of a pair, to be judged by itself
_FLOORS = np.append(3e-5, np.geomspace(1e-4, 0.9, 45))
_HARD = np.append(0.0, np.geomspace(1e-3, 1.0, 30))
_PLACE = (np.arange(BINS) + 0.5) / BINS
# how right labels thin out towards the surest: at once, or only at the end
_THIN = [(1 - _PLACE) ** k for k in (1, 2, 4, 8, 16)]
_LATE = [1 - _PLACE**k for k in (2, 4)]
_BLOCK = 2048  # pairs at once: 25 MB
_ROUNDS = 300
SIGNIFICANT, SURE = 3.317, 7.568
"""Nats of likelihood, half a quantile of chi-square: one parameter, at 99%, and at 99.99%."""
_MISFIT = 0.002  # nats a sample: what shapes that are nearly right may gain
_LITTLE, _MUCH = 0.3, 0.45  # of the contradicted labels, that rates may explain
# of the samples of a class, in all pairs: where some are mistaken one way, none ranks lower
_LEAST = 0.01


@dataclass(frozen=True, eq=False)
class Floors:
    """The rates at which labels of one class stand on another, by pair of classes.

    Parameters
    ----------
    keys : ndarray of int64
        Ascending, shape (n_pairs,): number of the given class times the number of classes, plus
        that of the class it stands on. Pairs of ten samples and more.
    rates, shares : ndarray of float64
        Shape (n_pairs,): of labels that stand on the class, and what they make of all labels.
    others : ndarray of float64
        Shape (n_classes,): the rate of each other pair, by the class it stands on; ``usual``
        where too few samples are taken for the class.
    usual : float
        The mean rate over all pairs.
    trust : float
        From 0, where one rate may explain all pairs, to 1, where none does.
    wrong : float
        The share of all labels that are wrong by these rates; 0 where it may be none.
    scattered : float
        The share of all labels that is wrong at random, as far as it shows (`scattered`).
    telling : float
        How far a pair's rate tells of its samples, from 0 to 1: not where the rates explain few of
        the contradicted labels, for labels are then wrong in other ways too, as people's are.
    """

    keys: Keys
    rates: Vector
    shares: Vector
    others: Vector
    usual: float
    trust: float
    wrong: float
    scattered: float
    telling: float


def fit_floors(
    epochs: Iterable[Epoch], weights: Vector, n_classes: int, n_samples: int
) -> Floors | None:
    """Read the rates, each drawn towards those that are usual among the pairs.

    The share of a given class among the samples taken for another one is its floor plus hard right
    labels, which thin out to nothing at the surest end. The floors' own distribution is the one
    of the highest likelihood, of any shape; a floor is its mean given what the pair's samples say.
    Where classes have fewer than 60 samples on average, all pairs have one rate.

    Rates differ where several explain the samples better than one does, at the 0.01% level and by
    0.002 nats a sample, as shapes which are only nearly right gain with their number; and where
    one of them is 3.5% or more. They do so too where classes are mistaken for others one way only
    (`fit_one_way`), there by the rate that it finds. As wrong labels are then known to be there,
    hard ones are no longer thought to stay until the surest end.

    Classes of which the network is never sure are left out: it may still be learning them.

    Where the rates make less than .3 to .45 of all contradicted labels most wrong ones are not
    mistakes for one class rather than another: then a rate tells little of a pair's samples,
    unless classes are mistaken for others one way only.

    Parameters
    ----------
    epochs : iterable
        Of given classes, predicted classes and how sure the network is, from 0 to 1, each of shape
        (n_samples,).
    weights : ndarray of float64
        Shape (n_epochs,).
    n_classes, n_samples : int

    Returns
    -------
    Floors or None
        None where no class has enough samples.

    References
    ----------
    Patrini et al. 2017, Making Deep Neural Networks Robust to Label Noise, theorem 3: rates where
    a network is sure. Kiefer, Wolfowitz 1956: the distribution of highest likelihood.
    """
    if n_classes > 2 and n_samples < _SEEN * n_classes:
        return _of_all(epochs, weights, n_classes, n_samples)
    weighed = zip(epochs, weights, strict=True)
    counted = [PairCounts.of(epoch, n_classes) for epoch, weight in weighed if weight > 0]
    mean = PairCounts.mean(counted, weights[weights > 0])
    everyone = mean.totals.sum()
    unsure = mean.peaks < _CONFIDENT
    mean = replace(mean, totals=np.where(unsure[:, None], 0.0, mean.totals))
    size = mean.totals.sum(axis=1)
    if n_classes < 2 or not (size >= _SEEN).any():
        return None
    keys, of_pairs, of_rest, others = _pooled(mean, size)
    there = np.flatnonzero((size >= _SEEN) & (others > 0))
    stands_on = np.concatenate([keys % n_classes, there])
    many = np.concatenate([np.ones(len(keys)), others[there]])
    counts, totals = np.concatenate([of_pairs, of_rest[there]]), mean.totals[stands_on]
    one_way = fit_one_way(keys, mean, counted)
    found = _read(counts, totals, many, np.append(one_way.rates, np.zeros(len(there))), everyone)
    gain = max(found.gain, one_way.nats)
    rates = np.maximum(found.rates, _LEAST / (n_classes - 1)) if one_way.nats > 0 else found.rates
    usual = float(many @ rates / many.sum())
    of_others = np.full(n_classes, usual)
    of_others[there] = rates[len(keys) :]
    shares = many * size[stands_on] / everyone
    wrong = float(found.rates @ shares) if found.seen else 0.0
    first = slice(len(keys))
    return Floors(
        keys=keys,
        rates=rates[first],
        shares=(found.rates * shares)[first],
        others=of_others,
        usual=usual,
        trust=1 - SIGNIFICANT / gain if gain > 0 else 0.0,
        wrong=wrong,
        scattered=scattered(counted),
        telling=1.0 if one_way.nats > 0 else _telling(wrong * everyone, float(mean.counts.sum())),
    )


def _telling(explained: float, contradicted: float) -> float:
    """Return how far rates tell of single samples that explain so many of the contradicted."""
    share = explained / max(contradicted, 1.0)
    return float(np.clip((share - _LITTLE) / (_MUCH - _LITTLE), 0, 1))


@dataclass(frozen=True, eq=False)
class _Read:
    """Rates of pairs; the gain of several over one, 0 where they may be one; whether any is."""

    rates: Vector
    gain: float
    seen: bool


def _read(counts: Vector, totals: Vector, many: Vector, one_way: Vector, everyone: float) -> _Read:
    """Read the rates, each of so many pairs, of which some are known to be mistaken one way."""
    fits = _profiles(counts, totals, _THIN + _LATE)
    floors, gain = _shrunk(fits, many)
    of_one, mistaken = many @ fits, bool(one_way.any())
    differ = gain >= max(SURE, _MISFIT * everyone) and floors.max() >= NOTABLE
    if mistaken and not differ:  # wrong labels are known to be there: none is hard until the end
        floors, gain = _shrunk(_profiles(counts, totals, _THIN), many)
    return _Read(
        rates=np.maximum(floors, one_way),
        gain=gain if differ else 0.0,
        seen=differ or mistaken or bool(of_one.max() - of_one[0] >= SIGNIFICANT),
    )


def _of_all(
    epochs: Iterable[Epoch], weights: Vector, n_classes: int, n_samples: int
) -> Floors | None:
    """Take all classes for one, and all labels of others for those of one other class."""
    alike = (
        (np.where(given < 0, -1, given != taken), np.where(taken < 0, -1, 0), sure)
        for given, taken, sure in epochs
    )
    found = fit_floors(alike, weights, 2, n_samples)
    if found is None:
        return None
    others, none = np.full(n_classes, found.usual), np.empty(0)
    return replace(
        found, keys=np.empty(0, np.int64), rates=none, shares=none, others=others, trust=0.0
    )


def _pooled(counted: PairCounts, size: Vector) -> tuple[Keys, Vector, Vector, Vector]:
    """Part the pairs seen often from the others, which are judged as one a predicted class.

    ``size`` is how many samples are taken for each class. Returns keys and counts of those seen
    often, the mean counts of the others by predicted class, and how many they are.
    """
    n_classes = len(size)
    pair, at = np.divmod(counted.cells, BINS)
    counts = counted.counts
    known, place = np.unique(pair, return_inverse=True)
    enough = size[known % n_classes] >= _SEEN
    often = (np.bincount(place, counts, minlength=len(known)) >= _OFTEN) & enough
    of_pairs = np.zeros((len(known), BINS))
    of_pairs[place, at] = counts
    rare = n_classes - 1 - np.bincount(known[often] % n_classes, minlength=n_classes)
    others = rare.astype(np.float64)
    of_others = np.zeros((n_classes, BINS))
    np.add.at(of_others, known[~often] % n_classes, of_pairs[~often])
    of_others /= np.maximum(others, 1)[:, None]
    return known[often], of_pairs[often], of_others, others


def _profiles(counts: Vector, totals: Vector, shapes: list[Vector]) -> Vector:
    """Return the log-likelihood of each floor at the hard labels that fit best, highest 0."""
    best = np.full((len(counts), len(_FLOORS)), -np.inf)
    for shape in shapes:
        rate = np.clip(_FLOORS[:, None, None] + _HARD[:, None] * shape, 1e-9, 0.999)
        rate = rate.reshape(-1, BINS).T
        inside, outside = np.log(rate), np.log1p(-rate)
        for begin in range(0, len(counts), _BLOCK):
            part = slice(begin, begin + _BLOCK)
            fits = counts[part] @ inside + (totals[part] - counts[part]) @ outside
            fits = fits.reshape(-1, len(_FLOORS), len(_HARD)).max(axis=2)
            best[part] = np.maximum(best[part], fits)
    return best - best.max(axis=1, keepdims=True)


def _shrunk(fits: Vector, many: Vector) -> tuple[Vector, float]:
    """Return each floor's mean, and by how much one floor for all is worse, in nats of likelihood.

    Each row of ``fits`` stands for so many pairs.
    """
    likely = np.exp(fits)
    share = np.full(len(_FLOORS), 1 / len(_FLOORS))
    for _ in range(_ROUNDS):
        belongs = likely * share
        belongs /= belongs.sum(axis=1, keepdims=True)
        share = many @ belongs / many.sum()
    return belongs @ _FLOORS, float(many @ np.log(likely @ share) - (many @ fits).max())
