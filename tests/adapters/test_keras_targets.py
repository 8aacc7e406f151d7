"""Which targets the Keras adapter holds against which outputs, and what it refuses of them.

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
N, K = 41, 3
RNG = np.random.default_rng(0)
X = RNG.normal(0, 2, (N, 5)).astype("float32")
Y = RNG.integers(0, K, N)
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def build(units=K, loss=CROSS_ENTROPY, activation=None):
    """Return a linear classifier whose weights stand still."""
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense(units, activation=activation)
    model = keras.Sequential([keras.Input((5,)), dense])
    model.compile(keras.optimizers.SGD(0.0), loss)
    return model


def record(how, path, model, x, y, **options):
    """Record two epochs in the training pass or in one of its own; return the losses."""
    if how == "training":
        RecordTraining(path, **options).fit(model, x, y, epochs=2, verbose=0, batch_size=8)
    else:
        recording = RecordEvaluation(path, (x, y), batch_size=8, **options)
        model.fit(x, y, epochs=2, verbose=0, batch_size=8, callbacks=[recording])
    return lossan.read_log(path).loss


def losses_of(weights, labels):
    """Repeat the forward pass and the loss in float64."""
    z = X.astype(np.float64) @ np.asarray(weights[0], np.float64) + weights[1]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(N), labels])


@pytest.mark.parametrize("how", ["training", "evaluation"])
@pytest.mark.parametrize("output", ["second", 1])
@pytest.mark.parametrize("named", [True, False], ids=["by name", "in a list"])
def test_of_listed_outputs_one_is_named_or_numbered(tmp_path, how, output, named):
    """Keras takes targets and losses by the layers' names where a model returns a list."""
    inputs = keras.Input((5,))
    layers = [keras.layers.Dense(K, name="first"), keras.layers.Dense(2, name="second")]
    model = keras.Model(inputs, [layer(inputs) for layer in layers])
    binary = (Y > 0).astype(int)
    losses, targets = [CROSS_ENTROPY] * 2, [Y, binary]
    if named:
        losses = dict(zip(("first", "second"), losses, strict=True))
        targets = dict(zip(("first", "second"), targets, strict=True))
    model.compile(keras.optimizers.SGD(0.0), losses)
    found = record(how, tmp_path / "run.parquet", model, X, targets, output=output)
    expected = losses_of(layers[1].get_weights(), binary)
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(lossan.LossanError, match=r"several \(first, second\) and output is 'x'"):
        record(how, tmp_path / "other.parquet", model, X, targets, output="x")


@pytest.mark.parametrize("how", ["training", "evaluation"])
@pytest.mark.parametrize("row", [[1, 0, 1], [0, 0, 0], [0.9, 0.1, 0.9]])
def test_rows_of_several_labels_are_refused(tmp_path, how, row):
    targets = np.eye(K, dtype="float32")[Y]
    targets[7] = row
    model = build(loss="binary_crossentropy", activation="sigmoid")
    with pytest.raises(lossan.LossanError, match="sample 7 is a row of several labels or of none"):
        record(how, tmp_path / "run.parquet", model, X, targets)
    assert list(tmp_path.iterdir()) == []


def test_halves_of_two_classes_are_one_label(tmp_path):
    targets = np.eye(K, dtype="float32")[Y] * 0.9 + 0.1 / K
    targets[7] = [0.5, 0.5, 0]
    model = build(loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    found = record("training", tmp_path / "run.parquet", model, X, targets)
    labels = np.where(np.arange(N) == 7, 0, Y)
    expected = losses_of(model.get_weights(), labels)
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-4, atol=1e-5)


def test_a_negative_label_is_not_the_last_class(tmp_path):
    targets = np.where(np.arange(N) == 7, -1, Y)
    path, names = tmp_path / "run.parquet", ["x", "y", "z"]
    recording = RecordEvaluation(path, (X, targets), ids=[f"s{i}" for i in range(N)], classes=names)
    with pytest.raises(lossan.LossanError, match="sample 's7' is -1; allowed: class indices from"):
        build().fit(X, Y, epochs=2, verbose=0, callbacks=[recording])


@pytest.mark.parametrize("how", ["training", "evaluation"])
@pytest.mark.parametrize("target", [1.5, 9])
def test_a_number_that_is_no_class_is_told(tmp_path, how, target):
    targets = np.where(np.arange(N) == 7, target, Y)
    model = build(loss=lambda y, outputs: keras.ops.mean(outputs) + 0 * keras.ops.mean(y))
    words = f"target of sample 7 is {target}; allowed: class indices from 0 to 2,"
    with pytest.raises(lossan.LossanError, match=words):
        record(how, tmp_path / "run.parquet", model, X, targets, from_logits=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["training", "evaluation"])
def test_tables_are_arrays(tmp_path, how):
    pandas = pytest.importorskip("pandas")
    model, index = build(), range(100, 100 + N)
    x, y = pandas.DataFrame(X, index=index), pandas.Series(Y, index=index)
    if how == "training":
        RecordTraining(tmp_path / "run.parquet").fit(model, x, y, epochs=2, verbose=0)
    else:
        recording = RecordEvaluation(tmp_path / "run.parquet", (x, y))
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[recording])
    found = lossan.read_log(tmp_path / "run.parquet").loss[:, 1]
    np.testing.assert_allclose(found, losses_of(model.get_weights(), Y), rtol=1e-4, atol=1e-5)


def test_numbers_of_a_list_are_no_arrays(tmp_path):
    recording = RecordEvaluation(tmp_path / "run.parquet", (X, Y.tolist()))
    with pytest.raises(lossan.LossanError, match="of the type int among them; make one of it by"):
        build().fit(X, Y, epochs=2, verbose=0, callbacks=[recording])
    assert list(tmp_path.iterdir()) == []


class Reversing(keras.Model):
    """Permutes the samples of a batch in its training step, targets and all."""

    def train_step(self, data):
        x, y = data[:2]
        return super().train_step((keras.ops.flip(x, axis=0), keras.ops.flip(y, axis=0)))


class Smoothing(keras.Model):
    """Makes other targets in its training step, of the same labels."""

    def train_step(self, data):
        x, y = data[:2]
        return super().train_step((x, 0.9 * y + 0.1 / K))


@pytest.mark.parametrize("labelled", [True, False])
def test_a_step_that_permutes_a_batch_is_refused(tmp_path, labelled):
    plain = build()
    model = Reversing(plain.inputs[0], plain.outputs[0])
    model.compile("sgd", CROSS_ENTROPY)
    options = {"labels": dict(enumerate(Y.tolist()))} if labelled else {}
    with pytest.raises(lossan.LossanError, match="train_step permutes or mixes the samples"):
        record("training", tmp_path / "run.parquet", model, X, Y, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_step_may_make_other_targets_of_the_same_labels(tmp_path):
    plain = build()
    model = Smoothing(plain.inputs[0], plain.outputs[0])
    model.compile(keras.optimizers.SGD(0.0), keras.losses.CategoricalCrossentropy(from_logits=True))
    one_hot = np.eye(K, dtype="float32")[Y]
    found = record("training", tmp_path / "run.parquet", model, X, one_hot)
    expected = losses_of(model.get_weights(), Y)
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-4, atol=1e-5)
