"""Training runs side by side: accuracy and loss on one test set, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossan.errors import LossanError
from lossan.training import right_of

_ROUNDS = 2000


@dataclass(frozen=True, eq=False)
class Run:
    """What a training came to on its test set.

    Parameters
    ----------
    accuracy, loss : ndarray of float
        Shape (n_epochs,); the loss in nats, NaN where it was not finite.
    right : ndarray of bool, optional
        Shape (n_epochs, n_test): which test samples each epoch classified rightly.
    """

    accuracy: NDArray[np.float64]
    loss: NDArray[np.float64]
    right: NDArray[np.bool_] | None

    @property
    def best(self) -> float:
        """The best accuracy of all epochs, as the paper reports it."""
        return float(self.accuracy.max())

    @property
    def best_loss(self) -> float:
        """The lowest finite loss of all epochs, infinite where there is none."""
        return float(self.loss.min(initial=np.inf, where=np.isfinite(self.loss)))

    @property
    def best_epoch(self) -> int:
        """The first epoch, from 1 on, that reached the best accuracy."""
        return int(self.accuracy.argmax()) + 1


def run_of(history: Sequence[Mapping[str, Any]], name: str) -> Run:
    """Turn the history of a training into a run.

    Raises
    ------
    LossanError
        When it was trained without a test set.
    """
    lacking = sum("test_accuracy" not in entry for entry in history)
    if lacking or not history:
        raise LossanError(
            f"{name}: {lacking or 'all'} of its {len(history)} epochs have no test accuracy; train "
            "with --test LABELS."
        )
    try:
        kept = [right_of(dict(entry)) for entry in history]
        whole = [right for right in kept if right is not None]
        return Run(
            np.array([float(entry["test_accuracy"]) for entry in history]),
            np.array(
                [
                    np.nan if (loss := entry["test_loss"]) is None else float(loss)
                    for entry in history
                ]
            ),
            np.stack(whole) if len(whole) == len(kept) else None,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise LossanError(
            f"{name}: its history is not one that lossan wrote ({error!r})."
        ) from error


def resampled_best(
    sets: Mapping[str, Sequence[Run]], groups: NDArray[np.int64] | None
) -> dict[str, NDArray[np.float64]] | None:
    """Bootstrap the mean best accuracy of each set of runs, over the test set and the seeds.

    Test samples are drawn with replacement, whole groups together, and so are seeds; all sets see
    the same draws, so that differences between them are paired.

    Parameters
    ----------
    sets : mapping of str to sequence of Run
        Runs of one label set or method; the i-th of each set had the same seed.
    groups : ndarray of int64, optional
        Shape (n_test,): codes from 0 on of what belongs together.

    Returns
    -------
    dict of str to ndarray, optional
        Shape (2000,) each; None where the runs did not keep which test samples were right.

    References
    ----------
    Efron and Tibshirani 1993, chapters 6 and 8 (paired and clustered data).
    """
    every = [run.right for runs in sets.values() for run in runs]
    known = [right for right in every if right is not None]
    if len(known) < len(every) or len({right.shape[1] for right in known}) != 1:
        return None
    n_test, n_seeds = known[0].shape[1], len(next(iter(sets.values())))
    codes = np.arange(n_test) if groups is None else groups
    rng = np.random.default_rng(0)
    n_groups = int(codes.max()) + 1
    draws = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), _ROUNDS)
    weights = draws[:, codes].astype(float)
    weights /= weights.sum(axis=1, keepdims=True)
    drawn = rng.integers(0, n_seeds, (_ROUNDS, n_seeds))
    best = {}
    for name, runs in sets.items():
        by_seed = np.stack(
            [(weights @ run.right.T).max(axis=1) for run in runs if run.right is not None], axis=1
        )
        best[name] = np.take_along_axis(by_seed, drawn, axis=1).mean(axis=1)
    return best


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95% percentile interval of bootstrap values."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def compare_runs(
    sets: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]],
    groups: NDArray[np.int64] | None = None,
    tested: Mapping[str, Sequence[str | None]] | None = None,
) -> tuple[dict[str, Any], dict[str, Run]]:
    """Hold runs against each other and against the first of them.

    Parameters
    ----------
    sets : mapping of str to sequence of histories
        By the run's name the history of each of its seeds: the figures of each epoch. Two runs or
        more; the i-th history of each should be of the same seed.
    groups : ndarray of int64, optional
        Shape (n_test,): codes from 0 on of the test samples that belong together.
    tested : mapping of str to sequence of str, optional
        By the run's name what each of its seeds was tested on, as `lossan.training.read_test_set`
        returns it; None where that is not known.

    Returns
    -------
    tuple
        What ``lossan compare --json`` prints, and the mean curves by name.

    Raises
    ------
    LossanError
        For fewer than two runs, unequal numbers of seeds or epochs, different test sets, or a run
        without test figures.
    """
    if len(sets) < 2:
        raise LossanError(f"there is {len(sets)} run to compare; name two different ones or more.")
    seeds = {name: len(histories) for name, histories in sets.items()}
    if len(set(seeds.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in seeds.items())
        raise LossanError(
            f"the runs have different numbers of seeds ({told}); give each as many logs, the i-th "
            "of each with the same seed."
        )
    _check_tested(tested or {})
    runs = {
        name: [run_of(history, name) for history in histories] for name, histories in sets.items()
    }
    sizes = {e.get("test_n") for hs in sets.values() for history in hs for e in history}
    if groups is not None and sizes != {len(groups)}:
        raise LossanError(
            f"--test holds {len(groups):,} samples, the runs were tested on "
            f"{', '.join(map(str, sizes))}; give the table that they were tested on."
        )
    drawn = resampled_best(runs, groups)
    notes = _notes(drawn is None, sizes)
    means = {name: _mean(name, some) for name, some in runs.items()}
    baseline = next(iter(runs))
    first = float(np.mean([run.best for run in runs[baseline]]))
    listed = []
    for name, some in runs.items():
        low, high = interval(drawn[name]) if drawn else (None, None)
        apart = interval(drawn[name] - drawn[baseline]) if drawn else (None, None)
        best = [run.best for run in some]
        listed.append(
            {
                "name": name,
                "n_seeds": len(some),
                "n_epochs": len(means[name].accuracy),
                "best_accuracy": float(np.mean(best)),
                "low": low,
                "high": high,
                "per_seed": best,
                "best_epoch": means[name].best_epoch,
                "last_accuracy": float(means[name].accuracy[-1]),
                "best_loss": _finite_mean([run.best_loss for run in some]),
                "difference": float(np.mean(best)) - first,
                "difference_low": apart[0],
                "difference_high": apart[1],
            }
        )
    n_test = next((n for n in sizes if n), 0)
    return {"n_test": n_test, "baseline": baseline, "runs": listed, "notes": notes}, means


def _check_tested(tested: Mapping[str, Sequence[str | None]]) -> None:
    """Refuse runs on different test sets: their difference would be that of the sets as well."""
    first: dict[str, str] = {}
    for name, seeds in tested.items():
        for found in seeds:
            if found is not None:
                first.setdefault(found, name)
    if len(first) > 1:
        told = "; ".join(f"{name}: {found[:19]}" for found, name in first.items())
        raise LossanError(
            f"the runs were tested on different samples or labels, or in another order ({told}); "
            "train each with the same table by --test."
        )


def _finite_mean(values: Sequence[float]) -> float | None:
    mean = float(np.mean(values))
    return mean if np.isfinite(mean) else None


def _notes(no_intervals: bool, sizes: set[Any]) -> list[str]:
    if not no_intervals:
        return []
    if len(sizes) == 1:
        return ["no intervals: the runs did not keep which test samples were right."]
    return [f"no intervals: the test sets differ in size ({', '.join(map(str, sizes))})."]


def _mean(name: str, runs: Sequence[Run]) -> Run:
    """Return the mean curves of a run's seeds."""
    lengths = {len(run.accuracy) for run in runs}
    if len(lengths) > 1:
        told = ", ".join(map(str, sorted(lengths)))
        raise LossanError(f"{name}: its seeds were trained for different epochs ({told}).")
    return Run(
        np.mean([run.accuracy for run in runs], axis=0),
        np.mean([run.loss for run in runs], axis=0),
        None,
    )
