"""``lossan experiment``: the paper's two experiments on real digits, resumed and not."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lossan import read_log
from lossan.cli import run

pytest.importorskip("torch")
pytest.importorskip("jinja2")


@pytest.fixture(scope="module")
def grouped(digits, tmp_path_factory):
    """Return the digits' table with two images a patient."""
    path = tmp_path_factory.mktemp("grouped") / "labels.csv"
    with (digits / "labels.csv").open() as source, path.open("w", newline="") as target:
        rows = list(csv.DictReader(source))
        writer = csv.writer(target)
        writer.writerow(["sample_id", "path", "label", "group"])
        for i, row in enumerate(rows):
            writer.writerow([row["sample_id"], row["path"], row["label"], f"patient {i // 2}"])
    return path


def arguments(table, digits, folder, *more):
    network = ["--adapter", "torch", "--model", "factories:small", "--weights", "none"]
    size = ["--image-size", "24", "--epochs", "4", "--lr", "0.01", "--workers", "0"]
    rest = ["--seeds", "2", "--retrain-epochs", "3", "--test-share", "0.2", "--rate", "0.1"]
    given = ["experiment", str(table), "--images", str(digits), "-o", str(folder)]
    return [*given, *network, *size, *rest, *more]


@pytest.fixture(scope="module")
def done(grouped, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment") / "out"
    more = ["--rates", "0,0.3", "--sweep-epochs", "6"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        assert run(arguments(grouped, digits, folder, *more)) == 0
    return folder


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_tables_are_the_papers(done):
    summary = json.loads((done / "summary.json").read_text())
    a, noisy = rows_of(done / "a.csv"), rows_of(done / "seed-0" / "noisy.csv")
    b, refined = rows_of(done / "b.csv"), rows_of(done / "seed-0" / "refined.csv")
    assert {r["group"] for r in a}.isdisjoint({r["group"] for r in b})
    assert len(a) == summary["n_train"]
    assert len(b) == summary["n_test"]
    for name, rows in (("A", a), ("A'", noisy), ("A''", refined)):
        truth = {r["sample_id"]: r["label"] for r in a}
        for label, counts in summary["table1"][name].items():
            mine = [r for r in rows if r["label"] == label]
            wrong = sum(truth[r["sample_id"]] != label for r in mine)
            assert counts == {"right": len(mine) - wrong, "wrong": wrong}
    found = summary["experiment1"]["per_seed"][0]
    left = sum(c["wrong"] for c in summary["table1"]["A''"].values())
    assert left == found["fn"]
    assert sum(c["wrong"] for c in summary["table1"]["A'"].values()) == found["fn"] + found["tp"]


def test_the_refined_labels_are_the_oracles(done):
    flagged = {
        r["sample_id"]
        for r in rows_of(done / "seed-0" / "findings" / "findings.csv")
        if r["flagged"].lower() == "true"
    }
    assert flagged
    given = {r["sample_id"]: r["label"] for r in rows_of(done / "seed-0" / "noisy.csv")}
    for row in rows_of(done / "seed-0" / "refined.csv"):
        name = row["sample_id"]
        assert row["label"] == (row["true_label"] if name in flagged else given[name])


def test_the_figures_agree_with_what_they_are_of(done):
    summary = json.loads((done / "summary.json").read_text())
    two = summary["experiment2"]
    for name in ("clean", "noisy", "refined"):
        best = []
        for seed in (0, 1):
            file = done / f"seed-{seed}" / f"retrain-{name}.parquet.history.json"
            epochs = json.loads(file.read_text())["epochs"]
            best.append(max(e["test_accuracy"] for e in epochs))
        assert two[name]["per_seed"] == best
        assert two[name]["mean"] == pytest.approx(sum(best) / 2)
        assert two[name]["low"] <= two[name]["high"]
    assert {t["rate"] for t in summary["trials"]} == {0.0, 0.1, 0.3}
    assert {t["n_epochs"] for t in summary["trials"] if t["rate"] == 0.1} == {2, 3, 4, 5, 6}
    budget = summary["budget"]
    assert budget["reviewed"][-1] == budget["detector"][-1] == 1
    assert all(x <= y for x, y in zip(budget["detector"], budget["ideal"], strict=True))


def test_the_page_stands_alone(done):
    page = (done / "report.html").read_text()
    assert page.count("<svg") == 7  # Fig. 4, budget, Fig. 6 a and b, and what it depends on
    for words in (
        "Table 1",
        "N, epochs",
        "P, early epochs",
        "labels made wrong",
        "starts of k-means",
    ):
        assert words in page
    for outside in ('src="http', 'href="http', "@import", "<script"):
        assert outside not in page


def test_the_tables_are_those_of_the_summary(done):
    lines = (done / "tables.md").read_text().splitlines()
    summary = json.loads((done / "summary.json").read_text())
    found = summary["experiment1"]["mean"]["specificity"]
    shown = f"{found['mean']:.1%} ({100 * found['low']:.1f} to {100 * found['high']:.1f})"
    assert f"| specificity | {shown} | 95.15% |" in lines
    heads = [i for i, line in enumerate(lines) if line.startswith("| N |")]
    assert [lines[heads[0] + 2 + k].split()[1] for k in range(5)] == ["2", "3", "4", "5", "6"]
    rates = next(i for i, line in enumerate(lines) if line.startswith("| wrong labels |"))
    assert [lines[rates + 2 + k].split()[1] for k in range(3)] == ["0%", "10%", "30%"]
    early = lines.index("| P | sensitivity | specificity | AUPRC |")
    assert [lines[early + 2 + k].split()[1] for k in range(3)] == ["1", "2", "3"]
    trials = [t for t in summary["trials"] if t["rate"] == 0.1 and t["n_epochs"] == 4]
    by_early = {t["early_epochs"]: t for t in trials if t["detector"] == "kmeans"}
    assert f"{by_early[3]['figures']['auprc']:.1%} |" in lines[early + 4]
    # the mean of two seeds lies in the middle of Student's interval, where that was not cut
    low, mean, high = (by_early[3][k]["auprc"] for k in ("low", "figures", "high"))
    assert low == 0 or high == 1 or mean == pytest.approx((low + high) / 2)


def test_a_second_run_repeats_nothing(done, grouped, digits, capsys):
    times = {p: p.stat().st_mtime_ns for p in done.rglob("*.parquet") if "findings" not in p.parts}
    before = json.loads((done / "summary.json").read_text())
    more = ["--rates", "0,0.3", "--sweep-epochs", "6"]
    assert run(arguments(grouped, digits, done, *more)) == 0
    assert "training on" not in capsys.readouterr().err
    assert times == {p: p.stat().st_mtime_ns for p in times}
    after = json.loads((done / "summary.json").read_text())
    assert {**before, "created": ""} == {**after, "created": ""}


def test_other_options_are_refused(done, grouped, digits, capsys):
    assert run(arguments(grouped, digits, done, "--rate", "0.2")) == 2
    assert "rate was 0.1, now 0.2" in capsys.readouterr().err


def test_killed_and_called_again_it_ends_as_if_nothing_had_happened(grouped, digits, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(arguments(grouped, digits, whole, "--seeds", "1")) == 0
    environment = dict(os.environ)
    again = [sys.executable, "-m", "lossan", *arguments(grouped, digits, broken, "--seeds", "1")]
    for stop in ("epoch 2/", "retrain-noisy"):
        with subprocess.Popen(again, stderr=subprocess.PIPE, text=True, env=environment) as child:
            while stop not in (child.stderr.readline() or stop):
                pass
            time.sleep(0.05)
            child.kill()
            child.stderr.read()
    subprocess.run(again, check=True, capture_output=True, env=environment)
    first, second = (json.loads((f / "summary.json").read_text()) for f in (whole, broken))
    assert {**first, "created": ""} == {**second, "created": ""}


def test_options_from_a_file_yield_to_the_command_line(grouped, digits, tmp_path, capsys):
    file = tmp_path / "options.toml"
    file.write_text(
        'rate = 0.1\nseeds = 5\nretrain-epochs = 0\n"image-size" = 24\nmodel = "x"\njson = true\n'
    )
    folder = tmp_path / "out"
    own = ["experiment", str(grouped), "--images", str(digits), "-o", str(folder), "--seeds", "1"]
    network = ["--model", "factories:small", "--weights", "none", "--epochs", "2", "--lr", "0.01"]
    more = ["--workers", "0", "--json", "--adapter", "torch", "--config", str(file)]
    assert run([*own, *network, *more]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["experiment2"] is None
    assert len(summary["experiment1"]["per_seed"]) == 1
    assert summary["options"]["rate"] == 0.1
    file.write_text("ratte = 0.1\n")
    assert run([*own, *network, *more]) == 2
    assert "'ratte'" in (said := capsys.readouterr().err)
    assert "Did you mean 'rate'" in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--noise", "given"], "has no true_label"),
        (["--rates", "a"], "numbers with commas between"),
        (["--test-share", "1.5"], "test_share is 1.5"),
        (["--test-share", "0.0001"], "would hold no sample"),
        (["--detector", "nothing"], "no detector 'nothing'"),
        (["--early-epochs", "4"], "early_epochs is 4"),
    ],
)
def test_bad_options_are_told_before_anything_is_trained(
    more, message, grouped, digits, tmp_path, capsys
):
    assert run(arguments(grouped, digits, tmp_path / "out", *more)) == 2
    said = capsys.readouterr().err
    assert said.startswith("error:") or "\nerror:" in said
    assert message in said
    assert "training on" not in said
    assert not (tmp_path / "out" / "experiment.json").exists()  # the folder may be given again


@pytest.mark.parametrize(
    ("given", "truth"),
    [
        (["zero", "one", "one"], ["zero", "one", "two"]),
        (["0", "1", "1"], ["0", "1", "unsure"]),  # integers beside text
        (["0", "1", "unsure"], ["0", "1", "1"]),
    ],
    ids=["text", "integers given", "integers true"],
)
def test_a_class_that_only_one_of_the_tables_has_is_one_of_all_networks(
    given, truth, grouped, digits, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    table, folder = tmp_path / "labels.csv", tmp_path / "out"
    with table.open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(["sample_id", "path", "group", "label", "true_label"])
        for i, row in enumerate(rows_of(grouped)):
            kind = 2 if i % 4 == 3 else int(row["label"] == "one")
            writer.writerow([row["sample_id"], row["path"], i, given[kind], truth[kind]])
    more = ["--noise", "given", "--seeds", "1", "--epochs", "2", "--retrain-epochs", "2"]
    assert run(arguments(table, digits, folder, *more)) == 0
    every = sorted({*given, *truth})
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["classes"] == every
    for counts in summary["table1"].values():
        assert list(counts) == every
    for log in folder.rglob("seed-0/*.parquet"):
        assert read_log(log).metadata["classes"] == every
    n_wrong = sum(row["label"] != row["true_label"] for row in rows_of(folder / "seed-0/noisy.csv"))
    found = summary["experiment1"]["per_seed"][0]
    assert found["tp"] + found["fn"] == n_wrong > 0
    heads = [line for line in (folder / "tables.md").read_text().splitlines() if "seed |" in line]
    assert heads[0].count(" / ") == 3


def test_a_search_that_diverges_at_once_is_told(grouped, digits, tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    call = arguments(grouped, digits, tmp_path / "out", "--model", "factories:overflowing")
    for _ in range(2):  # called again it says so again, and trains nothing
        assert run(call) == 2
        said = capsys.readouterr().err
        assert "seed-0/noisy.csv diverged: none of the losses in" in said
        assert "--lr was 0.01; give a smaller one, and another -o or remove" in said
    assert "epoch" not in said


def decide(folder, seed, keep_back=0):
    """Let a person keep or correct each flagged label of a seed, all but some."""
    from lossan.review import Decision, DecisionLog, findings_fingerprint, new_id, now

    place = folder / f"seed-{seed}"
    truth = {r["sample_id"]: r["true_label"] for r in rows_of(place / "noisy.csv")}
    flagged = [r for r in rows_of(place / "findings" / "findings.csv") if r["flagged"] == "true"]
    fingerprint = findings_fingerprint(place / "findings")
    log = DecisionLog.open(place / "findings" / "decisions.jsonl", fingerprint=fingerprint)
    for row in flagged[: len(flagged) - keep_back]:
        name, given, right = row["sample_id"], row["label"], truth[row["sample_id"]]
        log.append(
            Decision(
                id=new_id(),
                time=now(),
                reader="A",
                sample_id=name,
                action="keep" if given == right else "relabel",
                label=None if given == right else right,
                given_label=given,
                fingerprint=fingerprint,
            )
        )
    return len(flagged)


def test_people_decide_and_the_oracle_would_have_decided_so(
    done, grouped, digits, tmp_path, capsys, monkeypatch
):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    folder = tmp_path / "out"
    call = arguments(grouped, digits, folder, "--reviewer", "people", "--seeds", "1")
    assert run(call) == 0
    assert "experiment 2 is left out: seed 0: " in capsys.readouterr().err
    assert json.loads((folder / "summary.json").read_text())["experiment2"] is None
    n_flagged = decide(folder, 0, keep_back=1)
    assert run(call) == 0
    assert f"seed 0: 1 of {n_flagged} flagged samples wait" in capsys.readouterr().err
    decide(folder, 0)
    assert run(call) == 0
    found = json.loads((folder / "summary.json").read_text())
    assert found["experiment2"] is not None
    assert found["table1"].keys() == {"A", "A'", "A''"}
    refined, oracle = (rows_of(f / "seed-0" / "refined.csv") for f in (folder, done))
    assert [r["label"] for r in refined] == [r["label"] for r in oracle]
