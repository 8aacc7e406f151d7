"""Findings held against a truth."""

import pyarrow as pa
import pytest

from lossan.errors import TableError
from lossan.io import LabelsTable
from lossan.judge import judge

FINDINGS = {
    "sample_id": pa.array([4, 2, 3, 1, 5]),
    "label": pa.array(["a", "b", "a", "b", None]),
    "flagged": pa.array([True, True, False, False, True]),
    "score": pa.array([0.9, 0.8, 0.7, 0.1, 0.95]),
    "true_label": pa.array(["b", "b", "b", None, "a"]),
}


def findings(**other):
    return pa.table({k: v for k, v in (FINDINGS | other).items() if v is not None})


def labels(**columns):
    return LabelsTable(pa.table(columns), "labels.csv")


def counts(judged):
    e = judged.evaluation
    return e.tp, e.fp, e.fn, e.tn, judged.n_unknown


def test_their_own_truth():
    judged = judge(findings(), None, "f")
    assert counts(judged) == (1, 1, 1, 0, 2)  # 1 has no truth, 5 no label


@pytest.mark.parametrize("field", ["true_label", "label"])
def test_the_truth_of_a_table_in_another_order(field):
    truth = labels(sample_id=["1", "2", "3", "4", "99"], **{field: ["b", "a", "a", "b", "a"]})
    assert counts(judge(findings(), truth, "f")) == (2, 0, 0, 2, 1)


def test_the_true_label_of_a_table_goes_before_its_label():
    truth = labels(sample_id=[4, 2], label=["a", "b"], true_label=["b", "a"])
    assert counts(judge(findings(), truth, "f"))[:2] == (2, 0)


def test_ids_and_labels_that_are_numbers_here_and_text_there():
    numbers = findings(label=pa.array([1, 0, 1, 0, None]))
    truth = labels(sample_id=["x", "1", "2", "3", "4"], label=["x", "0", "0", "0", "0"])
    assert counts(judge(numbers, truth, "f")) == (1, 1, 1, 1, 1)


def test_auroc_is_of_the_samples_whose_truth_is_known():
    judged = judge(findings(score=pa.array([0.9, 0.1, 0.7, 7.0, -7.0])), None, "f")
    assert judged.evaluation.auroc == 1.0
    assert judge(findings(score=None), None, "f").evaluation.auroc is None


@pytest.mark.parametrize(
    "flags",
    [pa.array([1, 1, 0, 0, 1]), pa.chunked_array([[True, True], [False, False, True]])],
    ids=["integers", "chunks"],
)
def test_flags_as_others_write_them(flags):
    judged = judge(findings(flagged=flags), None, "f")
    assert counts(judged) == counts(judge(findings(), None, "f"))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"label": None}, "holds no labels"),
        ({"label": pa.nulls(5)}, "holds no labels"),
        ({"true_label": None}, "has no true_label; name a labels table that has, by --truth"),
        ({"true_label": pa.nulls(5, pa.string())}, "truth is known for none of the 5 samples"),
        ({"flagged": pa.array(["yes", "no"] * 2 + ["no"])}, "flagged must be true or false"),
        ({"flagged": pa.array([True, None] * 2 + [True])}, "flagged must be true or false"),
        ({"flagged": pa.array([0, 1, 2, 0, 1])}, "flagged must be true or false"),
        ({"flagged": pa.array([0.0, 1, 0, 0, 1])}, "flagged must be true or false"),
        ({"score": pa.array(["high"] * 5)}, "score must be a number"),
        ({"score": pa.array([[1.0]] * 5)}, "score must be a number"),
    ],
)
def test_findings_that_cannot_be_judged(other, words):
    with pytest.raises(TableError, match=words):
        judge(findings(**other), None, "f")


@pytest.mark.parametrize(
    ("truth", "words"),
    [
        (labels(sample_id=[1]), "labels.csv has neither true_label nor label"),
        (labels(sample_id=[77], label=["a"]), "known for none"),
    ],
)
def test_a_truth_that_says_nothing(truth, words):
    with pytest.raises(TableError, match=words):
        judge(findings(), truth, "f")
