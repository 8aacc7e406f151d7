"""Every channel of a log from logits and labels, in plain numpy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def measure(logits: Any, labels: Any) -> dict[str, NDArray[Any]]:
    """Compute what is recorded of a batch.

    Parameters
    ----------
    logits : array_like
        Shape (n, n_classes), before softmax.
    labels : array_like of int
        Shape (n,), class indices.

    Returns
    -------
    dict
        ``losses`` in nats, ``label_prob``, ``margin``, ``predicted_prob`` and the class index
        ``predicted``, of shape (n,) each.
    """
    scores = np.asarray(logits, np.float32).astype(np.float64)
    rows, given = np.arange(len(scores)), np.asarray(labels, np.int64)
    top = scores.max(axis=1, keepdims=True)
    log_probs = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    others = scores.copy()
    others[rows, given] = -np.inf
    predicted = scores.argmax(axis=1)
    return {
        "losses": -log_probs[rows, given],
        "label_prob": np.exp(log_probs[rows, given]),
        "margin": scores[rows, given] - others.max(axis=1),
        "predicted": predicted,
        "predicted_prob": np.exp(log_probs[rows, predicted]),
    }
