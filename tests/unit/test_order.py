"""The order of ids beside numpy's stable sort."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lossan import order as order_module
from lossan.order import epoch_major, stable_order, turned, whole_segments

EDGES = [-(2**63), 2**63 - 1]


@given(st.lists(st.integers(-9, 9) | st.integers(*EDGES) | st.sampled_from(EDGES)))
def test_integers_are_ordered_as_numpy_sorts_them(ids):
    values = np.array(ids, np.int64)
    expected = np.argsort(values, kind="stable")
    assert stable_order(pa.array(values)).tolist() == expected.tolist()


@pytest.mark.parametrize("low", [0, -5, 2**63 - 1000, -(2**63)])
@pytest.mark.parametrize("left_out", [0, 100, 600])
def test_a_dense_range_is_ordered(low, left_out):
    values = low + np.random.default_rng(0).permutation(1000)[left_out:].astype(np.int64)
    rows = stable_order(pa.array(values))
    assert (np.diff(values[rows]) > 0).all()
    assert len(rows) == len(values)


@given(st.lists(st.text(max_size=3)))
def test_strings_are_ordered_by_code_point(ids):
    expected = sorted(range(len(ids)), key=lambda row: ids[row])
    assert stable_order(pa.array(ids, pa.large_string())).tolist() == expected


@given(
    st.lists(st.text(st.sampled_from("\0\1abé😀"), max_size=6), min_size=1, max_size=60),
    st.integers(0, 3),
    st.sampled_from(["", "img-", "a long prefix of all of them/"]),
)
def test_strings_by_words_are_in_the_order_arrow_has_them_in(names, skip, prefix):
    ids = pa.array([prefix + name for name in ["x"] * skip + names], pa.large_string())[skip:]
    order = order_module._text_order(ids)
    assert order.tolist() == pc.sort_indices(ids).to_pylist()


def test_many_strings_take_either_way(monkeypatch):
    monkeypatch.setattr(order_module, "_MANY", 3)
    few, many = (pa.array([f"{i:0{width}d}" for i in (5, 3, 9, 3, 1)]) for width in (4, 40))
    far = pa.array(["z" * 40, "a" * 40, "a", "", "zz"])
    for ids in (few, many, far):
        assert stable_order(ids).tolist() == pc.sort_indices(ids).to_pylist()


@given(
    hnp.arrays(
        st.sampled_from(["f4", ">f4", "f8", "f2", "i4", "u1"]),
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9),
    ),
    st.booleans(),
    st.booleans(),
)
def test_arrays_are_turned_epoch_major(values, by_column, copy):
    values = np.asfortranarray(values) if by_column else values
    with np.errstate(over="ignore", invalid="ignore"):
        expected = values.astype(np.float32).T
    found = epoch_major(values, copy=copy)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)
    assert len({float_.tobytes() for float_ in found[np.isnan(found)]}) <= 1
    assert not (copy and np.shares_memory(found, values))


def test_what_is_ours_is_not_copied():
    values = np.ones((3, 4), np.float32).T
    assert np.shares_memory(epoch_major(values, copy=False), values)


@pytest.mark.parametrize("segment", [1, 3, 1 << 13])
@pytest.mark.parametrize("n_samples", [1, 3, 13, 700])
@pytest.mark.parametrize("n_epochs", [1, 2, 7, 90])
def test_rows_are_turned_where_they_are(segment, n_samples, n_epochs, monkeypatch):
    monkeypatch.setattr(order_module, "_SEGMENT", segment)
    n_cells = whole_segments(n_samples)
    assert n_cells >= n_samples
    rows = np.arange(n_cells * n_epochs, dtype=np.float32).reshape(n_cells, n_epochs)
    expected = rows.T.copy()
    found = turned(rows)
    assert np.shares_memory(found, rows)
    assert np.array_equal(found, expected)
