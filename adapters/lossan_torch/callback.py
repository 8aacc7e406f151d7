"""Tensors to the Recorder, and nothing else; works with any model and training loop."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lossan import LossanError, Recorder
from lossan.given import Naming, kept_ids
from lossan_torch.measuring import ROWS, check_labels, measure

# Records kept on the device between transfers: a transfer makes the device wait for the host.
_HELD = 1 << 16


@final
class TorchRecorder:
    """Record every sample's loss from logits and targets, on whatever device they are.

    What is recorded is the plain, unreduced cross-entropy of the main output in float32,
    whatever objective is trained on: class weights, sample weights, label smoothing, auxiliary
    heads and mixed precision do not change it.

    Parameters
    ----------
    path : str or Path
        The log to write.
    **options
        Those of `lossan.Recorder`: ``recorded``, ``labels``, ``classes``, ``metadata``, ``resume``
        and so on. Without ``labels`` the targets are recorded as the given labels.

    Examples
    --------
    >>> import tempfile
    >>> with TorchRecorder(f"{tempfile.mkdtemp()}/run.parquet", recorded="train") as recorder:
    ...     for epoch in range(2):
    ...         logits, targets = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
    ...         recorder.record(["a", "b"], logits=logits, targets=targets)
    ...         report = recorder.end_epoch()
    >>> report.n_samples
    2
    """

    def __init__(self, path: str | Path, **options: Any) -> None:
        stated = {
            "framework": f"torch {torch.__version__}",
            **(options.pop("metadata", None) or {}),
        }
        self.recorder = Recorder(path, metadata=stated, **options)
        classes = options.get("classes")
        self._n_named = None if classes is None else len(classes)
        self._naming = Naming(classes, options.get("labels"))
        self._held: list[tuple[Any, Tensor, int]] = []
        self._n_held = 0

    @property
    def n_epochs(self) -> int:
        """How many epochs have ended; after resuming, the epoch (from 0) to go on with."""
        return self.recorder.n_epochs

    def record(self, ids: Any, *, logits: Any, targets: Tensor) -> None:
        """Record a batch.

        Parameters
        ----------
        ids : sequence or Tensor
            Shape (n,), integers or strings.
        logits : Tensor
            Shape (n, n_classes), or (n,) or (n, 1) for a single sigmoid output. Of the named tuple
            an Inception in training mode returns, the main output counts.
        targets : Tensor or array_like
            Shape (n,) or (n, 1), class indices; of a single sigmoid output classes or
            probabilities, which are rounded; or (n, n_classes), of which the largest entry counts.
            Rows of several labels, or of none, are refused.

        Raises
        ------
        LossanError
            For ids, shapes or classes that do not fit, of which nothing is kept then. Targets on a
            GPU are looked at later, by the call that fetches them.
        """
        self.recorder.check_open()  # what is held after closing nobody would miss
        kept = _kept(ids)
        values, n_classes = measure(logits, targets)
        if len(kept) != values.shape[1]:
            raise LossanError(f"{len(kept)} ids for {values.shape[1]} rows of logits.")
        if self._n_named not in (None, n_classes):
            raise LossanError(
                f"classes names {self._n_named} classes, but the logits are of {n_classes}."
            )
        if values.device.type == "cpu":
            check_labels(values[-1].numpy(), n_classes)
        self._held.append((kept, values, n_classes))
        self._n_held += values.shape[1]
        if self._n_held >= _HELD:
            self._flush()

    def end_epoch(self) -> Any:
        """Write the epoch to disk; return the core's `EpochReport`."""
        self._flush()
        return self.recorder.end_epoch()

    def close(self) -> None:
        """Turn the recording into the one file asked for."""
        self._flush()
        self.recorder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.recorder.__exit__(kind, error, trace)
            return
        try:
            self.close()
        except BaseException as failed:  # let go of the recording, to go on with or replace
            self.recorder.__exit__(type(failed), failed, failed.__traceback__)
            raise

    def _flush(self) -> None:
        """Bring all held records over in one transfer.

        Of batches that do not fit the first is told; the others are recorded all the same.
        """
        if not self._held:
            return
        held, self._held, self._n_held = self._held, [], 0
        rows = torch.cat([values for _, values, _ in held], dim=1).cpu().numpy()
        stop, first = 0, None
        for ids, values, n_classes in held:
            start, stop = stop, stop + values.shape[1]
            columns = dict(zip(ROWS, rows[:, start:stop], strict=True))
            try:
                if values.device.type != "cpu":  # those on the host were looked at as they came
                    check_labels(columns["label"], n_classes)
                self.recorder.record(ids, **self._naming.fields(columns))
            except LossanError as error:
                first = first or error
        if first is not None:
            raise first


