"""Experiment 1: how many of the wrong labels are found, and what that depends on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lossan.detectors import installed
from lossan.errors import DetectorError
from lossan.experiment._options import ExperimentOptions
from lossan.experiment._steps import first_epochs
from lossan.experiment._summary import METRICS, Budget, Mean, Trial
from lossan.judge import wrong_labels
from lossan.losslog import LossLog
from lossan.pipeline import Result, analyze

_GRID = 201  # points of the budget curve: every half percent of the data


def analyze_first(
    log: LossLog,
    options: ExperimentOptions,
    *,
    seed: int,
    n_epochs: int | None = None,
    **changed: Any,
) -> Result:
    """Analyse the first epochs of a log as the options say, or with some of them changed."""
    settings: dict[str, Any] = {
        "detector": options.detector,
        "early_epochs": options.early_epochs,
        "scale": options.scale,
        **changed,
    }
    return analyze(first_epochs(log, n_epochs or options.training.epochs), seed=seed, **settings)


def mean_of(values: Sequence[float | None]) -> Mean:
    """Return the mean of rates over seeds with Student's interval, cut to 0 and 1.

    Examples
    --------
    >>> mean_of([0.25, 0.5, 0.75]).mean
    0.5
    """
    known = np.array([v for v in values if v is not None])
    if not len(known):
        return Mean()
    centre = float(known.mean())
    if len(known) < 2:
        return Mean(mean=centre)
    half = float(stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return Mean(mean=centre, low=max(0.0, centre - half), high=min(1.0, centre + half))


def sweep(logs: Sequence[LossLog], options: ExperimentOptions) -> list[Trial]:
    """Vary N, P, the scaling and the detector, one at a time, on logs that are there anyway."""
    n = options.training.epochs
    settings: list[dict[str, Any]] = [
        {"n_epochs": count, "scale": scale, "early_epochs": None}
        for count in range(2, options.search_epochs + 1)
        for scale in ("standard", "none")
    ]
    settings += [{"n_epochs": n, "early_epochs": early} for early in range(1, n)]
    settings += [{"n_epochs": n, "detector": name} for name in sorted(installed())]
    trials = [trial(logs, options, options.rate, **setting) for setting in settings]
    return [found for found in trials if found is not None]


def trial(
    logs: Sequence[LossLog], options: ExperimentOptions, rate: float, **setting: Any
) -> Trial | None:
    """Analyse every seed's log in one way; None where the detector cannot work on them."""
    try:
        results = [
            analyze_first(log, options, seed=seed, **setting) for seed, log in enumerate(logs)
        ]
    except DetectorError:
        return None
    first = results[0].summary
    evaluations = [r.summary.evaluation for r in results]
    figures = {
        metric: mean_of([None if e is None else getattr(e, metric) for e in evaluations])
        for metric in METRICS
    }
    return Trial(
        rate=rate,
        n_epochs=first.log.n_epochs,
        early_epochs=int(first.detector.parameters["early_epochs"]),
        scale=str(first.detector.parameters["scale"]),
        detector=first.detector.name,
        n_seeds=len(results),
        flagged_fraction=float(np.mean([r.summary.flagged_fraction for r in results])),
        figures={metric: found.mean for metric, found in figures.items()},
        low={metric: found.low for metric, found in figures.items()},
        high={metric: found.high for metric, found in figures.items()},
    )


def budget(results: Sequence[Result]) -> Budget:
    """Return how many wrong labels a reviewer finds with each share of the data looked at."""
    share = np.linspace(0, 1, _GRID)
    curves: dict[str, list[NDArray[np.float64]]] = {"detector": [], "last_loss": [], "ideal": []}
    for result in results:
        wrong = wrong_in(result)
        if not wrong.any():
            continue
        last = result.log.loss[result.rows, -1]
        by_loss = np.argsort(-np.nan_to_num(last, nan=-np.inf), kind="stable")
        orders = {"detector": wrong, "last_loss": wrong[by_loss], "ideal": np.sort(wrong)[::-1]}
        for name, hits in orders.items():
            found = np.append(0, np.cumsum(hits)) / hits.sum()
            curves[name].append(np.interp(share * len(hits), np.arange(len(hits) + 1), found))
    means = {
        name: np.mean(curve, axis=0).tolist() if curve else [0.0] * _GRID
        for name, curve in curves.items()
    }
    return Budget(reviewed=share.tolist(), **means)


def wrong_in(result: Result) -> NDArray[np.bool_]:
    """Return which findings have a wrong label, in their order."""
    found = wrong_labels(
        result.table["label"].combine_chunks(), result.table["true_label"].combine_chunks()
    )
    if found is None:
        return np.zeros(len(result.table), bool)
    return found[0]
