"""Peers that need trainings of their own: cross-validation and threshold samples."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from log_peers import cleanlab_of
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold
from training import predict, probabilities, train
from work import Found, Work

FOLDS = 5
PERCENTILE = 99


def cleanlab(filter_by: str, *, held_out: bool) -> Callable[[Work], Found]:
    """Return the peer with one of cleanlab's filters."""

    def peer(work: Work) -> Found:
        found = held_out_probabilities(work) if held_out else in_sample_probabilities(work)
        return cleanlab_of(work, found, filter_by)

    return peer


def in_sample_probabilities(work: Work) -> NDArray[np.float64]:
    """Return those of the run the log is of, after its last epoch."""
    kept = np.load(work.facts_path.with_suffix(".npy")).astype(np.float64)
    return kept / kept.sum(axis=1, keepdims=True)


def held_out_probabilities(work: Work) -> NDArray[np.float64]:
    """Return five-fold cross-validated probabilities of the same network and schedule."""
    kept = work.peers_folder / "held-out.npy"
    if not kept.exists():
        found = np.empty((len(work.given), work.n_classes))
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=work.task.seed)
        inputs = work.images.inputs
        for learnt, held in folds.split(work.given, work.given):
            model = train(
                work.task, inputs[learnt], work.given[learnt], work.n_classes, seed=work.task.seed
            )
            found[held] = probabilities(predict(model, inputs[held]))
        np.save(kept, found)
    return np.load(kept)


def area_under_margin(work: Work) -> Found:
    """AUM (Pleiss 2020) by the package aum, with threshold samples in two runs.

    N / (K + 1) samples are given to an extra class; what lies under the 99th percentile of their
    AUM is flagged. A second run with other threshold samples judges those of the first. With two
    classes a third of the labels would go, so there the method ranks and does not flag.
    """
    n, k = len(work.given), work.n_classes
    if k == 2:
        return Found(-_run(work, work.given, k), None)
    order = np.random.default_rng(work.task.seed).permutation(n)
    size = n // (k + 1)
    score = np.empty(n)
    for judged, moved in (
        (order[size:], order[:size]),
        (order[:size], order[size : 2 * size]),
    ):
        assigned = work.given.copy()
        assigned[moved] = k
        aum = _run(work, assigned, k + 1)
        score[judged] = np.percentile(aum[moved], PERCENTILE) - aum[judged]
    return Found(score, score > 0)


def _run(work: Work, assigned: NDArray[np.int64], n_outputs: int) -> NDArray[np.float64]:
    """Train on assigned labels; return each sample's AUM as the package computes it."""
    from aum import AUMCalculator

    targets = torch.from_numpy(assigned)
    with tempfile.TemporaryDirectory() as folder:
        calculator = AUMCalculator(folder, compressed=True)
        train(
            work.task,
            work.images.inputs,
            assigned,
            n_outputs,
            seed=work.task.seed,
            on_batch=lambda rows, logits: calculator.update(logits, targets[rows], rows.tolist()),
        )
        calculator.finalize()
        values = pd.read_csv(Path(folder) / "aum_values.csv").set_index("sample_id")["aum"]
    return values.sort_index().to_numpy(np.float64)
