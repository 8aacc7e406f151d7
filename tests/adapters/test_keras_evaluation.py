"""What the Keras adapter records after an epoch, what it measures, and what it refuses.

Like the tests of the training pass, `test_keras_recording` runs this once more on PyTorch.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

import lossan

BACKEND = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
pytest.importorskip(BACKEND)
keras = pytest.importorskip("keras")

import lossan_keras.outputs  # noqa: E402
from lossan_keras import RecordEvaluation, RecordTraining  # noqa: E402

# TensorFlow's own tensors, brought to numpy 2 by Keras' own convert_to_numpy
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
N, K, BATCH = 41, 3, 8  # the last batch has one sample
RNG = np.random.default_rng(0)
X = RNG.normal(0, 2, (N, 5)).astype("float32")
Y = RNG.integers(0, K, N)
IDS = np.array([f"s{i:02d}" for i in RNG.permutation(N)])
FIT = {"epochs": 2, "verbose": 0, "batch_size": BATCH}


def build(activation=None, loss=None, units=K):
    """Return a linear classifier behind dropout."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dropout(0.5), keras.layers.Dense(units, activation=activation)]
    model = keras.Sequential([keras.Input((5,)), *layers])
    if loss is None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=activation is None)
    model.compile(keras.optimizers.SGD(0.3), loss)
    return model


def read(path):
    log = lossan.read_log(path)
    classes = log.predicted.values.to_numpy()[log.predicted.codes]
    channels = [log.loss, log.label_prob, log.margin, log.predicted_prob, classes]
    found = dict(zip(log.sample_id.to_pylist(), np.stack(channels, axis=1), strict=True))
    return log, np.stack([found[i] for i in IDS], axis=1)


class Weights(keras.callbacks.Callback):
    """The weights at the end of each epoch."""

    def on_train_begin(self, logs=None):  # noqa: ARG002
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
        self.seen.append([np.asarray(w, np.float64) for w in self.model.get_weights()])


class Batches(keras.utils.PyDataset):
    def __init__(self, **options):
        super().__init__(**options)
        self.order = np.random.default_rng(1).permutation(N)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        rows = self.order[index * BATCH :][:BATCH]
        return IDS[rows], X[rows], Y[rows]

    def on_epoch_end(self):
        self.order = np.random.default_rng(2).permutation(N)


def generator():
    order = np.random.default_rng().permutation(N)
    for rows in np.split(order, range(BATCH, N, BATCH)):
        yield IDS[rows], X[rows], Y[rows]


def dataset():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((IDS, X, Y)).shuffle(N, seed=0).batch(BATCH)


SOURCES = {
    "arrays": lambda: ((X, Y), {"ids": IDS, "batch_size": BATCH}),
    "arrays with ids": lambda: ((IDS, X, Y), {}),
    "shuffled tf.data": lambda: (dataset(), {}),
    "PyDataset": lambda: (Batches(), {}),
    "function": lambda: (generator, {}),
    "list": lambda: (list(generator()), {}),
}


@pytest.mark.parametrize("source", SOURCES)
def test_each_epoch_is_that_of_its_weights_without_dropout(tmp_path, source, reference):
    data, options = SOURCES[source]()
    model, weights = build(), Weights()
    recording = RecordEvaluation(tmp_path / "run.parquet", data, **options)
    model.fit(X, Y, callbacks=[recording, weights], **FIT)
    log, found = read(tmp_path / "run.parquet")
    for epoch, (kernel, bias) in enumerate(weights.seen):
        expected = reference(X.astype(np.float64) @ kernel + bias, Y)
        np.testing.assert_allclose(found[:, :, epoch], expected, rtol=1e-4, atol=1e-5)
    labels = dict(zip(log.sample_id.to_pylist(), log.label.to_pylist(), strict=True))
    assert [labels[i] for i in IDS] == Y.tolist()
    assert log.recorded == "eval"
    assert log.metadata["framework"] == f"keras {keras.__version__} on {BACKEND}"


