"""The PyTorch adapter of lossan: record one's own training in two lines."""

from lossan_torch.callback import TorchRecorder, WithIds, record_evaluation, shard_path

__all__ = ["TorchRecorder", "WithIds", "record_evaluation", "shard_path"]
