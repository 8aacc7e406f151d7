"""What the Keras adapter records of the training pass, held against plain numpy.

The file runs in this process on the backend Keras has here and once more, in a process of its own,
on PyTorch.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lossan

BACKEND = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
pytest.importorskip(BACKEND)
keras = pytest.importorskip("keras")

from lossan_keras import RecordTraining  # noqa: E402

N, K, BATCH, STEPS = 103, 3, 16, 7  # the last batch has seven samples
RNG = np.random.default_rng(0)
X = RNG.normal(0, 2, (N, 4, 4, 1)).astype("float32")
Y = RNG.integers(0, K, N)
IDS = [f"s{i:03d}" for i in RNG.permutation(N)]
FIT = {"epochs": 2, "verbose": 0}

# TensorFlow's own tensors, brought to numpy 2 by Keras' own convert_to_numpy
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
tensorflow_alone = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="of the TensorFlow backend alone"
)


def build(*, activation=None, units=K, lr=0.5, loss=None, **compiled):
    """Return a small classifier whose forward pass numpy can repeat."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 1))
    hidden = keras.layers.Dense(8, activation="relu")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(units, activation=activation)(hidden))
    if loss is None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=activation is None)
    model.compile(keras.optimizers.SGD(lr), loss, **compiled)
    return model


def logits_of(weights, x=X):
    """Repeat the forward pass up to the logits in float64."""
    first, first_bias, second, second_bias = (np.asarray(w, np.float64) for w in weights)
    hidden = np.maximum(x.reshape(len(x), -1).astype(np.float64) @ first + first_bias, 0)
    return hidden @ second + second_bias


def read(path):
    """Return a log and its channels in the order of `reference`, samples in that of `IDS`."""
    log = lossan.read_log(path)
    classes = log.predicted.values.to_numpy()[log.predicted.codes]
    channels = [log.loss, log.label_prob, log.margin, log.predicted_prob, classes]
    found = dict(zip(log.sample_id.to_pylist(), np.stack(channels, axis=1), strict=True))
    return log, np.stack([found[i] for i in IDS], axis=1)


class Batches(keras.utils.PyDataset):
    """Shuffled batches with their ids."""

    def __init__(self, **options):
        super().__init__(**options)
        self.order = np.random.default_rng(1).permutation(N)

    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        rows = self.order[index * BATCH :][:BATCH]
        return np.array(IDS)[rows], X[rows], Y[rows]

    def on_epoch_end(self):
        self.order = np.random.default_rng(2).permutation(N)


def generator():
    rng = np.random.default_rng(1)
    while True:
        for rows in np.split(rng.permutation(N), range(BATCH, N, BATCH)):
            yield np.array(IDS)[rows], X[rows], Y[rows]


def dataset():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((IDS, X, Y)).shuffle(N, seed=0).batch(BATCH)


