"""The loss log in memory: one frozen object, whatever file it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan._version import __version__
from lossan.errors import Fault
from lossan.fingerprint import fingerprint

FORMAT_VERSION = "1"
STATIC_FIELDS = ("label", "true_label", "path", "group")
"""Fields with one value a sample."""
FLOAT_CHANNELS = ("label_prob", "margin", "predicted_prob")
"""Optional fields with one number a sample and epoch."""
CHANNELS = (*FLOAT_CHANNELS, "predicted")
PROBABILITIES = ("label_prob", "predicted_prob")
_OTHER_FORMATS = (".csv", ".tsv", ".json", ".jsonl", ".xlsx", ".npy")

Floats = NDArray[np.float32]
"""An array of shape (n_samples, n_epochs), epoch-major in memory."""


@dataclass(frozen=True, eq=False)
class Coded:
    """Classes stored as numbers: ``values[codes]``, with -1 for not observed.

    Parameters
    ----------
    codes : ndarray of int32
    values : pyarrow.Array
    """

    codes: NDArray[np.int32]
    values: pa.Array


@dataclass(frozen=True, eq=False)
class LossLog:
    """The loss of each sample at each epoch, with what is known about the samples.

    Build one with `lossan.read_log` or `lossan.build_log`, which check it and put it in
    canonical order: samples ascending by id, epochs ascending.

    Parameters
    ----------
    sample_id : pyarrow.Array
        Unique ids, int64 or string, of shape (n_samples,), ascending.
    loss : ndarray of float32
        Shape (n_samples, n_epochs), in nats for cross-entropy; NaN = not observed. Epoch-major
        in memory: ``loss.T`` is C-contiguous.
    label, true_label, path, group : pyarrow.Array, optional
        Shape (n_samples,). The given label; the known truth, which no detector reads; the image;
        what belongs together, such as a patient.
    label_prob, margin, predicted_prob : ndarray of float32, optional
        Shape (n_samples, n_epochs).
    predicted : Coded, optional
        The most probable class, its codes of shape (n_samples, n_epochs).
    epochs : ndarray of int64
        The epochs' own numbers, shape (n_epochs,).
    metadata : mapping
        What the producer stated about the run.
    """

    sample_id: pa.Array
    loss: Floats
    label: pa.Array | None = None
    true_label: pa.Array | None = None
    path: pa.Array | None = None
    group: pa.Array | None = None
    label_prob: Floats | None = None
    margin: Floats | None = None
    predicted_prob: Floats | None = None
    predicted: Coded | None = None
    epochs: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_samples(self) -> int:
        """How many samples the log holds."""
        return int(self.loss.shape[0])

    @property
    def n_epochs(self) -> int:
        """How many epochs the log holds."""
        return int(self.loss.shape[1])

    @property
    def recorded(self) -> str | None:
        """``"train"``, ``"eval"``, or None where the log does not say."""
        value = self.metadata.get("recorded")
        return value if isinstance(value, str) else None

    @property
    def channels(self) -> tuple[str, ...]:
        """The optional fields this log has, in the order of the format."""
        return tuple(f for f in (*STATIC_FIELDS, *CHANNELS) if getattr(self, f) is not None)

    @cached_property
    def n_observed(self) -> NDArray[np.int32]:
        """Shape (n_samples,): at how many epochs each sample was observed."""
        count = np.zeros(self.n_samples, np.int32)
        for epoch in self.loss.T:
            count += ~np.isnan(epoch)
        return count

    @cached_property
    def coded_label(self) -> Coded | None:
        """The given labels as codes of shape (n_samples,) into their sorted distinct values."""
        return None if self.label is None else encode(self.label)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over ids, given labels and losses; the same for every physical form."""
        return fingerprint(self.sample_id, self.label, self.loss.T)

    def without_truth(self) -> "LossLog":
        """Return the same log as a detector may see it."""
        return self if self.true_label is None else replace(self, true_label=None)

    def select(self, rows: NDArray[np.integer[Any]]) -> "LossLog":
        """Return the log of some of its samples, given by ascending row numbers."""
        taken = pa.array(rows)
        columns: dict[str, Any] = {
            f: v.take(taken) for f in STATIC_FIELDS if (v := getattr(self, f)) is not None
        }
        matrices: dict[str, Any] = {
            f: np.ascontiguousarray(v.T[:, rows]).T
            for f in ("loss", *FLOAT_CHANNELS)
            if (v := getattr(self, f)) is not None
        }
        predicted = self.predicted and Coded(self.predicted.codes[rows], self.predicted.values)
        return replace(
            self,
            sample_id=self.sample_id.take(taken),
            predicted=predicted,
            **columns,
            **matrices,
        )

    def __repr__(self) -> str:
        extra = f", {', '.join(self.channels)}" if self.channels else ""
        return f"LossLog({self.n_samples} samples x {self.n_epochs} epochs{extra})"


def encode(values: pa.Array) -> Coded:
    """Turn a column into codes into its sorted distinct values; null becomes -1.

    Examples
    --------
    >>> coded = encode(pa.array(["b", None, "a"]))
    >>> coded.codes.tolist(), coded.values.to_pylist()
    ([1, -1, 0], ['a', 'b'])
    """
    distinct = pc.unique(values).drop_null()
    distinct = distinct.take(pc.sort_indices(distinct))
    codes = pc.fill_null(pc.index_in(values, value_set=distinct), -1)
    return Coded(codes.to_numpy(zero_copy_only=False).astype(np.int32, copy=False), distinct)


def places_among(values: pa.Array, among: pa.Array) -> NDArray[np.int64]:
    """Return the place of each value among others of its type, -1 where it is none of them."""
    place = pc.fill_null(pc.index_in(values, value_set=among), -1)
    return place.to_numpy(zero_copy_only=False).astype(np.int64)


def stamp(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Add what every log written by lossan states about itself."""
    stamped = {
        "format_version": FORMAT_VERSION,
        "producer": f"lossan {__version__}",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return stamped | {k: v for k, v in metadata.items() if v is not None}


def misnamed(path: Path) -> str | None:
    """Say that a log to write is named as what it would not be; None where it is not."""
    if path.suffix.lower() not in _OTHER_FORMATS:
        return None
    return (
        f"{path} is named as a {path.suffix} file, but a loss log is Parquet or NPZ. Name it "
        "*.parquet or *.npz."
    )


def check_metadata(metadata: Mapping[str, Any]) -> list[Fault]:
    """List what contradicts the format in a log's metadata."""
    faults = []
    version = metadata.get("format_version", FORMAT_VERSION)
    if str(version) != FORMAT_VERSION:
        message = (
            f"its metadata says format_version {version!r}; this lossan reads "
            f"{FORMAT_VERSION!r}. Install the lossan that wrote it, or a newer one."
        )
        faults.append(Fault("format_version", message))
    recorded = metadata.get("recorded")
    if recorded not in (None, "train", "eval"):
        message = f"its metadata says recorded {recorded!r}; allowed: 'train', 'eval'."
        faults.append(Fault("recorded", message))
    return faults
