"""Data that Keras' recordings refuse.

Like the tests of the training pass, `test_keras_recording` runs this once more on PyTorch.
"""

import os

import numpy as np
import pytest

import lossan

BACKEND = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
pytest.importorskip(BACKEND)
keras = pytest.importorskip("keras")

from lossan_keras import RecordEvaluation  # noqa: E402

# TensorFlow's own tensors, brought to numpy 2 by Keras' own convert_to_numpy
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
N, K = 12, 3
RNG = np.random.default_rng(0)
X = RNG.normal(0, 2, (N, 5)).astype("float32")
Y = np.arange(N) % K
IDS = [f"s{i}" for i in range(N)]
FIT = {"epochs": 2, "verbose": 0}


def compiled(inputs, outputs, loss="SparseCategoricalCrossentropy"):
    model = keras.Model(inputs, outputs)
    model.compile("sgd", getattr(keras.losses, loss)(from_logits=True))
    return model


def build():
    inputs = keras.Input((5,))
    return compiled(inputs, keras.layers.Dense(K)(inputs))


def test_a_generator_that_is_used_up_is_told(tmp_path):
    made = iter([(IDS, X, Y)])
    recording = RecordEvaluation(tmp_path / "run.parquet", lambda: made)
    with pytest.raises(
        lossan.LossanError, match=r"no sample after epoch 2\. A generator is used up"
    ):
        build().fit(X, Y, callbacks=[recording], **FIT)
