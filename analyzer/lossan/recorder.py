"""The streaming writer: two lines in a training loop, whatever the framework."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lossan.arrays import floats, ids_or_labels, names
from lossan.errors import RecorderError, RecordingWarning
from lossan.io import EpochFolder, recording_folder, remove_file, remove_unfinished
from lossan.losslog import CHANNELS, FLOAT_CHANNELS, stamp
from lossan.order import stable_order
from lossan.pending import Column, Pending


@dataclass(frozen=True)
class EpochReport:
    """What `Recorder.end_epoch` wrote.

    Parameters
    ----------
    epoch : int
        Its number, from 1 on.
    n_samples : int
        How many samples it holds.
    n_missed : int
        Samples known from the labels or earlier epochs that were not recorded in this one.
    n_repeated : int
        Records dropped because the same sample was recorded again; the last one counts.
    """

    epoch: int
    n_samples: int
    n_missed: int
    n_repeated: int


@final
class Recorder:
    """Record each sample's loss at each epoch, in any order and any number of calls.

    Every ended epoch is an atomic file, flushed to disk, in the folder ``PATH.recording``, which
    is a loss log itself; `close` turns it into the one file asked for. A crash loses at most the
    epoch it happened in.

    `record` keeps copies and comes back; a thread makes tables of them meanwhile. `end_epoch` comes
    back when the epoch is on disk. Memory holds one epoch: repeated records are dropped as they
    become many.

    Parameters
    ----------
    path : str or Path
        The log to write, ``*.parquet`` or ``*.npz``.
    recorded : {"train", "eval"}, optional
        Whether losses are taken in the training pass or in a separate one after the epoch.
    labels, true_labels, paths, groups : mapping, optional
        From sample id to the given label, the known truth, the image, what belongs together.
    classes : sequence, optional
        Names of the classes in index order.
    loss_name : str
        Which loss it is.
    metadata : mapping, optional
        Any provenance: framework, model, optimiser, learning rate and so on.
    resume : bool
        Go on with a recording that crashed or was closed; `n_epochs` says how far it came.
    keep_epochs : int, optional
        When resuming, how many of the recorded epochs to keep: those a checkpoint also has.
    overwrite : bool
        Replace a log or recording that is already there.

    Raises
    ------
    RecorderError
        When something is already at ``path`` and neither ``resume`` nor ``overwrite`` is given, or
        when another process is recording there.

    Examples
    --------
    >>> import tempfile, lossan
    >>> folder = tempfile.mkdtemp()
    >>> with lossan.Recorder(f"{folder}/run.parquet", recorded="train") as recorder:
    ...     for epoch in range(2):
    ...         recorder.record(["a", "b"], [0.7 / (epoch + 1), 0.9])
    ...         report = recorder.end_epoch()
    >>> lossan.read_log(f"{folder}/run.parquet")
    LossLog(2 samples x 2 epochs)
    """

    def __init__(
        self,
        path: str | Path,
        *,
        recorded: str | None = None,
        labels: Mapping[Any, Any] | None = None,
        true_labels: Mapping[Any, Any] | None = None,
        paths: Mapping[Any, Any] | None = None,
        groups: Mapping[Any, Any] | None = None,
        classes: Sequence[Any] | None = None,
        loss_name: str = "cross_entropy",
        metadata: Mapping[str, Any] | None = None,
        resume: bool = False,
        keep_epochs: int | None = None,
        overwrite: bool = False,
    ) -> None:
        if recorded not in (None, "train", "eval"):
            raise RecorderError(f"recorded is {recorded!r}; allowed: 'train', 'eval'.")
        if resume and overwrite:
            raise RecorderError("resume keeps what is there, overwrite removes it; give one.")
        self.path = Path(path)
        given = {"label": labels, "true_label": true_labels, "path": paths, "group": groups}
        self._static = {f: _Lookup(f, m) for f, m in given.items() if m is not None}
        named = None if classes is None else list(classes)
        stated = {"recorded": recorded, "loss_name": loss_name, "classes": named}
        self._metadata = stamp({**stated, **(metadata or {})})
        self._folder = self._open(resume=resume, keep_epochs=keep_epochs, overwrite=overwrite)
        self._known = self._folder.sample_ids()
        for lookup in self._static.values():
            self._learn(lookup.ids)
        self._pending = Pending()
        self._told: set[str] = set()
        self._closed = False

    @property
    def n_epochs(self) -> int:
        """How many epochs have ended; after resuming, the epoch (from 0) to go on with."""
        return self._folder.last_epoch

    def record(self, ids: Any, losses: Any, *, labels: Any = None, **channels: Any) -> None:
        """Record the losses of some samples at the current epoch.

        Parameters
        ----------
        ids : array_like
            Shape (n,), integers or strings.
        losses : array_like
            Shape (n,), unreduced; numpy, torch, tensorflow, jax or lists.
        labels : array_like, optional
            Shape (n,): the given labels, where they were not given to the Recorder.
        **channels
            ``label_prob``, ``margin``, ``predicted``, ``predicted_prob``, of shape (n,) each.

        Raises
        ------
        RecorderError
            For shapes or types that cannot be a record. Nothing of the call is kept then.
        """
        if self._closed:
            raise RecorderError("the Recorder is closed; make a new one with resume=True.")
        batch: dict[str, Column] = {
            "sample_id": self._ids(ids),
            "loss": floats("losses", losses),
        }
        if labels is not None:
            batch["label"] = ids_or_labels("labels", labels)
        for name, values in channels.items():
            if name not in CHANNELS:
                raise RecorderError(f"no channel {name!r}; allowed: {', '.join(CHANNELS)}.")
            if values is not None:
                kind = floats if name in FLOAT_CHANNELS else ids_or_labels
                batch[name] = kind(name, values)
        n = len(batch["sample_id"])
        for name, column in batch.items():
            if len(column) != n:
                raise RecorderError(
                    f"{n} ids but {len(column)} values of {name}: each needs one value a sample."
                )
        if n:
            self._pending.add(batch, n)

    def end_epoch(self) -> EpochReport:
        """Write what was recorded since the last call to disk, as one epoch.

        Returns
        -------
        EpochReport

        Raises
        ------
        RecorderError
            When nothing was recorded.
        OutputError
            When it cannot be written; what was recorded is kept for another try.
        """
        if not self._pending.n:
            raise RecorderError(
                f"nothing was recorded since epoch {self.n_epochs} ended; call record() first."
            )
        table, n_repeated = self._pending.table()
        ids = table["sample_id"].combine_chunks()
        for field, lookup in self._static.items():
            table = _with_column(table, field, lookup.values_of(ids))
        known = self._known
        missed = known[:0] if ids.equals(known) else known.filter(_not_in(known, ids))
        report = EpochReport(self.n_epochs + 1, len(ids), len(missed), n_repeated)
        self._folder.write(report.epoch, table)
        self._pending.clear()
        self._learn(ids)
        self._tell(report, missed, table)
        return report

    def close(self) -> None:
        """Turn the recording into the one file asked for; calling it again does nothing.

        Raises
        ------
        OutputError
            When it cannot be written; the recording stays as it is.
        """
        if self._closed:
            return
        if self._pending.n:
            self._end_open_epoch()
        if self.n_epochs == 0:
            self._warn("nothing was recorded, so no log was written.")
        else:
            if self.n_epochs == 1:
                self._warn("only one epoch was recorded; finding wrong labels needs two or more.")
            self._folder.compact(self.path)
        self._folder.remove()
        self._pending.close()
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
            return
        self._closed = True
        self._pending.close()
        self._folder.release()
        if self.n_epochs == 0:
            self._folder.remove()
        else:
            print(
                f"lossan: {self.n_epochs} ended epochs are safe in {self._folder.path}; go on "
                "with Recorder(..., resume=True).",
                file=sys.stderr,
            )

    def _open(self, *, resume: bool, keep_epochs: int | None, overwrite: bool) -> EpochFolder:
        folder = recording_folder(self.path)
        if not (resume or overwrite):
            self._refuse(self.path, folder)
        opened = EpochFolder(folder)
        try:
            if not (resume or overwrite):
                # another process may have recorded meanwhile
                self._refuse(self.path, *([folder] if opened.last_epoch else []))
            self._prepare(opened, resume=resume, keep_epochs=keep_epochs, overwrite=overwrite)
        except BaseException:
            if opened.last_epoch:
                opened.release()
            else:
                opened.remove()
            raise
        return opened

    def _prepare(
        self, opened: EpochFolder, *, resume: bool, keep_epochs: int | None, overwrite: bool
    ) -> None:
        remove_unfinished(self.path)
        if overwrite:
            opened.discard_after(0)
            remove_file(self.path)
        elif resume:
            opened.reopen(self.path)
            keep = opened.last_epoch if keep_epochs is None else keep_epochs
            if keep > opened.last_epoch:
                raise RecorderError(
                    f"keep_epochs is {keep}, but {opened.path} holds {opened.last_epoch} epochs."
                )
            opened.discard_after(keep)
        opened.describe(self._metadata)

    def _refuse(self, *places: Path) -> None:
        there = [place for place in places if place.exists()]
        if there:
            raise RecorderError(
                f"{there[0]} is already there; pass resume=True to go on with it, or "
                "overwrite=True to replace it."
            )

    def _ids(self, ids: Any) -> Column:
        column = ids_or_labels("ids", ids)
        if isinstance(column, np.ndarray):
            kind = pa.int64()
        else:
            kind = column.type
            if column.null_count:
                raise RecorderError(f"{column.null_count} ids are null; every sample needs one.")
        settled = len(self._known) or self._pending.n
        if settled and len(column) and kind != self._known.type:
            raise RecorderError(
                f"ids are {_kind(kind)}, but before, or in the labels, they were "
                f"{_kind(self._known.type)}. Use one kind."
            )
        if not settled and len(column):
            self._known = pa.array([], kind)
        return column

    def _learn(self, ids: pa.Array) -> None:
        """Keep the ids ever seen in ascending order, as those given are."""
        if not len(self._known):
            self._known = ids
        elif not ids.equals(self._known):
            fresh = ids.filter(_not_in(ids, self._known))
            if len(fresh):
                known = pa.concat_arrays([self._known, fresh])
                self._known = known.take(pa.array(stable_order(known)))

    def _end_open_epoch(self) -> None:
        n = self._pending.n
        distinct = len(self._pending.table()[0])
        if self.n_epochs == 0 and distinct < n:
            raise RecorderError(
                f"end_epoch() was never called: {n} records of {distinct} samples cannot be told "
                "apart by epoch. Call end_epoch() after each epoch."
            )
        self._warn("the last epoch was not ended by end_epoch(); closing ended it.")
        self.end_epoch()

    def _tell(self, report: EpochReport, missed: pa.Array, table: pa.Table) -> None:
        """Warn of each kind of irregularity at the first epoch it shows in."""
        infinite = int(pc.sum(pc.is_inf(table["loss"])).as_py() or 0)
        label = table["label"] if "label" in table.column_names else None
        messages = {
            "missed": report.n_missed
            and f"{report.n_missed} known samples were not recorded, first "
            f"{missed[0].as_py()!r}; they count as not observed.",
            "repeated": report.n_repeated
            and f"{report.n_repeated} records repeat a sample; the last of each counts.",
            "infinite": infinite
            and f"{infinite} losses are infinite; analysing needs --invalid mask.",
            "unlabelled": label is not None
            and label.null_count
            and f"{label.null_count} samples have no label; are the ids those of the labels?",
        }
        for kind, message in messages.items():
            if message and kind not in self._told:
                self._told.add(kind)
                self._warn(f"epoch {report.epoch}: {message} (Told once.)")

    def _warn(self, message: str) -> None:
        warnings.warn(f"{self.path}: {message}", RecordingWarning, stacklevel=4)


@final
class _Lookup:
    """A mapping from sample id to a value, as two Arrow arrays in ascending order of the ids."""

    def __init__(self, field: str, mapping: Mapping[Any, Any]) -> None:
        ids = names(f"the ids of {field}s", list(mapping.keys()))
        values = names(f"{field}s", list(mapping.values()))
        order = pa.array(stable_order(ids))
        self.ids, self._values = ids.take(order), values.take(order)

    def values_of(self, ids: pa.Array) -> pa.Array:
        if ids.equals(self.ids):  # as in most epochs
            return self._values
        if not len(self.ids) or ids.type != self.ids.type:
            return pa.nulls(len(ids), self._values.type)
        return self._values.take(pc.index_in(ids, value_set=self.ids))


def _kind(kind: pa.DataType) -> str:
    return "integers" if pa.types.is_integer(kind) else "strings"


def _not_in(ids: pa.Array, others: pa.Array) -> pa.Array:
    return pc.invert(pc.is_in(ids, value_set=others))


def _with_column(table: pa.Table, field: str, values: pa.Array) -> pa.Table:
    """Add a column; where records brought values of their own those count."""
    if field not in table.column_names:
        return table.append_column(field, values)
    own = table[field].combine_chunks()
    merged = pc.coalesce(own, values) if own.type == values.type else own
    return table.set_column(table.column_names.index(field), field, merged)
