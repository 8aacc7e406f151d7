"""The PyTorch adapter of lossan: record one's own training in two lines."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossan_torch.callback import TorchRecorder, WithIds, record_evaluation, shard_path

__all__ = ["TorchRecorder", "WithIds", "record_evaluation", "shard_path"]


def __getattr__(name: str) -> Any:
    # on first use, so that listing adapters does not import torch
    if name not in __all__:
        raise AttributeError(f"module 'lossan_torch' has no attribute {name!r}")
    from importlib.util import find_spec

    from lossan import LossanError

    if find_spec("torch") is None:
        raise LossanError("PyTorch is not installed: pip install 'lossan[torch]'.")
    from lossan_torch import callback

    return getattr(callback, name)
