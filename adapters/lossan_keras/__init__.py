"""The Keras adapter of lossan: record one's own training in two lines."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossan_keras.callback import RecordEvaluation, RecordTraining

__all__ = ["RecordEvaluation", "RecordTraining"]


def __getattr__(name: str) -> Any:
    # on first use, so that listing adapters does not import Keras
    if name not in __all__:
        raise AttributeError(f"module 'lossan_keras' has no attribute {name!r}")
    from importlib.util import find_spec

    from lossan import LossanError

    if find_spec("keras") is None:
        raise LossanError("Keras is not installed: pip install 'lossan[keras]'.")
    from lossan_keras import callback

    return getattr(callback, name)
