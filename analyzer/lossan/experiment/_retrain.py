"""Experiment 2: what correcting the flagged labels is worth on an independent test set."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lossan.compare import Run, interval, resampled_best
from lossan.experiment._summary import Accuracies, Mean, Retraining

_RESOLVED = 0.95  # of the bootstrap, before a share of the gap has a meaning


def summarize(runs: Mapping[str, Sequence[Run]], groups: NDArray[np.int64] | None) -> Retraining:
    """Hold the trainings on A, A' and A'' against each other.

    Parameters
    ----------
    runs : mapping of str to sequence of Run
        ``clean``, ``noisy`` and ``refined``, a run per seed.
    groups : ndarray of int64, optional
        Shape (n_test,).
    """
    drawn = resampled_best(runs, groups)
    best = {name: float(np.mean([run.best for run in some])) for name, some in runs.items()}
    figures = {}
    for name, some in runs.items():
        low, high = interval(drawn[name]) if drawn else (None, None)
        figures[name] = Accuracies(
            per_seed=[run.best for run in some],
            mean=best[name],
            low=low,
            high=high,
            final_mean=float(np.mean([run.accuracy[-1] for run in some])),
            accuracy_by_epoch=np.mean([run.accuracy for run in some], axis=0).tolist(),
            loss_by_epoch=[
                loss if np.isfinite(loss) else None
                for loss in np.mean([run.loss for run in some], axis=0).tolist()
            ],
        )
    gap, gain = best["clean"] - best["noisy"], best["refined"] - best["noisy"]
    closed: tuple[float, float] | tuple[None, None] = (None, None)
    if drawn:
        gaps = drawn["clean"] - drawn["noisy"]
        if np.mean(gaps > 0) >= _RESOLVED:
            shares = (drawn["refined"] - drawn["noisy"])[gaps > 0] / gaps[gaps > 0]
            closed = interval(shares)
    return Retraining(
        **figures,
        gap=_difference(gap, drawn, "clean"),
        gain=_difference(gain, drawn, "refined"),
        gap_closed=gain / gap if gap > 0 else None,
        gap_closed_low=closed[0],
        gap_closed_high=closed[1],
    )


def _difference(value: float, drawn: dict[str, NDArray[np.float64]] | None, name: str) -> Mean:
    if drawn is None:
        return Mean(mean=value)
    low, high = interval(drawn[name] - drawn["noisy"])
    return Mean(mean=value, low=low, high=high)
