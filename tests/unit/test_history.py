"""The figures of each epoch, in a file beside the log."""

import json
import math
import re

import numpy as np
import pytest

from lossan.cli import run
from lossan.errors import OptionError
from lossan.training import History, TrainOptions, evaluation_figures, history_file, read_history


def strict(text):
    """Read JSON as the standard has it, which knows no NaN."""

    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def write(log, losses):
    history = History(log)
    for loss in losses:
        figures = evaluation_figures(4 * loss, np.array([True, True, False, True]))
        history.add(train_loss=loss, **figures)
    return log


def test_a_loss_that_is_not_finite_is_null_and_told_once(tmp_path, capsys):
    log = write(tmp_path / "run.parquet", [0.5, math.inf, math.nan])
    stored = strict(history_file(log).read_text())["epochs"]
    assert [entry["train_loss"] for entry in stored] == [0.5, None, None]
    assert [entry["test_loss"] for entry in stored] == [0.5, None, None]
    assert stored == read_history(log)
    assert capsys.readouterr().err == (
        "note: the loss of epoch 2 is not finite: the training diverged; give a smaller --lr.\n"
    )


def test_a_history_with_nan_from_before_is_read_and_gone_on_with(tmp_path):
    log = tmp_path / "run.parquet"
    history_file(log).write_text('{"epochs": [{"epoch": 1, "train_loss": NaN}, {"epoch": 2}]}')
    assert read_history(log)[0] == {"epoch": 1, "train_loss": None}
    History(log, keep=1).add(train_loss=0.5)
    stored = strict(history_file(log).read_text())["epochs"]
    assert [entry["train_loss"] for entry in stored] == [None, 0.5]


def test_runs_that_diverged_are_compared_by_what_is_finite(tmp_path, capsys):
    pytest.importorskip("jinja2")
    losses = {"some": [2.0, 1.0, math.nan], "all": [math.nan] * 3, "none": [3.0, 2.0, 1.5]}
    logs = [str(write(tmp_path / name, values)) for name, values in losses.items()]
    page = tmp_path / "c.html"
    assert run(["compare", *logs, "-o", str(page), "--json"]) == 0
    found = strict(capsys.readouterr().out)["runs"]
    assert [entry["best_loss"] for entry in found] == [1.0, None, 1.5]
    assert "nan" not in page.read_text().partition("<svg")[0]
    assert run(["compare", f"seeds={logs[0]},{logs[1]}", f"again={logs[2]},{logs[2]}"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "75.0%" in line]
    assert ["-" in row for row in rows] == [True, False]


@pytest.mark.parametrize("lr", [1e39, math.inf, math.nan, 0.0])
def test_a_learning_rate_that_no_training_can_take_is_refused(lr, tmp_path):
    given = {"labels": tmp_path, "output": tmp_path / "o.parquet", "lr": lr}
    with pytest.raises(
        OptionError, match=rf"lr is {re.escape(str(lr))}: .*allowed: above 0 and at most 1000000"
    ):
        TrainOptions.parse(given, "lossan train")
