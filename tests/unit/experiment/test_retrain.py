"""Experiment 2 of trainings that diverged, or that are of other classes than the tables."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from lossan import Recorder
from lossan.compare import run_of
from lossan.errors import OptionError
from lossan.experiment._page import _curves
from lossan.experiment._retrain import summarize
from lossan.experiment._steps import retrain
from lossan.experiment._store import Store
from lossan.training import History


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


@pytest.mark.parametrize("classes", [["a", "b"], ["a", "b", "c"]])
def test_a_training_on_fewer_classes_than_there_are_now_is_refused(tmp_path, classes):
    """As where people decide anew, for a class that no table had before."""
    store = Store(tmp_path)
    log = store.folder("seed-0") / "retrain-clean.parquet"
    with Recorder(log, classes=["a", "b"]) as recorder:
        for _ in range(2):
            recorder.record([1, 2], [0.5, 0.7], labels=["a", "b"])
            recorder.end_epoch()
    History(log).add(train_loss=0.6)
    options = SimpleNamespace(retrain_epochs=2)
    if len(classes) == 2:
        assert len(retrain(options, store, tmp_path / "a.csv", "clean", 0, classes)) == 1
        return
    told = r"was trained on the classes a, b, but the labels are now of a, b, c.*Remove every"
    with pytest.raises(OptionError, match=told):
        retrain(options, store, tmp_path / "a.csv", "clean", 0, classes)
