"""Which samples of a piece are suspicious, and what the summary needs to know of it."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.describe import count_pairs, most_frequent
from lossan.detectors import Detection
from lossan.engines._models import Model
from lossan.engines._pieces import Piece, Pieces, codes_of, features_of, log_of, suggested
from lossan.engines._samples import Described, taken
from lossan.findings import findings_table
from lossan.judge import wrong_labels
from lossan.results import ClassPair

EVALUATED = 1 << 24
"""Samples with a known truth up to which AUROC and AUPRC are computed: they need all scores."""
_ALL_PAIRS = 1 << 20
_Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Question:
    """What is asked of every piece.

    Parameters
    ----------
    pieces : Pieces
    model : Model
    step : int
        Every so manieth sample is described.
    top : int
        How many of the highest scores are wanted.
    """

    pieces: Pieces
    model: Model
    step: int
    top: int


@dataclass(frozen=True)
class Truth:
    """Flags and scores of the samples of a piece whose truth is known.

    Parameters
    ----------
    counts : ndarray of int64
        Shape (n_labels + 1, 4): tp, fp, fn and tn by given label, those without one last.
    wrong, flagged, score, codes, probability : ndarray
        Shape (n_known,); empty where there are too many. Probability is None where there is none.
    """

    counts: NDArray[np.int64]
    wrong: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    score: NDArray[np.float64]
    codes: NDArray[np.int64]
    probability: NDArray[np.float64] | None


@dataclass(frozen=True)
class Verdict:
    """What was found of one piece.

    Parameters
    ----------
    n_flagged, n_unscored : int
    by_label : ndarray of int64
        Shape (3, n_labels): samples, flagged, unscored by given label.
    expected : ndarray of float64 or None
        Shape (n_labels,): the sum of the probabilities.
    pairs : list of ClassPair
    truth : Truth or None
    top : ndarray of float64
        The highest scores.
    described : Described
    noise_rate, notes
        As the detector gives them, the same for all pieces.
    """

    n_flagged: int
    n_unscored: int
    by_label: NDArray[np.int64]
    expected: NDArray[np.float64] | None
    pairs: list[ClassPair]
    truth: Truth | None
    top: NDArray[np.float64]
    described: Described
    noise_rate: tuple[float, float, float] | None
    notes: tuple[str, ...]


def judge(question: Question, piece: Piece) -> Verdict:
    """Score and flag the samples of a piece, and write that beside it."""
    pieces = question.pieces
    batch = pieces.read(piece)
    found = question.model.judge(log_of(pieces, batch).without_truth(), features_of(pieces, batch))
    score, flagged = found.score, found.flagged
    _keep(pieces, piece, found)
    codes = codes_of(pieces, batch)
    n_labels = 0 if pieces.labels is None else len(pieces.labels)
    inside, unscored = codes >= 0, np.isnan(score)
    kinds = (inside, inside & flagged, inside & unscored)
    first = pieces.start_of(piece)
    suspects = table_of(pieces, batch, found, np.flatnonzero(flagged))
    shown = np.arange(-first % question.step, len(score), question.step)
    return Verdict(
        n_flagged=int(flagged.sum()),
        n_unscored=int(unscored.sum()),
        by_label=np.stack([np.bincount(codes[kind], minlength=n_labels) for kind in kinds]),
        expected=_expected(found, codes, inside, n_labels),
        pairs=most_frequent(count_pairs(suspects))[:_ALL_PAIRS],
        truth=_truth(pieces, batch, found, codes),
        top=_highest(score, question.top),
        described=Described(batch.take(pa.array(shown)), taken(found, shown)),
        noise_rate=found.noise_rate,
        notes=found.notes,
    )


def judged(pieces: Pieces, piece: Piece) -> tuple[pa.RecordBatch, Detection]:
    """Read a piece again, and what `judge` wrote of it."""
    kept = pieces.plan.spill.read_batch(_file(piece))
    has = "probability" in kept.schema.names
    return pieces.read(piece), Detection(
        score=kept.column("score").to_numpy(),
        flagged=kept.column("flagged").to_numpy(zero_copy_only=False),
        probability=kept.column("probability").to_numpy() if has else None,
    )


def _keep(pieces: Pieces, piece: Piece, found: Detection) -> None:
    columns = {"score": pa.array(found.score), "flagged": pa.array(found.flagged)}
    if found.probability is not None:
        columns["probability"] = pa.array(found.probability)
    kept = pa.RecordBatch.from_pydict(columns)
    pieces.plan.spill.write_batches(_file(piece), kept.schema, [kept])


def _expected(
    found: Detection, codes: NDArray[np.int64], inside: NDArray[np.bool_], n_labels: int
) -> NDArray[np.float64] | None:
    if found.probability is None:
        return None
    weights = np.nan_to_num(found.probability[inside])
    return np.bincount(codes[inside], weights, n_labels).astype(np.float64)


def above(common: tuple[Pieces, float, int], piece: Piece) -> Described:
    """Return the samples of a piece whose score is at least a bound, in the order of their ids.

    And so many of the unscored, which are ranked last, in the order of their ids too.
    """
    pieces, bound, n_unscored = common
    batch, found = judged(pieces, piece)
    shown = found.score >= bound
    shown[np.flatnonzero(np.isnan(found.score))[:n_unscored]] = True
    rows = np.flatnonzero(shown)
    return Described(batch.take(pa.array(rows)), taken(found, rows))


def table_of(pieces: Pieces, batch: pa.RecordBatch, found: Detection, rows: _Rows) -> pa.Table:
    """Return the findings of some rows of a piece, not ranked yet."""
    return findings_table(
        log_of(pieces, batch),
        features_of(pieces, batch),
        found,
        suggested(pieces, batch, found.flagged),
        rows,
    )


def _truth(
    pieces: Pieces, batch: pa.RecordBatch, found: Detection, codes: NDArray[np.int64]
) -> Truth | None:
    if not {"label", "true_label"} <= set(batch.schema.names):
        return None
    judged_labels = wrong_labels(batch.column("label"), batch.column("true_label"))
    if judged_labels is None:
        return None
    wrong, known = judged_labels
    wrong, flagged, codes = wrong[known], found.flagged[known], codes[known]
    n_labels = 0 if pieces.labels is None else len(pieces.labels)
    cells = (flagged & wrong, flagged & ~wrong, ~flagged & wrong, ~flagged & ~wrong)
    place = np.where(codes < 0, n_labels, codes)
    counts = np.stack([np.bincount(place[c], minlength=n_labels + 1) for c in cells], axis=1)
    few = slice(None) if pieces.n_samples <= EVALUATED else slice(0)
    sure = None if found.probability is None else found.probability[known][few]
    return Truth(counts, wrong[few], flagged[few], found.score[known][few], codes[few], sure)


def _highest(score: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    known = score[~np.isnan(score)]
    if count >= len(known):
        return known
    return np.partition(known, len(known) - count)[len(known) - count :] if count else known[:0]


def _file(piece: Piece) -> str:
    return f"verdict-{piece.number}"
