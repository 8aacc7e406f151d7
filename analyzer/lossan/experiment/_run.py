"""Both experiments in order: the only place that knows all steps."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossan._version import __version__
from lossan.compare import Run, run_of
from lossan.detectors import make
from lossan.experiment import _page
from lossan.experiment._options import ExperimentOptions
from lossan.experiment._retrain import summarize
from lossan.experiment._review import refine
from lossan.experiment._search import analyze_first, budget, mean_of, sweep, trial
from lossan.experiment._steps import image_root, noisy_labels, prepare, retrain, say, search_log
from lossan.experiment._store import Store, classes_of, read_columns
from lossan.experiment._summary import METRICS, Counts, ExperimentSummary, Search, Trial
from lossan.experiment._tables import tables
from lossan.io import atomic_file
from lossan.pipeline import Result
from lossan.report import check_report
from lossan.training import SampleSet, find_adapter

Table = dict[str, dict[str, Counts]]


def run_experiment(options: ExperimentOptions) -> ExperimentSummary:
    """Do what the paper's section 3 did, or what is left of it, and write the report.

    Parameters
    ----------
    options : ExperimentOptions

    Returns
    -------
    ExperimentSummary
        As it stands in ``summary.json``; ``report.html`` and ``tables.md`` show it.

    Raises
    ------
    LossanError
        For options, tables or images that cannot be used.

    References
    ----------
    The paper, section 3: data sets A, A', A'' and B, Table 1, Figures 4 to 6.
    """
    check_report()
    make(options.detector, {})
    find_adapter(options.adapter)
    store = Store(options.output)
    samples = prepare(options, store)
    results, noisy_files, logs = [], [], []
    for seed in range(options.seeds):
        noisy = noisy_labels(options, store, samples, options.rate, seed)
        log = search_log(options, store, noisy, options.rate, seed)
        result = analyze_first(log, options, seed=seed)
        result.save(store.folder(f"seed-{seed}", "findings"))
        results.append(result)
        noisy_files.append(noisy)
        logs.append(log)
    reviewed = [
        refine(options, store, samples, result, noisy, seed)
        for seed, (result, noisy) in enumerate(zip(results, noisy_files, strict=True))
    ]
    waiting = [found for found in reviewed if isinstance(found, str)]
    refined = [found for found in reviewed if isinstance(found, Path)]
    trials = sweep(logs, options) + _rates(options, store, samples)
    retrained = bool(options.retrain_epochs) and not waiting
    runs = _retrain(options, store, noisy_files, refined) if retrained else None
    summary = _summary(options, store, samples, results, runs, trials, waiting)
    with atomic_file(store.root / "summary.json") as file:
        file.write(summary.model_dump_json(indent=2).encode())
    with atomic_file(store.root / "report.html") as file:
        file.write(_page.render(summary, results, image_root(options)).encode())
    with atomic_file(store.root / "tables.md") as file:
        file.write(tables(summary).encode())
    for what in waiting:
        say(f"experiment 2 is left out: {what}")
    say(f"wrote report.html, tables.md and summary.json to {store.root}")
    return summary


def _rates(options: ExperimentOptions, store: Store, samples: SampleSet) -> list[Trial]:
    trials = []
    for rate in options.rates:
        logs = []
        for seed in range(options.seeds):
            noisy = noisy_labels(options, store, samples, rate, seed)
            logs.append(search_log(options, store, noisy, rate, seed))
        found = trial(logs, options, rate)
        if found is not None:
            trials.append(found)
    return trials


def _retrain(
    options: ExperimentOptions, store: Store, noisy: list[Path], refined: list[Path]
) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {"clean": [], "noisy": [], "refined": []}
    classes = classes_of(store.root / "a.csv", store.root / "b.csv", *noisy, *refined)
    for seed in range(options.seeds):
        tables = {"clean": store.root / "a.csv", "noisy": noisy[seed], "refined": refined[seed]}
        for name, table in tables.items():
            history = retrain(options, store, table, name, seed, classes)
            runs[name].append(run_of(history, f"seed-{seed}/retrain-{name}"))
    return runs


def _summary(
    options: ExperimentOptions,
    store: Store,
    samples: SampleSet,
    results: list[Result],
    runs: dict[str, list[Run]] | None,
    trials: list[Trial],
    waiting: list[str],
) -> ExperimentSummary:
    evaluations = [r.summary.evaluation for r in results if r.summary.evaluation is not None]
    labelled = [store.root / "b.csv"]
    labelled += [p for s in range(options.seeds) for p in _label_sets(store, s).values()]
    classes = classes_of(*labelled)
    tables = [_table1(store, seed, classes) for seed in range(options.seeds)]
    (test_ids,) = read_columns(store.root / "b.csv", "sample_id")
    return ExperimentSummary(
        lossan_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        options={**options.identity(), "seeds": options.seeds, "rates": list(options.rates)},
        n_train=results[0].summary.log.n_samples,
        n_test=len(test_ids),
        n_groups=None if samples.groups is None else _count(samples.groups),
        classes=classes,
        table1=tables[0],
        table1_per_seed=tables,
        experiment1=Search(
            per_seed=evaluations,
            mean={m: mean_of([getattr(e, m) for e in evaluations]) for m in METRICS},
        ),
        experiment2=None if runs is None else summarize(runs, _test_groups(store, samples)),
        budget=budget(results),
        trials=trials,
        notes=[*_notes(options, samples), *waiting],
    )


def _label_sets(store: Store, seed: int) -> dict[str, Path]:
    """Return the tables A, A' and A'' of a seed that are there."""
    place = store.root / f"seed-{seed}"
    sets = {"A": store.root / "a.csv", "A'": place / "noisy.csv", "A''": place / "refined.csv"}
    return {name: path for name, path in sets.items() if path.exists()}


def _table1(store: Store, seed: int, classes: list[Any]) -> Table:
    ids, gold = read_columns(store.root / "a.csv", "sample_id", "label")
    truth = dict(zip(map(str, ids), map(str, gold), strict=True))
    table: Table = {}
    for name, path in _label_sets(store, seed).items():
        ids, labels = read_columns(path, "sample_id", "label")
        counts = {str(label): [0, 0] for label in classes}
        for sample, label in zip(ids, labels, strict=True):
            counts[str(label)][truth[str(sample)] != str(label)] += 1
        table[name] = {label: Counts(right=r, wrong=w) for label, (r, w) in counts.items()}
    return table


def _count(groups: list[Any]) -> int:
    """Return how many groups there are; a sample without one is its own."""
    return len(set(groups) - {None}) + groups.count(None)


def _test_groups(store: Store, samples: SampleSet) -> NDArray[np.int64] | None:
    if samples.groups is None:
        return None
    (ids,) = read_columns(store.root / "b.csv", "sample_id")
    group_of: dict[str, Any] = dict(zip(map(str, samples.ids), samples.groups, strict=True))
    named = [
        f"alone {name}" if group_of[str(name)] in (None, "") else f"group {group_of[str(name)]}"
        for name in ids
    ]
    codes: NDArray[np.int64] = np.unique(named, return_inverse=True)[1]
    return codes


def _notes(options: ExperimentOptions, samples: SampleSet) -> list[str]:
    notes = []
    if samples.groups is None:
        notes.append("The table has no group column, so A and B are split by sample.")
    if options.reviewer == "people":
        notes.append("A'' is of the decisions of people, not of an oracle.")
    if options.seeds == 1:
        notes.append("One seed: the spread between trainings is not known.")
    if options.noise == "planted" and samples.true_labels is not None:
        notes.append("The table's true_label is the gold standard; its label was not used.")
    return notes
