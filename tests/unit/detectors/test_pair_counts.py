"""How many labels of one class stand on another: against plain loops."""

import numpy as np
from scipy.stats import rankdata

from lossan.detectors._pair_counts import BINS, PairCounts

K = 4


def drawn(seed, n=500):
    """Return an epoch of random classes, some of them unknown."""
    rng = np.random.default_rng(seed)
    given, predicted = rng.integers(-1, K, (2, n)).astype(np.int32)
    sure = np.where(rng.random(n) < 0.05, np.nan, rng.random(n).round(2))  # some are equal
    return given, predicted, sure


def by_loops(epoch):
    """Return counts by pair and bin, of all by class and bin, of all labelled, doubts and peaks."""
    rows = [row for row in zip(*epoch, strict=True) if min(row[:2]) >= 0 and not np.isnan(row[2])]
    cells, totals = {}, np.zeros((K, BINS))
    given, doubts, peaks = np.zeros((3, K))
    for true in range(K):
        members = [row for row in rows if row[1] == true]
        sure = np.array([row[2] for row in members])
        peaks[true] = np.quantile(sure, 7 / 8)
        bins = ((rankdata(sure) - 1) / len(sure) * BINS).astype(int)
        for (own, _, how_sure), at in zip(members, bins, strict=True):
            totals[true, at] += 1
            doubts[true] += 1 - how_sure
            given[own] += 1
            if own != true:
                key = (own * K + true) * BINS + at
                cells[key] = cells.get(key, 0) + 1
    return cells, totals, given, doubts, peaks


def cells_of(counted):
    return dict(zip(counted.cells.tolist(), counted.counts.tolist(), strict=True))


def test_counts_are_those_of_plain_loops():
    for seed in range(5):
        cells, totals, given, doubts, peaks = by_loops(drawn(seed))
        found = PairCounts.of(drawn(seed), K)
        assert cells_of(found) == cells
        np.testing.assert_array_equal(found.totals, totals)
        np.testing.assert_array_equal(found.given, given)
        np.testing.assert_allclose(found.doubts, doubts)
        np.testing.assert_allclose(found.peaks, peaks)
        wrong = [sum(n for c, n in cells.items() if c // BINS % K == on) for on in range(K)]
        np.testing.assert_array_equal(found.contradicted, wrong)


def test_the_mean_weighs_the_epochs():
    one, other = (PairCounts.of(drawn(seed), K) for seed in (0, 1))
    mean = PairCounts.mean([one, other], np.array([1.0, 3.0]))
    keys = cells_of(one).keys() | cells_of(other).keys()
    wanted = {k: cells_of(one).get(k, 0) / 4 + cells_of(other).get(k, 0) * 3 / 4 for k in keys}
    assert cells_of(mean) == wanted
    for name in ("totals", "given", "doubts", "peaks"):
        both = [getattr(counted, name) for counted in (one, other)]
        np.testing.assert_allclose(getattr(mean, name), both[0] / 4 + both[1] * 3 / 4)


def test_an_epoch_of_which_nothing_is_known_counts_nothing():
    given, predicted, sure = drawn(0)
    found = PairCounts.of((given, np.full_like(predicted, -1), sure), K)
    assert len(found.cells) == 0
    assert not found.totals.any()
