"""Options of ``lossan train``, the same for every adapter."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from lossan.config import Config


class TrainOptions(Config):
    """How to train; the defaults are the paper's where it states them.

    Parameters
    ----------
    labels : Path
        A labels table, or a folder with a folder of images per class.
    output : Path
        The log to write.
    images : Path, optional
        What the table's paths are relative to; the table's own folder if not given.
    model : str
        A network the adapter knows by name, or ``package.module:factory``.
    weights : str
        ``"imagenet"``, ``"none"`` or a file.
    image_size : int
        Pixels a side every image is resized to (paper, section 3: 550).
    epochs : int
        N (paper, section 3: 8).
    lr : float
        Learning rate (paper, section 2.1: 5e-5).
    batch_size : int
        Not stated by the paper.
    optimizer : {"adam", "adamw", "sgd"}
        Not stated by the paper.
    augmentation : {"flips", "none"}
        Random horizontal and vertical flips; the paper only says that augmentation can be used.
    record : {"train", "eval"}
        Take losses in the training pass, or in a separate one after each epoch.
    test : Path, optional
        A labels table whose accuracy and loss are measured after each epoch.
    seed : int
        Everything random follows from it.
    device : {"auto", "cpu", "cuda", "mps"}
    precision : {"auto", "float32", "bfloat16", "float16"}
        Of the forward pass; auto is bfloat16 on a CUDA device that has it and float32 elsewhere.
    workers : int
        Processes or threads that read images; -1 for one a core.
    skip_unreadable : bool
        Leave out images that cannot be read, and say so, instead of refusing.
    resume : bool
        Go on after the last whole epoch.
    """

    labels: Path
    output: Path
    images: Path | None = None
    model: str = "inception_v3"
    weights: str = "imagenet"
    image_size: int = Field(default=550, ge=8, le=4096)
    epochs: int = Field(default=8, ge=1)
    lr: float = Field(default=5e-5, gt=0, le=1e6, allow_inf_nan=False)  # float32 holds no 1e39
    batch_size: int = Field(default=32, ge=1)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    augmentation: Literal["flips", "none"] = "flips"
    record: Literal["train", "eval"] = "train"
    test: Path | None = None
    seed: int = Field(default=0, ge=0, lt=2**32)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    workers: int = Field(default=-1, ge=-1)
    skip_unreadable: bool = False
    resume: bool = False

    def provenance(self) -> dict[str, object]:
        """Return what the log should state about the training."""
        return {
            "model": self.model,
            "weights": self.weights,
            "optimiser": self.optimizer,
            "learning_rate": self.lr,
            "batch_size": self.batch_size,
            "image_size": self.image_size,
            "augmentation": self.augmentation,
            "epochs": self.epochs,
            "seed": self.seed,
        }
