"""From a log to findings: the only orchestrator."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan._version import __version__
from lossan.config import AnalyzeConfig
from lossan.describe import describe_features, describe_losses, describe_pairs, describe_scores
from lossan.detect import detect
from lossan.detectors import TELL_ITS_AUTHOR, Detection, Detector, declaration, make
from lossan.errors import DetectorError, OptionError
from lossan.features import Features
from lossan.findings import MOST_SEQUENCES, findings_table, first_ranked, ranking
from lossan.io import PICTURE, findings_folder, read_log, read_logs, write_findings, write_sequences
from lossan.losslog import LossLog
from lossan.plots import can_plot, draw_sequences
from lossan.results import DetectorSummary, Evaluation, LogSummary, NoiseRate, Overview, Summary
from lossan.suggest import suggest_labels
from lossan.summarise import (
    Truth,
    detector_summary,
    evaluate_against,
    known_truth,
    noise_rate,
    per_class,
)
from lossan.typical import TYPICAL, typical_rows, typical_samples

if TYPE_CHECKING:
    import pandas as pd

_PART_ROWS = 1 << 20


@dataclass(frozen=True, eq=False)
class Result:
    """Findings and summary of an analysis; what costs time is made when it is asked for.

    Parameters
    ----------
    log : LossLog
        The log they came from.
    features : Features
    detection : Detection
    name : str or None
        What the summary calls the log.
    n_logs : int
    detector : DetectorSummary
    created : str
    """

    log: LossLog
    features: Features
    detection: Detection
    name: str | None
    n_logs: int
    detector: DetectorSummary
    created: str

    @cached_property
    def findings(self) -> "pd.DataFrame":
        """The findings as a DataFrame, a row per sample, most suspicious first."""
        return self.table.to_pandas()

    @cached_property
    def table(self) -> pa.Table:
        """The findings as an Arrow table."""
        return self._of(self.rows)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The log's row of each finding, shape (n_samples,)."""
        return ranking(self.detection.score)

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """Flags and scores against the truth, where it is known."""
        return evaluate_against(self._truth, self.detection)

    @cached_property
    def noise_rate(self) -> NoiseRate | None:
        """The share of wrong labels, where the detector estimates it."""
        return noise_rate(self.detection.noise_rate)

    @cached_property
    def overview(self) -> Overview:
        """The counts of the analysis."""
        log, detection = self.log, self.detection
        return Overview(
            n_samples=log.n_samples,
            n_epochs=log.n_epochs,
            recorded=log.recorded,
            n_logs=self.n_logs,
            detector=self.detector.name,
            n_flagged=int(detection.flagged.sum()),
            n_unscored=int(np.isnan(detection.score).sum()),
            noise_rate=self.noise_rate,
            evaluation=self.evaluation,
            notes=detection.notes,
        )

    @cached_property
    def summary(self) -> Summary:
        """What `summary.json` holds."""
        log, detection = self.log, self.detection
        flagged, scored = detection.flagged, ~np.isnan(detection.score)
        return Summary(
            lossan_version=__version__,
            created=self.created,
            log=LogSummary(
                path=self.name,
                n_samples=log.n_samples,
                n_epochs=log.n_epochs,
                recorded=log.recorded,
                fingerprint=log.fingerprint,
                n_logs=self.n_logs,
            ),
            detector=self.detector,
            n_flagged=int(flagged.sum()),
            n_unscored=int((~scored).sum()),
            flagged_fraction=float(flagged.mean()),
            noise_rate=self.noise_rate,
            evaluation=self.evaluation,
            per_class=per_class(log, self.features, detection, self._truth),
            class_pairs=describe_pairs(self._of(np.flatnonzero(flagged))),
            scores=describe_scores(detection.score, flagged),
            features=describe_features(self.features, flagged, log.n_epochs),
            loss_by_epoch=describe_losses(log, flagged, scored),
            notes=list(detection.notes),
        )

    def head(self, count: int) -> tuple[pa.Table, NDArray[np.float32]]:
        """Return the first findings that have a score, and their losses, without ranking all."""
        rows = first_ranked(self.detection.score, count)
        rows = rows[~np.isnan(self.detection.score[rows])]
        return self._of(rows), self.log.loss[rows]

    def save(self, folder: str | Path) -> list[str]:
        """Write the findings, all files or none.

        Parameters
        ----------
        folder : str or Path
            A path, or the URL of a place in a store. Gets findings.parquet, findings.csv,
            summary.json and sequences.parquet, a log of the suspects and of typical samples; and
            sequences.png where the extra ``report`` is installed.

        Returns
        -------
        list of str
            The names of the files.

        Raises
        ------
        LogError
            When a store does not take them.
        OutputError
            When they cannot be written; nothing half-written stays behind.
        """
        with findings_folder(folder) as temporary, ThreadPoolExecutor(1) as pool:
            # counted while the findings are written, of which the text keeps one core busy
            summary = pool.submit(lambda: self.summary.model_dump_json(indent=2))
            write_findings(self._in_parts(), summary.result, temporary)
            write_sequences(self._shown(), temporary, self.created)
            if can_plot() and self.summary.n_unscored < self.summary.log.n_samples:
                with (temporary / PICTURE).open("wb") as file:
                    draw_sequences(file, self.log.epochs, *self.typical(TYPICAL))
            return sorted(file.name for file in temporary.iterdir())

    def typical(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return loss sequences, shape (n, n_epochs), typical of flagged and unflagged samples."""
        flagged, unflagged = typical_samples(self.detection.score, self.detection.flagged, count)
        return self.log.loss[flagged], self.log.loss[unflagged]

    @cached_property
    def _truth(self) -> Truth | None:
        return known_truth(self.log)

    @cached_property
    def _suggested(self) -> pa.Array | None:
        return suggest_labels(self.log, self.detection.flagged)

    def _of(self, rows: NDArray[np.int64], first_rank: int = 1) -> pa.Table:
        return findings_table(
            self.log, self.features, self.detection, self._suggested, rows, first_rank
        )

    def _in_parts(self) -> Iterator[pa.Table]:
        """Yield the findings a part at a time: in one they may be larger than the log."""
        for start in range(0, max(1, self.log.n_samples), _PART_ROWS):
            yield self._of(self.rows[start : start + _PART_ROWS], start + 1)

    def _shown(self) -> LossLog:
        """Return the log of the samples that a report may show."""
        flagged = self.detection.flagged[self.rows]
        scored = ~np.isnan(self.detection.score[self.rows])
        first = np.argsort(~flagged, kind="stable")[:MOST_SEQUENCES]
        typical = np.concatenate(typical_rows(flagged, scored, TYPICAL)).astype(np.int64)
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
        The log, or where it is; several of one data set (seeds, networks) are analysed each by
        itself, and what they say is averaged; those that share no sample (folds, processes) are
        analysed as one (see `lossan.several`).
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
    own = _own(detector)
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
    given = _given(log)
    if name is None:
        name = ", ".join(str(one) for one in given if not isinstance(one, LossLog)) or None
    logs = read_logs(given, lambda one: one if isinstance(one, LossLog) else read_log(one))
    log, features, detection = detect(logs, chosen, config)
    return Result(
        log=log,
        features=features,
        detection=detection,
        name=None if name is None else str(name),
        n_logs=len(given),
        detector=detector_summary(chosen, config, (log.n_epochs for log in logs)),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _own(detector: str | Detector) -> Detector | None:
    """Return a detector that was given as an object, held to what it must state of itself."""
    if not isinstance(detector, Detector):
        return None
    if problems := [*declaration(type(detector))]:
        raise DetectorError(
            f"the detector {type(detector).__name__} cannot be used: {'; '.join(problems)}. "
            f"{TELL_ITS_AUTHOR}"
        )
    return detector


def _given(log: Any) -> list[Any]:
    """Return the logs that `analyze` was given, each a path or a LossLog."""
    several = isinstance(log, Sequence) and not isinstance(log, str | bytes)
    given = list(log) if several else [log]
    for one in given:
        if not isinstance(one, str | PathLike | LossLog):
            raise OptionError(
                f"analyze was given a {type(one).__name__}; allowed: the path of a log, a LossLog, "
                "as build_log makes one of arrays, or a list of these."
            )
    if not given:
        raise OptionError("analyze was given an empty list; needed is at least one log.")
    return given
