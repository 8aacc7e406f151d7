"""Keras' training to the Recorder, and nothing else; works with any model that `fit` trains."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import keras
import numpy as np
from numpy.typing import NDArray

from lossan import LossanError, Recorder
from lossan.given import Naming
from lossan_keras.feeds import (
    Codes,
    batches,
    check_validation,
    first_batch,
    keeps_its_order,
    plain_array,
    tagged_data,
    untagged,
)
from lossan_keras.outputs import (
    COLUMNS,
    MOVED,
    SEVERAL,
    gives_logits,
    main_output,
    measure,
    n_classes,
    output_names,
)
from lossan_keras.passing import Pass
from lossan_keras.tap import Tap


@final
class _Log:
    """A recorder and what is needed to write measured batches to it."""

    def __init__(self, target: Any, recorded: str, options: dict[str, Any]) -> None:
        self._own = not isinstance(target, Recorder)
        if self._own:
            stated = {"framework": f"keras {keras.__version__} on {keras.backend.backend()}"}
            metadata = {**stated, **(options.pop("metadata", None) or {})}
            target = Recorder(target, recorded=recorded, metadata=metadata, **options)
        elif set(options) - {"classes"}:
            raise LossanError(
                f"{', '.join(sorted(set(options) - {'classes'}))}: give that to the Recorder; it "
                "is made already."
            )
        self.recorder: Recorder = target
        self._naming = Naming(options.get("classes"), options.get("labels"))

    def write(self, ids: Any, values: NDArray[np.float32], n_classes: int) -> None:
        columns = dict(zip(COLUMNS, values.T, strict=True))
        _check_labels(ids, columns["label"], n_classes)
        self.recorder.record(ids, **self._naming.fields(columns))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Leave a Recorder of our own as a crash leaves it when something fails."""
        try:
            yield
        except BaseException as error:
            if self._own:
                self.recorder.__exit__(type(error), error, error.__traceback__)
            raise

    def finish(self) -> None:
        """Write the log, unless the Recorder is the caller's."""
        if self._own:
            self.recorder.close()


