"""Which sequences stand for the flagged and for the unflagged samples."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lossan.typical import typical_rows, typical_samples


def test_worked_by_hand():
    flagged = np.arange(12) < 4
    # quarters' middles of 4 flagged, and of the 6 scored among the other 8
    assert typical_rows(flagged, np.arange(12) < 10, 2) == ([1, 3], [5, 8])


def test_fewer_than_asked_for_are_all():
    flagged = np.array([True, False, False])
    assert typical_rows(flagged, np.ones(3, bool), 20) == ([0], [1, 2])


def test_none_at_all():
    nothing = np.zeros(3, bool)
    assert typical_rows(nothing, nothing, 5) == ([], [])
    assert typical_rows(nothing, ~nothing, 0) == ([], [])


flags = st.integers(1, 60).flatmap(lambda n: st.tuples(hnp.arrays(bool, n), hnp.arrays(bool, n)))


@given(flags, st.integers(0, 30))
def test_places_are_distinct_ordered_and_of_the_right_kind(case, count):
    flagged, scored = case
    for places, kind in zip(
        typical_rows(flagged, scored, count), (flagged, ~flagged & scored), strict=True
    ):
        assert len(places) == min(count, kind.sum())
        assert places == sorted(set(places))
        assert kind[places].all()


@given(st.integers(1, 500), st.integers(1, 20))
def test_places_are_even_along_the_ranking(n, count):
    places = typical_rows(np.ones(n, bool), np.ones(n, bool), count)[0]
    steps = np.diff([-1 - places[0], *places, 2 * n - 1 - places[-1]])
    assert steps.max() - steps.min() <= 2


@pytest.mark.parametrize(("n", "rare"), [(0, 0.5), (50, 0.5), (300_000, 0.001), (450_001, 0.4)])
def test_samples_are_those_of_a_plain_loop(n, rare):
    rng = np.random.default_rng(n)
    flagged = rng.random(n) < rare
    score = np.where(~flagged & (rng.random(n) < 0.1), np.nan, rng.random(n))
    for found, wanted in zip(typical_samples(score, flagged, 7), (True, False), strict=True):
        rows = [r for r in range(n) if flagged[r] == wanted and score[r] == score[r]]
        rows = rows[:: math.ceil(len(rows) / 100_000) or 1]
        rows.sort(key=lambda r: -score[r])
        places = [int((i + 0.5) * len(rows) / 7) for i in range(7)] if len(rows) >= 7 else []
        assert list(found) == [rows[place] for place in places]
