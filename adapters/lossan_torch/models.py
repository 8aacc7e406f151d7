"""Networks by name and their weights."""

import re
from collections import OrderedDict
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lossan import LossanError
from lossan.training import call_factory, check_network
from lossan_torch.measuring import main_output
from lossan_torch.states import first_line, read_state

_LISTED = 8
_OLD_DENSE = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def build_model(
    name: str, n_classes: int, weights: str, image_size: int, *, batch_size: int | None = None
) -> nn.Module:
    """Build a classifier for so many classes.

    Parameters
    ----------
    name : str
        A classifier of torchvision, or ``package.module:factory``; the factory is called with
        ``num_classes`` and returns a module.
    n_classes : int
    weights : str
        ``"imagenet"`` (torchvision's, from its cache or by download), ``"none"``, or the path of a
        state dict.
    image_size : int
        Pixels a side of the images it will see.
    batch_size : int, optional
        How many images it will be trained on at a time; of 1 it is tried whether that can be.

    Raises
    ------
    LossanError
        For an unknown network, one that gives no logit a class or has nothing to train, weights
        that are not there or are of another network, or an image or batch size the network cannot
        take.
    """
    model: Any = (
        call_factory(name, n_classes, nn.Module) if ":" in name else _vision_model(name, n_classes)
    )
    if weights == "imagenet":
        load_state(model, _imagenet_state(name), f"the ImageNet weights of {name}", n_classes)
    elif weights != "none":
        load_state(model, _file_state(Path(weights)), weights, n_classes)
    if getattr(model, "AuxLogits", None) is not None and image_size < 299:
        # the auxiliary head's convolutions need 299 pixels; the rest of the network does not
        model.aux_logits, model.AuxLogits = False, None
    _check_fit(model, name, n_classes, image_size)
    if batch_size == 1:
        _check_alone(model, name, image_size)
    return model


def load_state(model: nn.Module, state: dict[str, Tensor], source: str, n_classes: int) -> None:
    """Load a state dict; a head of another number of classes stays as it was initialised.

    Raises
    ------
    LossanError
        Naming missing, unexpected and misshapen layers.
    """
    own = model.state_dict()
    state = _renamed(state, own)
    missing = sorted(set(own) - set(state))
    unexpected = sorted(set(state) - set(own))
    heads = {
        name
        for name, value in own.items()
        if name in state
        and value.shape != state[name].shape
        and value.shape[:1] == (n_classes,)
        and value.shape[1:] == state[name].shape[1:]
    }
    misshapen = sorted(
        name for name in own if name in state and own[name].shape != state[name].shape
    )
    misshapen = [name for name in misshapen if name not in heads]
    # batch norm's counter is younger than some weights files, and nothing depends on it
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    faults = [
        f"{what} {_some(names)}"
        for what, names in (
            ("missing:", missing),
            ("unexpected:", unexpected),
            ("of another shape:", misshapen),
        )
        if names
    ]
    if faults:
        raise LossanError(
            f"{source} does not hold the weights of this network: {'; '.join(faults)}. Name the "
            "network it was saved from by --model."
        )
    try:
        model.load_state_dict(_without(heads, state, own), strict=False)
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise LossanError(
            f"{source} cannot be loaded into this network ({first_line(error)}). Name the network "
            "it was saved from by --model, and save its state dict again by the torchvision here."
        ) from error


