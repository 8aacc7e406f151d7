"""Data that Keras' recordings refuse: a validation's with ids, and none at all.

Like the tests of the training pass, `test_keras_recording` runs this once more on PyTorch.
"""

import os

import numpy as np
import pytest

import lossan

BACKEND = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
pytest.importorskip(BACKEND)
keras = pytest.importorskip("keras")

from lossan_keras import RecordEvaluation, RecordTraining  # noqa: E402

# TensorFlow's own tensors, brought to numpy 2 by Keras' own convert_to_numpy
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
N, K = 12, 3
RNG = np.random.default_rng(0)
X = RNG.normal(0, 2, (N, 5)).astype("float32")
Y = np.arange(N) % K
IDS = [f"s{i}" for i in range(N)]
WEIGHTS = np.ones(N, "float32")
FIT = {"epochs": 2, "verbose": 0}


class Batches(keras.utils.PyDataset):
    """One batch, with its ids."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return np.arange(N), X, Y


def compiled(inputs, outputs, loss="SparseCategoricalCrossentropy"):
    model = keras.Model(inputs, outputs)
    model.compile("sgd", getattr(keras.losses, loss)(from_logits=True))
    return model


def build():
    inputs = keras.Input((5,))
    return compiled(inputs, keras.layers.Dense(K)(inputs))


@pytest.mark.parametrize(
    "validation",
    [
        (np.arange(N), X, Y),
        (np.array(IDS), X, Y),
        (IDS, X, Y),
        (np.arange(N), X, Y, WEIGHTS),
        Batches(),
    ],
    ids=["integers", "strings", "list", "weighted", "PyDataset"],
)
def test_validation_data_with_ids_are_told(tmp_path, validation):
    recording = RecordTraining(tmp_path / "run.parquet")
    with pytest.raises(lossan.LossanError, match=r"validation_data is \(ids, x, y\).*Leave the"):
        recording.fit(build(), X, Y, ids=IDS, validation_data=validation, **FIT)
    assert list(tmp_path.iterdir()) == []


def test_weighted_validation_data_are_none_with_ids(tmp_path):
    """Not even where an input is a row of integers, as ids are."""
    history = RecordTraining(tmp_path / "run.parquet").fit(
        build(), Batches(), validation_data=(X, Y, WEIGHTS), shuffle=True, **FIT
    )
    assert len(history.history["val_loss"]) == 2
    inputs = keras.Input((), dtype="int32")
    outputs = keras.layers.Dense(K)(keras.layers.Embedding(N, 4)(inputs))
    model = compiled(inputs, outputs, "CategoricalCrossentropy")
    words, one_hot = np.arange(N), np.eye(K, dtype="float32")[Y]
    history = RecordTraining(tmp_path / "words.parquet").fit(
        model, words, one_hot, validation_data=(words, one_hot, WEIGHTS), **FIT
    )
    assert len(history.history["val_loss"]) == 2


def test_a_generator_that_is_used_up_is_told(tmp_path):
    made = iter([(IDS, X, Y)])
    recording = RecordEvaluation(tmp_path / "run.parquet", lambda: made)
    with pytest.raises(
        lossan.LossanError, match=r"no sample after epoch 2\. A generator is used up"
    ):
        build().fit(X, Y, callbacks=[recording], **FIT)
