"""Arrays into a checked log."""

from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lossan import build_log
from lossan.errors import LogError, OptionError

LOSS = [[3.0, 1.0], [2.0, 0.5], [1.0, np.nan]]


def told(**arguments):
    with pytest.raises(LogError) as caught:
        build_log(**arguments)
    return [fault.code for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([5, -1, 3], [-1, 3, 5]),
        (["b", "a", "ä"], ["a", "b", "ä"]),
        (["B", "a", "Z"], ["B", "Z", "a"]),
        (["10", "9", "1"], ["1", "10", "9"]),
        (["\U00010000", "\uffff", "z"], ["z", "\uffff", "\U00010000"]),
    ],
)
def test_samples_are_put_in_order_with_all_they_have(ids, expected):
    fields = {
        "label": ["x", None, "z"],
        "margin": LOSS,
        "predicted": [["a", "b"]] * 2 + [["c"] * 2],
    }
    log = build_log(LOSS, sample_id=ids, **fields)
    order = [ids.index(i) for i in expected]
    assert log.sample_id.to_pylist() == expected
    np.testing.assert_array_equal(log.loss, np.array(LOSS)[order])
    np.testing.assert_array_equal(log.margin, np.array(LOSS)[order])
    assert log.label.to_pylist() == [fields["label"][i] for i in order]
    names = np.array(log.predicted.values.to_pylist())[log.predicted.codes]
    assert names.tolist() == [fields["predicted"][i] for i in order]
    assert log.loss.T.flags.c_contiguous


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        np.array,
        lambda v: np.array(v, object),
        pa.array,
        lambda v: pa.chunked_array([v[:1], v[1:]]),
        pd.Series,
        pl.Series,
        lambda v: pd.Series(v, dtype="category"),
    ],
    ids=["list", "tuple", "numpy", "object", "arrow", "chunked", "pandas", "polars", "category"],
)
@pytest.mark.parametrize("values", [[3, 1, 2], ["c", "ä", "b"]])
def test_names_of_any_kind_of_sequence(make, values):
    log = build_log(LOSS, sample_id=make(values), label=make(values))
    assert log.sample_id.to_pylist() == log.label.to_pylist() == sorted(values)


def test_bytes_are_utf8():
    log = build_log(LOSS, sample_id=np.array([s.encode() for s in ("ä", "b", "c")]))
    assert log.sample_id.to_pylist() == ["b", "c", "ä"]


def test_row_numbers_stand_in_for_ids_and_epochs_count_from_1():
    log = build_log(LOSS)
    assert log.sample_id.to_pylist() == [0, 1, 2]
    assert log.epochs.tolist() == [1, 2]


def test_what_was_given_stays_as_it_was():
    loss = np.array([[np.inf, 1], [2, 3]], np.float32)
    margin = np.array([[4, 3], [2, 1]], np.float32)
    before = loss.copy(), margin.copy()
    log = build_log(loss, sample_id=[2, 1], margin=margin, invalid="mask")
    np.testing.assert_array_equal(loss, before[0])
    np.testing.assert_array_equal(margin, before[1])
    np.testing.assert_array_equal(log.loss, [[2, 3], [np.nan, 1]])


@pytest.mark.parametrize(
    ("ids", "codes"),
    [
        ([1, 2], ["shape"]),
        ([1.0, 2.0, 3.0], ["type"]),
        ([1, "a", 2], ["type"]),
        ([True, False, True], ["type"]),
        ([1, 1, 2], ["duplicate"]),
        ([1, None, 2], ["null_sample_id"]),
        ([2**63, 1, 2], ["type"]),
        (np.array([2**63, 1, 2], np.uint64), ["encoding"]),
        ([2**64, 1, 2], ["type"]),
        (["\ud800", "a", "b"], ["encoding"]),
        (np.array([b"\xff", b"a", b"b"]), ["encoding"]),
        (np.array(["\ud800", "a", "b"]), ["encoding"]),
        (np.array([0x110000, 1, 2], np.uint32).view("U1"), ["encoding"]),
        (np.zeros((3, 1), int), ["shape"]),
        (np.array(3), ["shape"]),
        (np.zeros(3, "M8[ns]"), ["type"]),
        (np.zeros(3, "m8[ns]"), ["type"]),
        (np.zeros(3, complex), ["type"]),
        (np.zeros(3, "V4"), ["type"]),
        (np.zeros(3, [("a", int)]), ["type"]),
        ([], ["shape"]),
        ([[1], [2], [3]], ["type"]),
        (3, ["type"]),
    ],
)
def test_ids_that_cannot_be_ids(ids, codes):
    assert told(loss=LOSS, sample_id=ids) == codes


@pytest.mark.parametrize(
    ("loss", "codes"),
    [
        ([1.0, 2.0], ["shape"]),
        (3.0, ["shape"]),
        ([[1.0], [1.0, 2.0]], ["shape"]),
        ([["a", "b"]], ["type"]),
        ([[True, False]], ["type"]),
        ([[1j, 2j]], ["type"]),
        ([[1.0], [2.0]], ["one_epoch"]),
        (np.empty((0, 3)), ["empty"]),
        (np.empty((2, 0)), ["one_epoch", "all_nan"]),
        ([[np.nan, np.nan]], ["all_nan"]),
        ([[np.inf, 1.0]], ["infinite"]),
        ([[1e39, 1.0]], ["infinite"]),
        ([[-np.inf, np.inf], [1.0, 2.0]], ["infinite"]),
    ],
)
def test_losses_that_cannot_be_losses(loss, codes):
    assert told(loss=loss) == codes


