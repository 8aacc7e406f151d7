"""Labels wrong at random: a plain loop over all pairs, planted shares, and whole logs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossan import analyze, build_log
from lossan.detectors._pair_counts import BINS, PairCounts
from lossan.detectors._scattered import scattered

HALF = BINS // 2


def counted(low, high, size):
    """Return counts of samples, spread evenly over the bins of each half, (given, taken for)."""
    n = len(low)
    totals = np.repeat(np.asarray(size, float)[:, None] / BINS, BINS, axis=1)
    cells, counts = [], []
    for label, true in np.argwhere(np.asarray(low) + np.asarray(high) > 0):
        for half, of in ((0, low), (1, high)):
            if of[label][true]:
                cells += [(label * n + true) * BINS + half * HALF + at for at in range(HALF)]
                counts += [of[label][true] / HALF] * HALF
    none = np.zeros(n)
    keys = np.array(cells, np.int64)
    return PairCounts(keys, np.array(counts, float), totals, none, none, none)


def by_loop(low, high, size):
    """Return the same share by the words of its docstring."""
    n = len(low)
    pairs = [(g, t) for g in range(n) for t in range(n) if g != t and size[t] / 2 >= 30]
    if n < 5 or not pairs:
        return 0.0
    confused = {(g, t): low[g][t] / (size[t] / 2) for g, t in pairs}
    most = sorted(confused.values())[min(len(pairs) // 4, len(pairs) - 1)]
    kept = [high[g][t] / (size[t] / 2) for g, t in pairs if confused[g, t] <= most + 1e-12]
    return float(np.mean(kept)) * (n - 1)


def made(rng, n, *, at_random, alike):
    """Return halves of as many samples a class, of which neighbours are hard to tell apart."""
    size = np.full(n, 2000)
    low, high = (rng.poisson(at_random / (n - 1) * 1000, (n, n)) for _ in range(2))
    for own in range(n - 1):
        low[own, own + 1] += int(alike * 1000)
        high[own, own + 1] += int(alike * 100)
    for half in (low, high):
        np.fill_diagonal(half, 0)
    return low, high, size


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(3, 9),
    seed=st.integers(0, 1000),
    at_random=st.sampled_from([0.0, 0.002, 0.05, 0.4]),
    small=st.booleans(),
)
def test_it_is_what_a_loop_over_all_pairs_finds(n, seed, at_random, small):
    low, high, size = made(np.random.default_rng(seed), n, at_random=at_random, alike=0.3)
    if small:
        size[0] = 40
    nothing = counted(low * 0, high * 0, size)
    found = scattered([nothing, counted(low, high, size), nothing])
    assert found == pytest.approx(by_loop(low, high, size), abs=1e-9)


def test_where_just_a_quarter_of_the_pairs_is_never_confused():
    """The quarter then ends with the least alike of the confused ones, as of any other number."""
    low, size = np.full((5, 5), 40), np.full(5, 2000)
    high = np.full((5, 5), 20)
    for own in range(5):  # five of twenty pairs
        low[own, own] = high[own, own] = 0
        low[own, (own + 1) % 5] = high[own, (own + 1) % 5] = 0
    low[0, 2] = 8
    nothing = counted(low * 0, high * 0, size)
    found = scattered([nothing, counted(low, high, size)])
    assert found == pytest.approx(by_loop(low, high, size)) == pytest.approx(20 / 1000 / 6 * 4)


def test_the_first_epoch_is_not_asked():
    low, high, size = made(np.random.default_rng(0), 6, at_random=0.2, alike=0.3)
    epoch = counted(low, high, size)
    assert scattered([epoch]) == scattered([]) == 0
    assert scattered([counted(low * 0, high * 0, size), epoch]) > 0.15


@pytest.mark.parametrize("at_random", [0.0, 0.06, 0.2, 0.4])
@pytest.mark.parametrize("n", [5, 10, 40])
def test_what_is_wrong_at_random_is_read_whatever_is_hard(n, at_random):
    low, high, size = made(np.random.default_rng(1), n, at_random=at_random, alike=0.4)
    epoch = counted(low, high, size)
    assert scattered([epoch, epoch]) == pytest.approx(at_random, rel=0.15)


def test_pairs_rare_by_chance_are_not_favoured():
    """Two wrong labels a pair: the quarter that the other half has least of has as many here."""
    rng = np.random.default_rng(2)
    low, high = (rng.poisson(2.0, (20, 20)) for _ in range(2))
    epoch = counted(low, high, np.full(20, 2000))
    assert scattered([epoch, epoch]) == pytest.approx(2 / 1000 * 19, rel=0.15)


def heads(seed, *, wrong, n=4000, classes=8):
    """Return a log of a network that soon learns half of a wrong label by heart, and which are.

    Classes next to each other look alike. Wrong labels are contradicted less firmly than right ones
    are confirmed, so that nothing but the classes on which they stand shows them.
    """
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    moved = rng.random(n) < wrong
    label = np.where(moved, (truth + rng.integers(1, classes, n)) % classes, truth)
    clear = rng.normal(1.2, 1.0, n)  # of the truth over the class beside it
    margins, taken = [], []
    for epoch in range(8):
        learnt = 1.6 + 0.6 * epoch / 7
        logits = np.zeros((n, classes))
        logits[np.arange(n), truth] = 2 + np.maximum(clear, 0)
        logits[np.arange(n), (truth + 1) % classes] = 2 - np.minimum(clear, 0)
        logits[np.arange(n), label] += learnt
        logits += rng.normal(0, 0.7, logits.shape)
        own = logits[np.arange(n), label].copy()
        logits_other = logits.copy()
        logits_other[np.arange(n), label] = -np.inf
        margins.append(own - logits_other.max(axis=1))
        taken.append(logits.argmax(axis=1))
    margin, predicted = np.stack(margins, axis=1), np.stack(taken, axis=1)
    loss = np.logaddexp(0, -margin)
    sure = 1 / (1 + np.exp(-np.abs(margin)))
    log = build_log(loss, label=label, margin=margin, predicted=predicted, predicted_prob=sure)
    return log, moved


@pytest.mark.parametrize("seed", range(3))
def test_labels_wrong_at_random_show_though_many_are_learnt_by_heart(seed):
    log, moved = heads(seed, wrong=0.4)
    flagged = analyze(log, detector="auto").detection.flagged
    assert 2 * (flagged & moved).sum() / (flagged.sum() + moved.sum()) > 0.8
    log, _ = heads(seed, wrong=0.0)
    assert not analyze(log, detector="auto").detection.flagged.any()
