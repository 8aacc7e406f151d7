"""Logs that each hold a part become the log of the whole."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossan import build_log
from lossan.errors import LogError
from lossan.io import scan_log, write_log
from lossan.losslog import FLOAT_CHANNELS, STATIC_FIELDS
from lossan.merge import merge_logs


def whole(text=True, gaps=True, n=12, n_epochs=4):
    rng = np.random.default_rng(0)
    cells = (n, n_epochs)
    loss = rng.random(cells)
    predicted = rng.choice(["a", "b", "c"], cells).astype(object)
    if gaps:
        loss[rng.random(cells) < 0.2] = np.nan
        predicted[rng.random(cells) < 0.2] = None
    names = [f"é{i}" for i in range(n)] if text else [i * 7 - 20 for i in range(n)]
    return build_log(
        loss,
        sample_id=names,
        label=rng.choice(["a", "b"], n),
        true_label=["a", None] * (n // 2),
        path=[f"{i}.png" for i in range(n)],
        group=rng.integers(0, 3, n),
        label_prob=rng.random(cells),
        margin=rng.normal(size=cells),
        predicted_prob=rng.random(cells),
        predicted=predicted,
        metadata={"recorded": "train"},
    )


def epochs_of(log, columns):
    """Return the log of some epochs."""
    taken = {
        f: np.ascontiguousarray(getattr(log, f)[:, columns]) for f in ("loss", *FLOAT_CHANNELS)
    }
    predicted = replace(log.predicted, codes=log.predicted.codes[:, columns])
    return replace(log, epochs=log.epochs[columns], predicted=predicted, **taken)


def assert_same(one, other):
    assert one.fingerprint == other.fingerprint
    assert one.epochs.tolist() == other.epochs.tolist()
    for field in STATIC_FIELDS:
        assert getattr(one, field).equals(getattr(other, field)), field
    for field in FLOAT_CHANNELS:
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    ours, theirs = (
        np.array([*p.values.to_pylist(), None], object)[p.codes]
        for p in (one.predicted, other.predicted)
    )
    assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
@given(owner=st.lists(st.integers(0, 2), min_size=12, max_size=12), order=st.permutations(range(3)))
def test_shards_of_samples(text, gaps, owner, order):
    log = whole(text, gaps)
    rows = [np.flatnonzero(np.array(owner) == shard) for shard in order]
    assert_same(merge_logs([log.select(r) for r in rows if len(r)]), log)


@pytest.mark.parametrize("pieces", [[[0], [1], [2], [3]], [[2, 3], [0, 1]], [[0, 3], [1], [2]]])
def test_shards_of_epochs(pieces):
    log = whole()
    assert_same(merge_logs([epochs_of(log, piece) for piece in pieces]), log)


def test_both_at_once():
    log = whole()
    quarters = [
        epochs_of(log.select(np.array(rows)), columns)
        for rows in (range(7), range(7, 12))
        for columns in ([1, 3], [0, 2])
    ]
    assert_same(merge_logs(quarters), log)


def test_one_log_is_itself():
    assert_same(merge_logs([whole()]), whole())


def test_cells_observed_twice_are_counted_and_the_first_named():
    log = whole(gaps=False)
    with pytest.raises(
        LogError, match=r"8 rows repeat .* first sample 'é10' at epoch 1 in log 1 and log 2\."
    ):
        merge_logs([log, log.select(np.array([2, 5]))], source="m")


def test_the_last_log_counts_where_asked():
    log = whole(text=False, gaps=False)
    part = log.select(np.array([0, 1]))
    loss = part.loss.copy()
    loss[:] = 9
    loss[0, 0] = np.nan  # not observed: what was observed before stays
    merged = merge_logs([log, replace(part, loss=loss)], duplicates="last")
    expected = log.loss.copy()
    expected[:2] = 9
    expected[0, 0] = log.loss[0, 0]
    np.testing.assert_array_equal(merged.loss, expected)


@pytest.mark.parametrize("field", STATIC_FIELDS)
def test_a_value_known_to_one_log_is_known(field):
    log = whole()
    first = epochs_of(log, [0, 1])
    for unknown in (None, pa.nulls(12, pa.large_string())):
        for logs in (
            [replace(first, **{field: unknown}), epochs_of(log, [2, 3])],
            [epochs_of(log, [2, 3]), replace(first, **{field: unknown})],
        ):
            assert getattr(merge_logs(logs), field).equals(getattr(log, field))


@pytest.mark.parametrize("field", STATIC_FIELDS)
def test_values_that_contradict_are_counted_and_the_first_named(field):
    one, other = (
        build_log([[1.0, 2.0]] * 3, sample_id=[1, 2, 3], **{field: v})
        for v in ([7, 8, None], [9, 9, 9])
    )
    other = replace(other, epochs=np.array([3, 4]))
    with pytest.raises(
        LogError, match=f"{field} differs .* for 2 samples, first 1: '?7'? in log 1, '?9'? in log 2"
    ):
        merge_logs([one, other])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            ({"sample_id": [1]}, {"sample_id": ["a"]}),
            r"ids have different types: integers \(log 1\), strings \(log 2\)",
        ),
        (
            ({"label": [1]}, {"label": ["a"]}),
            r"label has different types in the logs: integers \(log 1\), strings \(log 2\)",
        ),
        (
            ({"predicted": [[1, 2]]}, {"predicted": [["a", "b"]]}),
            r"predicted has different types in the logs: integers \(log 1\), strings \(log 2\)",
        ),
        (
            ({"metadata": {"recorded": "train"}}, {"metadata": {"recorded": "eval"}}),
            r"in different ways: eval \(log 2\), train \(log 1\)",
        ),
        (
            ({"metadata": {}}, {"metadata": {"recorded": "eval"}}),
            r"in different ways: eval \(log 2\), not stated \(log 1\)",
        ),
    ],
)
def test_logs_that_do_not_belong_together(fields, words):
    one, other = (build_log([[1.0, 2.0]], **f) for f in fields)
    with pytest.raises(LogError, match=words):
        merge_logs([one, replace(other, epochs=np.array([3, 4]))])


def test_classes_that_one_log_never_saw():
    one = build_log([[1.0, 2.0]], predicted=[[5, 6]])
    other = build_log([[1.0, 2.0]], predicted=np.array([[None, None]], object))
    for logs in (
        [one, replace(other, epochs=np.array([3, 4]))],
        [replace(other, epochs=np.array([-1, 0])), one],
    ):
        merged = merge_logs(logs).predicted
        assert merged.values.to_pylist() == [5, 6]
        assert sorted(merged.codes[0].tolist()) == [-1, -1, 0, 1]


def test_a_single_epoch_is_a_shard_but_no_log(tmp_path):
    log = epochs_of(whole(), [2])
    write_log(log, tmp_path / "one.parquet")
    found = scan_log(tmp_path / "one.parquet")
    assert [fault.code for fault in found.faults] == ["one_epoch"]
    assert found.log.fingerprint == log.fingerprint