def test_masking_everything_leaves_nothing():
    assert told(loss=[[np.inf, -np.inf]], invalid="mask") == ["all_nan"]


def test_all_faults_are_told_at_once():
    codes = told(
        loss=[[1.0, 1.0], [2.0, 3.0], [np.inf, 1.0]],
        sample_id=[1, 1, 2],
        label=["a"],
        group=[1.5, 2.5, 3.5],
        margin=[[1.0, 2.0]],
        label_prob=[[0.5, 0.5], [0.5, 0.5], [0.5, 2.0]],
        predicted=[["a"]],
        metadata={"format_version": "2", "recorded": "later"},
    )
    assert Counter(codes) == Counter(
        [
            "shape",
            "type",
            "shape",
            "shape",
            "duplicate",
            "infinite",
            "probability",
            "format_version",
            "recorded",
        ]
    )


def test_the_first_infinite_loss_is_named_by_epoch_and_id():
    with pytest.raises(LogError, match=r"2 losses are infinite .* first sample 'b' at epoch 1"):
        build_log([[1.0, np.inf], [-np.inf, 1.0]], sample_id=["a", "b"])


def test_infinite_margins_are_refused_or_masked():
    given = {"loss": [[1.0, 2.0], [2.0, 1.0]], "margin": [[1.0, np.inf], [-np.inf, 1.0]]}
    with pytest.raises(LogError, match=r"2 margins are infinite .* first sample 1 at epoch 1"):
        build_log(**given)
    margin = build_log(**given, invalid="mask").margin
    np.testing.assert_array_equal(margin, [[1, np.nan], [np.nan, 1]])


def test_an_unknown_field_is_refused_with_a_hint():
    with pytest.raises(OptionError, match=r"no field 'labels'.*Did you mean 'label'"):
        build_log(LOSS, labels=[1, 2, 3])


def test_a_field_that_is_none_is_absent():
    assert build_log(LOSS, label=None, margin=None, predicted=None).channels == ()


@pytest.mark.parametrize("values", [[0, 1, 2], ["a", "b", "c"]])
def test_classes_may_be_integers_or_strings_and_have_gaps(values):
    given = [[values[0], None], [None, None], [values[2], values[0]]]
    predicted = build_log(LOSS, predicted=np.array(given, object)).predicted
    names = [*predicted.values.to_pylist(), None]
    assert [[names[c] for c in row] for row in predicted.codes] == given


def test_the_fingerprint_is_of_ids_labels_and_losses_alone():
    plain = build_log(LOSS, sample_id=["a", "b", "c"], label=[1, 2, 1])
    order = [2, 0, 1]
    shuffled = build_log(
        np.array(LOSS)[order], sample_id=["c", "a", "b"], label=[1, 1, 2], group=[1, 2, 3]
    )
    assert shuffled.fingerprint == plain.fingerprint
    others = [
        build_log(LOSS, sample_id=["a", "b", "d"], label=[1, 2, 1]),
        build_log(LOSS, sample_id=["a", "b", "c"], label=[1, 2, 2]),
        build_log(LOSS, sample_id=["a", "b", "c"], label=["1", "2", "1"]),
        build_log(LOSS, sample_id=["a", "b", "c"], label=[1, 2, None]),
        build_log(LOSS, sample_id=["a", "b", "c"]),
        build_log(np.array(LOSS) + 1, sample_id=["a", "b", "c"], label=[1, 2, 1]),
    ]
    prints = {log.fingerprint for log in (plain, *others)}
    assert len(prints) == 1 + len(others)


@pytest.mark.parametrize("rows", [[0, 2], [1], []])
def test_a_selection_is_the_log_of_its_samples(rows):
    fields = {"label": ["x", None, "z"], "margin": np.array(LOSS), "true_label": [1, 2, 3]}
    predicted = np.array([["a", "b"], ["c", None], ["a", "a"]], object)
    log = build_log(LOSS, sample_id=["a", "b", "c"], predicted=predicted, **fields)
    part = log.select(np.array(rows, int))
    assert part.sample_id.to_pylist() == [["a", "b", "c"][i] for i in rows]
    np.testing.assert_array_equal(part.loss, log.loss[rows])
    np.testing.assert_array_equal(part.margin, log.margin[rows])
    np.testing.assert_array_equal(part.predicted.codes, log.predicted.codes[rows])
    assert part.label.to_pylist() == [fields["label"][i] for i in rows]
    assert part.without_truth().true_label is None
    assert log.true_label is not None


def test_what_to_do_with_infinite_losses_is_one_of_two():
    with pytest.raises(OptionError, match="invalid is 'masked'; allowed: error, mask"):
        build_log(LOSS, invalid="masked")
