"""The loop behind ``lossan train --adapter keras``."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any, final

import keras
import numpy as np
from keras import ops

from lossan import LossanError, Recorder
from lossan.io import atomic_file, read_arrays, remove_unfinished
from lossan.training import (
    History,
    Progress,
    SampleSet,
    TrainOptions,
    TrainPlan,
    epoch_order,
    evaluation_figures,
    image_batches,
    not_ours,
)
from lossan_keras.channels import measure
from lossan_keras.models import build_model


def train(plan: TrainPlan) -> None:
    """Train, record every sample's loss at every epoch, and write the log.

    Raises
    ------
    LossanError
        Before the first epoch, for whatever could only fail in it.
    """
    options = plan.options
    with _device(options.device):
        _set_precision(options)
        keras.utils.set_random_seed(options.seed)
        training = _Training(plan)
        done = training.restore() if options.resume else 0
        how = plan.recorder_options(keep_epochs=done, **_stated(options.device))
        with Recorder(options.output, **how) as recorder:
            history = History(options.output, keep=done, test=plan.test)
            remove_unfinished(_checkpoint(options.output))
            for epoch in range(done, options.epochs):
                figures = training.run_epoch(epoch, recorder)
                recorder.end_epoch()
                history.add(**figures)
                training.save(epoch + 1)


@keras.saving.register_keras_serializable("lossan")
class _Watched(keras.Model):  # type: ignore[misc]  # Keras has no types
    """A model that keeps the logits of its last training batch, those the loss was taken of."""

    def __init__(self, inner: Any, rows: int, n_classes: int) -> None:
        super().__init__(name="watched")
        self.inner = inner
        self.last = self.add_weight(
            shape=(rows, n_classes), initializer="zeros", trainable=False, dtype="float32"
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.inner(inputs, training=training)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *more: Any) -> Any:
        kept = ops.slice_update(self.last, (0, 0), ops.cast(y_pred, "float32"))
        self.last.assign(kept)
        return super().compute_loss(x, y, y_pred, *more)


@final
class _Training:
    """A model with its optimiser, one epoch at a time."""

    def __init__(self, plan: TrainPlan) -> None:
        options, n_classes = plan.options, len(plan.train.classes)
        self._plan = plan
        inner, self._prepare = build_model(
            options.model, n_classes, options.weights, options.image_size
        )
        # a last batch of one sample joins the one before, hence a row more
        self._model = _Watched(inner, options.batch_size + 1, n_classes)
        self._model.build((None, options.image_size, options.image_size, 3))
        self._model.compile(
            optimizer=_optimizer(options),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )
        self._model.optimizer.build(self._model.trainable_variables)

    def run_epoch(self, epoch: int, recorder: Recorder) -> dict[str, Any]:
        """Train for an epoch, record it and return its figures."""
        options, samples = self._plan.options, self._plan.train
        order = epoch_order(len(samples), seed=options.seed, epoch=epoch)
        with Progress(epoch, options.epochs, len(samples)) as progress:
            for rows, images, labels in image_batches(samples, order, options, epoch):
                self._model.train_on_batch(self._prepare(images), labels)
                logits = ops.convert_to_numpy(self._model.last)[: len(rows)]
                channels = measure(logits, labels)
                right = int((channels["predicted"] == labels).sum())
                progress.update(len(rows), float(channels["losses"].sum()), right)
                if options.record == "train":
                    _record(recorder, samples, rows, channels)
            if options.record == "eval":
                for rows, channels in self._evaluate(samples, "recording", progress):
                    _record(recorder, samples, rows, channels)
            return progress.end(self._test(progress))

    def save(self, epochs: int) -> None:
        """Write a checkpoint that a crash leaves whole, old or new; plain arrays, no objects."""
        state: dict[str, Any] = {
            f"v{i}": np.asarray(ops.convert_to_numpy(v)) for i, v in enumerate(self._state())
        }
        about = json.dumps({"epochs": epochs, "options": self._plan.identity()})
        with atomic_file(_checkpoint(self._plan.options.output)) as file:
            np.savez(file, about=np.array(about), **state)

    def restore(self) -> int:
        """Load the checkpoint and return how many epochs it holds, 0 without one."""
        file = _checkpoint(self._plan.options.output)
        if not file.exists():
            return 0
        stored = read_arrays(file)
        try:
            about = json.loads(str(stored["about"]))
            self._plan.check_identity(about["options"], file)
            for number, variable in enumerate(self._state()):
                variable.assign(stored[f"v{number}"])
            return int(about["epochs"])
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise LossanError(not_ours(file, error)) from error

    def _state(self) -> list[Any]:
        """Return every variable that the next epoch depends on, those of chance included."""
        return [*self._model.variables, *self._model.optimizer.variables]

    def _evaluate(self, samples: SampleSet, what: str, progress: Progress) -> Any:
        batches = image_batches(samples, range(len(samples)), self._plan.options, None)
        for rows, images, labels in progress.over(batches, what, len(samples)):
            logits = self._model.predict_on_batch(self._prepare(images))
            yield rows, measure(logits, labels)

    def _test(self, progress: Progress) -> dict[str, Any] | None:
        samples = self._plan.test
        if samples is None:
            return None
        loss, right = 0.0, []
        for rows, channels in self._evaluate(samples, "test set", progress):
            loss += float(channels["losses"].sum())
            right.append(channels["predicted"] == samples.labels[rows])
        return evaluation_figures(loss, np.concatenate(right))


def _record(recorder: Recorder, samples: SampleSet, rows: Any, channels: dict[str, Any]) -> None:
    others = {name: values for name, values in channels.items() if name != "losses"}
    others["predicted"] = [samples.classes[code] for code in channels["predicted"].tolist()]
    recorder.record([samples.ids[row] for row in rows], channels["losses"], **others)


def _optimizer(options: TrainOptions) -> Any:
    if options.optimizer == "sgd":
        return keras.optimizers.SGD(options.lr, momentum=0.9)
    if options.optimizer == "adamw":
        return keras.optimizers.AdamW(options.lr)
    return keras.optimizers.Adam(options.lr)


def _set_precision(options: TrainOptions) -> None:
    fast = options.precision == "auto" and options.device != "cpu" and _n_gpus() > 0
    name = "bfloat16" if fast else options.precision
    policies = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
    keras.config.set_dtype_policy(policies.get(name, "float32"))


def _device(name: str) -> Any:
    if name == "auto":
        return nullcontext()
    if name == "cpu":
        return keras.device(_first("cpu"))
    if name == "mps" or not _n_gpus():
        raise LossanError(
            f"--device {name}: Keras on {keras.backend.backend()} finds none here; use --device "
            "auto or cpu."
        )
    return keras.device(_first("gpu"))


def _first(kind: str) -> str:
    # on PyTorch "cpu:0" is not "cpu" to Keras: it copies its variables there, and fails
    return kind if keras.backend.backend() == "torch" else f"{kind}:0"


def _stated(device: str) -> dict[str, str]:
    """Return on what it runs, for the log."""
    return {
        "framework": f"keras {keras.__version__} on {keras.backend.backend()}",
        "device": "gpu" if device != "cpu" and _n_gpus() else "cpu",
        "precision": keras.config.dtype_policy().compute_dtype,
    }


def _n_gpus() -> int:
    if keras.backend.backend() == "torch":  # for which Keras does not list devices
        import torch

        return torch.cuda.device_count()
    return len(keras.distribution.list_devices("gpu"))


def _checkpoint(log: Path) -> Path:
    return log.with_name(log.name + ".checkpoint.npz")
