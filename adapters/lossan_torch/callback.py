"""Tensors to the Recorder, and nothing else; works with any model and training loop."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lossan import LossanError, Recorder

# Records kept on the device between transfers: a transfer makes the device wait for the host.
_HELD = 1 << 16
# What is computed for every record, the rows of one tensor.
_ROWS = ("loss", "label_prob", "margin", "predicted_prob", "predicted", "label")


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
        self._with_labels = options.get("labels") is None
        self._classes: Sequence[Any] | None = options.get("classes")
        self.recorder = Recorder(path, metadata=stated, **options)
        self._held: list[tuple[Any, Tensor]] = []
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
        targets : Tensor
            Shape (n,), class indices; or (n, n_classes), of which the largest entry counts.

        Raises
        ------
        LossanError
            For shapes that do not fit.
        """
        values = measure(logits, targets)
        if len(ids) != values.shape[1]:
            raise LossanError(f"{len(ids)} ids for {values.shape[1]} rows of logits.")
        self._held.append((ids, values))
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
        if kind is None:
            self._flush()
        self.recorder.__exit__(kind, error, trace)

    def _flush(self) -> None:
        """Bring all held records over in one transfer."""
        if not self._held:
            return
        held, self._held, self._n_held = self._held, [], 0
        rows = torch.cat([values for _, values in held], dim=1).cpu().numpy()
        stop = 0
        for ids, values in held:
            start, stop = stop, stop + values.shape[1]
            columns = dict(zip(_ROWS, rows[:, start:stop], strict=True))
            label = self._named(columns.pop("label"))
            self.recorder.record(
                ids,
                columns.pop("loss"),
                labels=label if self._with_labels else None,
                predicted=self._named(columns.pop("predicted")),
                **columns,
            )

    def _named(self, codes: Any) -> Any:
        indices = codes.astype("int64")
        if self._classes is None:
            return indices
        return [self._classes[i] for i in indices.tolist()]


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
        self.dataset, self.ids = dataset, ids

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        sample = self.dataset[index]
        own = index if self.ids is None else self.ids[index]
        return (own, *(sample if isinstance(sample, tuple | list) else (sample,)))


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
        Left in the mode it was in.
    batches : iterable
        Yields ``(ids, inputs, targets)``, for example a DataLoader over `WithIds`.
    device : device, optional
        Where inputs are moved to.
    forward : callable, optional
        From inputs to logits; the model itself if not given.
    """
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for ids, inputs, targets in batches:
                moved = inputs if device is None else inputs.to(device)
                recorder.record(ids, logits=(forward or model)(moved), targets=targets)
    finally:
        model.train(training)


def shard_path(path: str | Path) -> Path:
    """Return the path of this process's shard in distributed training, else the path itself.

    Each rank records to its own shard; afterwards ``lossan merge SHARD ... -o LOG --duplicates
    last`` makes one log of them, without the samples a sampler repeated as padding.
    """
    path = Path(path)
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return path
    return path.with_name(f"{path.stem}-rank{torch.distributed.get_rank()}{path.suffix}")


@torch.no_grad()
def measure(logits: Any, targets: Tensor) -> Tensor:
    """Compute every channel of a batch in one vectorised step, on the device of the logits.

    Returns
    -------
    Tensor
        Shape (6, n), float32: loss in nats, probability of the given label, margin in logits,
        probability of the predicted class, predicted class, given label.
    """
    scores = main_output(logits).detach().float()
    targets = targets.detach().to(scores.device)
    if scores.ndim == 1 or scores.shape[1] == 1:
        score = scores.reshape(-1)
        scores = torch.stack([torch.zeros_like(score), score], dim=1)
        targets = targets.reshape(-1)
    if targets.ndim == 2:
        targets = targets.argmax(dim=1)
    if targets.shape != scores.shape[:1]:
        raise LossanError(
            f"logits of shape {tuple(scores.shape)} need targets of shape ({scores.shape[0]},), "
            f"not {tuple(targets.shape)}."
        )
    labels = targets.long()[:, None]
    log_probs = torch.log_softmax(scores, dim=1)
    own = log_probs.gather(1, labels)[:, 0]
    others = scores.scatter(1, labels, -torch.inf).amax(dim=1)
    best, predicted = log_probs.max(dim=1)
    margin = scores.gather(1, labels)[:, 0] - others
    # class indices are exact in float32 up to 2^24 classes, and so need no transfer of their own
    rows = (-own, own.exp(), margin, best.exp(), predicted.float(), targets.float())
    return torch.stack(rows)


def main_output(logits: Any) -> Tensor:
    """Return the logits that count of what a network returns.

    Raises
    ------
    LossanError
        When there are none.
    """
    if isinstance(logits, Tensor):
        if logits.ndim not in (1, 2):
            raise LossanError(
                f"logits have the shape {tuple(logits.shape)}; needed: (n, n_classes)."
            )
        return logits
    main = getattr(logits, "logits", None)  # Inception's and GoogLeNet's outputs, transformers'
    if isinstance(main, Tensor):
        return main
    if isinstance(logits, tuple) and logits and isinstance(logits[0], Tensor):
        return logits[0]
    raise LossanError(f"logits are a {type(logits).__name__}; needed is a tensor.")
