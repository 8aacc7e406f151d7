"""The rules of the format, one by one, in whichever form they can be broken."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from lossan import read_log
from lossan.errors import LogError
from lossan.io import _footer, _parts, scan_log

pytestmark = pytest.mark.usefixtures("small_batches")
N, EPOCHS = 6, 3
LOSS = np.arange(N * EPOCHS, dtype=float).reshape(EPOCHS, N)  # epoch-major, like the rows


def long(**other):
    ids = pa.array(np.tile(np.arange(N), EPOCHS))
    epochs = pa.array(np.repeat(np.arange(EPOCHS), N))
    return pa.table({"sample_id": ids, "epoch": epochs, "loss": pa.array(LOSS.ravel())} | other)


def wide(**other):
    return pa.table({"sample_id": np.arange(N), "loss": pa.array(LOSS.T.tolist())} | other)


def faults(path, **options):
    return {f.code: (f.count, f.message) for f in scan_log(path, **options).faults}


# --- repeated rows


@pytest.mark.parametrize("parts", [1, 2])
def test_the_first_repeated_row_is_named(put, parts):
    rows = [(7, 0), (7, 1), (3, 0), (9, 1), (9, 0), (3, 1), (9, 0), (3, 0), (7, 0), (7, 0)]
    ids, epochs = zip(*rows, strict=True)
    table = pa.table({"sample_id": ids, "epoch": epochs, "loss": np.ones(len(rows))})
    pieces = [table] if parts == 1 else [table.slice(0, 5), table.slice(5)]
    count, message = faults(put(*pieces))["duplicate"]
    assert count == 4
    assert "4 rows repeat" in message
    assert "first sample 9 at epoch 0" in message


def test_a_repetition_within_one_batch_is_named(put):
    table = pa.table({"sample_id": ["b", "a", "b"], "epoch": [1, 1, 1], "loss": [1.0, 2, 3]})
    count, message = faults(put(table))["duplicate"]
    assert count == 1
    assert "1 row repeats" in message
    assert "first sample 'b' at epoch 1" in message


@pytest.mark.parametrize("text", [False, True])
def test_the_last_of_repeated_rows_counts_in_long(put, text):
    ids = np.array([1, 2, 1, 2, 1, 1, 2])
    table = pa.table(
        {
            "sample_id": ids.astype(str) if text else ids,
            "epoch": [0, 0, 1, 1, 0, 1, 0],
            "loss": pa.array([1.0, 2, 3, 4, 5, None, 7]),
            "margin": [1.0, 2, 3, 4, 5, 6, 7],
            "predicted": ["a", "b", "a", "b", "c", "d", None],
        }
    )
    log = read_log(put(table, row_group_size=2), duplicates="last")
    np.testing.assert_array_equal(log.loss, [[5, np.nan], [7, 4]])
    np.testing.assert_array_equal(log.margin, [[5, 6], [7, 4]])
    classes = [*log.predicted.values.to_pylist(), None]
    assert [[classes[c] for c in row] for row in log.predicted.codes] == [["c", "d"], [None, "b"]]


@pytest.mark.parametrize("form", ["wide", "npz"])
def test_the_last_of_repeated_samples_counts_in_rows_of_samples(form, put, put_npz):
    ids, loss = np.array([5, 3, 5]), np.array([[1.0, 2], [3, 4], [5, 6]])
    if form == "wide":
        path = put(pa.table({"sample_id": ids, "loss": loss.tolist(), "label": ["a", "b", "c"]}))
    else:
        path = put_npz(sample_id=ids, loss=loss, label=np.array(["a", "b", "c"]))
    count, message = faults(path)["duplicate"]
    assert (count, "first sample 5" in message) == (1, True)
    log = read_log(path, duplicates="last")
    assert (log.sample_id.to_pylist(), log.loss.tolist()) == ([3, 5], [[3, 4], [5, 6]])
    assert log.label.to_pylist() == ["b", "c"]


# --- one value a sample


@pytest.mark.parametrize("field", ["label", "true_label", "path", "group"])
@pytest.mark.parametrize("values", [["x", "y", "z"], [1, 2, 3]])
def test_a_value_that_changes_is_told_once_a_sample(put, field, values):
    ids, epochs = np.tile(np.arange(N), EPOCHS), np.repeat(np.arange(EPOCHS), N)
    changing = [values[e if i in (2, 4) else 0] for i, e in zip(ids, epochs, strict=True)]
    found = faults(put(long(**{field: pa.array(changing)})))
    assert list(found) == [f"{field}_changes"]
    count, message = found[f"{field}_changes"]
    assert count == 2
    assert "2 samples, first 2" in message


def test_a_null_label_contradicts_nothing(put):
    label = [None] * (N * EPOCHS)
    label[N : N + 3], label[-2] = ["a", "b", "c"], "e"
    log = read_log(put(long(label=pa.array(label))))
    assert log.label.to_pylist() == ["a", "b", "c", None, "e", None]


@pytest.mark.parametrize("layout", [long, wide])
@pytest.mark.parametrize("order", [1, -1])
def test_a_part_without_any_label_fits_parts_with_labels(put, layout, order):
    rows = layout().num_rows
    other = pa.array(np.arange(N) + 100)
    ids = pa.array(np.resize(other, rows))
    tables = [
        layout(label=pa.nulls(rows), predicted=_predicted(layout, None)),
        layout(sample_id=ids, label=pa.array([3] * rows), predicted=_predicted(layout, 3)),
    ]
    log = read_log(put(*tables[::order]))
    assert log.label.to_pylist() == [None] * N + [3] * N
    assert log.predicted.values.to_pylist() == [3]
    assert log.predicted.codes.tolist() == [[-1] * EPOCHS] * N + [[0] * EPOCHS] * N


def _predicted(layout, value):
    kind = pa.null() if value is None else pa.int64()
    if layout is long:
        return pa.array([value] * N * EPOCHS, kind)
    return pa.array([[value] * EPOCHS] * N, pa.list_(kind))


@pytest.mark.parametrize("layout", [long, wide])
def test_a_field_without_any_value_is_there_and_unknown(put, layout):
    log = read_log(put(layout(label=pa.nulls(layout().num_rows))))
    assert log.label.to_pylist() == [None] * N


# --- nulls


@pytest.mark.parametrize("kind", [pa.int64(), pa.string()])
@pytest.mark.parametrize("layout", [long, wide])
def test_null_ids_are_counted(put, layout, kind):
    rows = layout().num_rows
    ids = layout()["sample_id"].combine_chunks().cast(kind)
    mask = np.arange(rows) % N == 4
    ids = pa.array([None if m else i for i, m in zip(ids.to_pylist(), mask, strict=True)], kind)
    count, message = faults(put(layout(sample_id=ids)))["null_sample_id"]
    assert count == mask.sum()
    assert f"null in {count} row" in message


@pytest.mark.parametrize("kind", [pa.int64(), pa.null()])
@pytest.mark.parametrize("layout", [long, wide])
def test_nothing_but_null_ids(put, layout, kind):
    rows = layout().num_rows
    found = faults(put(layout(sample_id=pa.nulls(rows, kind), label=pa.array(["a"] * rows))))
    assert found["null_sample_id"][0] == rows
    assert "empty" in found


def test_null_epochs_are_counted_and_the_other_rows_read(put):
    epochs = pa.array([None, None, *np.repeat(np.arange(EPOCHS), N)[2:]])
    found = scan_log(put(long(epoch=epochs)))
    assert [(f.code, f.count) for f in found.faults] == [("null_epoch", 2)]
    assert np.isnan(found.log.loss).sum() == 2


# --- epochs


@pytest.mark.parametrize(
    "numbers", [(-(2**63), 0, 2**63 - 1), (-3, -2, -1), (5, 10**6, 10**12), (2**62, 2**62 + 1, 1)]
)
@pytest.mark.parametrize("statistics", [True, False])
def test_epochs_may_have_any_numbers(put, numbers, statistics):
    epochs = pa.array(np.repeat(np.array(numbers), N))
    log = read_log(put(long(epoch=epochs), write_statistics=statistics))
    order = np.argsort(numbers)
    assert log.epochs.tolist() == sorted(numbers)
    assert log.loss.tolist() == LOSS[order].T.tolist()


def test_a_step_counter_is_refused_before_it_costs_memory(put, monkeypatch):
    monkeypatch.setattr(_footer, "BATCH_ROWS", 1 << 16)
    steps = np.arange(60_000)
    path = put(pa.table({"sample_id": steps[::-1], "step": steps, "loss": steps / 7}))
    tracemalloc.start()
    with pytest.raises(LogError, match=r"is it a step counter\? .* --epoch-column") as caught:
        read_log(path, epoch_column="step")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak < 200e6  # every epoch with a cell for every sample would be 14 GB


@pytest.mark.parametrize("claimed", [(0, 3), (2, 7)])
def test_statistics_that_lie_are_told(put, monkeypatch, claimed):
    honest = _parts._range
    monkeypatch.setattr(
        _parts, "_range", lambda f, s, c: claimed if c == "sample_id" else honest(f, s, c)
    )
    with pytest.raises(LogError, match="statistics contradict its rows"):
        read_log(put(long()))


@pytest.mark.parametrize(
    ("ids", "lists", "told"),
    [
        ([], [], "it holds no samples"),
        ([1, 2], [[], []], "it holds 0 epochs"),
        ([1, 2], [None, None], "it holds 0 epochs"),
    ],
)
def test_a_wide_log_of_nothing_is_told(put, ids, lists, told):
    rows = {"sample_id": pa.array(ids, pa.int64()), "loss": pa.array(lists, pa.list_(pa.float32()))}
    with pytest.raises(LogError, match=told):
        read_log(put(pa.table(rows)))
