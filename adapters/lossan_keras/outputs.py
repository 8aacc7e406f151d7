"""From a model's outputs and targets to every channel of a log, in any backend's ops or numpy's."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.special import log_softmax

from lossan import LossanError

# What is computed for every sample, the columns of one matrix.
COLUMNS = ("loss", "label_prob", "margin", "predicted_prob", "predicted", "label")
# Probabilities are raised to this before their logarithm is taken, so that it is finite.
_LEAST = float(np.finfo(np.float32).tiny)
# Stands for the label of a row that has several, or none; and how far from 1 the sum of a one-hot
# row may be, mixed or smoothed, in half precision.
SEVERAL, _ONE = -(2**31), 0.01
MOVED = -(2**30)  # stands for the label of a row whose target is not the one its id came with
_UNKNOWN = float(np.finfo(np.float32).epsneg)


def measure(outputs: Any, targets: Any, *, from_logits: bool) -> Any:
    """Compute every channel of a batch.

    Parameters
    ----------
    outputs : Tensor or ndarray
        Shape (n, n_classes), or (n,) or (n, 1) for a single sigmoid output.
    targets : Tensor or ndarray
        Shape (n,) or (n, 1), class indices, of which what is none stays as it is; or
        (n, n_classes), of which the largest entry counts: of rows of several labels, or of none,
        the label is `SEVERAL`.
    from_logits : bool
        Whether outputs are logits; else they are probabilities.

    Returns
    -------
    Tensor or ndarray
        As the outputs are. Shape (n, 6), float32, with the columns `COLUMNS`. The loss is in nats
        and the margin in logits; of probabilities it is log p of the given label minus the largest
        other log p.

    Raises
    ------
    LossanError
        For shapes that do not fit.
    """
    # a softmax or sigmoid layer leaves its logits here: Keras' own loss takes them from it too
    logits = getattr(outputs, "_keras_logits", None)
    if logits is not None:
        outputs, from_logits = logits, True
    xp = np if isinstance(outputs, np.ndarray) else ops
    if xp is np:  # outside of a graph a backend's ops cost more than what they compute
        targets = ops.convert_to_numpy(targets)
    else:
        outputs = ops.stop_gradient(ops.convert_to_tensor(outputs))
        targets = ops.convert_to_tensor(targets)
    # float32 first: the losses of a thousand bfloat16 outputs take two hundred values
    scores = _scores(_cast(outputs, "float32"), from_logits, xp)
    labels = _labels(targets, tuple(outputs.shape), xp)
    classes = xp.arange(scores.shape[1], dtype="float32")
    given = xp.equal(xp.expand_dims(labels, 1), classes)
    log_probs = (log_softmax if xp is np else ops.log_softmax)(scores, axis=1)
    # by masking: a label that is no class gives an infinite loss, and is told of by its value
    own = xp.max(xp.where(given, log_probs, -np.inf), axis=1)
    others = xp.max(xp.where(given, -np.inf, log_probs), axis=1)
    columns = (
        -own,
        xp.exp(own),
        own - others,
        xp.exp(xp.max(log_probs, axis=1)),
        # class indices are exact in float32 up to 2^24 classes
        _cast(xp.argmax(log_probs, axis=1), "float32"),
        labels,
    )
    return xp.stack(columns, axis=1)


def n_classes(outputs: Any) -> int:
    """Return how many classes outputs are of, two for those of a single sigmoid."""
    shape = tuple(outputs.shape)
    return 2 if len(shape) == 1 or shape[1] == 1 else int(shape[1])


def with_moved(
    values: Any, outputs: Any, targets: Any, output: str | int | None, names: Sequence[str]
) -> Any:
    """Put `MOVED` for the labels that are not those a step's data came with.

    Parameters
    ----------
    values : Tensor
        Shape (n, 6), as `measure` returns it of what a step hands to its loss.
    outputs : Tensor
        The outputs to record.
    targets : Tensor, or dict, list or tuple of these
        What the data brought; where no labels can be told from it, as where a step makes its
        targets itself, nothing is compared.
    output, names
        As of `main_output`.
    """
    try:
        given = ops.convert_to_tensor(main_output(targets, output, "targets", names))
        own = _labels(given, tuple(outputs.shape), ops)
    except LossanError:
        return values
    labels = values[:, -1]
    labels = ops.where(ops.equal(labels, own), labels, float(MOVED))
    return ops.concatenate([values[:, :-1], ops.expand_dims(labels, 1)], axis=1)


def output_names(model: Any) -> list[str]:
    """Return the names of a model's outputs in their order, none where it has no such names."""
    return list(getattr(model, "output_names", None) or ())


