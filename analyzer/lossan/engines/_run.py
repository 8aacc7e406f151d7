"""One analysis whose log does not fit in memory, from its files to its findings."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from lossan.config import AnalyzeConfig
from lossan.detectors import make
from lossan.engines._dask import dask_tasks
from lossan.engines._models import Model, channels_of, fit
from lossan.engines._pieces import Pieces, faults_of, make_piece
from lossan.engines._result import LargeResult
from lossan.engines._shuffle import BUCKET_CELLS, UNIT_ROWS, Fragment, Plan, bounds_of, survey
from lossan.engines._shuffle import shuffle as shuffle_unit
from lossan.engines._spill import Spill, spill_below
from lossan.engines._summary import Tally
from lossan.engines._tasks import Progress, Tasks, Threads
from lossan.engines._verdict import Question, judge
from lossan.errors import Fault, LogError, OptionError, hint
from lossan.findings import MOST_SEQUENCES
from lossan.io import Cut, ReadOptions, cut_log, is_remote
from lossan.summarise import detector_summary

_ENGINES = ("local", "disk", "dask")
_DESCRIBED = 1 << 24  # losses that distributions are taken from: of so many all, of more some
_MOST_BUCKETS = 1 << 14


@contextmanager
def analyze_large(
    source: str,
    *,
    engine: str = "disk",
    scheduler: str | None = None,
    spill: str | None = None,
    detector: str = "kmeans",
    early_epochs: int | None = None,
    scale: str = "standard",
    settings: dict[str, Any] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **reading: Any,
) -> Iterator[LargeResult]:
    """Analyse a log that does not fit in memory, or with many machines; a context manager.

    Rows are sorted to buckets by their sample, buckets are read as logs are, k-means runs over the
    features of all. Features, flags and scores are those of `lossan.analyze`, bit for bit. `auto`
    is fitted to a random sample of some 17 million losses and then judges all; of a log no larger
    than that it says what it says in memory.

    Parameters
    ----------
    source : str
        Long or wide Parquet: a file, a folder, or the URL of either.
    engine : {"disk", "dask"}
        The cores of this machine, or the workers of a Dask cluster.
    scheduler : str, optional
        Address of a Dask scheduler; by default workers are started on this machine.
    spill : str, optional
        The folder, or URL, for what does not fit in memory; every worker must reach it.
    detector, early_epochs, scale, settings, seed
        As for `lossan.analyze`; the detector is kmeans or auto.
    progress : callable, optional
        Called with what is being done, the tasks done and the tasks there are.
    **reading
        Fields of `lossan.io.ReadOptions`.

    Yields
    ------
    LargeResult
        Good until the context is left, for it stands in files.

    Raises
    ------
    LogError
        With every fault of the log.
    OptionError, DetectorError
        For options that are not allowed, or a log that the detector can say nothing about.
    OutputError
        Without room to spill.
    """
    options = {
        "detector": detector,
        "early_epochs": early_epochs,
        "scale": scale,
        "settings": settings or {},
        "seed": seed,
    }
    config = AnalyzeConfig.parse(options, "analyze")
    chosen = make(config.detector, config.settings)
    channels = channels_of(chosen)
    wanted = ReadOptions(**reading)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    with (
        _tasks(engine, scheduler, spill, progress) as tasks,
        spill_below(spill) as place,
        cut_log(source, wanted, unit_rows=UNIT_ROWS) as cut,
    ):
        plan = _plan(tasks, cut, wanted, place, config, channels)
        pieces = _pieces(tasks, source, cut, plan)
        model = fit(tasks, pieces, chosen, config)
        summary = detector_summary(chosen, config, [pieces.plan.n_epochs])
        tally = _judge(tasks, pieces, model)
        yield LargeResult(source, tasks, pieces, tally, summary, created, in_parts=engine == "dask")


@contextmanager
def _tasks(
    engine: str, scheduler: str | None, spill: str | None, progress: Progress | None
) -> Iterator[Tasks]:
    if engine not in _ENGINES[1:]:
        raise OptionError(f"engine is {engine!r}; {hint(engine, _ENGINES)}")
    if scheduler is not None and engine != "dask":
        raise OptionError(f"--scheduler {scheduler} is for --engine dask, not {engine}.")
    if engine == "disk":
        if spill is not None and is_remote(spill):
            raise OptionError(f"--spill {spill}: --engine disk spills to a folder, not to a store.")
        yield Threads(progress)
        return
    if scheduler is not None and spill is None:
        raise OptionError(
            "with --scheduler name a place that every worker can reach for what does not fit in "
            "memory: --spill, a shared folder or a URL such as s3://bucket/spill."
        )
    with dask_tasks(scheduler, progress) as tasks:
        yield tasks


def _plan(
    tasks: Tasks,
    cut: Cut,
    options: ReadOptions,
    spill: Spill,
    config: AnalyzeConfig,
    channels: tuple[str, ...],
) -> Plan:
    seen = survey(tasks, cut)
    long = cut.parts.columns.layout == "long"
    cells = cut.parts.n_rows * (1 if long else max(1, seen.n_epochs))
    n_buckets = min(max(1, -(-cells // BUCKET_CELLS)), _MOST_BUCKETS)
    return Plan(
        parts=cut.parts,
        options=options,
        metadata=cut.metadata,
        bounds=bounds_of(seen.ids, n_buckets),
        epochs=seen.epochs,
        n_epochs=seen.n_epochs,
        spill=spill,
        early_epochs=config.early_epochs,
        channels=channels,
    )


def _pieces(tasks: Tasks, source: str, cut: Cut, plan: Plan) -> Pieces:
    numbered = list(enumerate(cut.units))
    fragments = [f for fs in tasks.map("sorting", shuffle_unit, plan, numbered) for f in fs]
    found = list(tasks.map("reading", make_piece, plan, _by_bucket(plan, fragments)))
    plan.spill.remove(f.name for f in fragments)
    faults = faults_of(found)
    if not cut.parts.n_rows:
        faults = (Fault("empty", "it holds no samples.", 0),)
    if faults:
        raise LogError(source, faults)
    return Pieces(plan, tuple(piece for piece in found if piece.n_samples))


def _by_bucket(plan: Plan, fragments: list[Fragment]) -> list[tuple[int, list[str]]]:
    return [
        (bucket, [f.name for f in fragments if f.counts[bucket]])
        for bucket in range(plan.n_buckets)
    ]


def _judge(tasks: Tasks, pieces: Pieces, model: Model) -> Tally:
    step = max(1, -(-pieces.n_samples * pieces.plan.n_epochs // _DESCRIBED))
    question = Question(pieces, model, step, MOST_SEQUENCES)
    verdicts = list(tasks.map("judging", judge, question, pieces.each))
    return Tally(pieces, verdicts, step)
