"""A pass over the data by the model's own predictions, of which the logits are kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import keras

from lossan_keras.outputs import main_output, output_names

_BACKENDS = ("tensorflow", "torch")  # where a step returns nothing but the outputs


@final
class Pass:
    """Predicts batches, by a function of its own: the model's own predictions stay as they are.

    A sigmoid in float32 is 1 from a logit of 17 on, and the loss of the other label with it; where
    the last layer leaves its logits they are taken instead.

    Parameters
    ----------
    output : str or int, optional
        Which output to return of a model with several.
    """

    def __init__(self, output: str | int | None) -> None:
        self._output = output
        self._function: Any = None
        self._logits = False

    @contextmanager
    def of(self, model: Any) -> Iterator[None]:
        """Stand between a model and its predictions for a while."""
        if keras.backend.backend() not in _BACKENDS:
            yield
            return
        step, function = model.predict_step, model.predict_function
        names = output_names(model)

        def predict_step(data: Any) -> Any:
            outputs = main_output(step(data), self._output, "outputs", names)
            logits = getattr(outputs, "_keras_logits", None)
            self._logits = logits is not None
            return outputs if logits is None else logits

        model.predict_step, model.predict_function = predict_step, self._function
        try:
            yield
        finally:
            self._function = model.predict_function
            del model.predict_step
            model.predict_function = function

    def outputs(self, model: Any, x: Any) -> tuple[Any, bool]:
        """Return the outputs of a batch as an array, and whether they surely are logits."""
        found = model.predict_on_batch(x)
        if keras.backend.backend() in _BACKENDS:  # main_output was called on the way
            return found, self._logits
        return main_output(found, self._output, "outputs", output_names(model)), False
