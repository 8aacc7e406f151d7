"""The summary of an analysis: what `summary.json` holds."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = "1"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Evaluation(_Model):
    """Flags and scores held against the known truth; intervals are of 95%.

    Rates have Wilson's interval, F1 that of the Jaccard index mapped to it, AUROC DeLong's on the
    logit scale and AUPRC the logit interval of Boyd et al. A rate without cases is None. The
    expected calibration error is that of the probabilities, where the detector gives any.
    """

    n: int
    tp: int
    fp: int
    fn: int
    tn: int
    sensitivity: float | None = None
    sensitivity_low: float | None = None
    sensitivity_high: float | None = None
    specificity: float | None = None
    specificity_low: float | None = None
    specificity_high: float | None = None
    precision: float | None = None
    precision_low: float | None = None
    precision_high: float | None = None
    f1: float | None = None
    f1_low: float | None = None
    f1_high: float | None = None
    auroc: float | None = None
    auroc_low: float | None = None
    auroc_high: float | None = None
    auprc: float | None = None
    auprc_low: float | None = None
    auprc_high: float | None = None
    calibration_error: float | None = None


class LogSummary(_Model):
    """Which log was analysed."""

    path: str | None
    n_samples: int
    n_epochs: int
    recorded: str | None
    fingerprint: str
    n_logs: int = 1


class DetectorSummary(_Model):
    """Which detector, with every parameter it ran with."""

    name: str
    parameters: dict[str, Any]


class NoiseRate(_Model):
    """The estimated share of wrong labels, with its 95% interval."""

    estimate: float
    low: float
    high: float


class ClassSummary(_Model):
    """Counts of one given class, and its evaluation where the truth is known."""

    label: int | str | None
    n_samples: int
    n_flagged: int
    n_unscored: int
    evaluation: Evaluation | None = None


class Summary(_Model):
    """The whole of `summary.json`."""

    schema_version: str = SCHEMA_VERSION
    lossan_version: str
    created: str
    log: LogSummary
    detector: DetectorSummary
    n_flagged: int
    n_unscored: int
    flagged_fraction: float
    noise_rate: NoiseRate | None = None
    evaluation: Evaluation | None = None
    per_class: list[ClassSummary] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
