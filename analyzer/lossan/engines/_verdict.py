"""Which samples of a piece are suspicious, and what the summary needs to know of it."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.describe import describe_pairs
from lossan.detectors import Detection, squeeze
from lossan.engines._pieces import Piece, Pieces, log_of
from lossan.features import Features, compute_features
from lossan.findings import findings_table
from lossan.judge import wrong_labels
from lossan.points import Centroids
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
    centroids : Centroids
    step : int
        Every so manieth sample is described.
    top : int
        How many of the highest scores are wanted.
    """

    pieces: Pieces
    centroids: Centroids
    step: int
    top: int


@dataclass(frozen=True)
class Truth:
    """Flags and scores of the samples of a piece whose truth is known.

    Parameters
    ----------
    counts : ndarray of int64
        Shape (n_labels + 1, 4): tp, fp, fn and tn by given label, those without one last.
    wrong, flagged, score, codes : ndarray
        Shape (n_known,); empty where there are too many.
    """

    counts: NDArray[np.int64]
    wrong: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    score: NDArray[np.float64]
    codes: NDArray[np.int64]


@dataclass(frozen=True)
class Verdict:
    """What was found of one piece.

    Parameters
    ----------
    n_flagged, n_unscored : int
    by_label : ndarray of int64
        Shape (3, n_labels): samples, flagged, unscored by given label.
    pairs : list of ClassPair
    truth : Truth or None
    top : ndarray of float64
        The highest scores.
    described : Described
    """

    n_flagged: int
    n_unscored: int
    by_label: NDArray[np.int64]
    pairs: list[ClassPair]
    truth: Truth | None
    top: NDArray[np.float64]
    described: "Described"


@dataclass(frozen=True)
class Described:
    """Some samples with all that is known of them.

    Parameters
    ----------
    rows : pyarrow.RecordBatch
        As the pieces hold them.
    score : ndarray of float64
    flagged : ndarray of bool
    """

    rows: pa.RecordBatch
    score: NDArray[np.float64]
    flagged: NDArray[np.bool_] = field(repr=False)


def judge(question: Question, piece: Piece) -> Verdict:
    """Score and flag the samples of a piece, and write that beside it."""
    pieces = question.pieces
    batch = pieces.read(piece)
    score, flagged = _score(question.centroids, features_of(pieces, batch))
    kept = pa.RecordBatch.from_pydict({"score": pa.array(score), "flagged": pa.array(flagged)})
    pieces.plan.spill.write_batches(_file(piece), kept.schema, [kept])
    codes = _codes(pieces, batch)
    n_labels = 0 if pieces.labels is None else len(pieces.labels)
    inside, unscored = codes >= 0, np.isnan(score)
    kinds = (inside, inside & flagged, inside & unscored)
    found = Detection(score=score, flagged=flagged)
    first = pieces.start_of(piece)
    shown = np.arange(-first % question.step, len(score), question.step)
    return Verdict(
        n_flagged=int(flagged.sum()),
        n_unscored=int(unscored.sum()),
        by_label=np.stack([np.bincount(codes[kind], minlength=n_labels) for kind in kinds]),
        pairs=describe_pairs(table_of(pieces, batch, found, np.flatnonzero(flagged)), _ALL_PAIRS),
        truth=_truth(pieces, batch, found, codes),
        top=_highest(score, question.top),
        described=Described(batch.take(pa.array(shown)), score[shown], flagged[shown]),
    )


def judged(pieces: Pieces, piece: Piece) -> tuple[pa.RecordBatch, Detection]:
    """Read a piece again, and what `judge` wrote of it."""
    found = pieces.plan.spill.read_batch(_file(piece))
    return pieces.read(piece), Detection(
        score=found.column("score").to_numpy(),
        flagged=found.column("flagged").to_numpy(zero_copy_only=False),
    )


def above(common: tuple[Pieces, float], piece: Piece) -> Described:
    """Return the samples of a piece whose score is at least a bound, in the order of their ids."""
    pieces, bound = common
    batch, found = judged(pieces, piece)
    rows = np.flatnonzero(found.score >= bound)
    return Described(batch.take(pa.array(rows)), found.score[rows], found.flagged[rows])


def features_of(pieces: Pieces, batch: pa.RecordBatch) -> Features:
    """Compute the features of rows of a piece again: sooner done than read."""
    early_epochs = pieces.plan.early_epochs
    return compute_features(log_of(pieces, batch).loss, early_epochs=early_epochs)


def table_of(
    pieces: Pieces, batch: pa.RecordBatch, found: Detection, rows: _Rows, first_rank: int = 1
) -> pa.Table:
    """Return the findings of some rows of a piece."""
    return findings_table(
        log_of(pieces, batch),
        features_of(pieces, batch),
        found,
        suggested(pieces, batch, found.flagged),
        rows,
        first_rank,
    )


def suggested(pieces: Pieces, batch: pa.RecordBatch, flagged: NDArray[np.bool_]) -> pa.Array | None:
    """Return the label that each flagged sample should have instead, as `suggest_labels` does."""
    if "suggested_label" in batch.schema.names:
        other = batch.column("suggested_label")
        return pc.if_else(pa.array(flagged), other, pa.scalar(None, other.type))
    if pieces.labels is None or len(pieces.labels) != 2:
        return None
    codes = _codes(pieces, batch)
    return pieces.labels.take(pa.array(1 - codes, mask=(codes < 0) | ~flagged))


def _score(
    centroids: Centroids, features: Features
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    scorable = features.scorable
    values = features.values if scorable.all() else features.values[:, scorable]
    flags = centroids.beyond(values)
    score = np.full(len(scorable), np.nan)
    score[scorable] = squeeze(values[0], flags)
    flagged = np.zeros(len(scorable), bool)
    flagged[scorable] = flags
    return score, flagged


def codes_in(labels: pa.Array | None, column: pa.Array | None, n: int) -> NDArray[np.int64]:
    """Return the code of each given label among those of the whole log, -1 for none."""
    if labels is None or column is None:
        return np.full(n, -1)
    found = pc.index_in(column, value_set=labels)
    return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)


def _codes(pieces: Pieces, batch: pa.RecordBatch) -> NDArray[np.int64]:
    column = batch.column("label") if "label" in batch.schema.names else None
    return codes_in(pieces.labels, column, batch.num_rows)


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
    return Truth(counts, wrong[few], flagged[few], found.score[known][few], codes[few])


def _highest(score: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    known = score[~np.isnan(score)]
    if count >= len(known):
        return known
    return np.partition(known, len(known) - count)[len(known) - count :] if count else known[:0]


def _file(piece: Piece) -> str:
    return f"verdict-{piece.number}"
