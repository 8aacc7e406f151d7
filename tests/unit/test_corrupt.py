"""Planting wrong labels."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossan import corrupt_labels
from lossan.errors import OptionError


@given(
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=5),
    rate=st.floats(0, 1),
    seed=st.integers(0, 2**32),
    text=st.booleans(),
)
def test_each_class_loses_its_share_to_the_others(counts, rate, seed, text):
    classes = "aëcde" if text else [-5, 0, 7, 8, 9]
    labels = [classes[c] for c, count in enumerate(counts) for _ in range(count)]
    flipped = corrupt_labels(pa.array(labels), rate=rate, seed=seed).to_pylist()
    assert set(flipped) <= set(labels)
    wrong = Counter(a for a, b in zip(labels, flipped, strict=True) if a != b)
    for name, count in Counter(labels).items():
        assert abs(wrong[name] - rate * count) <= 0.5 + 1e-9


def test_the_seed_decides():
    labels = pa.array(["a", "b"] * 100)
    one, same, other = (corrupt_labels(labels, rate=0.2, seed=s) for s in (1, 1, 2))
    assert one.equals(same)
    assert not one.equals(other)


def test_every_other_class_is_equally_likely():
    labels = pa.array(["a"] * 30_000 + ["b", "c", "d"])
    flipped = Counter(corrupt_labels(labels, rate=1.0).to_pylist()[:30_000])
    assert set(flipped) == {"b", "c", "d"}
    assert all(abs(count - 10_000) < 400 for count in flipped.values())  # 4.9 deviations


def test_the_paper_flips_6_percent_of_2000_and_2000():
    labels = ["normal"] * 2000 + ["osteophyte"] * 2000
    flipped = corrupt_labels(pa.array(labels)).to_pylist()
    wrong = Counter(a for a, b in zip(labels, flipped, strict=True) if a != b)
    assert wrong == {"normal": 120, "osteophyte": 120}


def test_an_unknown_label_stays_unknown():
    labels = ["a", None, "b", None]
    assert corrupt_labels(pa.array(labels), rate=1.0).to_pylist() == ["b", None, "a", None]


@pytest.mark.parametrize("rate", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_rate_outside_0_to_1(rate):
    with pytest.raises(OptionError, match="allowed: 0 to 1"):
        corrupt_labels(pa.array(["a", "b"]), rate=rate)


def test_a_negative_seed():
    with pytest.raises(OptionError, match="seed is -1"):
        corrupt_labels(pa.array(["a", "b"]), seed=-1)


@pytest.mark.parametrize(
    ("labels", "words"), [(["a", "a"], "is one class"), ([], "are no labels"), ([None], "are no")]
)
def test_fewer_than_two_classes(labels, words):
    with pytest.raises(OptionError, match=words):
        corrupt_labels(pa.array(labels, pa.string()))
