"""Training runs side by side: best accuracies, intervals and refusals."""

import json

import numpy as np
import pytest

from lossan.cli import run
from lossan.compare import compare_runs, resampled_best, run_of
from lossan.errors import LossanError
from lossan.training import evaluation_figures, fingerprint_of_test, right_of

LONG = np.arange(40) < 30


def history(rights, loss=1.0):
    return [
        {"epoch": i + 1, **evaluation_figures(loss * right.size, right)}
        for i, right in enumerate(rights)
    ]


def coin(rng, p, n=400, epochs=3):
    return [rng.random(n) < p for _ in range(epochs)]


def test_what_was_right_survives_the_file():
    right = np.random.default_rng(0).random(37) < 0.5
    entry = json.loads(json.dumps(evaluation_figures(3.7, right)))
    assert (right_of(entry) == right).all()
    assert entry["test_accuracy"] == right.mean()
    assert entry["test_loss"] == pytest.approx(0.1)


def test_the_interval_of_one_epoch_is_that_of_a_proportion():
    right = np.arange(400) < 300
    low, high = np.quantile(
        resampled_best({"a": [run_of(history([right]), "a")]}, None)["a"], [0.025, 0.975]
    )
    half = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert (low, high) == pytest.approx((0.75 - half, 0.75 + half), abs=0.005)


def test_groups_widen_the_interval():
    right = np.arange(400) < 300
    runs = {"a": [run_of(history([right]), "a")]}
    alone, grouped = (
        np.std(resampled_best(runs, groups)["a"]) for groups in (None, np.arange(400) // 8)
    )
    # eight samples of one group with one outcome are as good as one: sqrt(8) times as wide
    assert grouped / alone == pytest.approx(np.sqrt(8), rel=0.1)


def test_differences_are_paired():
    rng = np.random.default_rng(1)
    base = rng.random(400) < 0.8
    better = base | (rng.random(400) < 0.15)
    summary, _ = compare_runs({"base": [history([base])], "better": [history([better])]})
    found = summary["runs"][1]
    assert found["difference"] == pytest.approx(better.mean() - base.mean())
    assert found["difference_low"] > 0
    assert found["low"] < summary["runs"][0]["high"]  # unpaired, the two intervals overlap


def test_runs_that_kept_no_samples_have_no_intervals():
    plain = [{"epoch": 1, "test_loss": 0.5, "test_accuracy": 0.9}]
    summary, _ = compare_runs({"a": [plain], "b": [plain]})
    assert summary["runs"][0]["low"] is None
    assert "did not keep" in summary["notes"][0]


def test_different_test_sets_are_told():
    rng = np.random.default_rng(0)
    summary, _ = compare_runs(
        {"a": [history(coin(rng, 0.5, 10))], "b": [history(coin(rng, 0.5, 11))]}
    )
    assert "differ in size (10, 11)" in summary["notes"][0].replace("11, 10", "10, 11")


@pytest.mark.parametrize(
    ("histories", "message"),
    [
        ({"a": [[{"epoch": 1, "train_loss": 1.0}]]}, "1 run to compare"),
        (
            {"a": [[{"epoch": 1}]], "b": [[{"epoch": 1}]]},
            "a: 1 of its 1 epochs have no test accuracy",
        ),
        ({"a": [[], []], "b": [[]]}, r"different numbers of seeds \(a 2, b 1\)"),
        (
            {"a": [history([LONG]), history([LONG] * 2)], "b": [history([LONG])] * 2},
            r"a: its seeds were trained for different epochs \(1, 2\)",
        ),
    ],
)
def test_refusals(histories, message):
    with pytest.raises(LossanError, match=message):
        compare_runs(histories)


def test_seeds_are_averaged_and_their_spread_counts():
    rng = np.random.default_rng(3)
    sets = {
        name: [history([rng.random(4000) < p]) for p in rates]
        for name, rates in {"a": (0.5, 0.7), "b": (0.6, 0.8)}.items()
    }
    found = compare_runs(sets)[0]["runs"]
    for entry, expected in zip(found, (0.6, 0.7), strict=True):
        assert entry["best_accuracy"] == pytest.approx(np.mean(entry["per_seed"]))
        assert entry["best_accuracy"] == pytest.approx(expected, abs=0.02)
        # a quarter of the draws has one seed twice: the interval reaches from one to the other
        assert entry["high"] - entry["low"] > 0.18
    # the same seeds are drawn of both: their spread does not blur the difference
    assert found[1]["difference_high"] - found[1]["difference_low"] < 0.08


def test_the_groups_of_the_test_set_stay_together(tmp_path, capsys):
    rng = np.random.default_rng(5)
    by_patient = np.repeat(rng.random(50) < 0.8, 8)
    for name in ("x=1", "b"):
        rights = [by_patient] if name == "x=1" else [~by_patient]
        (tmp_path / f"{name}.history.json").write_text(json.dumps({"epochs": history(rights)}))
    table = tmp_path / "b.csv"
    rows = [f"{row},{row}.png,0,patient {row // 8}" for row in range(400)]
    table.write_text("\n".join(["sample_id,path,label,group", *rows]))
    names = [str(tmp_path / "x=1"), f"seeds={tmp_path / 'b'}"]
    width = []
    for more in ([], ["--test", str(table)]):
        assert run(["compare", *names, *more, "--json"]) == 0
        first, second = json.loads(capsys.readouterr().out)["runs"]
        assert second["name"] == "seeds"
        width.append(first["high"] - first["low"])
    assert width[1] / width[0] == pytest.approx(np.sqrt(8), rel=0.15)
    table.write_text("\n".join(["sample_id,path,label,group", *rows[:-1]]))
    assert run(["compare", *names, "--test", str(table)]) == 2
    assert "holds 399 samples, the runs were tested on 400" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["none", "label", "order", "no labels"])
