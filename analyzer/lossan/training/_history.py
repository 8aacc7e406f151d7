"""What each epoch of a training came to, in a small file beside the log."""

import json
from pathlib import Path
from typing import Any, final

from lossan.io import atomic_file


@final
class History:
    """Per-epoch figures, written whole after each epoch.

    Parameters
    ----------
    log : Path
        The log they belong to; the history is ``LOG.history.json``.
    keep : int
        How many epochs of an earlier history to keep.
    """

    def __init__(self, log: Path, *, keep: int = 0) -> None:
        self.path = log.with_name(log.name + ".history.json")
        self.epochs: list[dict[str, Any]] = []
        if keep and self.path.exists():
            self.epochs = json.loads(self.path.read_text())["epochs"][:keep]

    def add(self, **figures: Any) -> dict[str, Any]:
        """Add an epoch's figures and write the file."""
        entry = {"epoch": len(self.epochs) + 1, **figures}
        self.epochs.append(entry)
        with atomic_file(self.path) as file:
            file.write(json.dumps({"epochs": self.epochs}, indent=2).encode())
        return entry
