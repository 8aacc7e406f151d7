"""Experiment 2 of trainings that diverged."""

import json

import numpy as np
import pytest

from lossan.compare import run_of
from lossan.experiment._page import _curves
from lossan.experiment._retrain import summarize


def test_a_loss_that_is_not_finite_is_null_and_a_gap_of_the_curve():
    pytest.importorskip("matplotlib")
    entry = {"test_accuracy": 0.75, "test_n": 4, "test_right": "d0"}
    runs = {
        name: [run_of([{**entry, "test_loss": loss} for loss in losses], name)] * 2
        for name, losses in {
            "clean": [0.5, 0.25],
            "noisy": [0.5, None],
            "refined": [None, None],
        }.items()
    }
    found = summarize(runs, np.arange(4))
    assert found.clean.loss_by_epoch == [0.5, 0.25]
    assert found.noisy.loss_by_epoch == [0.5, None]
    assert json.loads(found.model_dump_json())["refined"]["loss_by_epoch"] == [None, None]
    assert "<svg" in _curves(found, "loss_by_epoch", "loss")
