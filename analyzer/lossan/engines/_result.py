"""Findings that stand in files."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan._version import __version__
from lossan.engines._output import Part, part_bounds, rank_part, sort_to_parts
from lossan.engines._pieces import Pieces, log_of
from lossan.engines._prints import fingerprint_of
from lossan.engines._samples import Sample, sample_of
from lossan.engines._spill import one_batch
from lossan.engines._summary import Tally
from lossan.engines._tasks import Tasks
from lossan.engines._verdict import above
from lossan.findings import MOST_SEQUENCES, findings_table
from lossan.io import (
    PICTURE,
    SEQUENCES,
    SUMMARY,
    clear_store,
    findings_folder,
    is_remote,
    part_name,
    write_findings,
    write_findings_part,
    write_sequences,
)
from lossan.losslog import LossLog
from lossan.order import stable_order
from lossan.plots import can_plot, draw_sequences
from lossan.results import DetectorSummary, LogSummary, Overview, Summary
from lossan.typical import TYPICAL, typical_samples


@dataclass(frozen=True, eq=False)
class LargeResult:
    """Findings of a log that does not fit in memory.

    Parameters
    ----------
    source : str
        The log.
    tasks : Tasks
    pieces : Pieces
    tally : Tally
    detector : DetectorSummary
    created : str
    in_parts : bool
        Whether workers write findings.parquet as a folder of parts.
    """

    source: str
    tasks: Tasks
    pieces: Pieces
    tally: Tally
    detector: DetectorSummary
    created: str
    in_parts: bool

    @cached_property
    def overview(self) -> Overview:
        """The counts of the analysis."""
        recorded = self.pieces.plan.metadata.get("recorded")
        return Overview(
            n_samples=self.pieces.n_samples,
            n_epochs=self.pieces.plan.n_epochs,
            recorded=recorded if isinstance(recorded, str) else None,
            detector=self.detector.name,
            n_flagged=self.tally.n_flagged,
            n_unscored=self.tally.n_unscored,
            noise_rate=self.tally.noise_rate,
            evaluation=self.tally.evaluation(),
            notes=tuple(self.tally.notes()),
        )

    @cached_property
    def summary(self) -> Summary:
        """What `summary.json` holds."""
        view, sample = self.overview, self._sample
        distributions: dict[str, Any] = sample.summarised()
        return Summary(
            lossan_version=__version__,
            created=self.created,
            log=LogSummary(
                path=self.source,
                n_samples=view.n_samples,
                n_epochs=view.n_epochs,
                recorded=view.recorded,
                fingerprint=fingerprint_of(self.tasks, self.pieces),
            ),
            detector=self.detector,
            n_flagged=view.n_flagged,
            n_unscored=view.n_unscored,
            flagged_fraction=view.n_flagged / view.n_samples,
            noise_rate=view.noise_rate,
            evaluation=view.evaluation,
            per_class=self.tally.per_class(sample),
            class_pairs=self.tally.pairs(),
            notes=list(view.notes),
            **distributions,
        )

    def head(self, count: int) -> tuple[pa.Table, NDArray[np.float32]]:
        """Return the first findings that have a score, and their losses; 10,000 at most."""
        found = self._first(count)
        order = _ranking(found, count)
        return self._table(found, order), found.log.loss[order]

    def typical(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return loss sequences, shape (n, n_epochs), typical of flagged and unflagged samples."""
        sample = self._sample
        flagged, unflagged = typical_samples(sample.found.score, sample.found.flagged, count)
        return sample.log.loss[flagged], sample.log.loss[unflagged]

    def save(self, folder: str) -> list[str]:
        """Write the findings and return the names of the files.

        Parameters
        ----------
        folder : str
            A folder, or with Dask also the URL of one. On one machine it gets what
            `lossan.Result.save` writes; with Dask findings.parquet is a folder of parts written by
            the workers, and there is no CSV copy.

        Raises
        ------
        OutputError, LogError
            When they cannot be written.
        """
        bounds = part_bounds(self._sample.found.score, self.pieces.n_samples)
        parts = sort_to_parts(self.tasks, self.pieces, bounds)
        summary, shown = self.summary.model_dump_json(indent=2), self._shown()
        if is_remote(folder):
            return self._save_remote(folder.rstrip("/"), parts, summary, shown)
        with findings_folder(folder) as temporary:
            if self.in_parts:  # by its whole path, for workers may run in other folders
                self._write_parts(str(temporary.absolute()), parts)
                (temporary / SUMMARY).write_text(summary + "\n")
            else:
                tables = self.tasks.map("writing", rank_part, self.pieces, parts)
                write_findings(tables, lambda: summary, temporary)
            write_sequences(shown, temporary, self.created)
            if can_plot():
                with (temporary / PICTURE).open("wb") as file:
                    draw_sequences(file, shown.epochs, *self.typical(TYPICAL))
            return sorted(file.name for file in temporary.iterdir())

    def _save_remote(
        self, folder: str, parts: list[Part], summary: str, shown: LossLog
    ) -> list[str]:
        """Write to a store, the summary last: where it is, all is."""
        names = [part_name(number) for number in range(len(parts))]
        clear_store(folder, [*names, SEQUENCES])
        self._write_parts(folder, parts)
        with findings_folder(folder, names) as temporary:
            write_sequences(shown, temporary, self.created)
            (temporary / SUMMARY).write_text(summary + "\n")
        return ["findings.parquet", SEQUENCES, SUMMARY]

    def _write_parts(self, folder: str, parts: list[Part]) -> None:
        common = (self.pieces, folder)
        for _ in self.tasks.map("writing", _write_part, common, list(enumerate(parts))):
            pass

    @cached_property
    def _sample(self) -> Sample:
        return self.tally.sample()

    def _first(self, count: int, n_unscored: int = 0) -> Sample:
        common = (self.pieces, self.tally.bound(count), n_unscored)
        return sample_of(
            self.pieces, list(self.tasks.map("suspects", above, common, self.pieces.each))
        )

    def _table(self, found: Sample, order: NDArray[np.int64]) -> pa.Table:
        return findings_table(found.log, found.features, found.found, found.suggested, order)

    def _shown(self) -> LossLog:
        """Return the log of the samples that a report may show."""
        n_scored = self.pieces.n_samples - self.tally.n_unscored
        first = self._first(MOST_SEQUENCES, max(0, MOST_SEQUENCES - n_scored))
        sample = self._sample
        typical = np.concatenate(typical_samples(sample.found.score, sample.found.flagged, TYPICAL))
        taken = [
            first.rows.take(pa.array(_ranking(first, MOST_SEQUENCES))),
            sample.rows.take(pa.array(typical)),
        ]
        rows = one_batch(pa.Table.from_batches(taken))
        ids = rows.column("sample_id")
        order = stable_order(ids)
        ordered = ids.take(pa.array(order))
        fresh = pc.not_equal(ordered[1:], ordered[:-1]).to_numpy(zero_copy_only=False)
        return log_of(self.pieces, rows.take(pa.array(order[np.append(True, fresh)])))


def _ranking(found: Sample, count: int) -> NDArray[np.int64]:
    return np.argsort(-found.found.score, kind="stable")[:count]


def _write_part(common: tuple[Pieces, str], numbered: tuple[int, Part]) -> None:
    pieces, folder = common
    number, part = numbered
    write_findings_part(rank_part(pieces, part), folder, number)