def test_recording_leaves_the_training_as_it_is(tmp_path):
    plain, recorded = build(), build()
    for model, callbacks in [
        (plain, []),
        (recorded, [RecordEvaluation(tmp_path / "run.parquet", (X, Y))]),
    ]:
        keras.utils.set_random_seed(1)
        history = model.fit(X, Y, callbacks=callbacks, **FIT).history
        model.losses_seen = history["loss"]
    assert plain.losses_seen == pytest.approx(recorded.losses_seen, rel=1e-6)


def test_both_records_of_one_training(tmp_path):
    """A train log and an eval log side by side; at the first epoch dropout sets them apart."""
    model = build()
    evaluation = RecordEvaluation(tmp_path / "eval.parquet", (X, Y), ids=IDS)
    training = RecordTraining(tmp_path / "train.parquet")
    training.fit(model, X, Y, ids=IDS, callbacks=[evaluation], validation_split=0.2, **FIT)
    one, other = (lossan.read_log(tmp_path / f"{n}.parquet") for n in ("eval", "train"))
    assert one.loss.shape == (N, 2)
    assert other.loss.shape == (32, 2)  # what validation_split leaves for training
    assert (one.recorded, other.recorded) == ("eval", "train")


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_class_names_and_labels(tmp_path, activation):
    model, names = build(activation), ["cat", "dog", "owl"]
    labels = {i: names[y] for i, y in zip(IDS, Y, strict=True)}
    recording = RecordEvaluation(
        tmp_path / "run.parquet", (X, Y), ids=IDS, classes=names, labels=labels
    )
    model.fit(X, Y, callbacks=[recording], **FIT)
    log = lossan.read_log(tmp_path / "run.parquet")
    assert log.label.to_pylist() == [labels[i] for i in log.sample_id.to_pylist()]
    assert set(log.predicted.values.to_pylist()) <= set(names)


def rows_of(outputs, targets, **options):
    values = lossan_keras.outputs.measure(outputs, targets, **options)
    columns = keras.ops.convert_to_numpy(values).T
    return columns[:5], columns[5]


LOGITS = np.random.default_rng(3).normal(0, 3, (N, K)).astype("float32")
SCORES = LOGITS[:, :1]


def sigmoid(z):
    return 1 / (1 + np.exp(-z.astype(np.float64)))