def main_output(
    structure: Any, output: str | int | None, what: str, names: Sequence[str] = ()
) -> Any:
    """Pick the output to record of a model with several.

    Parameters
    ----------
    structure : array, or dict, list or tuple of arrays
        Outputs, targets or losses.
    output : str or int, optional
        As the user named it.
    what : str
        What they are, for messages.
    names : sequence of str
        Those of the model's outputs in order: what is listed may be named and the other way round,
        as Keras takes targets and losses by name where a model returns a list.

    Raises
    ------
    LossanError
        When there are several and none is named, or none of that name.
    """
    if not isinstance(structure, dict | list | tuple):
        return structure
    parts: dict[Any, Any] = structure if isinstance(structure, dict) else dict(enumerate(structure))
    if output is None and len(parts) == 1:
        output = next(iter(parts))
    if output not in parts:
        places: dict[Any, Any] = dict(enumerate(names))
        places |= {name: place for place, name in enumerate(names)}
        key = places.get(output)
        if key not in parts:
            listed = names if len(names) == len(parts) and 0 in parts else parts
            raise LossanError(
                f"the {what} are several ({', '.join(map(str, listed))}) and output is {output!r}; "
                "name the one to record by output=."
            )
        output = key
    return parts[output]


def gives_logits(model: Any, output: str | int | None) -> bool:
    """Tell from the compiled loss, else from the last layer, whether a model gives logits.

    Raises
    ------
    LossanError
        When that cannot be told, or loss and last layer contradict each other.
    """
    loss = getattr(model, "loss", None)
    if isinstance(loss, dict | list | tuple):
        loss = main_output(loss, output, "losses", output_names(model))
    several = len(getattr(model, "outputs", None) or ()) > 1
    by_layer = None if several else _layer_gives_logits(model)
    by_loss = _loss_takes_logits(loss)
    if by_loss is False and by_layer is True:
        raise LossanError(
            "the loss takes probabilities, but the last layer has no softmax or sigmoid. Compile "
            "with a loss of from_logits=True, or say what the outputs are by from_logits=."
        )
    found = by_layer if by_loss is None else by_loss
    if found is None:
        raise LossanError(
            "neither the loss nor the last layer tells whether the model gives logits; pass "
            "from_logits=True or from_logits=False."
        )
    return found


def _loss_takes_logits(loss: Any) -> bool | None:
    if isinstance(loss, str):
        return False if "crossentropy" in loss else None
    stated = getattr(loss, "from_logits", None)
    return None if stated is None else bool(stated)


def _layer_gives_logits(model: Any) -> bool | None:
    layers = getattr(model, "layers", None)
    if not layers:
        return None
    if isinstance(layers[-1], keras.layers.Softmax):
        return False
    activation = getattr(layers[-1], "activation", None)
    known = {keras.activations.softmax: False, keras.activations.sigmoid: False}
    return {**known, keras.activations.linear: True}.get(activation)


def _scores(outputs: Any, from_logits: bool, xp: Any) -> Any:
    """Bring outputs to shape (n, n_classes), logits up to a constant a row."""
    shape = tuple(outputs.shape)
    if len(shape) not in (1, 2):
        raise LossanError(f"outputs have the shape {shape}; needed: (n, n_classes).")
    single = len(shape) == 1 or shape[1] == 1
    if not single:
        return outputs if from_logits else xp.log(xp.maximum(outputs, _LEAST))
    score = xp.reshape(outputs, (-1,))
    if from_logits:
        return xp.stack([xp.zeros_like(score), score], axis=1)
    # float32 knows no probability between 1 and what is _UNKNOWN less: half of that on average
    rest = xp.maximum(1.0 - score, _UNKNOWN / 2)
    return xp.log(xp.maximum(xp.stack([rest, score], axis=1), _LEAST))


def _labels(targets: Any, outputs: tuple[int | None, ...], xp: Any) -> Any:
    """Bring sparse, one-hot or binary targets to class indices of shape (n,), in float32."""
    shape = tuple(targets.shape)
    one_hot = len(shape) == 2 and shape[1] != 1
    wrong_width = one_hot and shape[1] != (outputs[1] if len(outputs) == 2 else 1)
    wrong_rows = None not in (shape[:1] or (0,)) + outputs[:1] and shape[:1] != outputs[:1]
    if len(shape) not in (1, 2) or wrong_width or wrong_rows:
        raise LossanError(
            f"targets have the shape {shape}; outputs of shape {outputs} need (n,) class indices "
            "or one-hot rows of as many classes."
        )
    if one_hot:
        return _largest(_cast(targets, "float32"), xp)
    given = _cast(xp.reshape(targets, (-1,)), "float32")
    single = len(outputs) == 1 or outputs[1] == 1  # whose targets may be probabilities
    return xp.round(given) if single else given


def _largest(targets: Any, xp: Any) -> Any:
    """Return the class of each row's largest entry.

    Mixed samples may be halves of two classes, but together they are one.
    """
    top = xp.equal(targets, xp.max(targets, axis=1, keepdims=True))
    tied = xp.sum(_cast(top, "int32"), axis=1) > 1
    several = xp.logical_and(tied, xp.abs(xp.sum(targets, axis=1) - 1.0) > _ONE)
    largest = _cast(xp.argmax(targets, axis=1), "float32")
    return xp.where(several, _cast(xp.full_like(largest, SEVERAL), "float32"), largest)


def _cast(values: Any, dtype: str) -> Any:
    return values.astype(dtype) if isinstance(values, np.ndarray) else ops.cast(values, dtype)
