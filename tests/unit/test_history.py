"""The figures of each epoch, in a file beside the log."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from lossan.cli import run
from lossan.errors import OptionError
from lossan.training import (
    History,
    SampleSet,
    TrainOptions,
    evaluation_figures,
    history_file,
    read_history,
    read_test_set,
)


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


def samples(*labels, ids=range(4), folder="a", names=("p", "q")):
    files = [Path(folder, f"{i}.png") for i in ids]
    codes = np.array(labels)
    return SampleSet(list(ids), files, list(map(str, files)), codes, list(names))


def compared(tmp_path, capsys, *tests):
    logs = [tmp_path / f"{number}.parquet" for number in range(len(tests))]
    for log, test in zip(logs, tests, strict=True):
        figures = evaluation_figures(4, np.array([True, True, False, True]))
        History(log, test=test).add(**figures)
    code = run(["compare", *map(str, logs)])
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (samples(0, 1, 0, 1, ids=range(4, 8)), False),
        (samples(0, 1, 1, 1), False),
        (samples(0, 1, 0, 1, ids=[1, 0, 2, 3]), False),
        (samples(0, 1, 0, 1), True),
        (samples(0, 1, 0, 1, folder="in another size"), True),
        (samples(1, 0, 1, 0, names=("q", "p")), True),
        (samples(0, 1, 0, 1, ids="0123"), True),
        (None, True),
    ],
    ids=["disjoint", "a label", "order", "equal", "folder", "order of classes", "text", "unknown"],
)
def test_only_runs_on_one_test_set_are_compared(other, same, tmp_path, capsys):
    first = samples(0, 1, 0, 1)
    code, said = compared(tmp_path, capsys, first, None, other, first)
    assert code == (0 if same else 2)
    assert ("tested on different samples or labels" in said) is not same
    if not same:
        assert "0.parquet: sha256:" in said
        assert "2.parquet: sha256:" in said
        assert "train each with the same table by --test." in said


def test_a_history_gone_on_with_keeps_what_it_was_tested_on(tmp_path):
    log, test = tmp_path / "run.parquet", samples(0, 1, 0, 1)
    for keep in (0, 1):
        History(log, keep=keep, test=test).add(test_loss=1.0)
    assert len(read_history(log)) == 2
    assert read_test_set(log) == test.test_fingerprint


@pytest.mark.parametrize("lr", [1e39, math.inf, math.nan, 0.0])
def test_a_learning_rate_that_no_training_can_take_is_refused(lr, tmp_path):
    given = {"labels": tmp_path, "output": tmp_path / "o.parquet", "lr": lr}
    with pytest.raises(
        OptionError, match=rf"lr is {re.escape(str(lr))}: .*allowed: above 0 and at most 1000000"
    ):
        TrainOptions.parse(given, "lossan train")
