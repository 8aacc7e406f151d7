"""From logits and targets to every channel of a log, on the device they are on."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lossan import LossanError

# What is computed for every record, the rows of one tensor.
ROWS = ("loss", "label_prob", "margin", "predicted_prob", "predicted", "label")

_SEVERAL = -np.inf  # stands for the label of a row that has several, or none
_ONE = 0.01  # how far from 1 the sum of a one-hot row may be, mixed or smoothed, in half precision


@torch.no_grad()
def measure(logits: Any, targets: Any) -> tuple[Tensor, int]:
    """Compute every channel of a batch in one vectorised step, on the device of the logits.

    Parameters
    ----------
    logits : Tensor
        As of `TorchRecorder.record`.
    targets : Tensor or array_like
        As of `TorchRecorder.record`. Which values they hold is not checked here, for on a GPU that
        would make the host wait: where they are no classes the last row holds them as they are
        (`check_labels`), and the others mean nothing.

    Returns
    -------
    rows : Tensor
        Shape (6, n), float32, the rows `ROWS`: loss in nats, probability of the given label, margin
        in logits, probability of the predicted class, predicted class, given label.
    n_classes : int

    Raises
    ------
    LossanError
        For shapes that do not fit.
    """
    scores = main_output(logits).detach().float()
    targets = torch.as_tensor(targets).detach().to(scores.device)
    single = scores.ndim == 1 or scores.shape[1] == 1
    if single:
        score = scores.reshape(-1)
        scores = torch.stack([torch.zeros_like(score), score], dim=1)
    given = _given(targets, scores, single=single)
    # what is no class is told later, and must not fail here
    labels = given.nan_to_num(0.0).clamp(0, scores.shape[1] - 1).long()[:, None]
    log_probs = torch.log_softmax(scores, dim=1)
    own = log_probs.gather(1, labels)[:, 0]
    others = scores.scatter(1, labels, -torch.inf).amax(dim=1)
    best, predicted = log_probs.max(dim=1)
    margin = scores.gather(1, labels)[:, 0] - others
    # class indices are exact in float32 up to 2^24 classes, and so need no transfer of their own
    rows = (-own, own.exp(), margin, best.exp(), predicted.float(), given)
    return torch.stack(rows), scores.shape[1]


def _largest(targets: Tensor) -> Tensor:
    """Return the class of each row's largest entry, `_SEVERAL` for rows of several labels or none.

    Mixed samples may be halves of two classes, but together they are one.
    """
    tied = (targets == targets.amax(dim=1, keepdim=True)).sum(dim=1) > 1
    several = tied & ((targets.sum(dim=1) - 1).abs() > _ONE)
    return targets.argmax(dim=1).float().masked_fill(several, _SEVERAL)


def check_labels(labels: NDArray[np.float32], n_classes: int) -> None:
    """Raise a LossanError for the first given label that is no class.

    Parameters
    ----------
    labels : ndarray
        Shape (n,): the last row that `measure` returns.
    n_classes : int
    """
    right = (labels >= 0) & (labels < n_classes) & (labels == labels.round())
    if right.all():
        return
    place = int(np.flatnonzero(~right)[0])
    if labels[place] == _SEVERAL:
        raise LossanError(
            f"target {place} of a batch is a row of several labels or of none, which no entry is "
            "the largest of; needed: the label of one class. Of a multi-label classifier record "
            "each output by itself, logits[:, k] with targets[:, k]. Nothing of the batch is "
            "recorded."
        )
    raise LossanError(
        f"target {place} of a batch is {float(labels[place]):g}; allowed: class indices from 0 to "
        f"{n_classes - 1}, for a single sigmoid output probabilities from 0 to 1, or one-hot rows. "
        "Leave out samples without a label. Nothing of the batch is recorded."
    )


def main_output(logits: Any) -> Tensor:
    """Return the logits that count of what a network returns.

    Raises
    ------
    LossanError
        When there are none, or they are of another shape than a classifier's.
    """
    found = logits
    if not isinstance(logits, Tensor):
        # Inception's and GoogLeNet's outputs, transformers'
        found = getattr(logits, "logits", None)
    if not isinstance(found, Tensor) and isinstance(logits, tuple) and logits:
        found = logits[0]
    if not isinstance(found, Tensor):
        raise LossanError(f"logits are a {type(logits).__name__}; needed is a tensor.")
    if found.ndim not in (1, 2) or (found.ndim == 2 and not found.shape[1]):
        raise LossanError(f"logits have the shape {tuple(found.shape)}; needed: (n, n_classes).")
    return found


def _given(targets: Tensor, scores: Tensor, *, single: bool) -> Tensor:
    """Bring sparse, one-hot or binary targets to class indices of shape (n,), as floats.

    A column is of class indices, or of a single output's probabilities: those are rounded, as
    smoothed labels need.
    """
    n, n_classes = scores.shape
    if tuple(targets.shape) == (n, n_classes):
        return _largest(targets.float())
    if tuple(targets.shape) not in ((n,), (n, 1)):
        raise LossanError(
            f"logits of {n} samples and {n_classes} classes need targets of shape ({n},), class "
            f"indices, or ({n}, {n_classes}), not {tuple(targets.shape)}."
        )
    given = targets.reshape(-1).float()
    within = (given >= 0) & (given <= 1)
    return torch.where(within, (given > 0.5).float(), given) if single else given
