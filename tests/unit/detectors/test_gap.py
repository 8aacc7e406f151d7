"""Where the scores leave a gap, hand-worked, and where they leave none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossan.detectors._gap import above_gap

WRONG, RIGHT = np.linspace(9, 6, 200), np.linspace(2, 0.5, 1800)
APART = np.concatenate([RIGHT, WRONG])


@pytest.mark.parametrize(("fewest", "most"), [(150, 260), (180, 230), (200, 400), (20, 200)])
def test_a_gap_between_both_is_found(fewest, most):
    assert above_gap(APART, fewest, most) == 200


@pytest.mark.parametrize(
    ("fewest", "most"), [(240, 400), (30, 150), (200, 200), (0, 0), (300, 250)]
)
def test_where_there_is_none_between_them_the_most_are_taken(fewest, most):
    assert above_gap(APART, fewest, most) == most


def test_the_order_of_the_samples_does_not_matter():
    shuffled = np.random.default_rng(0).permutation(APART)
    assert above_gap(shuffled, 150, 260) == 200


@pytest.mark.parametrize("decay", [0.5, 3.0])
def test_scores_that_thin_out_evenly_have_no_gap(decay):
    score = np.exp(-decay * np.linspace(0, 1, 3000))
    assert above_gap(score, 300, 500) == 500


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.integers(0, 300), st.integers(0, 300)
)
def test_never_more_or_fewer_than_asked_for(score, fewest, more):
    most = min(fewest + more, len(score))
    found = above_gap(np.array(score), min(fewest, most), most)
    assert min(fewest, most) <= found <= most


def test_all_scores_alike():
    assert above_gap(np.zeros(1000), 100, 200) == 200