def softmax(z):
    p = np.exp(z.astype(np.float64))
    return p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("outputs", "targets", "from_logits"),
    [
        (LOGITS, Y, True),
        (LOGITS, Y[:, None].astype("float32"), True),
        (LOGITS, np.eye(K)[Y], True),
        (LOGITS, np.eye(K)[Y] * 0.8 + 0.2 / K, True),
        (softmax(LOGITS), Y, False),
        (SCORES, np.minimum(Y, 1), True),
        (SCORES[:, 0], np.minimum(Y, 1)[:, None], True),
        (sigmoid(SCORES), np.minimum(Y, 1).astype("float32"), False),
    ],
)
def test_channels_are_those_of_a_plain_computation(outputs, targets, from_logits, reference):
    single = outputs.ndim == 1 or outputs.shape[1] == 1
    labels = np.minimum(Y, 1) if single else Y
    logits = np.hstack([0 * SCORES, SCORES]) if single else LOGITS
    found, given = rows_of(outputs, targets, from_logits=from_logits)
    np.testing.assert_allclose(found, reference(logits, labels), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(given, labels)


@pytest.mark.parametrize("ending", ["softmax", "sigmoid"])
def test_saturated_probabilities_keep_their_logits(ending, reference):
    """Beyond what float32 probabilities hold, the logits that the layer left are used."""
    logits = np.array([[0.0, 60.0], [-90.0, 0.0]], "float32")
    layer = keras.layers.Activation(ending)
    single = ending == "sigmoid"
    outputs = layer(logits[:, 1:] - logits[:, :1] if single else logits)
    found, _ = rows_of(outputs, np.array([0, 0]), from_logits=False)
    np.testing.assert_allclose(found, reference(logits, [0, 0]), rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("record", ["evaluation", "training"])
def test_the_other_label_of_a_sure_sigmoid_keeps_its_loss(tmp_path, record):
    """From a logit of 17 on the probability is 1 in float32, and nothing is left of the other's."""
    logits = np.array([5, 16.5, 17, 30, 60, 100], "float32")
    dense = keras.layers.Dense(1, activation="sigmoid", kernel_initializer="ones", use_bias=False)
    model = keras.Sequential([keras.Input((1,)), dense])
    model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy")
    x, y = logits[:, None], np.zeros(len(logits))
    if record == "training":
        RecordTraining(tmp_path / "run.parquet").fit(model, x, y, epochs=2, verbose=0)
    else:
        recording = RecordEvaluation(tmp_path / "run.parquet", (x, y))
        model.fit(x, y, epochs=2, verbose=0, callbacks=[recording])
    log = lossan.read_log(tmp_path / "run.parquet")
    loss = log.loss[np.argsort(log.sample_id.to_numpy()), 1]
    np.testing.assert_allclose(loss, np.logaddexp(0, logits.astype(float)), rtol=1e-5)
    predicted = model.predict(x, verbose=0)[:, 0]  # the model's own are as before
    np.testing.assert_allclose(predicted, 1 / (1 + np.exp(-logits.astype(float))), rtol=1e-5)


def test_of_bare_probabilities_a_loss_is_no_larger_than_is_known():
    found = lossan_keras.outputs.measure(
        np.ones((2, 1), "float32"), np.array([0, 1]), from_logits=False
    )
    np.testing.assert_allclose(found[:, 0], [-np.log(2.0**-25), 0], atol=1e-6)


def test_what_is_predicted_is_like_the_labels_given(tmp_path):
    model = build()
    options = {"classes": ["x", "y", "z"], "labels": dict(zip(IDS, Y.tolist(), strict=True))}
    recording = RecordEvaluation(tmp_path / "run.parquet", (X, Y), ids=IDS, **options)
    model.fit(X, Y, callbacks=[recording], **FIT)
    log = lossan.read_log(tmp_path / "run.parquet")
    assert set(log.predicted.values.to_pylist()) <= {0, 1, 2}
    assert set(log.label.to_pylist()) <= {0, 1, 2}


def test_classes_that_are_too_few_are_told(tmp_path):
    recording = RecordEvaluation(tmp_path / "run.parquet", (X, Y), classes=["x", "y"])
    with pytest.raises(lossan.LossanError, match="names 2 classes, but there is one of index 2"):
        build().fit(X, Y, callbacks=[recording], **FIT)


def test_ids_too_large_and_buffers_too_small_are_told(tmp_path):
    ids = np.arange(N, dtype="uint64") + 2**63
    with pytest.raises(lossan.LossanError, match="is above 9223372036854775807, the largest"):
        RecordTraining(tmp_path / "run.parquet").fit(build(), X, Y, ids=ids, **FIT)
    with pytest.raises(lossan.LossanError, match="buffer_rows is 0; allowed: 1"):
        RecordTraining(tmp_path / "run.parquet", buffer_rows=0)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.data is TensorFlow's")
def test_ids_of_a_dataset_that_are_no_integers_are_told(tmp_path):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((np.arange(N) / 2, X, Y)).batch(BATCH)
    with pytest.raises(lossan.LossanError, match="ids have the type float64; needed"):
        RecordTraining(tmp_path / "run.parquet").fit(build(), data, epochs=2, verbose=0)


def test_of_bare_probabilities_everything_stays_finite():
    outputs = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], "float32")
    found, _ = rows_of(outputs, np.array([1, 1]), from_logits=False)
    assert np.isfinite(found).all()
    assert found[0, 0] > 80
    assert found[2].tolist() == [-found[0, 0], found[0, 0]]


def test_a_label_beyond_the_classes_is_infinite_not_invented():
    found, _ = rows_of(LOGITS[:2], np.array([0, 7]), from_logits=True)
    assert np.isinf(found[0]).tolist() == [False, True]


@pytest.mark.parametrize(
    ("outputs", "targets", "words"),
    [
        (LOGITS, np.zeros(5), r"targets have the shape \(5,\)"),
        (LOGITS, np.zeros((N, 2)), r"\(41, 2\)"),
        (LOGITS[:, :, None], Y, "n_classes"),
    ],
)
def test_shapes_that_do_not_fit_are_told(outputs, targets, words):
    with pytest.raises(lossan.LossanError, match=words):
        rows_of(outputs, targets, from_logits=True)