def test_the_groups_are_those_of_the_table_that_was_tested(tmp_path, capsys, change):
    rows = [f"{row},{row}.png,{'ab'[row % 2]},patient {row // 4}" for row in range(40)]
    head, table = "sample_id,path,label,group", tmp_path / "b.csv"
    tested = fingerprint_of_test(range(40), ["ab"[row % 2] for row in range(40)])
    for name in ("x", "y"):
        stated = {"test_set": tested, "epochs": history([LONG])}
        (tmp_path / f"{name}.history.json").write_text(json.dumps(stated))
    if change == "label":
        rows[7] = rows[7].replace(",b,", ",a,")
    if change == "order":
        rows.reverse()
    if change == "no labels":
        head = head.replace("label", "note")
    table.write_text("\n".join([head, *rows]))
    wrong = change in ("label", "order")
    names = [str(tmp_path / name) for name in ("x", "y")]
    assert run(["compare", *names, "--test", str(table)]) == (2 if wrong else 0)
    told = f"{table} holds other samples or labels than {names[0]} was tested on, or in another or"
    assert (told in capsys.readouterr().err) == wrong


def test_the_command(tmp_path, capsys):
    pytest.importorskip("jinja2")
    rng = np.random.default_rng(0)
    for name, p in (("<b>worse", 0.6), ("better", 0.9)):
        file = tmp_path / f"{name}.history.json"
        file.write_text(json.dumps({"epochs": history(coin(rng, p))}))
    names = [str(tmp_path / name) for name in ("<b>worse", "better")]
    page = tmp_path / "c.html"
    assert run(["compare", *names, "-o", str(page), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in shown["runs"]] == names
    assert shown["runs"][1]["difference"] > 0.2
    text = page.read_text()
    assert "<b>worse" not in text
    assert text.count("<svg") == 2
    for outside in ('src="http', 'href="http', "@import", "<script"):
        assert outside not in text
    assert run(["compare", names[0], str(tmp_path / "absent")]) == 2
    assert "cannot be read" in capsys.readouterr().err
