"""What the entry point ``keras`` of ``lossan.adapters`` names; imports Keras only to train."""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossan.training import TrainPlan

EXTRA = "keras"
SUMMARY = "Keras 3: keras.applications' classifiers, or any model"


def missing() -> str | None:
    """Return what is not installed, None where this adapter can train."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    lacking = [name for name in ("keras", backend, "PIL") if find_spec(name) is None]
    return ", ".join(lacking) or None


def train(plan: "TrainPlan") -> None:
    """Train, record and write the log."""
    from lossan_keras.train import train as run

    run(plan)
