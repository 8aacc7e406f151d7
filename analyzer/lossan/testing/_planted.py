"""Loss logs with known wrong labels, made by a small model of training."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.build import build_log
from lossan.corrupt import corrupt_labels
from lossan.losslog import LossLog


def planted_log(
    *,
    n_samples: int = 600,
    n_epochs: int = 8,
    n_classes: int = 2,
    rate: float = 0.06,
    gaps: float = 0.0,
    string_ids: bool = False,
    channels: bool = False,
    seed: int = 0,
) -> LossLog:
    """Make a loss log whose wrong labels are known.

    A logit for the true class grows over the epochs, faster for easy samples than for hard ones,
    and one for the given class grows late and slowly, as a network learns a wrong label by heart.
    Dropout and augmentation are noise on both. So right labels decay and wrong ones rise, then stay
    high or fall late; hard samples with right labels and easily memorised ones with wrong labels
    make the two overlap.

    Parameters
    ----------
    n_samples, n_epochs, n_classes : int
        Size of the log; classes are equally frequent.
    rate : float
        Share of each class whose label is wrong.
    gaps : float
        Share of the observations that are missing, anywhere.
    string_ids : bool
        Whether ids are strings rather than integers.
    channels : bool
        Whether ``label_prob``, ``margin``, ``predicted`` and ``predicted_prob`` are there too,
        computed from the same logits as the loss.
    seed : int
        Everything random follows from it.

    Returns
    -------
    LossLog
        With ``label`` and ``true_label``.

    Examples
    --------
    >>> planted_log(n_samples=100, n_epochs=5)
    LossLog(100 samples x 5 epochs, label, true_label)
    """
    rng = np.random.default_rng(seed)
    true = rng.permutation(np.arange(n_samples) % n_classes)
    label = corrupt_labels(pa.array(true), rate=rate, seed=seed)
    given = label.to_numpy()
    logits = _logits(rng, true, given, n_epochs, n_classes)
    largest = logits.max(axis=2, keepdims=True)
    log_prob = logits - largest - np.log(np.exp(logits - largest).sum(axis=2, keepdims=True))
    own = np.take_along_axis(log_prob, given[:, None, None], axis=2)[:, :, 0]
    gone = rng.random((n_samples, n_epochs)) < gaps
    fields = _channels(log_prob, own, given, gone) if channels else {}
    numbers = np.arange(n_samples)
    return build_log(
        np.where(gone, np.nan, -own),
        sample_id=[f"sample-{i:07d}" for i in numbers] if string_ids else numbers,
        label=label,
        true_label=true,
        metadata={"recorded": "train", "loss_name": "cross-entropy", "seed": seed},
        **fields,
    )


def _logits(
    rng: np.random.Generator,
    true: NDArray[np.int64],
    given: NDArray[np.int64],
    n_epochs: int,
    n_classes: int,
) -> NDArray[np.float64]:
    """Return logits of shape (n_samples, n_epochs, n_classes)."""
    n_samples = len(true)
    time = np.arange(1, n_epochs + 1) / n_epochs
    easy = np.clip(rng.normal(1.0, 0.6, n_samples), -0.5, None)  # below 0: looks like another
    memorised = rng.gamma(2.0, 0.3, n_samples)
    learnt = 3.5 * (1 - np.exp(-4.0 * time))
    logits = rng.normal(0.0, 0.7, (n_samples, n_epochs, n_classes))
    rows = np.arange(n_samples)
    logits[rows, :, true] += easy[:, None] * learnt
    logits[rows, :, given] += memorised[:, None] * 3.0 * time**2
    return logits


def _channels(
    log_prob: NDArray[np.float64],
    own: NDArray[np.float64],
    given: NDArray[np.int64],
    gone: NDArray[np.bool_],
) -> dict[str, Any]:
    """Compute the optional fields, shape (n_samples, n_epochs), missing where the loss is."""
    others = log_prob.copy()
    others[np.arange(len(given)), :, given] = -np.inf
    predicted = log_prob.argmax(axis=2).astype(object)
    predicted[gone] = None
    floats = {
        "label_prob": np.exp(own),
        "margin": own - others.max(axis=2),
        "predicted_prob": np.exp(log_prob.max(axis=2)),
    }
    return {name: np.where(gone, np.nan, v) for name, v in floats.items()} | {
        "predicted": predicted
    }