def _renamed(state: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give layers of DenseNet their names of today: ImageNet's files have those of long ago.

    `torchvision.models.densenet` does so too, where it loads them itself.
    """
    new = {name: _OLD_DENSE.sub(r"\1\2", name) for name in state if name not in own}
    if not any(name != then and name in own for then, name in new.items()):
        return state
    kept = OrderedDict((new.get(name, name), value) for name, value in state.items())
    kept._metadata = getattr(state, "_metadata", None)  # type: ignore[attr-defined]  # as torch does
    return kept


def _without(heads: set[str], state: dict[str, Tensor], own: dict[str, Tensor]) -> Any:
    """Return a state dict without some layers, with the versions of its modules.

    Some modules read an older layout by its version, and MNASNet reads none without one.
    """
    kept: Any = OrderedDict((n, v) for n, v in state.items() if n not in heads)
    versions = getattr(state, "_metadata", None)
    kept._metadata = versions or getattr(own, "_metadata", None)
    return kept


def torchvision() -> Any:
    """Import torchvision, also beside a torch it was not built for.

    Raises
    ------
    LossanError
        When it is not installed.
    """
    try:
        return import_module("torchvision")
    except ImportError as error:
        raise LossanError(
            "torchvision is not installed: pip install 'lossan[torch]', or give --model "
            "package.module:factory."
        ) from error
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    # A torchvision built for CUDA beside a CPU-only torch lacks its compiled operators and stops
    # at import when it registers them. No classifier uses them: declaring their names is enough.
    global _declared  # noqa: PLW0603  (the declaration lives as long as this object)
    _declared = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]  # torch has none here
    for operator in ("nms", "qnms"):
        _declared.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return import_module("torchvision")


_declared: Any = None


def _vision_model(name: str, n_classes: int) -> nn.Module:
    models = torchvision().models
    known = models.list_models(module=models)
    if name not in known:
        from lossan.errors import hint

        raise LossanError(f"torchvision has no classifier {name!r}; {hint(name, known)}")
    options: dict[str, Any] = {}
    if name in ("inception_v3", "googlenet"):
        # ImageNet weights of these, downloaded or in a file, are of inputs scaled to [-1, 1]
        options = {"init_weights": True, "aux_logits": True, "transform_input": True}
    model: nn.Module = models.get_model(name, weights=None, num_classes=n_classes, **options)
    return model


def _imagenet_state(name: str) -> dict[str, Tensor]:
    if ":" in name:
        raise LossanError(f"--weights imagenet is for torchvision's networks; {name} needs a file.")
    chosen = torchvision().models.get_model_weights(name).DEFAULT
    cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(chosen.url).name
    try:
        state: dict[str, Tensor] = chosen.get_state_dict(progress=True, check_hash=True)
    except OSError as error:
        raise LossanError(
            f"the ImageNet weights of {name} are not in the cache and cannot be downloaded "
            f"({error}). Fetch {chosen.url} on another machine and put it at {cache}, name a file "
            "by --weights FILE, or train from scratch by --weights none."
        ) from error
    return state


def _file_state(file: Path) -> dict[str, Tensor]:
    try:
        state = read_state(file)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise LossanError(f"--weights {file}: there is no such file.") from error
    except LossanError as error:
        raise LossanError(
            f"--weights {error} Save a state dict by torch.save(model.state_dict(), FILE)."
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        raise LossanError(f"--weights {file} holds no state dict, layer names to tensors.")
    return state


def _check_fit(model: nn.Module, name: str, n_classes: int, image_size: int) -> None:
    """Refuse before the first epoch rather than in it what can only fail there."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            outputs = model(torch.zeros(1, 3, image_size, image_size))
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        first = first_line(error)
        raise LossanError(
            f"{name} cannot take images of {image_size} x {image_size} pixels ({first}). Choose "
            "another --image-size."
        ) from error
    finally:
        model.train(training)
    try:
        shape = tuple(main_output(outputs).shape[1:])
    except LossanError as error:
        raise LossanError(f"--model {name}: {error}") from error
    trainable = any(parameter.requires_grad for parameter in model.parameters())
    check_network(name, shape, n_classes, trainable=trainable)


def _check_alone(model: nn.Module, name: str, image_size: int) -> None:
    """Refuse to train on single images where batch norm would see one value a channel."""
    training = model.training
    before = {place: buffer.clone() for place, buffer in model.named_buffers()}
    model.train()
    try:
        # chance and the running means stay as they were: a training goes by its seed alone
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            model(torch.zeros(1, 3, image_size, image_size))
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        raise LossanError(
            f"{name} cannot be trained on single images of {image_size} x {image_size} pixels "
            f"({first_line(error)}). Give --batch-size 2 or more, or a larger --image-size."
        ) from error
    finally:
        model.train(training)
        with torch.no_grad():
            for place, buffer in model.named_buffers():
                buffer.copy_(before.get(place, buffer))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
