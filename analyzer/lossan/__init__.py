"""Find wrong labels in the loss every training run already computes.

Every public name is imported on first use, so that ``import lossan`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lossan._version import __version__

if TYPE_CHECKING:
    from lossan.build import build_log
    from lossan.corrupt import corrupt_labels
    from lossan.errors import LossanError, RecordingWarning
    from lossan.features import compute_features
    from lossan.io import read_log, write_log
    from lossan.losslog import LossLog
    from lossan.pipeline import Result, analyze
    from lossan.recorder import Recorder

_HOME = {
    "LossLog": "lossan.losslog",
    "LossanError": "lossan.errors",
    "Recorder": "lossan.recorder",
    "RecordingWarning": "lossan.errors",
    "Result": "lossan.pipeline",
    "analyze": "lossan.pipeline",
    "build_log": "lossan.build",
    "compute_features": "lossan.features",
    "corrupt_labels": "lossan.corrupt",
    "read_log": "lossan.io",
    "write_log": "lossan.io",
}

__all__ = [  # noqa: RUF022  (the order a reader meets them)
    "__version__",
    "Recorder",
    "RecordingWarning",
    "LossLog",
    "read_log",
    "build_log",
    "write_log",
    "analyze",
    "Result",
    "compute_features",
    "corrupt_labels",
    "LossanError",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lossan' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
