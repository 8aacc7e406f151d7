"""Which label a flagged sample should have instead."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossan import build_log
from lossan.suggest import suggest_labels


def suggestions(flagged=None, **fields):
    n = len(fields.get("label", fields.get("predicted")))
    n_epochs = len(fields["predicted"][0]) if "predicted" in fields else 2
    log = build_log(np.ones((n, n_epochs)), **fields)
    flagged = np.ones(n, bool) if flagged is None else np.array(flagged)
    suggested = suggest_labels(log, flagged)
    return None if suggested is None else suggested.to_pylist()


def test_the_class_predicted_most():
    assert suggestions(label=["a"], predicted=[["b", "c", "c", "a"]]) == ["c"]


def test_never_the_given_label():
    assert suggestions(label=["a"], predicted=[["a", "a", "a", "b"]]) == ["b"]
    assert suggestions(label=["a"], predicted=[["a", "a", "a", "a"]]) == [None]


def test_of_equals_the_class_whose_name_comes_first():
    found = suggestions(label=["x", "b"], predicted=[["c", "b", "c", "b"], ["b"] * 4])
    assert found == ["b", None]
    assert suggestions(label=[5, 9], predicted=[[10, 9, 10, 9], [9] * 4]) == [9, None]


def test_a_given_label_that_was_never_predicted():
    assert suggestions(label=["rare", "a"], predicted=[["a", "b"], ["b", "b"]]) == ["a", "b"]


def test_epochs_without_a_prediction_do_not_count():
    predicted = np.array([[None, None, None, 1], [None] * 4, [1] * 4], object)
    assert suggestions(label=[0, 0, 1], predicted=predicted) == [1, None, None]


def test_only_flagged_samples_get_one():
    found = suggestions([True, False, True], label=[0, 0, 1], predicted=[[1, 1], [1, 1], [0, 0]])
    assert found == [1, None, 0]
    assert suggestions([False, False], label=[0, 1], predicted=[[1, 1], [0, 0]]) == [None, None]


def test_of_two_classes_the_other():
    assert suggestions([True, True, False], label=["no", "yes", "no"]) == ["yes", "no", None]


def test_a_missing_label_gets_no_other():
    assert suggestions(label=["no", "yes", None]) == ["yes", "no", None]


@pytest.mark.parametrize("label", [["a", "b", "c"], ["a", "a", "a"]])
def test_not_without_predictions_and_two_classes(label):
    assert suggestions(label=label) is None


def test_not_without_labels():
    assert suggestions(predicted=[[1, 1]]) is None


def test_predictions_of_another_type_than_the_labels_are_not_used():
    assert suggestions(label=["a", "b", "c"], predicted=[[1, 1], [0, 0], [0, 0]]) is None
    assert suggestions(label=["a", "b"], predicted=[[1, 1], [0, 0]]) == ["b", "a"]


def test_predictions_that_are_all_missing_are_none():
    nothing = np.full((2, 3), None, object)
    assert suggestions(label=["a", "b"], predicted=nothing) == ["b", "a"]
    assert suggestions(label=["a", "a"], predicted=nothing) is None


def test_predictions_that_are_never_a_label_are_not_used():
    names = [["dog", "dog"], ["cat", "dog"], ["cat", "cat"]]
    assert suggestions(label=["a", "b", "a"], predicted=names) == ["b", "a", "b"]
    assert suggestions(label=["a", "b", "c"], predicted=names) is None
    names[0][1] = "a"
    assert suggestions(label=["a", "b", "c"], predicted=names) == ["dog", "cat", "cat"]


def test_of_more_classes_than_two_none_is_the_other():
    label = ["no", "yes", None]
    assert suggestions(label=label, metadata={"classes": ["no", "yes", "maybe"]}) is None
    assert suggestions(label=label, metadata={"classes": ["no", "yes"]}) == ["yes", "no", None]


def test_no_sample_with_a_label_gets_another():
    assert suggestions(label=[None, None], predicted=[["a", "b"], ["a", "a"]]) is None


names = st.sampled_from(["a", "b", "c", "d"])


@given(st.lists(st.tuples(names, st.lists(names | st.none(), min_size=5, max_size=5)), min_size=1))
def test_as_counting_does(rows):
    label, predicted = zip(*rows, strict=True)
    # some samples more, so that there are three classes and some predictions, of which one is right
    label = [*label, "x", "y", "e"]
    predicted = np.array([*predicted, *(["e"] * 5 for _ in "xye")], object)
    expected = []
    for own, row in zip(label, predicted, strict=True):
        counts = Counter(name for name in row if name not in (None, own))
        expected.append(min(counts, key=lambda name: (-counts[name], name)) if counts else None)
    assert suggestions(label=label, predicted=predicted) == expected
