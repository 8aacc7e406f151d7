"""Networks named as ``package.module:factory`` on the command line, and only there."""

from importlib import import_module
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
        When it cannot be imported or returns something else.
    """
    module, _, factory = name.partition(":")
    try:
        made = getattr(import_module(module), factory)(num_classes=n_classes)
    except (ImportError, AttributeError) as error:
        raise OptionError(
            f"--model {name}: {error}. Needed is package.module:factory, importable from here."
        ) from error
    if not isinstance(made, kind):
        raise OptionError(
            f"--model {name} returned a {type(made).__name__}, not a {kind.__name__}."
        )
    return made
