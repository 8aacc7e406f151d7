"""Findings as a report shows them: the summary, the first suspects, typical sequences."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import ValidationError

from lossan.errors import TableError
from lossan.io import SEQUENCES, SUMMARY, read_findings, read_log
from lossan.losslog import LossLog
from lossan.report._why import contradictions, explain
from lossan.results import SCHEMA_VERSION, LossByEpoch, Summary
from lossan.typical import TYPICAL, typical_rows

_BELOW = 50  # unflagged suspects that are shown, so that one sees what the cut leaves out
_SHOWN = (
    *("rank", "sample_id", "label", "score", "flagged", "probability", "suggested_label"),
    *("f1_mean", "path", "group"),
)


@dataclass(frozen=True, eq=False)
class Suspect:
    """A suspected sample.

    Parameters
    ----------
    finding : dict
        Its row of the findings.
    loss : ndarray of float32
        Shape (n_epochs,), in nats; NaN = not observed.
    why : str
    """

    finding: dict[str, Any]
    loss: NDArray[np.float32]
    why: str


@dataclass(frozen=True, eq=False)
class Report:
    """What a report shows.

    Parameters
    ----------
    summary : Summary
    by_epoch : LossByEpoch
        Of the summary.
    provenance : dict
        What the log states about the training.
    suspects : list of Suspect
        The flagged, most suspicious first, then the next unflagged ones.
    typical : dict of str to ndarray
        Loss sequences, shape (n, n_epochs), of unflagged and flagged samples.
    """

    summary: Summary
    by_epoch: LossByEpoch
    provenance: dict[str, Any]
    suspects: list[Suspect]
    typical: dict[str, NDArray[np.float32]]


def read_report(folder: Path, *, top: int) -> Report:
    """Read what a report shows from the folder that ``lossan analyze -o`` wrote.

    Parameters
    ----------
    folder : Path
    top : int
        How many suspects to show at most.

    Raises
    ------
    TableError
        When it is not such a folder, or an older lossan wrote it.
    """
    summary, by_epoch = _read_summary(folder)
    findings = read_findings(folder)
    _check(folder, findings, summary)
    flagged = findings["flagged"].to_numpy()
    scored = ~np.isnan(findings["score"].to_numpy())
    below = np.flatnonzero(~flagged & scored)[:_BELOW]
    chosen = np.concatenate([np.flatnonzero(flagged), below])[:top]
    typical = typical_rows(flagged, scored, TYPICAL)
    log = read_log(folder / SEQUENCES)
    rows = [_rows(folder, findings, log, places) for places in (chosen, *typical)]
    against = contradictions(log, summary)
    return Report(
        summary=summary,
        by_epoch=by_epoch,
        provenance={k: v for k, v in log.metadata.items() if k != "format_version"},
        suspects=[
            Suspect(
                finding,
                log.loss[row],
                explain(against[row], finding["label"], finding["f1_mean"], summary),
            )
            for finding, row in zip(findings.take(chosen).to_pylist(), rows[0], strict=True)
        ],
        typical={"unflagged": log.loss[rows[2]], "flagged": log.loss[rows[1]]},
    )


def read_reasons(folder: Path, findings: pa.Table) -> dict[Any, str]:
    """Return why samples are suspected, in words, by their ids.

    Parameters
    ----------
    folder : Path
        That ``lossan analyze -o`` wrote.
    findings : Table
        Some rows of its findings; samples whose losses it does not hold are left out.

    Raises
    ------
    LossanError
        When it is not such a folder, or lacks what is needed.
    """
    summary, _by_epoch = _read_summary(folder)
    missing = [c for c in ("sample_id", "label", "f1_mean") if c not in findings.column_names]
    if missing:
        raise TableError(f"{folder}: its findings lack {', '.join(missing)}.")
    log = read_log(folder / SEQUENCES)
    against = contradictions(log, summary)
    ids = _like(findings["sample_id"].combine_chunks(), log, folder)
    rows = pc.index_in(ids, value_set=log.sample_id).to_pylist()
    return {
        finding["sample_id"]: explain(against[row], finding["label"], finding["f1_mean"], summary)
        for finding, row in zip(findings.to_pylist(), rows, strict=True)
        if row is not None
    }


def _read_summary(folder: Path) -> tuple[Summary, LossByEpoch]:
    file = folder / SUMMARY
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise TableError(f"{folder} {what}; give the folder that lossan analyze LOG -o DIR wrote.")
    try:
        text = file.read_bytes()
    except FileNotFoundError as error:
        raise TableError(
            f"{folder} holds no {SUMMARY}; give the folder that lossan analyze LOG -o DIR wrote."
        ) from error
    except OSError as error:
        raise TableError(f"{file} cannot be read: {error.strerror or error}.") from error
    again = f"Run lossan analyze LOG -o {folder} again."
    try:
        values = json.loads(text)
        version = values["schema_version"]
        if version == SCHEMA_VERSION:
            summary = Summary.model_validate(values)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TableError(
            f"{file} is not a summary as this lossan writes them ({_reason(error)}). {again}"
        ) from error
    if version != SCHEMA_VERSION:
        raise TableError(
            f"{file} says schema_version {version!r}; this lossan reads {SCHEMA_VERSION!r}. {again}"
        )
    if summary.loss_by_epoch is None or not (folder / SEQUENCES).is_file():
        raise TableError(
            f"{folder} was written by an older lossan ({summary.lossan_version}) or is incomplete: "
            f"it lacks what a report shows. {again}"
        )
    return summary, summary.loss_by_epoch


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
    if isinstance(error, KeyError):
        return f"it lacks {error.args[0]}"
    return str(error)


def _check(folder: Path, findings: pa.Table, summary: Summary) -> None:
    """Refuse findings that a report cannot be made of."""
    missing = [c for c in _SHOWN if c not in findings.column_names]
    if missing:
        raise TableError(f"{folder}: its findings lack {', '.join(missing)}.")
    found = len(findings), pc.sum(findings["flagged"]).as_py() or 0
    if found != (summary.log.n_samples, summary.n_flagged):
        raise TableError(
            f"{folder}: findings.parquet and {SUMMARY} are not of one analysis: {found[0]:,} "
            f"samples, {found[1]:,} flagged against {summary.log.n_samples:,} and "
            f"{summary.n_flagged:,}. Run lossan analyze LOG -o {folder} again."
        )


def _like(ids: pa.Array, log: LossLog, folder: Path) -> pa.Array:
    """Return ids of findings as those of the suspects' losses are."""
    try:
        return ids.cast(log.sample_id.type)
    except pa.ArrowInvalid as error:
        raise TableError(
            f"{folder}: the ids of its findings are of another kind than those of {SEQUENCES}, so "
            f"these are of another analysis. Run lossan analyze LOG -o {folder} again."
        ) from error


def _rows(
    folder: Path, findings: pa.Table, log: LossLog, places: NDArray[np.int64] | list[int]
) -> list[int]:
    """Return the log's rows of some findings."""
    ids = findings["sample_id"].take(pa.array(places, pa.int64())).combine_chunks()
    ids = _like(ids, log, folder)
    rows = pc.index_in(ids, value_set=log.sample_id)
    if rows.null_count:
        raise TableError(
            f"{folder}: {SEQUENCES} lacks {rows.null_count:,} of the suspects, so it is of another "
            f"analysis. Run lossan analyze LOG -o {folder} again."
        )
    found: list[int] = rows.to_pylist()
    return found
