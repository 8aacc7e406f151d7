"""What a training step computes, noted on the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import keras
from keras import ops
from numpy.typing import NDArray

from lossan import LossanError
from lossan_keras.feeds import untagged
from lossan_keras.outputs import (
    COLUMNS,
    main_output,
    measure,
    n_classes,
    output_names,
    with_moved,
)


@final
class Tap:
    """Takes ids off the data before a training step and notes what the step computes."""

    def __init__(self, n_rows: int, output: str | int | None, from_logits: bool) -> None:
        def buffer(shape: tuple[int, ...], dtype: str) -> Any:
            # never autocast: under mixed precision losses would come back in half precision
            return keras.Variable(
                "zeros", shape=shape, dtype=dtype, trainable=False, autocast=False
            )

        self._rows, self._count = buffer((n_rows,), "int64"), buffer((), "int32")
        self._values = buffer((n_rows, len(COLUMNS)), "float32")
        self._n_rows, self._output, self._from_logits = n_rows, output, from_logits
        self._current: Any = None
        self.n_classes = 0  # known once a step was taken
        self._given: Any = None  # the targets that came with the current ids

    @contextmanager
    def on(self, model: Any) -> Iterator[None]:
        """Stand between a model and its steps for a while."""
        names = output_names(model)
        own = {name: getattr(model, name) for name in ("train_step", "test_step", "compute_loss")}

        # Keras' own step leaves the samples where they are
        plain = getattr(own["train_step"], "__func__", None) is keras.Model.train_step

        def train_step(data: Any) -> Any:
            self._current, data = untagged(data)
            self._given = None if plain else keras.utils.unpack_x_y_sample_weight(data)[1]
            return own["train_step"](data)

        def compute_loss(
            x: Any = None, y: Any = None, y_pred: Any = None, *more: Any, **named: Any
        ) -> Any:
            # the first loss of a step counts; a validation step has no ids and is let through
            rows, self._current = self._current, None
            if rows is not None:
                self._note(rows, y, y_pred, names)
            return own["compute_loss"](x, y, y_pred, *more, **named)

        model.train_step, model.compute_loss = train_step, compute_loss
        model.test_step = lambda data: own["test_step"](untagged(data)[1])
        model.train_function = model.test_function = None  # traced without us, or with us
        try:
            yield
        finally:
            for name in own:
                delattr(model, name)
            model.train_function = model.test_function = None

    def take(self, *, at_least: int = 1) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Return what was noted and forget it; None where it is less than asked for."""
        n = int(ops.convert_to_numpy(self._count.value))
        if n > self._n_rows:
            raise LossanError(
                f"{n} records came between two looks at a buffer of {self._n_rows}; pass "
                f"buffer_rows={2 * n} to RecordTraining."
            )
        if n < at_least:
            return None
        rows, values = (ops.convert_to_numpy(v.value)[:n] for v in (self._rows, self._values))
        self._count.assign(0)
        return rows.copy(), values.copy()

    def take_half(self) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Return what was noted once the buffer is half full."""
        return self.take(at_least=self._n_rows // 2)

    def _note(self, rows: Any, targets: Any, outputs: Any, names: list[str]) -> None:
        outputs = main_output(outputs, self._output, "outputs", names)
        targets = main_output(targets, self._output, "targets", names)
        values = measure(outputs, targets, from_logits=self._from_logits)
        self.n_classes = n_classes(outputs)
        if self._given is not None:
            values = with_moved(values, outputs, self._given, self._output, names)
        n = ops.shape(rows)[0]
        if isinstance(n, int) and n > self._n_rows:
            raise LossanError(f"a batch of {n}; pass buffer_rows={2 * n} to RecordTraining.")
        start = self._count.value
        # scattered: on TensorFlow, outside of XLA, slice_update costs several times as much;
        # what does not fit goes to the last row, and the count tells
        places = ops.minimum(start + ops.arange(n, dtype="int32"), self._n_rows - 1)
        places = ops.expand_dims(places, 1)
        rows = ops.cast(rows, "int64")
        self._rows.assign(ops.scatter_update(self._rows.value, places, rows))
        self._values.assign(ops.scatter_update(self._values.value, places, values))
        self._count.assign(start + n)