@final
class RecordEvaluation(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Record every sample after each epoch of ``fit``, in a pass of its own.

    The pass has no dropout and batch norm at rest; what is recorded is the plain cross-entropy in
    float32, whatever objective is trained on.

    Parameters
    ----------
    target : str, Path or Recorder
        The log to write, closed when ``fit`` ends; or a Recorder, which stays open.
    data : tuple of arrays, tf.data.Dataset, PyDataset, iterable, or function that returns one
        The training samples without augmentation. Arrays are ``(x, y)`` or ``(ids, x, y)``; all
        else yields ``(ids, x, y)``, in any order.
    ids : sequence, optional
        The ids of arrays, shape (n,), integers or strings; row numbers if not given.
    batch_size : int
        Of arrays.
    from_logits : bool, optional
        Whether the model gives logits, else probabilities; told from its loss if not given.
    output : str or int, optional
        Which output to record of a model with several: its name or its place.
    **options
        Those of `lossan.Recorder`: ``labels``, ``classes``, ``metadata``, ``resume`` and so on.
        Without ``labels`` the targets are recorded as the given labels.

    Examples
    --------
    >>> recording = RecordEvaluation("run.parquet", (x, y), ids=names)  # doctest: +SKIP
    >>> model.fit(x, y, epochs=8, callbacks=[recording])  # doctest: +SKIP
    """

    def __init__(
        self,
        target: str | Path | Recorder,
        data: Any,
        *,
        ids: Any = None,
        batch_size: int = 32,
        from_logits: bool | None = None,
        output: str | int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._log = _Log(target, "eval", options)
        self._batches: Callable[[], Any] = lambda: batches(data, ids, batch_size)
        self._from_logits, self._output = from_logits, output
        self._pass = Pass(output)

    @property
    def recorder(self) -> Recorder:
        """The Recorder; after resuming its ``n_epochs`` is the ``initial_epoch`` of ``fit``."""
        return self._log.recorder

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002  (Keras' signature)
        """Find out what the outputs are before the first epoch is spent."""
        if self._from_logits is None:
            with self._log.kept():
                self._from_logits = gives_logits(self.model, self._output)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002  (Keras' signature)
        """Record every sample."""
        names, n = output_names(self.model), 0
        with self._log.kept():
            with self._pass.of(self.model):
                for ids, x, y in self._batches():
                    outputs, logits = self._pass.outputs(self.model, x)
                    targets = main_output(y, self._output, "targets", names)
                    told = logits or bool(self._from_logits)
                    values = measure(outputs, targets, from_logits=told)
                    self._log.write(ids, values, n_classes(outputs))
                    n += len(values)
            if not n:
                raise LossanError(
                    f"the data to record gave no sample after epoch {epoch + 1}. A generator is "
                    "used up after one pass: give the function that makes a new one."
                )
            self.recorder.end_epoch()

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002  (Keras' signature)
        """Write the log, unless the Recorder is the caller's."""
        self._log.finish()


@final
class RecordTraining:
    """Record the losses of the training pass itself, in whatever order ``fit`` shuffles.

    The model trains as by its own ``fit``: the ids travel beside x and are taken off before each
    step; what the step computes is noted on the way. Recorded is the plain cross-entropy in
    float32, before class weights, sample weights and label smoothing. On the PyTorch backend the
    same seed may shuffle in another order than without recording.

    Parameters
    ----------
    target : str, Path or Recorder
        The log to write, closed when `fit` ends; or a Recorder, which stays open for another.
    from_logits : bool, optional
        Whether the model gives logits, else probabilities; told from its loss if not given.
    output : str or int, optional
        Which output to record of a model with several: its name or its place.
    buffer_rows : int
        How many records wait on the device; at least twice what one call of the train function
        takes, which is batch size times ``steps_per_execution``.
    **options
        Those of `lossan.Recorder`: ``labels``, ``classes``, ``metadata``, ``resume`` and so on.
        Without ``labels`` the targets are recorded as the given labels.

    Examples
    --------
    >>> recording = RecordTraining("run.parquet")  # doctest: +SKIP
    >>> recording.fit(model, x, y, ids=names, epochs=8)  # doctest: +SKIP
    """

    def __init__(
        self,
        target: str | Path | Recorder,
        *,
        from_logits: bool | None = None,
        output: str | int | None = None,
        buffer_rows: int = 8192,
        **options: Any,
    ) -> None:
        if keras.backend.backend() not in ("tensorflow", "torch"):
            raise LossanError(
                f"the {keras.backend.backend()} backend of Keras cannot record the training pass; "
                "use RecordEvaluation, or KERAS_BACKEND=tensorflow or torch."
            )
        if buffer_rows < 1:
            raise LossanError(f"buffer_rows is {buffer_rows}; allowed: 1 or more.")
        self._log = _Log(target, "train", options)
        self._from_logits, self._output, self._buffer_rows = from_logits, output, buffer_rows

    @property
    def recorder(self) -> Recorder:
        """The Recorder; after resuming its ``n_epochs`` is the ``initial_epoch`` of `fit`."""
        return self._log.recorder

    def fit(self, model: Any, x: Any, y: Any = None, *, ids: Any = None, **options: Any) -> Any:
        """Train a compiled model as ``model.fit`` does, and record it.

        Parameters
        ----------
        model : keras.Model
            Compiled.
        x, y : arrays, or a tf.data.Dataset, PyDataset or generator as x alone
            The latter yield ``(ids, x, y)`` or ``(ids, x, y, sample_weight)``.
        ids : sequence, optional
            The ids of arrays, shape (n,), integers or strings; row numbers if not given.
        **options
            Those of ``model.fit``: ``epochs``, ``batch_size``, ``class_weight``, ``callbacks``...

        Returns
        -------
        keras.callbacks.History

        Raises
        ------
        LossanError
            For data without ids, outputs or targets that are not a classifier's, a model whose
            ``train_step`` never calls ``compute_loss`` or calls it with the samples of a batch in
            another order, or a distribution strategy.
        """
        with self._log.kept():
            history = self._fit(model, x, y, ids, options)
        self._log.finish()
        return history

    def _fit(self, model: Any, x: Any, y: Any, ids: Any, options: dict[str, Any]) -> Any:
        _refuse_strategy(model)
        from_logits = self._from_logits
        if from_logits is None:
            from_logits = gives_logits(model, self._output)
        check_validation(options.get("validation_data"), x)
        codes = Codes()
        tagged = tagged_data(x, y, ids, codes)
        if keeps_its_order(x):
            options.setdefault("shuffle", False)  # Keras cannot, and warns of its own default
        if keras.backend.backend() != "tensorflow":
            tagged = _build(model, tagged, x, y)
        tap = Tap(self._buffer_rows, self._output, from_logits)
        callback = _Flush(tap, self._log, codes)
        options["callbacks"] = [callback, *keras.tree.flatten(options.get("callbacks") or [])]
        with tap.on(model):
            return model.fit(tagged, y, **options)


@final
class _Flush(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Brings what a tap noted to the log."""

    def __init__(self, tap: Tap, log: _Log, codes: Codes) -> None:
        super().__init__()
        self._tap, self._log, self._codes = tap, log, codes
        self._noted = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002  (Keras' signature)
        self._noted = False

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002  (Keras' signature)
        self._write(self._tap.take_half())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002  (Keras' signature)
        self._write(self._tap.take())
        if not self._noted:
            raise LossanError(
                "the training steps gave no losses: the model's train_step must call "
                "self.compute_loss(). Use RecordEvaluation instead."
            )
        self._log.recorder.end_epoch()

    def _write(self, noted: tuple[NDArray[Any], NDArray[Any]] | None) -> None:
        if noted is not None:
            self._noted = True
            self._log.write(self._codes.ids(noted[0]), noted[1], self._tap.n_classes)


def _check_labels(ids: Any, labels: NDArray[np.float32], n_classes: int) -> None:
    """Refuse what is the index of no class, a number of a regression too."""
    right = (labels >= 0) & (labels < n_classes) & (labels == labels.round())
    if right.all():
        return
    place = int(np.flatnonzero(~right)[0])
    first, label = np.asarray(ids)[place].item(), float(labels[place])
    if label == SEVERAL:
        raise LossanError(
            f"the target of sample {first!r} is a row of several labels or of none, which no entry "
            "is the largest of; needed: the label of one class. A model of several labels needs an "
            "output of each to record, by output=."
        )
    if label == MOVED:
        raise LossanError(
            f"the training step takes the loss of sample {first!r} with another target than the "
            "data gave: the model's train_step permutes or mixes the samples of a batch, so that "
            "losses would stand under the wrong ids, or changes their targets. Use "
            "RecordEvaluation, or permute and mix before the data get their ids."
        )
    raise LossanError(
        f"the target of sample {first!r} is {label:g}; allowed: class indices from 0 to "
        f"{n_classes - 1}, for a single sigmoid output probabilities from 0 to 1, or one-hot rows. "
        "Leave out samples without a label."
    )


def _build(model: Any, tagged: Any, x: Any, y: Any) -> Any:
    """Build model, loss and metrics on plain data, which `fit` would try with the tagged one."""
    if y is not None:
        batch = keras.tree.map_structure(lambda array: plain_array(array)[:1], (x, y))
    else:
        batch, tagged = first_batch(tagged)
        batch = untagged(batch)[1]
    model.test_on_batch(*keras.utils.unpack_x_y_sample_weight(batch))
    model.reset_metrics()
    return tagged


def _refuse_strategy(model: Any) -> None:
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is not None and strategy.num_replicas_in_sync > 1:
        raise LossanError(
            "a model under a distribution strategy cannot record its training pass; use "
            "RecordEvaluation."
        )
