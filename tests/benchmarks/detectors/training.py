"""Small networks and the one training loop: logs, folds and threshold runs all go through it."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from tasks import Task
from torch import Tensor, nn

OnBatch = Callable[[NDArray[np.int64], Tensor], None]
OnEpoch = Callable[[nn.Module], None]


def network(task: Task, shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Build a task's network for inputs of a shape (without the batch)."""
    if task.network == "mlp":
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(int(np.prod(shape)), 256),
            nn.ReLU(),
            nn.Dropout(task.dropout),
            nn.Linear(256, n_classes),
        )
    channels, height, width = shape
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), 64),
        nn.ReLU(),
        nn.Dropout(task.dropout),
        nn.Linear(64, n_classes),
    )


def train(
    task: Task,
    inputs: NDArray[np.float32],
    given: NDArray[np.int64],
    n_classes: int,
    *,
    seed: int,
    on_batch: OnBatch | None = None,
    on_epoch: OnEpoch | None = None,
) -> nn.Module:
    """Train a task's network on given labels.

    Parameters
    ----------
    inputs : ndarray of float32
        Shape (n, ...).
    given : ndarray of int64
        Shape (n,): the labels trained on.
    n_classes : int
        Width of the output.
    seed : int
    on_batch : callable, optional
        Gets the batch's rows and its logits, as the training pass computed them.
    on_epoch : callable, optional
        Gets the network after each epoch.
    """
    # one thread: the same figures whatever else runs, and two runs beside each other do not fight
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    x, y = torch.from_numpy(inputs), torch.from_numpy(given)
    model = network(task, inputs.shape[1:], n_classes)
    optimiser = torch.optim.Adam(model.parameters(), lr=task.learning_rate)
    for _ in range(task.epochs):
        model.train()
        order = rng.permutation(len(given))
        for rows in np.array_split(order, max(1, len(order) // task.batch)):
            logits = model(x[rows])
            if on_batch is not None:
                on_batch(rows, logits.detach())
            loss = nn.functional.cross_entropy(logits, y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if on_epoch is not None:
            on_epoch(model)
    return model


def predict(model: nn.Module, inputs: NDArray[np.float32]) -> Tensor:
    """Return logits of shape (n, n_classes), in evaluation mode."""
    model.eval()
    with torch.inference_mode():
        parts = [model(part) for part in torch.from_numpy(inputs).split(1000)]
    return torch.cat(parts).clone()


def probabilities(logits: Tensor) -> NDArray[np.float64]:
    """Return softmax probabilities whose rows sum to 1 in float64."""
    return torch.softmax(logits.double(), dim=1).numpy()
