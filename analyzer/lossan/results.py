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


class Overview(_Model):
    """The counts of an analysis, which cost nothing."""

    n_samples: int
    n_epochs: int
    recorded: str | None
    n_logs: int = 1
    detector: str
    n_flagged: int
    n_unscored: int
    noise_rate: NoiseRate | None = None
    evaluation: Evaluation | None = None
    notes: tuple[str, ...] = ()


class ClassSummary(_Model):
    """Counts of one given class, and its evaluation where the truth is known.

    `expected_wrong` is the sum of the probabilities, `median_loss` the median mean loss (F1) of the
    unflagged; None where there are none.
    """

    label: int | str | None
    n_samples: int
    n_flagged: int
    n_unscored: int
    expected_wrong: float | None = None
    median_loss: float | None = None
    evaluation: Evaluation | None = None


class ClassPair(_Model):
    """Flagged samples of one given and one suggested label.

    `n_known` and `n_wrong` count those whose truth is known, and whose label is wrong.
    """

    label: int | str | None
    suggested_label: int | str | None
    n_flagged: int
    expected_wrong: float | None = None
    n_known: int = 0
    n_wrong: int = 0


class ScoreSummary(_Model):
    """How scores are distributed: bin i holds those in [edges[i], edges[i + 1]).

    `cut` is the lowest flagged score, always an edge; None where flagged and unflagged overlap, as
    they may where each class was analysed by itself.
    """

    cut: float | None
    edges: list[float]
    flagged: list[int]
    unflagged: list[int]


class Spread(_Model):
    """Mean, quantiles and counts by bin of one feature of one kind of samples."""

    n: int
    mean: float
    p5: float
    p25: float
    p50: float
    p75: float
    p95: float
    counts: list[int]


class FeatureSummary(_Model):
    """One of F1 to F6 of the flagged and of the unflagged; None for a kind without samples."""

    name: str
    edges: list[float]
    flagged: Spread | None
    unflagged: Spread | None


class LossByEpoch(_Model):
    """The median loss of each kind at each epoch; None where it was not observed."""

    epochs: list[int]
    flagged: list[float | None]
    unflagged: list[float | None]


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
    class_pairs: list[ClassPair] = Field(default_factory=list)
    scores: ScoreSummary | None = None
    features: list[FeatureSummary] = Field(default_factory=list)
    loss_by_epoch: LossByEpoch | None = None
    notes: list[str] = Field(default_factory=list)
