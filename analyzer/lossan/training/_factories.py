"""Networks named as ``package.module:factory`` on the command line, and only there."""

from importlib import import_module
from traceback import extract_tb
from typing import Any

from lossan.errors import OptionError


def call_factory(name: str, n_classes: int, kind: type) -> Any:
    """Return what a factory makes for so many classes.

    Parameters
    ----------
    name : str
        ``package.module:factory``.
    n_classes : int
        Given to the factory as ``num_classes``.
    kind : type
        What it must return.

    Raises
    ------
    OptionError
        When it cannot be imported or called so, fails, or returns something else.
    """
    module, _, factory = name.partition(":")
    try:
        build = getattr(import_module(module), factory)
    except Exception as error:  # a module of the user's may fail in any way
        raise OptionError(
            f"--model {name}: {_told(error)}. Needed is package.module:factory, of a package that "
            "is installed or lies in a folder of PYTHONPATH."
        ) from error
    try:
        made = build(num_classes=n_classes)
    except Exception as error:  # so may its factory
        raise OptionError(
            f"--model {name}: {_told(error)}. It is called as {factory}(num_classes={n_classes})."
        ) from error
    if not isinstance(made, kind):
        raise OptionError(
            f"--model {name} returned a {type(made).__name__}, not a {kind.__name__}."
        )
    return made


def check_network(name: str, outputs: tuple[int, ...], n_classes: int, *, trainable: bool) -> None:
    """Refuse before the first epoch rather than in it a network that does not fit the labels.

    Parameters
    ----------
    name : str
        As given by ``--model``.
    outputs : tuple of int
        The shape of what it gives of one image.
    n_classes : int
    trainable : bool
        Whether it has parameters to train.

    Raises
    ------
    OptionError
        When it gives something else than a number a class, or cannot be trained.
    """
    if outputs != (n_classes,):
        raise OptionError(
            f"--model {name} gives outputs of shape {outputs} of an image; needed: ({n_classes},), "
            f"a logit for each of the {n_classes} classes of the labels."
        )
    if not trainable:
        raise OptionError(f"--model {name} has no parameters to train.")


def _told(error: Exception) -> str:
    """Say what went wrong and where: the traceback is not shown."""
    last = extract_tb(error.__traceback__)[-1]
    what = str(error) or type(error).__name__
    ours = last.filename == __file__
    if isinstance(error, ImportError) or (ours and isinstance(error, AttributeError)):
        return what  # it is not there
    place = "" if ours or last.filename[0] == "<" else f" at {last.filename}, line {last.lineno}"
    return f"{type(error).__name__} ({what}){place}"
