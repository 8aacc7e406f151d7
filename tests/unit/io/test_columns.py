"""Which columns and types a log may have, and which parts belong together."""

import decimal

import numpy as np
import pyarrow as pa
import pytest

from lossan import read_log
from lossan.errors import LogError
from lossan.io import _long, scan_log

pytestmark = pytest.mark.usefixtures("small_batches")
N, EPOCHS = 6, 3
LOSS = np.arange(N * EPOCHS, dtype=float).reshape(EPOCHS, N)  # epoch-major, like the rows


def long(**other):
    ids = pa.array(np.tile(np.arange(N), EPOCHS))
    epochs = pa.array(np.repeat(np.arange(EPOCHS), N))
    return pa.table({"sample_id": ids, "epoch": epochs, "loss": pa.array(LOSS.ravel())} | other)


def wide(**other):
    return pa.table({"sample_id": np.arange(N), "loss": pa.array(LOSS.T.tolist())} | other)


def numbered(fields=("loss",), numbers=(1, 2, 3), **other):
    columns = {f"{f}_{n}": LOSS[k] / 20 for f in fields for k, n in enumerate(numbers)}
    return pa.table({"sample_id": np.arange(N)} | columns | other)


def faults(path, **options):
    return {f.code: (f.count, f.message) for f in scan_log(path, **options).faults}


# --- types


@pytest.mark.parametrize(
    "make",
    [
        lambda loss: pa.array(loss.astype(np.float16)),
        lambda loss: pa.array(loss.astype(np.uint8)),
        lambda loss: pa.array([decimal.Decimal(int(v)) for v in loss]),
        lambda loss: pa.array([decimal.Decimal(int(v)) for v in loss], pa.decimal256(60, 2)),
        lambda loss: pa.array(loss).dictionary_encode(),
        lambda loss: pa.array(loss.astype(np.float32)),
    ],
    ids=["float16", "uint8", "decimal", "decimal256", "dictionary", "float32"],
)
def test_losses_of_any_numeric_type(put, make):
    assert read_log(put(long(loss=make(LOSS.ravel())))).loss.tolist() == LOSS.T.tolist()


@pytest.mark.parametrize("layout", [long, wide])
def test_integers_that_no_float_holds_are_rounded(put, layout):
    loss = np.array([[2**53 + 1, 2**60 + 1, 2**63 - 1]] * N)
    column = pa.array(loss.T.ravel()) if layout is long else pa.array(loss.tolist())
    np.testing.assert_array_equal(read_log(put(layout(loss=column))).loss, loss.astype(np.float32))


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())],
    ids=str,
)
def test_ids_of_any_string_type(put, kind):
    ids = pa.array([f"é{i}" for i in np.tile(np.arange(N), EPOCHS)]).cast(kind)
    log = read_log(put(long(sample_id=ids, label=ids)))
    assert log.sample_id.to_pylist() == log.label.to_pylist() == [f"é{i}" for i in range(N)]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float16()),
        pa.large_list(pa.float64()),
        pa.list_(pa.float32(), EPOCHS),
        pa.list_view(pa.float32()),
        pa.large_list_view(pa.float64()),
        pa.list_(pa.int8()),
    ],
    ids=str,
)
def test_lists_of_any_type(put, kind):
    log = read_log(put(wide(loss=pa.array(LOSS.T.tolist(), kind))))
    assert log.loss.tolist() == LOSS.T.tolist()


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 3)], ids=str)
def test_lists_with_nulls_and_null_lists_are_gaps(put, kind):
    rows = [[1, None, 3], None, [None] * 3, [4, 5, 6], None, [7, 8, None]]
    log = read_log(put(wide(loss=pa.array(rows, kind))))
    expected = [
        [np.nan] * 3 if r is None else [np.nan if v is None else v for v in r] for r in rows
    ]
    np.testing.assert_array_equal(log.loss, expected)


def test_lists_of_growing_length(put):
    rows = [[1], [], [1, 2], [1], [1, 2, 3], [1]]  # in batches of 4
    log = read_log(put(wide(loss=pa.array(rows, pa.list_(pa.float32())))))
    np.testing.assert_array_equal(log.loss, [[*r, *[np.nan] * (3 - len(r))] for r in rows])