def _kept(ids: Any) -> Any:
    """Return ids in memory of our own; those on a GPU stay there, for the host need not wait."""
    if not isinstance(ids, Tensor) or ids.device.type == "cpu":
        return kept_ids(ids)
    if ids.ndim != 1 or ids.is_floating_point() or ids.dtype is torch.bool:
        raise LossanError(
            f"ids are a tensor of {ids.dtype}, of the shape {tuple(ids.shape)}; needed: integers, "
            "of the shape (n,)."
        )
    return ids.detach().clone()


@final
class WithIds(Dataset[Any]):
    """A map-style dataset whose samples come with their ids: ``(id, *sample)``.

    Parameters
    ----------
    dataset : Dataset
        Any dataset with ``__len__`` and ``__getitem__``.
    ids : sequence, optional
        Shape (n_samples,); the samples' indices if not given.

    Examples
    --------
    >>> WithIds([("image", 1)], ids=["a.png"])[0]
    ('a.png', 'image', 1)
    """

    def __init__(self, dataset: Any, ids: Sequence[Any] | None = None) -> None:
        if ids is not None and len(ids) != len(dataset):
            raise LossanError(f"{len(ids)} ids for a dataset of {len(dataset)} samples.")
        # a table's column is indexed by name, not by place
        if ids is not None and not isinstance(ids, list | tuple | range | np.ndarray | Tensor):
            ids = list(ids)
        self.dataset, self.ids = dataset, ids

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        sample = self.dataset[index]
        own = self._place(index) if self.ids is None else self.ids[index]
        return (own, *(sample if isinstance(sample, tuple | list) else (sample,)))

    def _place(self, index: Any) -> Any:
        """Count from the first sample on, as an id must; a batch's indices may come as a list."""
        from_the_end = isinstance(index, int | np.integer) and index < 0
        return index + len(self) if from_the_end else index


def record_evaluation(
    recorder: TorchRecorder,
    model: torch.nn.Module,
    batches: Iterable[Any],
    *,
    device: torch.device | str | None = None,
    forward: Callable[[Any], Any] | None = None,
) -> None:
    """Record every sample in a separate pass: no dropout, no gradient, batch norm at rest.

    Parameters
    ----------
    recorder : TorchRecorder
        Made with ``recorded="eval"``.
    model : Module
        It and its parts are left in the modes they were in.
    batches : iterable
        Yields ``(ids, inputs, targets)``, for example a DataLoader over `WithIds`.
    device : device, optional
        Where inputs are moved to: a tensor, what has a ``to`` of its own, or mappings and sequences
        of these.
    forward : callable, optional
        From inputs to logits; the model itself if not given.

    Raises
    ------
    LossanError
        For batches of other parts, and what `TorchRecorder.record` refuses.
    """
    modes = [(module, module.training) for module in model.modules()]  # some may be frozen
    model.eval()
    try:
        with torch.no_grad():
            for batch in batches:
                ids, inputs, targets = _parts(batch)
                moved = inputs if device is None else _moved(inputs, device)
                recorder.record(ids, logits=(forward or model)(moved), targets=targets)
    finally:
        for module, training in modes:
            module.training = training


def _parts(batch: Any) -> tuple[Any, Any, Any]:
    if not isinstance(batch, tuple | list) or len(batch) != 3:
        found = f"{len(batch)} parts" if isinstance(batch, tuple | list) else type(batch).__name__
        raise LossanError(
            f"a batch is (ids, inputs, targets), but the data yields {found}; "
            "WithIds(dataset, ids) puts the ids before inputs and targets."
        )
    ids, inputs, targets = batch
    return ids, inputs, targets


def _moved(inputs: Any, device: torch.device | str) -> Any:
    if hasattr(inputs, "to"):
        return inputs.to(device)
    if isinstance(inputs, Mapping):
        return {name: _moved(part, device) for name, part in inputs.items()}
    if isinstance(inputs, tuple | list):
        make = getattr(inputs, "_make", type(inputs))  # a named tuple takes its parts one by one
        return make([_moved(part, device) for part in inputs])
    return inputs


def shard_path(path: str | Path) -> Path:
    """Return the path of this process's shard in distributed training, else the path itself.

    Each rank records to its own shard; afterwards ``lossan merge SHARD ... -o LOG --duplicates
    last`` makes one log of them, without the samples a sampler repeated as padding.
    """
    path = Path(path)
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return path
    return path.with_name(f"{path.stem}-rank{torch.distributed.get_rank()}{path.suffix}")
