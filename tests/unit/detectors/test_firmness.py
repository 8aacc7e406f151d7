"""Contradictions are counted by how firm they are: hand-worked, and against the normal law."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

from lossan.detectors._firmness import Contradicted, Firmness, firm_of_normal, knows_at_once


def firmness(against, typical, *, many):
    return Firmness.of(Contradicted.of(against, np.array(typical)), many=many)


def epochs(*columns):
    return np.array(columns, np.float32).T


def normal(contradicted, n=200_000, seed=0):
    """Return normally spread contradictions of so large a share, and what is typical of them."""
    values = np.random.default_rng(seed).normal(norm.ppf(contradicted), 1, n)
    return values.astype(np.float32), float(np.median(np.abs(values)))


def test_firm_and_mild_contradictions_are_counted():
    # of ten labels four are contradicted, two of these by more than 2, the typical margin
    second = [-2, -2, -2, -3, -2, -2, 0.5, 1, 2.5, 3]
    found = firmness(epochs(np.zeros(10), second), [1, 2], many=False)
    assert_allclose(found.excess, 2 / 4 - 4 / 10)
    assert_allclose(found.surely, 2 / 4 - 4 / 10 - 2 * np.sqrt(0.5 * 0.5 / 4))


def test_unobserved_epochs_of_a_sample_do_not_count():
    some = [-2, -2, -2, -3, -2, -2, 0.5, 1, 2.5, 3, np.nan, np.nan]
    found = firmness(epochs(np.zeros(12), some), [1, 2], many=False)
    assert_allclose(found.excess, 2 / 4 - 4 / 10)


def test_the_second_to_eighth_epoch_that_shows_most_counts():
    mild = [-1] * 8 + [0.5, 0.5]
    firm = [-1] * 8 + [1.5, 0.5]
    for place, counts in ((0, False), (1, True), (7, True), (8, False)):
        columns = [firm if epoch == place else mild for epoch in range(10)]
        found = firmness(epochs(*columns), [1.0] * 10, many=False)
        assert_allclose(found.excess, (0.5 if counts else 0.0) - 0.2)


@pytest.mark.parametrize(
    ("recorded", "n_samples", "knows"),
    [("eval", 1000, True), ("eval", 999, False), ("train", 5000, False), (None, 5000, False)],
)
def test_the_first_epoch_knows_something_where_a_pass_follows_it(recorded, n_samples, knows):
    assert knows_at_once(recorded, n_samples) == knows


@pytest.mark.parametrize(("first", "firm"), [(0, 0.5), (1, 0.0)])
def test_the_first_epoch_counts_where_it_is_asked(first, firm):
    mild = [-1] * 8 + [0.5, 0.5]
    counts = Contradicted.of(epochs([-1] * 8 + [1.5, 0.5], mild, mild), np.ones(3), first)
    assert_allclose(Firmness.of(counts, many=False).excess, firm - 0.2)
    # of the first epoch one in ten is contradicted by more than half of what is typical
    half, _ = counts.over_epochs(np.array([1.0, 0.5, 0.5]), kept=1.0)
    assert_allclose(half, 0.1 * firm)


@pytest.mark.parametrize("values", [[np.nan] * 10, [-1] * 10, [2] * 8 + [-1] * 2])
def test_epochs_that_cannot_say(values):
    """Not observed, none contradicted, nearly all contradicted."""
    found = firmness(epochs([0.0] * 10, values), [1, 1], many=True)
    assert (found.excess, found.surely) == (-1, -1)


@pytest.mark.parametrize("contradicted", [0.05, 0.1, 0.2, 0.3, 0.4])
def test_normally_spread_margins_are_no_sign(contradicted):
    values, typical = normal(contradicted)
    scale, twice = [typical] * 2, epochs(values, values)
    firm = (values > typical).mean() / (values > 0).mean()  # the law itself, by numbers
    assert_allclose(firm_of_normal(contradicted), firm, atol=0.01)
    of_two = firmness(twice, scale, many=False).excess
    assert_allclose(of_two, firm - contradicted, atol=0.01)
    assert -0.06 < of_two < 0.035
    assert_allclose(firmness(twice, scale, many=True).excess, max(of_two, 0), atol=0.01)


@pytest.mark.parametrize("rate", [0.06, 0.2, 0.3])
@pytest.mark.parametrize("many", [True, False])
def test_wrong_labels_are(rate, many):
    values, _ = normal(0.1)
    wrong = np.random.default_rng(1).random(len(values)) < rate
    values = np.where(wrong, -values, values)
    typical = float(np.median(np.abs(values)))
    found = firmness(epochs(values, values), [typical] * 2, many=many)
    assert found.surely > (0.05 if many else 0.01)
