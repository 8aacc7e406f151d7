"""What an experiment's ``summary.json`` holds."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from lossan.results import Evaluation

METRICS = ("sensitivity", "specificity", "precision", "f1", "auroc", "auprc")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Counts(_Model):
    """How many labels of a class are right and wrong."""

    right: int
    wrong: int


class Mean(_Model):
    """A mean over seeds with its 95% interval; without one where there is one seed."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None


class Search(_Model):
    """Experiment 1: how many wrong labels were found."""

    per_seed: list[Evaluation]
    mean: dict[str, Mean]


class Accuracies(_Model):
    """Best accuracy on B of the trainings on one label set, and their curves.

    A loss that is not finite is None.
    """

    per_seed: list[float]
    mean: float
    low: float | None
    high: float | None
    final_mean: float
    accuracy_by_epoch: list[float]
    loss_by_epoch: list[float | None]


class Retraining(_Model):
    """Experiment 2: what correcting the flagged labels is worth."""

    clean: Accuracies
    noisy: Accuracies
    refined: Accuracies
    gap: Mean
    gain: Mean
    gap_closed: float | None
    gap_closed_low: float | None = None
    gap_closed_high: float | None = None


class Trial(_Model):
    """One setting of the analysis, its figures averaged over seeds, with their 95% intervals."""

    rate: float
    n_epochs: int
    early_epochs: int
    scale: str
    detector: str
    n_seeds: int
    flagged_fraction: float
    figures: dict[str, float | None]
    low: dict[str, float | None]
    high: dict[str, float | None]


class Budget(_Model):
    """Share of the wrong labels found against the share of the data reviewed, mean of seeds."""

    reviewed: list[float]
    detector: list[float]
    last_loss: list[float]
    ideal: list[float]


class ExperimentSummary(_Model):
    """The whole of ``summary.json``."""

    schema_version: str = "1"
    lossan_version: str
    created: str
    options: dict[str, Any]
    n_train: int
    n_test: int
    n_groups: int | None
    classes: list[int | str]
    table1: dict[str, dict[str, Counts]]
    table1_per_seed: list[dict[str, dict[str, Counts]]]
    experiment1: Search
    experiment2: Retraining | None
    budget: Budget
    trials: list[Trial]
    notes: list[str]
