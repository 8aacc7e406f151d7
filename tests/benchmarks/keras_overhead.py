"""What recording costs a Keras training step, side by side with plain fit.

``[KERAS_BACKEND=torch] python tests/benchmarks/keras_overhead.py [--rounds 6] [--steps 60]``
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
from _measure import table

from lossan import Recorder
from lossan_keras import RecordEvaluation, RecordTraining

BATCH, CLASSES = 32, 10


def network(*, tiny: bool) -> keras.Model:
    """Build a network whose step costs what a small real one does, or as good as nothing."""
    layers = keras.layers
    body = [
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
    ]
    head = [layers.GlobalAveragePooling2D(), layers.Dense(CLASSES)]
    model = keras.Sequential([keras.Input((75, 75, 3)), *([] if tiny else body), *head])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3), loss, metrics=["accuracy"])
    return model


class Clock(keras.callbacks.Callback):
    """Between the ends of epochs: everything a step costs, the first epoch's tracing aside."""

    def on_train_begin(self, logs: dict | None = None) -> None:  # noqa: ARG002
        """Forget the last training."""
        self.ends: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:  # noqa: ARG002
        """Note the time."""
        self.ends.append(time.perf_counter())


def compare(model: keras.Model, recording: RecordTraining, rounds: int, steps: int) -> list[float]:
    """Return the median seconds of a plain step and what recording adds, from pairs in turn."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(steps * BATCH, 75, 75, 3)).astype("float32")
    labels = rng.integers(0, CLASSES, len(images))

    def step(fit: Callable[..., Any]) -> float:
        clock = Clock()
        fit(images, labels, batch_size=BATCH, epochs=4, verbose=0, callbacks=[clock])
        return min(np.diff(clock.ends)) / steps

    plain, extra = [], []
    for number in range(rounds):
        fits = [model.fit, partial(recording.fit, model)]
        seconds = [step(fit) for fit in fits[:: 1 if number % 2 else -1]][
            :: 1 if number % 2 else -1
        ]
        plain.append(seconds[0])
        extra.append(seconds[1] - seconds[0])
    return [statistics.median(plain), statistics.median(extra)]


def compare_passes(
    model: keras.Model, recorder: Recorder, rounds: int, steps: int
) -> tuple[float, float]:
    """Return the same for a step of the evaluation pass, beside a bare loop of predictions."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(steps * BATCH, 75, 75, 3)).astype("float32")
    recording = RecordEvaluation(recorder, (images, rng.integers(0, CLASSES, len(images))))
    recording.set_model(model)
    recording.on_train_begin()

    def bare() -> None:
        for start in range(0, len(images), BATCH):
            model.predict_on_batch(images[start : start + BATCH])

    def seconds(work: Callable[[], None]) -> float:
        began = time.perf_counter()
        work()
        return (time.perf_counter() - began) / steps

    works = bare, partial(recording.on_epoch_end, 0)
    found = np.array([[seconds(work) for work in works] for _ in range(rounds + 1)])[1:]
    return float(np.median(found[:, 0])), float(np.median(found[:, 1] - found[:, 0]))


def main() -> None:
    """Measure both networks: on a busy machine the real one's step varies by more than 2%."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        recording = RecordTraining(Recorder(Path(folder) / "run.parquet", recorded="train"))
        real, tiny = (
            compare(network(tiny=tiny), recording, options.rounds, options.steps)
            for tiny in (False, True)
        )
        recorder = Recorder(Path(folder) / "eval.parquet", recorded="eval")
        base, extra = compare_passes(network(tiny=False), recorder, options.rounds, options.steps)
    table(
        f"Keras step on {keras.backend.backend()}, batch {BATCH} at 75 x 75 (target: below 2%)",
        ["network", "plain fit, ms", "recording adds, ms", "of the convolutional step"],
        [
            [name, f"{1e3 * base:.2f}", f"{1e3 * extra:.2f}", f"{extra / real[0]:.2%}"]
            for name, (base, extra) in {"convolutional": real, "next to none": tiny}.items()
        ],
    )
    table(
        "The evaluation pass, convolutional network",
        ["predictions alone, ms a step", "recording adds, ms", "of a step"],
        [[f"{1e3 * base:.2f}", f"{1e3 * extra:.2f}", f"{extra / base:.2%}"]],
    )


if __name__ == "__main__":
    main()