def test_a_channel_with_more_epochs_than_the_loss(put):
    found = faults(put(wide(margin=pa.array([[1.0, 2, 3, 4]] * N))))
    assert found["shape"][1] == "margin has 4 epochs in some row, loss 3."


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), "dictionary"])
def test_epochs_of_any_integer_type(put, kind):
    epochs = pa.array(np.repeat(np.arange(EPOCHS), N))
    epochs = epochs.dictionary_encode() if kind == "dictionary" else epochs.cast(kind)
    assert read_log(put(long(epoch=epochs))).loss.tolist() == LOSS.T.tolist()


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("epoch", np.full(N * EPOCHS, 2**63, np.uint64)),
        ("sample_id", np.full(N * EPOCHS, 2**63, np.uint64)),
        ("label", np.full(N * EPOCHS, 2**63, np.uint64)),
        ("predicted", np.full(N * EPOCHS, 2**63, np.uint64)),
    ],
)
def test_integers_beyond_int64_are_refused_once(put, field, values):
    with pytest.raises(LogError, match=f"{field} cannot be used: .* not in range") as caught:
        read_log(put(long(**{field: pa.array(values)})))
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize(
    "column",
    [
        pa.array([b"a"] * N * EPOCHS),
        pa.array([True] * N * EPOCHS),
        pa.array([1.0] * N * EPOCHS),
        pa.array([0] * N * EPOCHS, pa.timestamp("ms")),
        pa.array([0] * N * EPOCHS, pa.date32()),
        pa.array([{"a": 1}] * N * EPOCHS),
        pa.array([decimal.Decimal(1)] * N * EPOCHS),
    ],
    ids=lambda c: str(c.type),
)
def test_every_name_of_a_wrong_type_is_told(put, column):
    fields = ("sample_id", "label", "true_label", "path", "group", "predicted")
    with pytest.raises(LogError) as caught:
        read_log(put(long(**dict.fromkeys(fields, column), epoch=column, loss=column)))
    told = {f.message.split()[0] for f in caught.value.faults}
    numeric = pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)
    assert told == {*fields, "epoch", *(() if numeric else ("loss",))}


def test_values_outside_0_to_1_are_no_probabilities(put):
    values = pa.array([-0.1, 1.1, np.nan, *[0.5] * (N * EPOCHS - 3)])
    found = faults(put(long(label_prob=values, predicted_prob=values, margin=values)))
    assert found["probability"][0] == 2
    assert len(scan_log(put(long(label_prob=values, predicted_prob=values))).faults) == 2


def test_a_nan_has_one_fingerprint_whatever_its_bits(put, put_npz):
    loss = LOSS.T.astype(np.float32).copy()
    loss[2, 1] = np.nan
    odd = loss.copy()
    odd.view(np.uint32)[2, 1] = 0xFFC0BEEF
    absent = odd.copy()
    absent.view(np.uint32)[2, 1] = _long._ABSENT_BITS
    plain = read_log(put_npz(sample_id=np.arange(N), loss=loss)).fingerprint
    for other in (odd, absent):
        assert read_log(put_npz(sample_id=np.arange(N), loss=other)).fingerprint == plain
        assert read_log(put(long(loss=pa.array(other.T.ravel())))).fingerprint == plain
        assert read_log(put(wide(loss=pa.array(list(other))))).fingerprint == plain
        columns = {f"loss_{e}": other[:, e] for e in range(EPOCHS)}
        path = put(pa.table({"sample_id": np.arange(N)} | columns))
        assert read_log(path).fingerprint == plain


def test_a_row_with_nan_is_given_and_repeating_it_is_an_error(put):
    table = long(loss=pa.array(np.full(N * EPOCHS, np.nan)))
    assert faults(put(pa.concat_tables([table, table.slice(3, 1)])))["duplicate"][0] == 1


# --- columns


