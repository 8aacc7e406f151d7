"""Options of ``lossan experiment``: every choice the paper leaves open has a name here."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lossan.config import Config
from lossan.training import TrainOptions

Share = Annotated[float, Field(ge=0, le=1)]
_GROWING = ("seeds", "rates")  # a later call may ask for more of these


class ExperimentOptions(Config):
    """How to run the experiments; the defaults are the paper's where it states them.

    Parameters
    ----------
    labels : Path
        The gold standard A and B are taken from: a labels table or a folder of class folders.
    output : Path
        The folder everything is written to.
    adapter : str
        Name of an installed adapter.
    rate : float
        Share of each class whose label is flipped (paper, section 3: 0.06).
    noise : {"planted", "given"}
        Flip labels, or take ``label`` as it is where the table has ``true_label`` beside it.
    seeds : int
        How many times to repeat; the paper ran once.
    test_share : float
        Share of the samples set aside as B, whole groups together (paper: 1,400 of 12,188).
    retrain_epochs : int
        Epochs of each training of experiment 2 (paper: 30); 0 leaves experiment 2 out.
    reviewer : {"oracle", "people"}
        Who corrects the flagged labels: the truth, or the decisions in ``seed-K/findings``, made
        by ``lossan review``; experiment 2 waits for them.
    detector : str
    early_epochs : int, optional
        P of feature F2; by default half of the epochs (paper: 4 of 8).
    scale : {"standard", "none"}
        The paper does not say whether features are standardised.
    sweep_epochs : int, optional
        Train so many epochs for experiment 1 and show how N changes the result; by default only
        up to ``epochs``, which costs nothing more.
    rates : tuple of float
        Further noise rates to try.
    training : TrainOptions
        How to train; its ``labels``, ``output``, ``test``, ``seed`` and ``resume`` are set by the
        steps.
    """

    labels: Path
    output: Path
    adapter: str
    rate: float = Field(default=0.06, gt=0, le=1)
    noise: Literal["planted", "given"] = "planted"
    seeds: int = Field(default=3, ge=1, le=1000)
    test_share: float = Field(default=0.13, gt=0, lt=1)
    retrain_epochs: int = Field(default=30, ge=0)
    reviewer: Literal["oracle", "people"] = "oracle"
    detector: str = "kmeans"
    early_epochs: int | None = Field(default=None, ge=1)
    scale: Literal["standard", "none"] = "standard"
    sweep_epochs: int | None = Field(default=None, ge=2)
    rates: tuple[Share, ...] = ()
    training: TrainOptions

    @model_validator(mode="after")
    def _check_epochs(self) -> Self:
        n = self.training.epochs
        if n < 2:
            raise ValueError(f"epochs is {n}; a loss sequence needs at least 2")
        if self.early_epochs is not None and self.early_epochs >= n:
            raise ValueError(f"early_epochs is {self.early_epochs}; allowed: 1 to {n - 1}")
        return self

    @property
    def search_epochs(self) -> int:
        """How many epochs the training of experiment 1 runs."""
        return max(self.training.epochs, self.sweep_epochs or 0)

    def identity(self) -> dict[str, Any]:
        """Return what a later call on the same folder must share."""
        own = self.model_dump(mode="json", exclude={"training", "output", *_GROWING})
        leave = {"labels", "output", "test", "seed", "resume", "workers", "device"}
        return {**own, **self.training.model_dump(mode="json", exclude=leave)}
