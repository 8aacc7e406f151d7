"""What a method is run on: a task's log, its images and its given labels."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from images import Images
from make_logs import facts_path, log_path
from noise import prepare
from numpy.typing import NDArray
from tasks import Task

import lossan


@dataclass(frozen=True, eq=False)
class Found:
    """What a method says of each sample, in the order of the log's ids.

    Parameters
    ----------
    score : ndarray of float64, optional
        Shape (n,), higher = more suspicious.
    flagged : ndarray of bool, optional
        Shape (n,); None where the method has no threshold of its own.
    """

    score: NDArray[np.float64] | None
    flagged: NDArray[np.bool_] | None


@dataclass(frozen=True, eq=False)
class Work:
    """One log with all that its training had.

    Parameters
    ----------
    task : Task
    cache : Path
    fundus : Path, optional
    recorded : {"train", "eval"}
        Which of the training's two logs.
    """

    task: Task
    cache: Path
    fundus: Path | None = None
    recorded: str = "train"

    @property
    def facts_path(self) -> Path:
        """How the log was made."""
        return facts_path(self.task, self.cache)

    @property
    def log_path(self) -> Path:
        """The log."""
        return log_path(self.task, self.cache, self.recorded)

    @cached_property
    def peers_folder(self) -> Path:
        """Where results of peers are kept."""
        folder = self.cache / "peers" / self.task.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @cached_property
    def log(self) -> lossan.LossLog:
        """The log, its samples in the order of the images."""
        return lossan.read_log(self.log_path)

    @cached_property
    def images(self) -> Images:
        """What was trained on."""
        return self._prepared[0]

    @cached_property
    def given(self) -> NDArray[np.int64]:
        """The given labels as class indices."""
        return self._coded(self.log.label.to_pylist())

    @cached_property
    def wrong(self) -> NDArray[np.bool_]:
        """Which of them are wrong."""
        return self.given != self._coded(self.log.true_label.to_pylist())

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return len(self.log.metadata["classes"])

    @cached_property
    def loss(self) -> NDArray[np.float64]:
        """The losses, shape (n, n_epochs)."""
        return np.ascontiguousarray(self.log.loss, np.float64)

    def channel(self, name: str) -> NDArray[np.float64]:
        """Return a channel of the log, shape (n, n_epochs)."""
        return np.asarray(getattr(self.log, name), np.float64)

    @cached_property
    def last_predicted(self) -> NDArray[np.int64]:
        """The last epoch's predicted class indices."""
        predicted = self.log.predicted
        names = predicted.values.to_pylist()
        return self._coded([names[code] for code in predicted.codes[:, -1]])

    @cached_property
    def _prepared(self) -> tuple[Images, NDArray[np.int64]]:
        images, given = prepare(self.task, self.cache, self.fundus)
        # the peers must be trained on the very labels that the log is of
        if not np.array_equal(given, self.given):
            raise SystemExit(f"{self.log_path} is of other labels; delete it and make it again")
        return images, given

    def _coded(self, names: list[str]) -> NDArray[np.int64]:
        place = {name: code for code, name in enumerate(self.log.metadata["classes"])}
        return np.array([place[name] for name in names], np.int64)
