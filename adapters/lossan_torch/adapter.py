"""What the entry point ``torch`` of ``lossan.adapters`` names; imports torch only to train."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossan.training import TrainPlan

EXTRA = "torch"
SUMMARY = "PyTorch: torchvision's classifiers, or any module"


def missing() -> str | None:
    """Return what is not installed, None where this adapter can train."""
    lacking = [name for name in ("torch", "PIL") if find_spec(name) is None]
    return ", ".join(lacking) or None


def train(plan: "TrainPlan") -> None:
    """Train, record and write the log."""
    from lossan_torch.train import train as run

    run(plan)
