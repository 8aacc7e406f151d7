"""From ids to slots: the same as a dict would give, however ids collide."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossan.io import _slots
from lossan.io._slots import IntegerSlots, RangeSlots, StringSlots, string_hashes

integers = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
texts = st.text("a\0é🐟", max_size=4) | st.text("ab", min_size=255, max_size=258)


def column(ids):
    return pa.array(ids, pa.large_string() if isinstance(ids[0], str) else pa.int64())


def assert_like_a_dict(index, batches):
    slot_of = {}
    for batch in batches:
        slots = index.lookup(column(batch)).tolist()
        for name, slot in zip(batch, slots, strict=True):
            assert slot_of.setdefault(name, slot) == slot
    assert sorted(slot_of.values()) == list(range(len(slot_of)))
    assert index.capacity == len(slot_of)
    slots = np.array(list(slot_of.values()))
    assert index.ids_of(slots).to_pylist() == list(slot_of)
    return slot_of


def assert_ascending(index, slot_of, skip):
    used = np.ones(index.capacity, bool)
    used[list(slot_of.values())[:skip]] = False
    left = sorted(list(slot_of)[skip:])
    ids, slots = index.ascending(used)
    assert ids.to_pylist() == left
    assert slots.tolist() == [slot_of[name] for name in left]


@pytest.mark.parametrize("colliding", [False, True])
@pytest.mark.parametrize("skip", [0, 1])
@given(batches=st.lists(st.lists(integers, min_size=1, max_size=40), min_size=1, max_size=4))
def test_integers(colliding, skip, batches):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_slots, "_BLOCK", 7)
        if colliding:
            patch.setattr(_slots, "_GOLDEN", np.uint64(0))
        index = IntegerSlots()
        assert_ascending(index, assert_like_a_dict(index, batches), skip)


def few_hashes(ids):
    return np.array([len(text) % 2 for text in ids.to_pylist()])


@pytest.mark.parametrize("colliding", [False, True])
@pytest.mark.parametrize("skip", [0, 1])
@given(batches=st.lists(st.lists(texts, min_size=1, max_size=40), min_size=1, max_size=4))
def test_strings(colliding, skip, batches):
    with pytest.MonkeyPatch.context() as patch:
        if colliding:
            patch.setattr(_slots, "string_hashes", few_hashes)
        index = StringSlots()
        slot_of = assert_like_a_dict(index, batches)
        assert_ascending(index, slot_of, skip)


def test_tables_grow_past_their_first_size():
    ids = np.random.default_rng(0).permutation(20_000) * 97
    for index, batches in (
        (IntegerSlots(), [ids[:9000].tolist(), ids.tolist()]),
        (StringSlots(), [[f"image-{i}" for i in ids[:9000]], [f"image-{i}" for i in ids]]),
    ):
        slot_of = assert_like_a_dict(index, batches)
        assert len(slot_of) == 20_000
        assert_ascending(index, slot_of, 0)


@pytest.mark.parametrize("low", [-5, 0, 2**62])
def test_a_range_is_its_own_table(low):
    index = RangeSlots(low, 4)
    assert index.lookup(column([low + 3, low, low + 3])).tolist() == [3, 0, 3]
    assert index.capacity == 4
    ids, slots = index.ascending(np.array([True, False, False, True]))
    assert (ids.to_pylist(), slots.tolist()) == ([low, low + 3], [0, 3])


@pytest.mark.parametrize(("ids", "covered"), [([2, 5], True), ([1], False), ([6], False)])
def test_a_range_knows_what_it_covers(ids, covered):
    assert RangeSlots(2, 4).covers(column(ids)) is covered
    assert RangeSlots(2, 4).covers(pa.array([], pa.int64()))


@given(st.lists(texts, min_size=1, max_size=30), st.integers(0, 29))
def test_a_hash_does_not_depend_on_its_neighbours(values, start):
    start = min(start, len(values) - 1)
    hashes = string_hashes(column(values))
    assert hashes[start:].tolist() == string_hashes(column(values)[start:]).tolist()
    alone = [string_hashes(column([v]))[0] for v in values]
    assert hashes.tolist() == alone


def test_hashes_of_similar_strings_differ():
    values = [f"patient-{i:06d}/left" for i in range(100_000)]
    values += ["a" * n for n in range(300)] + ["a" + "\0" * n for n in range(1, 9)]
    assert len(np.unique(string_hashes(column(values)))) == len(values)