SOURCES = {
    "arrays": lambda: {"x": X, "y": Y, "ids": IDS, "batch_size": BATCH},
    "tf.data": lambda: {"x": dataset()},
    "PyDataset": lambda: {"x": Batches()},
    "generator": lambda: {"x": generator(), "steps_per_epoch": STEPS, "shuffle": False},
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_sample_keeps_its_loss_however_the_data_come(tmp_path, source, reference):
    model = build(lr=0.0)  # the weights stand still, so numpy knows every loss
    recording = RecordTraining(tmp_path / "run.parquet")
    history = recording.fit(model, **SOURCES[source](), **FIT).history
    log, found = read(tmp_path / "run.parquet")
    expected = reference(logits_of(model.get_weights()), Y)
    for epoch in range(2):
        np.testing.assert_allclose(found[:, :, epoch], expected, rtol=1e-4, atol=1e-5)
    assert dict(zip(log.sample_id.to_pylist(), log.label.to_pylist(), strict=True)) == dict(
        zip(IDS, Y.tolist(), strict=True)
    )
    np.testing.assert_allclose(log.loss.mean(axis=0), history["loss"], rtol=1e-5)
    assert log.recorded == "train"
    assert log.metadata["framework"] == f"keras {keras.__version__} on {BACKEND}"


def test_a_loss_is_of_the_weights_before_its_step(tmp_path, reference):
    """Batches whose order is known, weights that move: every step is repeated in numpy."""
    model = build(metrics=["accuracy"])
    before = []

    class Weights(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):  # noqa: ARG002
            before.append([w.copy() for w in self.model.get_weights()])

    RecordTraining(tmp_path / "run.parquet", labels=dict(zip(IDS, Y, strict=True))).fit(
        model, **SOURCES["generator"](), callbacks=Weights(), **FIT
    )
    _, found = read(tmp_path / "run.parquet")
    steps = generator()
    for step, weights in enumerate(before):
        ids, x, y = next(steps)
        rows = [IDS.index(i) for i in ids]
        np.testing.assert_allclose(
            found[:, rows, step // STEPS], reference(logits_of(weights, x), y), rtol=2e-4, atol=2e-5
        )
    assert len(before) == 2 * STEPS
    assert not np.allclose(before[0][0], before[-1][0])


@pytest.mark.parametrize(
    ("activation", "units", "loss"),
    [
        (None, K, "SparseCategoricalCrossentropy"),
        ("softmax", K, "SparseCategoricalCrossentropy"),
        ("softmax", K, "CategoricalCrossentropy"),
        ("sigmoid", 1, "BinaryCrossentropy"),
        (None, 1, "BinaryCrossentropy"),
    ],
)
def test_means_are_those_of_the_history(tmp_path, activation, units, loss):
    loss_of = getattr(keras.losses, loss)(from_logits=activation is None)
    model = build(activation=activation, units=units, loss=loss_of, lr=0.1)
    y = Y if units == K else np.minimum(Y, 1)
    targets = keras.utils.to_categorical(y) if loss == "CategoricalCrossentropy" else y
    recording = RecordTraining(tmp_path / "run.parquet")
    history = recording.fit(model, X, targets, ids=IDS, batch_size=BATCH, **FIT).history
    log = lossan.read_log(tmp_path / "run.parquet")
    np.testing.assert_allclose(log.loss.mean(axis=0), history["loss"], rtol=1e-5)
    labels = dict(zip(log.sample_id.to_pylist(), log.label.to_pylist(), strict=True))
    assert [labels[i] for i in IDS] == y.tolist()
    assert log.loss[:, 1].mean() < log.loss[:, 0].mean()


OBJECTIVES = {
    "class weights": {"class_weight": {0: 5.0, 1: 1.0, 2: 0.1}},
    "sample weights": {"sample_weight": np.linspace(0, 3, N)},
}


@pytest.mark.parametrize("objective", [*OBJECTIVES, "label smoothing", "a penalty"])
def test_the_objective_does_not_change_what_is_recorded(tmp_path, objective, reference):
    targets, compiled = Y, {}
    if objective == "label smoothing":
        targets = keras.utils.to_categorical(Y)
        compiled["loss"] = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=0.3
        )
    model = build(lr=0.0, **compiled)
    if objective == "a penalty":
        model.layers[-1].kernel.regularizer = keras.regularizers.L2(0.5)
    options = {**FIT, **OBJECTIVES.get(objective, {})}
    recording = RecordTraining(tmp_path / "run.parquet")
    history = recording.fit(model, X, targets, ids=IDS, batch_size=BATCH, **options).history
    _, found = read(tmp_path / "run.parquet")
    expected = reference(logits_of(model.get_weights()), Y)
    np.testing.assert_allclose(found[:, :, 0], expected, rtol=1e-4, atol=1e-5)
    assert history["loss"][0] != pytest.approx(expected[0].mean(), rel=1e-4)


def test_training_is_that_of_plain_fit(tmp_path):
    def trained(fit):
        model = build(metrics=["accuracy"])
        model.test_on_batch(X, Y)  # on PyTorch fit builds from a batch, at the cost of a shuffle
        keras.utils.set_random_seed(0)
        history = fit(model, batch_size=BATCH, validation_data=(X[:9], Y[:9]), **FIT).history
        return model.get_weights(), history

    plain, plain_history = trained(lambda model, **options: model.fit(X, Y, **options))
    recording = RecordTraining(tmp_path / "run.parquet")
    recorded, history = trained(lambda model, **options: recording.fit(model, X, Y, **options))
    for one, other in zip(plain, recorded, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert history == {k: pytest.approx(v, rel=1e-4) for k, v in plain_history.items()}
    log = lossan.read_log(tmp_path / "run.parquet")  # without ids row numbers; no validation
    assert log.sample_id.to_pylist() == list(range(N))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_is_widened_before_the_loss(tmp_path, policy, reference):
    keras.config.set_dtype_policy(policy)
    try:
        model = build(lr=0.0, jit_compile=False)
        RecordTraining(tmp_path / "run.parquet").fit(model, X, Y, ids=IDS, batch_size=BATCH, **FIT)
        outputs = keras.ops.cast(model(X), "float32")
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.compute_dtype == policy.removeprefix("mixed_")
    _, found = read(tmp_path / "run.parquet")
    expected = reference(keras.ops.convert_to_numpy(outputs), Y)
    np.testing.assert_allclose(found[0, :, 0], expected[0], rtol=0.05, atol=0.05)
    halves = keras.ops.convert_to_numpy(
        keras.ops.cast(keras.ops.cast(found[0, :, 0], model.compute_dtype), "float32")
    )
    assert np.mean(halves != found[0, :, 0]) > 0.9  # losses between what half precision holds


def test_missed_and_repeated_samples_are_told(tmp_path):
    def bootstrap():
        for rows in ([0, 1, 2, 2], [0, 0, 1, 3]):
            yield np.array(rows), X[rows], Y[rows]

    model = build(lr=0.0)
    labels = dict(enumerate(Y[:5].tolist()))
    with pytest.warns(lossan.RecordingWarning) as told:
        RecordTraining(tmp_path / "run.parquet", labels=labels).fit(
            model, bootstrap(), steps_per_epoch=1, shuffle=False, **FIT
        )
    told = " ".join(str(t.message) for t in told)
    assert "epoch 1: 2 known samples were not recorded" in told
    assert "epoch 1: 1 records repeat a sample" in told
    log = lossan.read_log(tmp_path / "run.parquet")
    assert np.isnan(log.loss).tolist() == [[False] * 2, [False] * 2, [False, True], [True, False]]


def test_a_small_buffer_is_emptied_in_time(tmp_path, reference):
    model = build(lr=0.0)
    recording = RecordTraining(tmp_path / "run.parquet", buffer_rows=2 * BATCH)
    recording.fit(model, X, Y, ids=IDS, batch_size=BATCH, **FIT)
    _, found = read(tmp_path / "run.parquet")
    expected = reference(logits_of(model.get_weights()), Y)
    np.testing.assert_allclose(found[:, :, 1], expected, rtol=1e-4, atol=1e-5)


@tensorflow_alone
def test_several_steps_in_one_call_are_all_recorded(tmp_path, reference):
    model = build(lr=0.0, steps_per_execution=3)
    RecordTraining(tmp_path / "run.parquet").fit(model, X, Y, ids=IDS, batch_size=BATCH, **FIT)
    _, found = read(tmp_path / "run.parquet")
    expected = reference(logits_of(model.get_weights()), Y)
    np.testing.assert_allclose(found[:, :, 1], expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(lossan.LossanError, match="buffer_rows=96"):
        RecordTraining(tmp_path / "other.parquet", buffer_rows=BATCH).fit(
            model, X, Y, batch_size=BATCH, **FIT
        )


def test_warm_up_and_fine_tuning_in_one_log(tmp_path):
    model = build()
    with lossan.Recorder(tmp_path / "run.parquet", recorded="train") as recorder:
        recording = RecordTraining(recorder, classes=["a", "b", "c"])
        recording.fit(model, X, Y, ids=IDS, batch_size=BATCH, **FIT)
        model.compile("sgd", model.loss)
        recording.fit(model, X, Y, ids=IDS, batch_size=BATCH, epochs=3, initial_epoch=2, verbose=0)
    log = lossan.read_log(tmp_path / "run.parquet")
    assert log.loss.shape == (N, 3)
    assert sorted(set(log.label.to_pylist())) == ["a", "b", "c"]


def test_a_crash_keeps_the_ended_epochs_and_leaves_the_model_as_it_was(tmp_path):
    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002
            if epoch == 2:
                raise KeyboardInterrupt

    model, path = build(), tmp_path / "run.parquet"
    options = {"ids": IDS, "batch_size": BATCH, "epochs": 4, "verbose": 0}
    with pytest.raises(KeyboardInterrupt):
        RecordTraining(path).fit(model, X, Y, callbacks=[Crash()], **options)
    assert not {"train_step", "test_step", "compute_loss"} & set(vars(model))
    model.fit(X, Y, verbose=0)
    again = RecordTraining(path, resume=True)
    assert again.recorder.n_epochs == 2
    again.fit(model, X, Y, initial_epoch=2, **options)
    assert lossan.read_log(path).loss.shape == (N, 4)


def test_a_train_step_of_ones_own_is_kept(tmp_path, reference):
    class Own(keras.Model):
        steps = 0

        def train_step(self, data):
            Own.steps += 1
            assert set(keras.utils.unpack_x_y_sample_weight(data)[0].shape[1:]) == {4, 1}
            return super().train_step(data)

    plain = build(lr=0.0)
    model = Own(plain.inputs[0], plain.outputs[0])
    model.compile("sgd", plain.loss)
    model.optimizer.learning_rate = 0.0
    RecordTraining(tmp_path / "run.parquet").fit(model, X, Y, ids=IDS, batch_size=BATCH, **FIT)
    _, found = read(tmp_path / "run.parquet")
    expected = reference(logits_of(model.get_weights()), Y)
    np.testing.assert_allclose(found[:, :, 0], expected, rtol=1e-4, atol=1e-5)
    assert Own.steps


def test_of_several_outputs_the_named_one_counts(tmp_path, reference):
    plain = build(lr=0.0)
    other = keras.layers.Dense(5, name="other")(plain.layers[-2].output)
    model = keras.Model(plain.inputs[0], {"main": plain.outputs[0], "aux": other})
    model.compile(
        keras.optimizers.SGD(0.0),
        {"main": plain.loss, "aux": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
    )
    targets = {"main": Y, "aux": Y[::-1].copy()}
    with pytest.raises(lossan.LossanError, match="main, aux"):
        RecordTraining(tmp_path / "run.parquet").fit(model, X, targets)
    recording = RecordTraining(tmp_path / "run.parquet", output="main", overwrite=True)
    recording.fit(model, X, targets, ids=IDS, batch_size=BATCH, **FIT)
    _, found = read(tmp_path / "run.parquet")
    expected = reference(logits_of(plain.get_weights()), Y)
    np.testing.assert_allclose(found[:, :, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif("LOSSAN_AGAIN" in os.environ, reason="this is the other process")
def test_all_of_it_on_the_torch_backend():
    pytest.importorskip("torch")
    here = Path(__file__).parent
    files = sorted(map(str, here.glob("test_keras_*.py")))
    for trains in (
        "flipped_labels_are_found_in_the_log_it_writes",
        "losses_of_bfloat16_are_computed_in_float32",
    ):
        files.append(f"{here / 'test_train.py'}::test_{trains}[keras]")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", *files],
        cwd=here.parents[1],
        env={**os.environ, "KERAS_BACKEND": "torch", "LOSSAN_AGAIN": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