@pytest.mark.parametrize(
    ("renamed", "hint"),
    [
        ({"loss": "train_loss"}, "Did you mean --loss-column train_loss?"),
        ({"loss": "crossEntropyLoss"}, "Did you mean --loss-column crossEntropyLoss?"),
        ({"sample_id": "image_id"}, "Did you mean --id-column image_id?"),
        ({"sample_id": "who"}, "Name the one with the sample ids by --id-column."),
        ({"epoch": "Epoch"}, "Did you mean --epoch-column Epoch?"),
    ],
)
def test_a_missing_column_is_told_with_what_there_is(put, renamed, hint):
    table = long().rename_columns([renamed.get(n, n) for n in long().column_names])
    with pytest.raises(LogError) as caught:
        read_log(put(table))
    message = caught.value.faults[0].message
    assert f"its columns are: {', '.join(table.column_names)}." in message
    assert message.endswith(hint)


def test_all_missing_columns_are_told_at_once(put):
    with pytest.raises(LogError) as caught:
        read_log(put(pa.table({"a": [1], "b": [2]})), label_column="lable")
    assert len(caught.value.faults) == 4
    assert "--label-column" in str(caught.value)


@pytest.mark.parametrize("field", ["sample_id", "loss", "label"])
def test_a_column_that_stands_twice_is_refused(put, field):
    table = long(label=pa.array(["a"] * N * EPOCHS))
    table = table.append_column(field, table[field])
    with pytest.raises(LogError, match=f"the column '{field}' stands in it 2 times"):
        read_log(put(table))


def test_a_foreign_column_may_stand_twice(put):
    table = long().append_column("x", long()["loss"]).append_column("x", long()["loss"])
    assert read_log(put(table)).n_samples == N


def test_numbered_columns_go_by_number_not_by_place(put):
    table = numbered(("loss", "margin"), numbers=(10, 9, 2))
    log = read_log(put(table))
    assert log.epochs.tolist() == [2, 9, 10]
    np.testing.assert_allclose(log.loss, LOSS[::-1].T / 20, rtol=1e-6)
    np.testing.assert_array_equal(log.loss, log.margin)


def test_numbered_columns_of_other_numbers_are_refused(put):
    table = numbered(numbers=(0, 1, 2), margin_1=LOSS[0], margin_2=LOSS[0], margin_3=LOSS[0])
    with pytest.raises(LogError, match=r"margin_N and loss_N .* only one of the two has 0, 3"):
        read_log(put(table))


def test_numbered_losses_under_another_name(put):
    assert read_log(put(numbered(("nll",))), loss_column="nll").n_epochs == EPOCHS


def test_one_column_may_serve_two_fields(put):
    log = read_log(
        put(long(y=pa.array(np.tile(np.arange(N), EPOCHS)))),
        label_column="y",
        true_label_column="y",
        id_column="y",
    )
    assert log.label.equals(log.true_label)
    assert log.label.equals(log.sample_id)


def test_classes_of_two_types_in_numbered_columns_are_refused(put):
    table = numbered(predicted_1=[1] * N, predicted_2=["a"] * N, predicted_3=pa.nulls(N))
    with pytest.raises(LogError, match="the classes are integer in predicted_1 and text in"):
        read_log(put(table))


# --- parts


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (long(sample_id=pa.array(["x"] * N * EPOCHS)), "sample_id is int64 in 0.parquet and str"),
        (long(label=pa.array(["x"] * N * EPOCHS)), "differ in the columns label"),
        (wide(), "differ in the columns epoch"),
        (numbered(), "differ in the columns epoch, loss"),
    ],
    ids=["type", "extra", "wide", "numbered"],
)
def test_parts_that_mean_different_things_are_refused(put, other, words):
    with pytest.raises(LogError, match=words):
        read_log(put(long(), other))


def test_parts_with_classes_of_different_types_are_refused(put):
    tables = [wide(predicted=pa.array([[v] * EPOCHS] * N)) for v in ("a", 1)]
    with pytest.raises(LogError, match=r"predicted is list<.*string> in 0.parquet and list<.*int"):
        read_log(put(*tables))


def test_parts_of_different_widths_are_one_column(put):
    narrow = long(sample_id=pa.array(np.tile(np.arange(N) + 50, EPOCHS), pa.int8()))
    narrow = narrow.set_column(2, "loss", pa.array(LOSS.ravel(), pa.float32()))
    assert read_log(put(long(), narrow)).n_samples == 2 * N


def test_an_empty_part_says_nothing(put):
    log = read_log(put(long().slice(0, 0), long(), long().slice(0, 0)))
    assert log.loss.tolist() == LOSS.T.tolist()