def own_loss(targets, outputs):
    """Tell nothing about what the outputs are."""
    return keras.ops.mean(outputs - targets)


def test_what_the_outputs_are_is_told_from_loss_and_layer():
    told = lossan_keras.outputs.gives_logits
    assert told(build("softmax", "sparse_categorical_crossentropy"), None) is False
    assert told(build("sigmoid", keras.losses.BinaryFocalCrossentropy(), units=1), None) is False
    assert told(build(None, keras.losses.CategoricalFocalCrossentropy(from_logits=True)), None)
    assert told(build(None, own_loss), None) is True
    assert told(build("softmax", own_loss), None) is False
    with pytest.raises(lossan.LossanError, match="from_logits=True"):
        told(build(None, "sparse_categorical_crossentropy"), None)
    with pytest.raises(lossan.LossanError, match="neither"):
        told(build("relu", own_loss), None)


WRONG_TRAINING = {
    "without y": (lambda: {"x": X}, "without y"),
    "too few ids": (lambda: {"x": X, "y": Y, "ids": IDS[:3]}, "3 ids for 41"),
    "float ids": (lambda: {"x": X, "y": Y, "ids": np.ones(N)}, "float64"),
    "ids twice": (lambda: {"x": generator(), "ids": IDS}, "for arrays"),
    "no ids": (lambda: {"x": ((X, Y) for _ in range(9)), "steps_per_epoch": 1}, "2 parts"),
    "no batches": (lambda: {"x": dataset().unbatch()}, "Batch the dataset"),
}


@pytest.mark.parametrize("wrong", WRONG_TRAINING)
def test_data_that_cannot_be_recorded_are_refused_and_leave_nothing(tmp_path, wrong):
    options, words = WRONG_TRAINING[wrong]
    with pytest.raises(lossan.LossanError, match=words):
        RecordTraining(tmp_path / "run.parquet").fit(build(), **options(), verbose=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (generator(), {}, "used up"),
        (generator, {"ids": IDS}, "for arrays"),
        ((IDS, X, Y), {"ids": IDS}, "arrays are"),
        (lambda: [(X, Y)], {}, "2 parts"),
    ],
)
def test_an_evaluation_without_ids_is_refused_and_leaves_nothing(tmp_path, data, options, words):
    recording = RecordEvaluation(tmp_path / "run.parquet", data, **options)
    with pytest.raises(lossan.LossanError, match=words):
        build().fit(X, Y, callbacks=[recording], **FIT)
    assert list(tmp_path.iterdir()) == []


def test_a_recorder_that_is_made_takes_no_options(tmp_path):
    with lossan.Recorder(tmp_path / "run.parquet") as recorder:
        with pytest.raises(lossan.LossanError, match="labels: give that"):
            RecordTraining(recorder, labels={})
        for _ in range(2):
            recorder.record([1], [0.5])
            recorder.end_epoch()


def test_a_train_step_without_compute_loss_is_told(tmp_path):
    class Own(keras.Model):
        def train_step(self, data):  # noqa: ARG002
            return {"loss": keras.ops.zeros(())}

    plain = build()
    model = Own(plain.inputs[0], plain.outputs[0])
    model.compile("sgd", plain.loss)
    with pytest.raises(lossan.LossanError, match="compute_loss"):
        RecordTraining(tmp_path / "run.parquet").fit(model, X, Y, **FIT)


@pytest.mark.parametrize("workers", [1, 4])
def test_the_workers_of_a_dataset_deliver_every_sample_once(tmp_path, workers):
    recording = RecordTraining(tmp_path / "run.parquet", labels=dict(zip(IDS, Y, strict=True)))
    options = {"epochs": 4, "verbose": 0, "shuffle": True}
    recording.fit(build(), Batches(workers=workers, max_queue_size=4), **options)  # or it warns
    assert np.isfinite(lossan.read_log(tmp_path / "run.parquet").loss).all()


def test_importing_the_adapter_imports_no_framework():
    code = (
        "import sys, lossan_keras, lossan_keras.adapter\n"
        "assert not {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)\n"
        "sys.modules['keras'] = None\n"
        "try: lossan_keras.RecordTraining\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("LossanError Keras is not installed: pip install 'lossan[keras]'")
