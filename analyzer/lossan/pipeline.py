"""From a log to findings: the only orchestrator."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan._version import __version__
from lossan.config import AnalyzeConfig
from lossan.describe import (
    class_medians,
    describe_features,
    describe_losses,
    describe_pairs,
    describe_scores,
)
from lossan.detect import detect
from lossan.detectors import Detection, Detector, make
from lossan.errors import OptionError
from lossan.evaluate import evaluate
from lossan.features import FEATURES, Features
from lossan.io import SEQUENCES, atomic_folder, read_log, write_findings, write_log
from lossan.judge import wrong_labels
from lossan.losslog import LossLog
from lossan.plots import can_plot, draw_sequences
from lossan.results import (
    ClassSummary,
    DetectorSummary,
    Evaluation,
    LogSummary,
    NoiseRate,
    Summary,
)
from lossan.suggest import suggest_labels
from lossan.typical import typical_rows

if TYPE_CHECKING:
    import pandas as pd

MOST_SEQUENCES = 10_000
"""Of how many suspects the findings keep the loss sequences."""
_TYPICAL = 20  # sequences of each kind in the paper's Fig. 4


@dataclass(frozen=True, eq=False)
class Result:
    """Findings and summary of an analysis.

    Parameters
    ----------
    table : pyarrow.Table
        The findings, a row per sample, most suspicious first.
    summary : Summary
    log : LossLog
        The log they came from.
    rows : ndarray of int64
        Shape (n_samples,): the log's row of each finding.
    """

    table: pa.Table
    summary: Summary
    log: LossLog
    rows: NDArray[np.int64]

    @cached_property
    def findings(self) -> "pd.DataFrame":
        """The findings as a DataFrame."""
        return self.table.to_pandas()

    def save(self, folder: str | Path) -> list[str]:
        """Write the findings, all files or none.

        Parameters
        ----------
        folder : str or Path
            Gets findings.parquet, findings.csv, summary.json and sequences.parquet, a log of the
            suspects and of typical samples; and sequences.png where the extra ``report`` is
            installed.

        Returns
        -------
        list of str
            The names of the files.

        Raises
        ------
        OutputError
            When they cannot be written; nothing half-written stays behind.
        """
        with atomic_folder(Path(folder)) as temporary:
            write_findings(self.table, self.summary.model_dump_json(indent=2), temporary)
            write_log(self._shown(), temporary / SEQUENCES, layout="wide")
            if can_plot() and self.summary.n_unscored < self.summary.log.n_samples:
                with (temporary / "sequences.png").open("wb") as file:
                    draw_sequences(file, self.log.epochs, *self.typical(_TYPICAL))
            return sorted(file.name for file in temporary.iterdir())

    def typical(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return loss sequences, shape (n, n_epochs), typical of flagged and unflagged samples."""
        chosen = typical_rows(*self._kinds, count)
        return self.log.loss[self.rows[chosen[0]]], self.log.loss[self.rows[chosen[1]]]

    @property
    def _kinds(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which findings are flagged, and which are scored."""
        scored: NDArray[np.bool_] = ~np.isnan(self.table["score"].to_numpy())
        return self.table["flagged"].to_numpy(), scored

    def _shown(self) -> LossLog:
        """Return the log of the samples that a report may show."""
        flagged, scored = self._kinds
        first = np.argsort(~flagged, kind="stable")[:MOST_SEQUENCES]
        typical = np.concatenate(typical_rows(flagged, scored, _TYPICAL)).astype(np.int64)
        return self.log.select(np.unique(self.rows[np.concatenate([first, typical])]))


def analyze(
    log: LossLog | str | Path | Sequence[LossLog | str | Path],
    *,
    detector: str | Detector = "kmeans",
    early_epochs: int | None = None,
    scale: str = "standard",
    by_class: bool = False,
    settings: dict[str, Any] | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Result:
    """Score and flag the samples of a loss log.

    Parameters
    ----------
    log : LossLog, str, Path, or a sequence of them
        The log, or where it is; several of one data set (seeds, folds, networks) are analysed
        each by itself, and what they say is averaged (see `lossan.several`).
    detector : str or Detector
        Name of an installed detector, or one of your own.
    early_epochs : int, optional
        P of feature F2; by default half of the epochs.
    scale : {"standard", "none"}
        Whether features are brought to zero mean and unit variance before clustering.
    by_class : bool
        Analyse each given class by itself.
    settings : dict, optional
        Parameters of the detector, where it is named; one of your own has them already.
    seed : int
        Everything random follows from it.
    name : str, optional
        What the summary calls the log; its path if not given.

    Returns
    -------
    Result

    Raises
    ------
    LogError
        For a log that cannot be used.
    OptionError, DetectorError
        For options that are not allowed, or a log the detector can say nothing about.
    """
    own = detector if isinstance(detector, Detector) else None
    config = AnalyzeConfig.parse(
        {
            "detector": own.name if own else detector,
            "early_epochs": early_epochs,
            "scale": scale,
            "by_class": by_class,
            "settings": settings or {},
            "seed": seed,
        },
        "analyze",
    )
    if own and settings:
        raise OptionError(
            f"settings are {settings!r}, but the detector {own.name} was given as an object; give "
            "them to it: Detector(Detector.Parameters(...))."
        )
    chosen = own or make(config.detector, config.settings)
    given = list(log) if isinstance(log, Sequence) and not isinstance(log, str) else [log]
    if name is None:
        name = ", ".join(str(one) for one in given if not isinstance(one, LossLog)) or None
    log, features, detection = detect(
        [one if isinstance(one, LossLog) else read_log(one) for one in given], chosen, config
    )
    evaluation, wrong = _evaluate(log, detection)
    table, rows = _findings(log, features, detection)
    scored = ~np.isnan(detection.score)
    summary = Summary(
        lossan_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        log=LogSummary(
            path=name,
            n_samples=log.n_samples,
            n_epochs=log.n_epochs,
            recorded=log.recorded,
            fingerprint=log.fingerprint,
            n_logs=len(given),
        ),
        detector=DetectorSummary(name=chosen.name, parameters=_parameters(chosen, config, log)),
        n_flagged=int(detection.flagged.sum()),
        n_unscored=int((~scored).sum()),
        flagged_fraction=float(detection.flagged.mean()),
        noise_rate=_noise_rate(detection),
        evaluation=evaluation,
        per_class=_per_class(log, features, detection, wrong),
        class_pairs=describe_pairs(table),
        scores=describe_scores(detection.score, detection.flagged),
        features=describe_features(features, detection.flagged, log.n_epochs),
        loss_by_epoch=describe_losses(log, detection.flagged, scored),
        notes=list(detection.notes),
    )
    return Result(table, summary, log, rows)


def _evaluate(
    log: LossLog, detection: Detection
) -> tuple[Evaluation | None, tuple[NDArray[np.bool_], NDArray[np.bool_]] | None]:
    if log.label is None or log.true_label is None:
        return None, None
    truth = wrong_labels(log.label, log.true_label)
    if truth is None:
        return None, None
    wrong, known = truth
    return _judged(detection, wrong, known), truth


def _judged(
    detection: Detection, wrong: NDArray[np.bool_], rows: NDArray[np.bool_] | NDArray[np.intp]
) -> Evaluation:
    probability = detection.probability
    return evaluate(
        wrong[rows],
        detection.flagged[rows],
        detection.score[rows],
        None if probability is None else probability[rows],
    )


def _findings(
    log: LossLog, features: Features, detection: Detection
) -> tuple[pa.Table, NDArray[np.int64]]:
    """Put the findings together, most suspicious first; equal scores keep the order of ids."""
    order = np.argsort(-detection.score, kind="stable")  # NaN, the unscored, sorts last
    rows = pa.array(order)
    probability = detection.probability
    if probability is None:
        probability = np.full(log.n_samples, np.nan)
    suggested = suggest_labels(log, detection.flagged)
    missing = pa.nulls(log.n_samples, pa.large_string())
    columns: dict[str, Any] = {
        "rank": pa.array(np.arange(1, log.n_samples + 1)),
        "sample_id": log.sample_id.take(rows),
        "label": (missing if log.label is None else log.label).take(rows),
        "score": detection.score[order],
        "flagged": detection.flagged[order],
        "probability": probability[order],
        "suggested_label": (missing if suggested is None else suggested).take(rows),
    }
    for name in FEATURES:
        columns[name] = features[name][order]
    for field in ("path", "group"):
        values = getattr(log, field)
        columns[field] = (missing if values is None else values).take(rows)
    if log.true_label is not None:
        columns["true_label"] = log.true_label.take(rows)
    return pa.table(columns), order


def _per_class(
    log: LossLog,
    features: Features,
    detection: Detection,
    truth: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None,
) -> list[ClassSummary]:
    coded = log.coded_label
    if coded is None:
        return []
    size = len(coded.values)
    inside = coded.codes >= 0
    codes = coded.codes[inside]
    n_samples = np.bincount(codes, minlength=size)
    n_flagged = np.bincount(codes[detection.flagged[inside]], minlength=size)
    n_unscored = np.bincount(codes[np.isnan(detection.score[inside])], minlength=size)
    usual = inside & ~detection.flagged & features.scorable
    medians = class_medians(coded.codes[usual], features["f1_mean"][usual], size)
    expected = None
    if detection.probability is not None:
        weights = np.nan_to_num(detection.probability[inside])
        expected = np.bincount(codes, weights=weights, minlength=size)
    classes = []
    for code, label in enumerate(coded.values.to_pylist()):
        evaluation = None
        if truth is not None:
            wrong, known = truth
            rows = np.flatnonzero(known & (coded.codes == code))
            evaluation = _judged(detection, wrong, rows)
        classes.append(
            ClassSummary(
                label=label,
                n_samples=int(n_samples[code]),
                n_flagged=int(n_flagged[code]),
                n_unscored=int(n_unscored[code]),
                expected_wrong=None if expected is None else float(expected[code]),
                median_loss=medians[code],
                evaluation=evaluation,
            )
        )
    return classes


def _noise_rate(detection: Detection) -> NoiseRate | None:
    if detection.noise_rate is None:
        return None
    estimate, low, high = detection.noise_rate
    return NoiseRate(estimate=estimate, low=low, high=high)


def _parameters(detector: Detector, config: AnalyzeConfig, log: LossLog) -> dict[str, Any]:
    early = config.early_epochs or max(1, log.n_epochs // 2)
    return {
        "early_epochs": early,
        "scale": config.scale,
        "by_class": config.by_class,
        "seed": config.seed,
        **detector.parameters.model_dump(mode="json"),
    }
