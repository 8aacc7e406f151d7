"""The streaming writer: two lines in a training loop, whatever the framework."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self, final

import pyarrow as pa
import pyarrow.compute as pc

from lossan.arrays import floats, ids_or_labels
from lossan.errors import OptionError, RecorderError, RecordingWarning
from lossan.given import (
    Lookup,
    checked_classes,
    checked_path,
    kept_epochs,
    kept_ids,
    stamped,
    with_column,
)
from lossan.io import EpochFolder, recording_folder, remove_file, remove_unfinished
from lossan.irregular import Irregularities, outside
from lossan.kinds import Kinds, kinds_of
from lossan.losslog import CHANNELS, FLOAT_CHANNELS
from lossan.order import stable_order
from lossan.pending import Column, Pending


@dataclass(frozen=True)
class EpochReport:
    """What `Recorder.end_epoch` wrote.

    Parameters
    ----------
    epoch : int
        Its number: one more than that of the epoch before, 1 for the first.
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
        Any provenance: framework, model, optimiser, learning rate and so on; what JSON holds, and
        arrays, their scalars and paths.
    resume : bool
        Go on with a recording that crashed or was closed; `n_epochs` says how far it came.
    keep_epochs : int, optional
        When resuming, how many of the recorded epochs to keep, from the first on: those a
        checkpoint also has. All where it is not given.
    overwrite : bool
        Replace a log or recording that is already there.

    Raises
    ------
    RecorderError
        When something is already at ``path`` and neither ``resume`` nor ``overwrite`` is given,
        when another process is recording there, or for an argument that cannot be. Nothing that is
        there is lost then.

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
        self.path = checked_path(path)
        given = {"label": labels, "true_label": true_labels, "path": paths, "group": groups}
        keep = kept_epochs(keep_epochs, resume=resume)
        self._static = {f: Lookup(f, m) for f, m in given.items() if m is not None}
        named = checked_classes(classes)
        stated = {"recorded": recorded, "loss_name": loss_name, "classes": named}
        self._metadata = stamped(stated, metadata)
        self._kinds = Kinds()
        self._folder = self._open(resume=resume, keep=keep, overwrite=overwrite)
        for lookup in self._static.values():
            self._learn(lookup.ids)
        self._pending = Pending()
        self._lock = Lock()  # of what is pending, and of the kinds
        self._irregular = Irregularities()
        self._closed = False

    @property
    def n_epochs(self) -> int:
        """How many epochs have ended; after resuming, the epoch (from 0) to go on with."""
        return self._folder.n_epochs

    def check_open(self) -> None:
        """Raise a RecorderError where nothing can be recorded: closed, or in a forked process."""
        self._pending.check_process()
        if self._closed:
            raise RecorderError("the Recorder is closed; make a new one with resume=True.")

    def record(self, ids: Any, losses: Any, *, labels: Any = None, **channels: Any) -> None:
        """Record the losses of some samples at the current epoch.

        Several threads may call it at once; `end_epoch` and `close` are called by one, when the
        others' calls for the epoch have come back.

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
            For shapes or types that cannot be a record, or ids, labels or classes that are
            strings where they were integers before, or the other way round. Nothing of the call is
            kept then.
        """
        self.check_open()
        batch: dict[str, Column] = {
            "sample_id": kept_ids(ids),
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
            with self._lock:
                self._kinds.settle(kinds_of(batch), "in an earlier call of record()")
                self._pending.add(batch, n)

    def end_epoch(self) -> EpochReport:
        """Write what was recorded since the last call to disk, as one epoch.

        A record that another thread brings meanwhile waits, and belongs to the next epoch.

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
        self.check_open()
        with self._lock:
            table, n_repeated = self._recorded()
            ids = table["sample_id"].combine_chunks()
            missed = _others(self._known, ids)
            epoch = self._folder.last_epoch + 1
            report = EpochReport(epoch, len(ids), len(missed), n_repeated)
            self._folder.write(epoch, table)
            self._pending.clear()
        self._learn(ids)
        for message in self._irregular.of(table, missed, n_repeated):
            self._warn(f"epoch {epoch}: {message}")
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
        self.check_open()
        if self._pending.n:
            self._end_open_epoch()
        if self.n_epochs == 0:
            self._warn("nothing was recorded, so no log was written.")
        else:
            if self.n_epochs == 1:
                self._warn("only one epoch was recorded; finding wrong labels needs two or more.")
            self._compact()
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
            try:
                self.close()
            except BaseException:  # nobody is left to try again: let go of it
                self._let_go()
                raise
        else:
            self._let_go()

    def _compact(self) -> None:
        try:
            self._folder.compact(self.path)
        except OptionError as error:  # NPZ cannot hold all that Parquet can
            raise OptionError(
                f"{self.path}: {error} The recording stays as it is: lossan convert "
                f"{self._folder.path} {self.path.with_suffix('.parquet')}"
            ) from error

    def _let_go(self) -> None:
        """Leave the ended epochs as they are, for whoever goes on with them."""
        if self._closed or self._pending.forked:  # the log is whole, or another process's
            return
        self._closed = True
        self._pending.close()
        self._folder.release()
        if self.n_epochs == 0:
            self._folder.remove()
        else:
            print(
                f"lossan: {self.n_epochs} ended epochs are safe in {self._folder.path}; go on "
                "with resume=True, or lossan train --resume.",
                file=sys.stderr,
            )

    def _open(self, *, resume: bool, keep: int | None, overwrite: bool) -> EpochFolder:
        folder = recording_folder(self.path)
        if not (resume or overwrite):
            self._refuse(self.path, folder)
        opened = EpochFolder(folder)
        try:
            if not (resume or overwrite):
                # another process may have recorded meanwhile
                self._refuse(self.path, *([folder] if opened.n_epochs else []))
            self._prepare(opened, resume=resume, keep=keep, overwrite=overwrite)
        except BaseException:
            if opened.n_epochs:
                opened.release()
            else:
                opened.remove()
            raise
        return opened

    def _prepare(
        self, opened: EpochFolder, *, resume: bool, keep: int | None, overwrite: bool
    ) -> None:
        """Check all that is given against what is there, and only then remove any of it."""
        remove_unfinished(self.path)
        if resume:
            opened.reopen(self.path)
            keep = opened.n_epochs if keep is None else keep
            if keep > opened.n_epochs:
                raise RecorderError(
                    f"keep_epochs is {keep}, but {opened.path} holds {opened.n_epochs} epochs."
                )
            for epoch, types in opened.types(keep):
                self._kinds.settle(kinds_of(types), f"in epoch {epoch} of {opened.path}")
        for field, lookup in self._static.items():
            given = kinds_of({"sample_id": lookup.ids, field: lookup.values})
            self._kinds.settle(given, f"in the {field}s given")
        if overwrite:
            opened.clear()
            remove_file(self.path)
        opened.describe(self._metadata)
        if keep is not None:
            opened.keep(keep)
        self._known = opened.sample_ids()

    def _refuse(self, *places: Path) -> None:
        there = [place for place in places if place.exists()]
        if there:
            raise RecorderError(
                f"{there[0]} is already there; pass resume=True to go on with it, or "
                "overwrite=True to replace it."
            )

    def _recorded(self) -> tuple[pa.Table, int]:
        """Return the open epoch, with what is known of its samples, and how many were repeated."""
        if not self._pending.n:
            raise RecorderError(
                f"nothing was recorded since epoch {self._folder.last_epoch} ended; call record() "
                "first."
            )
        table, n_repeated = self._pending.table()
        ids = table["sample_id"].combine_chunks()
        for field, lookup in self._static.items():
            table = with_column(table, field, lookup.values_of(ids))
        return table, n_repeated

    def _learn(self, ids: pa.Array) -> None:
        """Keep the ids ever seen in ascending order, as those given are."""
        if not len(self._known):
            self._known = ids
        elif len(fresh := _others(ids, self._known)):
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

    def _warn(self, message: str) -> None:
        warnings.warn(f"{self.path}: {message}", RecordingWarning, stacklevel=outside())


def _others(ids: pa.Array, than: pa.Array) -> pa.Array:
    """Return the ids that are none of others, which are of one kind with them or empty."""
    if not len(ids) or ids.equals(than):
        return ids[:0]
    return ids.filter(pc.invert(pc.is_in(ids, value_set=than)))
