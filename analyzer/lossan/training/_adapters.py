"""The adapters that are installed, found by the entry-point group ``lossan.adapters``."""

from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from lossan.errors import OptionError, hint
from lossan.training._plan import TrainPlan

GROUP = "lossan.adapters"


class Adapter(Protocol):
    """What an entry point of the group names: a module, or an object with the same names."""

    EXTRA: str
    """The extra that installs the framework."""
    SUMMARY: str
    """One line for ``lossan adapters``."""

    def missing(self) -> str | None:
        """Return what is not installed, None where the adapter can train; imports nothing heavy."""

    def train(self, plan: TrainPlan) -> None:
        """Train, record and write the log."""


def installed_adapters() -> dict[str, EntryPoint]:
    """Return the entry points by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def find_adapter(name: str) -> Adapter:
    """Return an adapter that can train.

    Raises
    ------
    OptionError
        When there is none of that name, or its framework is not installed.
    """
    points = installed_adapters()
    if name not in points:
        raise OptionError(f"no adapter {name!r}; {hint(name, points)}")
    adapter: Adapter = points[name].load()
    missing = adapter.missing()
    if missing:
        raise OptionError(
            f"the adapter {name} needs {missing}, which is not installed: "
            f"pip install 'lossan[{adapter.EXTRA}]'"
        )
    return adapter
