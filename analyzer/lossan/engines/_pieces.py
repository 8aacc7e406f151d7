"""The samples of one bucket: checked as any log is, with their features, and kept for later."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.build import Draft, finish
from lossan.columns import null_fault
from lossan.engines._shuffle import Plan
from lossan.errors import Fault
from lossan.features import Features, compute_features
from lossan.io import read_gathered
from lossan.losslog import (
    FLOAT_CHANNELS,
    STATIC_FIELDS,
    Coded,
    LossLog,
    encode,
    places_among,
)
from lossan.suggest import most_predicted, suggesting

_MOST_CLASSES = 100_000
_NULL = ("null_sample_id", "null_epoch")  # these name no sample, so they are alike in all pieces
_NOTHING = "all_nan"
_SUGGESTED = "suggested_label"
_PREDICTED = "predicted"


@dataclass(frozen=True, eq=False)
class Piece:
    """What the driver knows of a bucket's samples.

    Parameters
    ----------
    number : int
    n_samples, n_scorable : int
    faults : tuple of Fault
    kinds : dict
        Type of each column with a value a sample, where it is not null throughout.
    labels : pyarrow.Array
        The distinct given labels, sorted.
    classes : pyarrow.Array, optional
        What the codes of its predictions stand for.
    fields : tuple of str
        The optional fields it has.
    seen : tuple of str
        The channels of numbers that are not missing throughout.
    """

    number: int
    n_samples: int
    n_scorable: int
    faults: tuple[Fault, ...]
    kinds: dict[str, pa.DataType] = field(default_factory=dict)
    labels: pa.Array = field(default_factory=lambda: pa.array([], pa.large_string()))
    classes: pa.Array | None = None
    fields: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()

    @property
    def rows_file(self) -> str:
        """Where the samples are."""
        return f"piece-{self.number}"

    @property
    def features_file(self) -> str:
        """Where the features of the scorable samples are."""
        return f"features-{self.number}"


def make_piece(plan: Plan, numbered: tuple[int, list[str]]) -> Piece:
    """Read a bucket, apply the rules of the format, and keep its samples with their features."""
    number, files = numbered
    batches = [plan.spill.read_batch(file, number) for file in files]
    if not batches:
        return Piece(number, 0, 0, ())
    draft = read_gathered(batches, plan.parts, plan.options)
    batches.clear()
    draft.metadata = plan.metadata
    _lay_out(draft, plan)
    reading = finish(
        draft, "long", invalid=plan.options.invalid, duplicates=plan.options.duplicates
    )
    faults = tuple(f for f in reading.faults if f.code != "empty")
    if reading.log is None or any(f.code != _NOTHING for f in faults):
        return Piece(number, draft.loss.shape[1], 0, faults)
    return _keep(plan, number, reading.log, faults)


def _lay_out(draft: Draft, plan: Plan) -> None:
    """Give a draft all epochs of the log: some may have no sample of this bucket."""
    if plan.parts.columns.numbers:
        return
    epochs = plan.epoch_numbers
    if len(draft.epochs) < len(epochs):
        places = np.searchsorted(epochs, draft.epochs)
        draft.loss = _spread(draft.loss, places, len(epochs), np.nan)
        draft.channels = {
            name: _spread(values, places, len(epochs), np.nan)
            for name, values in draft.channels.items()
        }
        if draft.predicted is not None:
            codes = _spread(draft.predicted.codes, places, len(epochs), -1)
            draft.predicted = Coded(codes, draft.predicted.values)
    draft.epochs = epochs


def _spread(values: NDArray[Any], places: NDArray[np.int64], n_epochs: int, empty: Any) -> Any:
    full = np.full((n_epochs, values.shape[1]), empty, values.dtype)
    full[places] = values
    return full


def _keep(plan: Plan, number: int, log: LossLog, faults: tuple[Fault, ...]) -> Piece:
    features = compute_features(log.loss, early_epochs=plan.early_epochs)
    scorable = features.scorable
    columns: dict[str, pa.Array] = {"sample_id": log.sample_id}
    columns |= {f: v for f in STATIC_FIELDS if (v := getattr(log, f)) is not None}
    if log.predicted is not None:
        columns[_SUGGESTED] = _predicted_most(log, log.predicted)
    kinds = {name: v.type for name, v in columns.items() if v.null_count < len(v)}
    for name in ("loss", *plan.channels):
        matrix = getattr(log, name)
        if matrix is not None:
            numbers = matrix.codes if isinstance(matrix, Coded) else matrix
            columns |= {f"{name}_{e}": pa.array(epoch) for e, epoch in enumerate(numbers.T)}
    batch = pa.RecordBatch.from_pydict(columns)
    labels = encode(log.label).values if log.label is not None else pa.nulls(0, pa.large_string())
    piece = Piece(
        number,
        log.n_samples,
        int(scorable.sum()),
        faults,
        kinds,
        labels[:_MOST_CLASSES],
        log.predicted and log.predicted.values,
        log.channels,
        tuple(f for f in FLOAT_CHANNELS if not _is_missing(getattr(log, f))),
    )
    plan.spill.write_batches(piece.rows_file, batch.schema, [batch])
    plan.spill.write_matrix(piece.features_file, features.values[:, scorable])
    return piece


def _predicted_most(log: LossLog, predicted: Coded) -> pa.Array:
    """Return what predictions would suggest for each sample, null throughout where they do not.

    Whether they do at all depends on the whole log: some samples may have no label, or no
    prediction, and then a type of the log's other ones.
    """
    classes = predicted.values
    label = pa.nulls(log.n_samples, classes.type) if log.label is None else log.label
    if label.null_count == len(label):
        label = label.cast(classes.type)
    if not len(classes) or label.type != classes.type:
        return pa.nulls(log.n_samples, pa.large_string())
    return most_predicted(replace(log, label=label), np.ones(log.n_samples, bool))


def _is_missing(values: NDArray[np.float32] | None) -> bool:
    # the first sample mostly says that it is not
    return values is None or bool(np.isnan(values[:1]).all() and np.isnan(values).all())


@dataclass(frozen=True)
class Pieces:
    """All pieces of a log, in the order of their ids.

    Parameters
    ----------
    plan : Plan
    each : tuple of Piece
        Those with samples.
    """

    plan: Plan
    each: tuple[Piece, ...]

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return sum(piece.n_samples for piece in self.each)

    def start_of(self, piece: Piece) -> int:
        """Return the row of a piece's first sample."""
        place = next(i for i, one in enumerate(self.each) if one.number == piece.number)
        return int(self.starts[place])

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """The row of each piece's first sample, and the number of samples."""
        return np.cumsum([0, *(piece.n_samples for piece in self.each)])

    @cached_property
    def scorable_starts(self) -> NDArray[np.int64]:
        """The same of the scorable samples."""
        return np.cumsum([0, *(piece.n_scorable for piece in self.each)])

    @cached_property
    def labels(self) -> pa.Array | None:
        """The distinct given labels, sorted; None where there are none."""
        kind = self._kinds.get("label")
        if kind is None:
            return None
        return _distinct([p.labels.cast(kind) for p in self.each if len(p.labels)])

    @cached_property
    def classes(self) -> pa.Array | None:
        """The distinct predicted classes, sorted; None where the log has no predictions."""
        held = [p.classes for p in self.each if p.classes is not None]
        return _distinct([c for c in held if len(c)] or held[:1]) if held else None

    @cached_property
    def outline(self) -> LossLog:
        """A log of as many samples as labels, of which holds what does of the whole one.

        That is which classes and channels there are; its values say nothing.
        """
        fields = {field for piece in self.each for field in piece.fields}
        seen = {field for piece in self.each for field in piece.seen}
        label = pa.nulls(1, pa.large_string()) if self.labels is None else self.labels
        shape = (len(label), 1)
        channels: dict[str, Any] = {
            f: np.full(shape, 0.0 if f in seen else np.nan, np.float32)
            for f in FLOAT_CHANNELS
            if f in fields
        }
        classes = self.classes
        return LossLog(
            sample_id=pa.array(np.arange(len(label))),
            loss=np.zeros(shape, np.float32),
            label=label if "label" in fields else None,
            predicted=None if classes is None else Coded(np.full(shape, -1, np.int32), classes),
            metadata=self.plan.metadata,
            **channels,
        )

    @cached_property
    def suggesting(self) -> str | None:
        """The field that tells which label a sample should have instead."""
        return suggesting(self.outline)

    @cached_property
    def _kinds(self) -> dict[str, pa.DataType]:
        return {name: kind for piece in self.each for name, kind in piece.kinds.items()}

    def read(self, piece: Piece, columns: list[str] | None = None) -> pa.RecordBatch:
        """Read a piece, or some of its columns; what is null throughout gets its type elsewhere."""
        batch = self.plan.spill.read_batch(piece.rows_file, 0, columns)
        fields = [(f.name, self._kinds.get(f.name, f.type)) for f in batch.schema]
        return self._recoded(piece, batch.cast(pa.schema(fields)))

    def _recoded(self, piece: Piece, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Turn a piece's own codes of predicted classes into those of the whole log."""
        if self.classes is None or piece.classes is None or not len(piece.classes):
            return batch
        places = np.append(places_among(piece.classes, self.classes), -1)
        for number, name in enumerate(batch.schema.names):
            if name.removeprefix(f"{_PREDICTED}_").isdigit():
                codes = places[batch.column(number).to_numpy(zero_copy_only=False)]
                batch = batch.set_column(number, name, pa.array(codes.astype(np.int32)))
        return batch

    def overlapping(self, starts: NDArray[np.int64], rows: slice) -> list[tuple[Piece, slice]]:
        """Return the pieces that hold some rows, and which rows of theirs those are."""
        first = int(np.searchsorted(starts, rows.start, side="right")) - 1
        found = []
        for number in range(first, len(self.each)):
            low, high = int(starts[number]), int(starts[number + 1])
            if low >= rows.stop:
                break
            inside = slice(max(rows.start, low) - low, min(rows.stop, high) - low)
            if inside.start < inside.stop:
                found.append((self.each[number], inside))
        return found


def faults_of(pieces: list[Piece]) -> tuple[Fault, ...]:
    """Put the faults of all pieces together: each kind once, with what it counts elsewhere."""
    found: dict[str, list[Fault]] = {}
    for piece in pieces:
        for fault in piece.faults:
            found.setdefault(fault.code, []).append(fault)
    # that nothing was observed is a fault of a whole log, not of some of its samples
    if len(found.get(_NOTHING, [])) < sum(piece.n_samples > 0 for piece in pieces):
        found.pop(_NOTHING, None)
    merged = []
    for code, faults in found.items():
        first = faults[0]
        if code in _NULL:
            merged.append(null_fault(code.removeprefix("null_"), sum(f.count for f in faults)))
            continue
        if len({f.message for f in faults}) == 1:  # said of the log, by every piece
            merged.append(first)
            continue
        more = sum(f.count for f in faults[1:])
        message = first.message + (f" There are {more} more such in other parts." if more else "")
        merged.append(Fault(code, message, first.count + more))
    return tuple(merged)


def log_of(pieces: Pieces, batch: pa.RecordBatch) -> LossLog:
    """Make a log of rows of pieces."""
    plan = pieces.plan
    epochs = plan.epoch_numbers
    matrices: dict[str, Any] = {
        name: _matrix(batch, name, len(epochs), np.int32 if name == _PREDICTED else np.float32)
        for name in ("loss", *plan.channels)
        if f"{name}_0" in batch.schema.names
    }
    codes = matrices.pop(_PREDICTED, None)
    if codes is not None and pieces.classes is not None:
        matrices[_PREDICTED] = Coded(codes, pieces.classes)
    static: dict[str, Any] = {f: batch.column(f) for f in STATIC_FIELDS if f in batch.schema.names}
    return LossLog(
        sample_id=batch.column("sample_id"),
        epochs=epochs,
        metadata=plan.metadata,
        **static,
        **matrices,
    )


def _distinct(held: list[pa.Array]) -> pa.Array:
    """Return the distinct values of several arrays of one type, sorted."""
    distinct = pc.unique(pa.concat_arrays(held))
    return distinct.take(pc.sort_indices(distinct))


def _matrix(batch: pa.RecordBatch, name: str, n_epochs: int, kind: type) -> NDArray[Any]:
    matrix = np.empty((n_epochs, batch.num_rows), kind)
    for number, row in enumerate(matrix):
        row[:] = batch.column(f"{name}_{number}").to_numpy(zero_copy_only=False)
    return matrix.T


def features_of(pieces: Pieces, batch: pa.RecordBatch) -> Features:
    """Compute the features of rows of a piece again: sooner done than read."""
    early_epochs = pieces.plan.early_epochs
    return compute_features(log_of(pieces, batch).loss, early_epochs=early_epochs)


def suggested(pieces: Pieces, batch: pa.RecordBatch, flagged: NDArray[np.bool_]) -> pa.Array | None:
    """Return the label that each flagged sample should have instead, as `suggest_labels` does."""
    if pieces.suggesting is None or pieces.labels is None:
        return None
    if pieces.suggesting == "predicted":
        other = batch.column(_SUGGESTED).cast(pieces.labels.type)
        return pc.if_else(pa.array(flagged), other, pa.scalar(None, other.type))
    codes = codes_of(pieces, batch)
    return pieces.labels.take(pa.array(1 - codes, mask=(codes < 0) | ~flagged))


def codes_in(labels: pa.Array | None, column: pa.Array | None, n: int) -> NDArray[np.int64]:
    """Return the code of each given label among those of the whole log, -1 for none."""
    if labels is None or column is None:
        return np.full(n, -1)
    return places_among(column, labels)


def codes_of(pieces: Pieces, batch: pa.RecordBatch) -> NDArray[np.int64]:
    """Return the code of each given label of a piece among those of the whole log."""
    column = batch.column("label") if "label" in batch.schema.names else None
    return codes_in(pieces.labels, column, batch.num_rows)
