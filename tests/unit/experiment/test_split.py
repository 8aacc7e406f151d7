"""Which samples are set aside: by whole groups, near the wanted share of each class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossan.errors import TableError
from lossan.experiment import split_groups

SAMPLES = st.lists(
    st.tuples(st.integers(0, 2), st.one_of(st.none(), st.integers(0, 30))),
    min_size=40,
    max_size=120,
)


@given(SAMPLES, st.floats(0.1, 0.5), st.integers(0, 5))
def test_no_group_stands_on_both_sides(samples, share, seed):
    labels = np.array([0, 1, 2] * 4 + [label for label, _ in samples])
    groups = [*[f"own {i}" for i in range(12)], *[group for _, group in samples]]
    try:
        test = split_groups(labels, groups, share=share, seed=seed)
    except TableError:
        return
    sides = {}
    for group, side in zip(groups, test, strict=True):
        if group is not None:
            sides.setdefault(group, set()).add(bool(side))
    assert all(len(seen) == 1 for seen in sides.values())
    assert set(labels[test]) == set(labels[~test]) == {0, 1, 2}


def test_single_samples_give_each_class_its_share():
    labels = np.repeat([0, 1], [400, 100])
    test = split_groups(labels, None, share=0.13, seed=0)
    assert np.bincount(labels[test]).tolist() == [52, 13]


def test_an_empty_group_is_no_group():
    labels = np.repeat([0, 1], 50)
    test = split_groups(labels, [""] * 100, share=0.2, seed=0)
    assert np.bincount(labels[test]).tolist() == [10, 10]


def test_one_seed_gives_one_split():
    labels = np.arange(200) % 4
    splits = [split_groups(labels, None, share=0.25, seed=seed) for seed in (0, 0, 1)]
    assert (splits[0] == splits[1]).all()
    assert (splits[0] != splits[2]).any()


def test_a_class_in_one_group_cannot_be_on_both_sides():
    labels = np.array([0] * 10 + [1] * 10)
    with pytest.raises(TableError, match=r"whole groups at --test-share 0.5 would hold no sample"):
        split_groups(labels, ["a"] * 10 + ["b"] * 10, share=0.5, seed=0)
