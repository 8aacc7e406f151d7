"""Cohen's kappa beside scikit-learn's, and its interval beside the literature's."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from lossan.review import cohen_kappa

SAID = [("keep", None), ("relabel", "cat"), ("relabel", "dog"), ("unsure", None), ("exclude", None)]


def read(decide, answers, reader):
    return [
        decide(sample_id=n, action=action, label=label, reader=reader)
        for n, (action, label) in enumerate(answers)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_kappa_is_that_of_scikit_learn(seed, decide):
    rng = np.random.default_rng(seed)
    one = rng.integers(0, 5, 60)
    other = np.where(rng.random(60) < 0.5, one, rng.integers(0, 5, 60))
    lines = [
        *read(decide, [SAID[k] for k in one], "A"),
        *read(decide, [SAID[k] for k in other][:50], "B"),
    ]
    (found,) = cohen_kappa(lines)
    # to keep a dog and to call it a dog are the same; of ten samples there is only one reading
    first, second = (np.where(k == 2, 0, k)[:50] for k in (one, other))
    assert found.readers == ("A", "B")
    assert found.n == 50
    assert found.agreement == np.mean(first == second)
    assert found.kappa == pytest.approx(cohen_kappa_score(first, second))


def test_the_interval_is_that_of_fleiss(decide):
    # Fleiss, Statistical Methods for Rates and Proportions: kappa .676, standard error .087
    counts = [[75, 1, 4], [5, 4, 1], [0, 0, 10]]
    labels = ["cat", "cow", "owl"]
    pairs = [
        pair
        for (i, j) in itertools.product(range(3), repeat=2)
        for pair in [(labels[i], labels[j])] * counts[i][j]
    ]
    lines = [
        *read(decide, [("relabel", a) for a, _ in pairs], "A"),
        *read(decide, [("relabel", b) for _, b in pairs], "B"),
    ]
    (found,) = cohen_kappa(lines)
    assert found.kappa == pytest.approx(0.676, abs=5e-4)
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(0.087, abs=1e-3)


def test_undone_decisions_and_adjudications_do_not_count(decide):
    lines = read(decide, [("keep", None), ("relabel", "cat")] * 5, "A")
    lines += read(decide, [("keep", None), ("relabel", "cat")] * 5, "B")
    slip = decide(sample_id=0, action="exclude", reader="B")
    lines += [slip, slip.undo()]
    lines += [decide(sample_id=1, action="exclude", reader="B", adjudication=True)]
    (found,) = cohen_kappa(lines)
    assert (found.n, found.agreement, found.kappa, found.high) == (10, 1, 1, 1)
    assert found.low == pytest.approx((10 / (10 + 1.96**2) - 0.5) / 0.5, abs=1e-3)


def test_what_is_undefined_is_none(decide):
    lines = [*read(decide, [("keep", None)] * 4, "A"), *read(decide, [("keep", None)] * 4, "B")]
    (found,) = cohen_kappa(lines)
    assert (found.n, found.agreement) == (4, 1)
    assert (found.kappa, found.low, found.high) == (None, None, None)


def test_every_pair_of_readers_with_common_samples(decide):
    lines = [decide(sample_id=s, reader=r) for r, s in ("A1", "B1", "C1", "C2", "D2", "E3")]
    assert [a.readers for a in cohen_kappa(lines)] == [
        ("A", "B"),
        ("A", "C"),
        ("B", "C"),
        ("C", "D"),
    ]
    assert cohen_kappa([]) == []
