"""Findings against a truth that came with them or from elsewhere."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.errors import TableError
from lossan.evaluate import evaluate
from lossan.io import LabelsTable
from lossan.results import Evaluation


@dataclass(frozen=True)
class Judgement:
    """An evaluation, and how many findings had no known truth."""

    evaluation: Evaluation
    n_unknown: int


def judge(findings: pa.Table, labels: LabelsTable | None, name: str) -> Judgement:
    """Evaluate findings against their own ``true_label`` or that of a labels table.

    Parameters
    ----------
    findings : pyarrow.Table
        As `lossan.io.read_findings` returns it.
    labels : LabelsTable, optional
        With ``sample_id`` and ``true_label``, or ``label`` where that is the truth.
    name : str
        The findings, for messages.

    Raises
    ------
    TableError
        When no truth is known for any finding, or the findings hold no labels.
    """
    if "label" not in findings.column_names or _empty(findings["label"]):
        raise TableError(f"{name} holds no labels, so none can be right or wrong.")
    label = findings["label"].combine_chunks()
    truth = _own_truth(findings, name) if labels is None else _truth_of(findings, labels)
    found = wrong_labels(label, truth)
    if found is None:
        raise TableError(f"the truth is known for none of the {len(label)} samples of {name}.")
    wrong, known = found
    if wrong[known].all() and not pc.any(pc.is_in(_text(truth), value_set=_text(label))).as_py():
        raise TableError(
            f"none of the true labels is ever a label of {name}; the first is "
            f"{pc.drop_null(truth)[0].as_py()!r}, the first label "
            f"{pc.drop_null(label)[0].as_py()!r}. Write both alike."
        )
    flagged = _flags(findings["flagged"], name)
    score = _numbers(findings, "score", name)
    probability = _numbers(findings, "probability", name)
    if probability is not None and ((probability < 0) | (probability > 1)).any():
        raise TableError(f"{name}: probability must lie in 0 to 1 in every row.")
    judged = evaluate(
        wrong[known],
        flagged[known],
        None if score is None else score[known],
        None if probability is None else probability[known],
    )
    return Judgement(judged, int((~known).sum()))


def wrong_labels(
    label: pa.Array, true_label: pa.Array
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Return which labels are wrong and where that is known, None where nothing is."""
    if label.type != true_label.type:
        label, true_label = label.cast(pa.large_string()), true_label.cast(pa.large_string())
    differs = pc.not_equal(label, true_label)
    known = differs.is_valid().to_numpy(zero_copy_only=False)
    if not known.any():
        return None
    return pc.fill_null(differs, False).to_numpy(zero_copy_only=False), known


def _flags(column: pa.ChunkedArray, name: str) -> NDArray[np.bool_]:
    values = column.combine_chunks()
    kind = values.type
    if pa.types.is_integer(kind) and pc.all(pc.is_in(values, pa.array([0, 1], kind))).as_py():
        values = values.cast(pa.bool_())
    if values.null_count or not pa.types.is_boolean(values.type):
        raise TableError(f"{name}: flagged must be true or false in every row; its type is {kind}.")
    flags: NDArray[np.bool_] = values.to_numpy(zero_copy_only=False)
    return flags


def _numbers(findings: pa.Table, field: str, name: str) -> NDArray[np.float64] | None:
    if field not in findings.column_names:
        return None
    try:
        numbers: NDArray[np.float64] = findings[field].cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TableError(f"{name}: {field} must be a number in every row ({error}).") from error
    return numbers


def _own_truth(findings: pa.Table, name: str) -> pa.Array:
    if "true_label" not in findings.column_names:
        raise TableError(f"{name} has no true_label; name a labels table that has, by --truth.")
    return findings["true_label"].combine_chunks()


def _truth_of(findings: pa.Table, labels: LabelsTable) -> pa.Array:
    field = "true_label" if labels.has("true_label") else "label"
    if not labels.has(field):
        raise TableError(f"{labels.name} has neither true_label nor label.")
    ids, known = findings["sample_id"].combine_chunks(), labels.column("sample_id")
    if ids.type != known.type:
        ids, known = ids.cast(pa.large_string()), known.cast(pa.large_string())
    return labels.column(field).take(pc.index_in(ids, value_set=known))


def _text(values: pa.Array) -> pa.Array:
    return values.cast(pa.large_string()).drop_null()


def _empty(column: pa.ChunkedArray) -> bool:
    return bool(column.null_count == len(column))
