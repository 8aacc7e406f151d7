"""The paper's two experiments, end to end, on any labelled image set."""

from lossan.experiment._options import ExperimentOptions
from lossan.experiment._paper import PAPER, PAPER_ACCURACY, PAPER_CLOSED
from lossan.experiment._run import run_experiment
from lossan.experiment._split import split_groups
from lossan.experiment._summary import ExperimentSummary

__all__ = [
    "PAPER",
    "PAPER_ACCURACY",
    "PAPER_CLOSED",
    "ExperimentOptions",
    "ExperimentSummary",
    "run_experiment",
    "split_groups",
]
