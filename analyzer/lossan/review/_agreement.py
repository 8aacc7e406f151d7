"""How far two readers agree beyond chance."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from lossan.evaluate import Z
from lossan.review._decision import Decision, Name
from lossan.review._outcomes import Opinion, active, opinion


@dataclass(frozen=True)
class Agreement:
    """How two readers agree on the samples that both have read.

    Parameters
    ----------
    readers : tuple of str
    n : int
        How many samples both have read.
    agreement : float
        The share of them on which they say the same.
    kappa : float or None
        Cohen's; None where it is undefined, as both said the same one thing of every sample.
    low, high : float or None
        Its 95% interval.
    """

    readers: tuple[str, str]
    n: int
    agreement: float
    kappa: float | None
    low: float | None
    high: float | None


def cohen_kappa(decisions: Iterable[Decision]) -> list[Agreement]:
    """Return the agreement of each pair of readers who have samples in common.

    What is compared is the label each of them says a sample should have, or that one is unsure or
    excludes it; adjudications are left out. The interval is that of the large-sample standard
    error; with complete agreement, where that is 0, its lower end follows from Wilson's interval
    of the share on which they agree.

    References
    ----------
    Cohen 1960, Educ. Psychol. Meas. 20; Fleiss, Cohen and Everitt 1969, Psychol. Bull. 72.
    """
    said: dict[str, dict[Name, Opinion]] = {}
    for decision in active(decisions):
        if not decision.adjudication:
            said.setdefault(decision.reader, {})[decision.sample_id] = _category(decision)
    found = []
    for first, second in combinations(sorted(said), 2):
        common = [sample for sample in said[first] if sample in said[second]]
        if common:
            pairs = [(said[first][sample], said[second][sample]) for sample in common]
            found.append(_agreement((first, second), _table(pairs)))
    return found


def _category(decision: Decision) -> Opinion:
    action, label = opinion(decision)
    return ("label", label) if action in ("keep", "relabel") else (action, None)


def _table(pairs: list[tuple[Opinion, Opinion]]) -> NDArray[np.float64]:
    """Count what the one and the other said; a row and a column per category."""
    places: dict[Opinion, int] = {}
    for pair in pairs:
        for category in pair:
            places.setdefault(category, len(places))
    counts = np.zeros((len(places), len(places)))
    for one, other in pairs:
        counts[places[one], places[other]] += 1
    return counts


def _agreement(readers: tuple[str, str], counts: NDArray[np.float64]) -> Agreement:
    n = int(counts.sum())
    p = counts / n
    rows, columns = p.sum(1), p.sum(0)
    agree, chance = float(counts.trace()) / n, float(rows @ columns)
    if chance > 1 - 1e-12:
        return Agreement(readers, n, agree, None, None, None)
    kappa = (agree - chance) / (1 - chance)
    if agree > 1 - 1e-12:
        lowest = n / (n + Z**2)  # Wilson's, of n out of n
        return Agreement(readers, n, 1.0, 1.0, (lowest - chance) / (1 - chance), 1.0)
    half = Z * _standard_error(p, kappa, chance, n)
    return Agreement(readers, n, agree, kappa, max(-1.0, kappa - half), min(1.0, kappa + half))


def _standard_error(p: NDArray[np.float64], kappa: float, chance: float, n: int) -> float:
    rows, columns = p.sum(1), p.sum(0)
    weights = (columns[:, None] + rows[None, :]) * (1 - kappa)
    same = float((p.diagonal() * (1 - weights.diagonal()) ** 2).sum())
    apart = p * weights**2
    differ = float(apart.sum() - apart.trace())
    variance = same + differ - (kappa - chance * (1 - kappa)) ** 2
    return sqrt(max(0.0, variance)) / ((1 - chance) * sqrt(n))
