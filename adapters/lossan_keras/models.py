"""Networks by name and their weights."""

import os
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras

from lossan import LossanError
from lossan.errors import hint
from lossan.training import call_factory, check_network
from lossan_keras.weights import check_weights, stored_layers

_LISTED = 8


def build_model(name: str, n_classes: int, weights: str, image_size: int) -> tuple[Any, Any]:
    """Build a classifier that returns logits, and what brings images to its input.

    Parameters
    ----------
    name : str
        A classifier of keras.applications, or ``package.module:factory``; the factory is called
        with ``num_classes`` and returns a model of images in [-1, 1] that ends in logits.
    n_classes : int
    weights : str
        ``"imagenet"`` (Keras', from its cache or by download), ``"none"``, or a file: a
        ``.weights.h5`` of the model or a ``notop.h5`` of its body.
    image_size : int
        Pixels a side of the images it will see.

    Returns
    -------
    keras.Model
    callable
        From uint8 images of shape (n, size, size, 3) to the model's input.

    Raises
    ------
    LossanError
        For an unknown network, one that gives no logit a class or has nothing to train, weights
        that are not there or are of another network, or an image size the network cannot take.
    """
    if ":" in name:
        if weights == "imagenet":
            raise LossanError(
                f"--weights imagenet is for keras.applications' networks; {name} needs a file."
            )
        model = call_factory(name, n_classes, keras.Model)
        try:
            outputs = model(keras.KerasTensor((None, image_size, image_size, 3)))
        except ValueError as error:
            raise _wrong_size(name, image_size, error) from error
        shape = tuple(getattr(outputs, "shape", ()))[1:]
        check_network(name, shape, n_classes, trainable=bool(model.trainable_variables))
        if weights != "none":
            _load(model, model, Path(weights))
        return model, lambda images: images.astype("float32") / 127.5 - 1
    builder, prepare = _application(name)
    body = _body(builder, name, weights, image_size)
    # in float32 also under mixed precision: losses of bfloat16 logits take few distinct values
    logits = keras.layers.Dense(n_classes, dtype="float32", name="lossan_logits")(body.output)
    model = keras.Model(body.input, logits)
    if weights not in ("imagenet", "none"):
        _load(model, body, Path(weights))
    return model, lambda images: prepare(images.astype("float32"))


def _application(name: str) -> tuple[Any, Any]:
    """Find a builder and its preprocessing, however the name is written."""
    wanted = name.replace("_", "").lower()
    builders = {n.lower(): n for n in dir(keras.applications) if n[0].isupper()}
    if wanted not in builders:
        raise LossanError(
            f"keras.applications has no classifier {name!r}; {hint(wanted, builders)}"
        )
    builder = getattr(keras.applications, builders[wanted])
    # the public module of the builder's name; not every one also exports the builder
    family = getattr(keras.applications, builder.__module__.rpartition(".")[2])
    return builder, family.preprocess_input


def _body(builder: Any, name: str, weights: str, image_size: int) -> Any:
    try:
        with warnings.catch_warnings():
            # of a size the weights were not made for, which without their top they fit all the same
            warnings.filterwarnings("ignore", "`input_shape` is undefined or non-square")
            return builder(
                include_top=False,
                weights="imagenet" if weights == "imagenet" else None,
                input_shape=(image_size, image_size, 3),
                pooling="avg",
            )
    except ValueError as error:
        raise _wrong_size(name, image_size, error) from error
    except Exception as error:  # Keras raises a plain one when a download fails
        if "fetch" not in str(error):
            raise
        found = re.search(r"https?://\S+?\.h5", str(error))
        address = found[0] if found else "its weights"
        place = _cache() / "models" / Path(address).name
        raise LossanError(
            f"the ImageNet weights of {name} are not in the cache and cannot be downloaded. Fetch "
            f"{address} on another machine and put it at {place}, name a file by --weights FILE, "
            "or train from scratch by --weights none."
        ) from error


def _wrong_size(name: str, image_size: int, error: Exception) -> LossanError:
    first = str(error).strip().splitlines()[0]
    return LossanError(
        f"{name} cannot take images of {image_size} x {image_size} pixels ({first}). Choose "
        "another --image-size."
    )


def _cache() -> Path:
    """Return the folder that Keras keeps downloads in, which it has no public name for."""
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    return home if os.access(home, os.W_OK) else Path(tempfile.gettempdir()) / ".keras"


def _load(model: Any, body: Any, file: Path) -> None:
    """Load weights of the whole model or of its body; only numbers, never layers, are read."""
    if not file.exists():
        raise LossanError(f"--weights {file}: there is no such file.")
    if not file.name.endswith(".h5"):
        raise LossanError(f"--weights {file}: needed is a .weights.h5 or a notop .h5 file.")
    check_weights(file)
    problems = []
    for target in (model, body):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a screenful for what the error below says once
                target.load_weights(file)
        except Exception as error:  # noqa: BLE001  (Keras raises many kinds for a wrong file)
            problems.append(error)
        else:
            return
    raise LossanError(
        f"{file} does not hold the weights of this network{_difference(body, file)} "
        f"({str(problems[-1]).splitlines()[0]}). Name the network it was saved from by --model."
    ) from problems[-1]


def _difference(body: Any, file: Path) -> str:
    """Name missing and unexpected layers where the file lists its layers."""
    import h5py

    try:
        with h5py.File(file) as stored:
            theirs = stored_layers(stored)
    except (OSError, KeyError, AttributeError, TypeError, ValueError):
        return ": it is no HDF5 file of weights"
    ours = {layer.name for layer in body.layers if layer.weights}
    parts = []
    for what, names in (("missing", ours - theirs), ("unexpected", theirs - ours)):
        if names:
            more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
            parts.append(f"{what}: {', '.join(sorted(names)[:_LISTED])}{more}")
    return f": {'; '.join(parts)}" if parts else ""
