"""Networks by name and the files their weights come from, in both adapters."""

import importlib.util
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import lossan
from lossan.cli import run
from lossan.errors import LossanError

pytest.importorskip("PIL")

FRAMEWORKS = {"torch": "torch", "keras": "tensorflow"}

# Keras' own variables do not know numpy 2's copy keyword.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def keras():
    """Return Keras where one of its backends is installed."""
    pytest.importorskip("tensorflow")
    return pytest.importorskip("keras")


@pytest.fixture
def few(digits, tmp_path):
    """Return a labels table of eight images: a batch."""
    lines = (digits / "labels.csv").read_text().splitlines()
    (tmp_path / "few.csv").write_text("\n".join(lines[:9]) + "\n")
    return tmp_path / "few.csv"


def need(framework):
    if importlib.util.find_spec(FRAMEWORKS[framework]) is None:
        pytest.skip(f"{FRAMEWORKS[framework]} is not installed")


def arguments(adapter, digits, labels, model, *more, weights="none", size=32):
    log = labels.with_name("run.parquet")
    fixed = ["train", str(labels), "-o", str(log), "--images", str(digits), "--workers", "0"]
    network = ["--adapter", adapter, "--model", model, "--weights", str(weights)]
    return [*fixed, *network, "--image-size", str(size), "--epochs", "2", *more]


@pytest.mark.parametrize(
    ("adapter", "model", "size"),
    [
        ("torch", "resnet18", 32),
        ("torch", "squeezenet1_1", 32),
        ("torch", "mobilenet_v3_small", 32),
        ("keras", "inception_v3", 75),  # one: the first step of each takes half a minute to trace
    ],
)
def test_networks_by_name_train(adapter, model, size, digits, few):
    need(adapter)
    assert run(arguments(adapter, digits, few, model, size=size)) == 0
    log = lossan.read_log(few.with_name("run.parquet"))
    assert (log.n_samples, log.n_epochs) == (8, 2)
    assert np.isfinite(log.loss).all()


def test_batch_norm_of_one_value_is_told_before_the_first_epoch(digits, few, capsys):
    need("torch")
    alone = arguments("torch", digits, few, "resnet18", "--batch-size", "1")
    assert run(alone) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: resnet18 cannot be trained on single images of 32 x 32 pixels (")
    assert "Give --batch-size 2 or more, or a larger --image-size." in said
    assert not few.with_name("run.parquet").exists()


def test_trying_a_single_image_leaves_a_network_and_chance_as_they_were():
    torch = pytest.importorskip("torch")
    from lossan_torch.models import build_model

    found = []
    for batch_size in (1, 2):
        torch.manual_seed(0)
        model = build_model("factories:small", 2, "none", 24, batch_size=batch_size)
        found.append((model.training, torch.rand(3), *model.state_dict().values()))
    for alone, together in zip(*found, strict=True):
        assert np.array_equal(alone, together)


@pytest.mark.parametrize("name", ["MobileNetV2", "mobilenet_v3_small"])
def test_networks_of_keras_are_built_by_either_of_their_names(name, keras):
    from lossan_keras.models import build_model

    model, prepare = build_model(name, 3, "none", 32)
    logits = np.asarray(model(prepare(np.zeros((2, 32, 32, 3), np.float32))))
    assert logits.shape == (2, 3)
    assert np.isfinite(logits).all()


@pytest.mark.usefixtures("keras")
def test_weights_made_for_another_size_are_no_warning():
    """Without their top they fit all the same."""
    from lossan_keras.models import _body

    def builder(**options):
        warnings.warn(
            "`input_shape` is undefined or non-square, or `rows` is not in [128, 160, 192, 224]. "
            "Weights for input shape (224, 224) will be loaded as the default.",
            stacklevel=2,
        )
        return options["weights"], options["input_shape"]

    assert _body(builder, "mobilenet", "imagenet", 96) == ("imagenet", (96, 96, 3))


def test_every_network_of_keras_finds_its_preprocessing(keras):
    from lossan_keras.models import _application

    names = [name for name in dir(keras.applications) if name[0].isupper()]
    # the first channel of a black image: scaled to [-1, 1], as it was, or less ImageNet's mean
    black = {"InceptionV3": -1, "MobileNetV3Small": 0, "EfficientNetB0": 0, "ResNet50": -103.939}
    assert black.keys() < set(names)
    for name in names:
        builder, prepare = _application(name)
        assert builder is getattr(keras.applications, name)
        found = float(prepare(np.zeros((1, 1, 1, 3), np.float32))[0, 0, 0, 0])
        assert found == pytest.approx(black.get(name, found))


def applications_body(keras):
    shape = {"input_shape": (32, 32, 3), "include_top": False, "pooling": "avg"}
    return keras.applications.MobileNetV2(weights=None, **shape)


def assert_equal_weights(layers, expected):
    found = {layer.name: layer.get_weights() for layer in layers}
    for layer in (layer for layer in expected if layer.get_weights()):
        assert len(layer.get_weights()) == len(found[layer.name])
        for ours, theirs in zip(found[layer.name], layer.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def whole_network(keras, folder):
    from lossan_keras.models import build_model

    model, _ = build_model("mobilenet_v2", 2, "none", 32)
    model.save_weights(folder / "own.weights.h5")
    return model, folder / "own.weights.h5"


def notop(keras, folder):
    """Write a body's weights in the layout of the files keras.applications downloads."""
    import h5py

    body = applications_body(keras)
    body.save(folder / "model.h5")
    with h5py.File(folder / "model.h5") as saved, h5py.File(folder / "notop.h5", "w") as file:
        for name, group in saved["model_weights"].items():
            saved.copy(group, file, name)
        file.attrs.update(saved["model_weights"].attrs)
    return body, folder / "notop.h5"


@pytest.mark.parametrize("saved_by", [whole_network, notop])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_weights_from_a_keras_file_are_the_networks(saved_by, n_classes, keras, tmp_path):
    from lossan_keras.models import build_model

    source, file = saved_by(keras, tmp_path)
    model, _ = build_model("mobilenet_v2", n_classes, str(file), 32)
    same_head = saved_by is whole_network and n_classes == 2
    expected = source.layers if saved_by is notop or same_head else source.layers[:-1]
    assert sum(len(layer.get_weights()) for layer in expected) >= 260
    assert_equal_weights(model.layers, expected)
    assert model.output.shape == (None, n_classes)


@pytest.mark.parametrize("saved_by", [whole_network, notop])
def test_layers_of_another_keras_network_are_named(saved_by, keras, digits, few, capsys):
    _, file = saved_by(keras, few.parent)
    assert run(arguments("keras", digits, few, "mobilenet", weights=file)) == 2
    said = capsys.readouterr().err
    assert len([line for line in said.splitlines() if line.startswith("error: ")]) == 1
    assert re.search(r"missing: conv1, conv1_bn, conv_dw_1, .* and \d+ more; ", said)
    assert re.search(r"unexpected: Conv1, Conv_1, Conv_1_bn, .* and \d+ more \(", said)
    assert not few.with_name("run.parquet").exists()


def test_one_layer_more_and_one_less_are_named(keras, digits, few, capsys):
    from factories import small_keras

    keras.utils.clear_session()  # names of layers are counted from here, as in a new process
    model = small_keras(2)
    others = [layer for layer in model.layers if not layer.name.startswith("batch")]
    head = [keras.layers.Dense(5, name="additional"), keras.layers.Dense(2, name="classes")]
    keras.Sequential([keras.Input((24, 24, 3)), *others[:-1], *head]).save_weights(
        few.with_name("other.weights.h5")
    )
    weights = few.with_name("other.weights.h5")
    given = arguments("keras", digits, few, "factories:small_keras", weights=weights, size=24)
    keras.utils.clear_session()
    assert run(given) == 2
    said = capsys.readouterr().err
    assert "missing: batch_normalization, dense; unexpected: additional, classes (" in said


def old_dense_names(state):
    """Return a state dict with the names of the files that torchvision downloads for DenseNet."""
    pattern = r"(denselayer\d+\.(?:norm|relu|conv))([12]\.)"
    return {re.sub(pattern, r"\1.\2", name): value for name, value in state.items()}


@pytest.mark.parametrize(
    ("name", "kept_as"),
    [("mnasnet0_5", lambda state: state), ("mnasnet0_5", dict), ("densenet121", old_dense_names)],
    ids=["as saved", "without versions of modules", "of old names"],
)
def test_weights_of_networks_whose_layout_changed_are_loaded(name, kept_as, tmp_path):
    torch = pytest.importorskip("torch")
    from lossan_torch.models import build_model, torchvision

    state = torchvision().models.get_model(name, weights=None, num_classes=2).state_dict()
    torch.save(kept_as(state), tmp_path / "w.pt")
    found = build_model(name, 2, str(tmp_path / "w.pt"), 32).state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[layer], value) for layer, value in state.items())


def test_weights_of_a_layout_that_nobody_knows_are_one_error(tmp_path):
    torch = pytest.importorskip("torch")
    from lossan_torch.models import build_model, torchvision

    state = torchvision().models.mnasnet0_5(weights=None, num_classes=2).state_dict()
    state._metadata[""]["version"] = 7
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(LossanError, match=r"w\.pt cannot be loaded .*instead of 7"):
        build_model("mnasnet0_5", 2, str(tmp_path / "w.pt"), 32)


def offline(command, folder):
    """Run where no address can be reached and no cache holds anything but what is put there."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    caches = {"TORCH_HOME": str(folder / "torch-cache"), "KERAS_HOME": str(folder / "keras-cache")}
    kept = {k: v for k, v in os.environ.items() if k.lower() != "no_proxy"}
    return subprocess.run(
        [sys.executable, "-m", "lossan", *command],
        env={**kept, **nowhere, **{k.upper(): v for k, v in nowhere.items()}, **caches},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def put_weights(adapter, place, folder):
    place.parent.mkdir(parents=True, exist_ok=True)
    if adapter == "torch":
        import torch

        from lossan_torch.models import torchvision

        torch.save(torchvision().models.mobilenet_v2(weights=None).state_dict(), place)
    else:
        import keras

        notop(keras, folder)[1].rename(place)


@pytest.mark.parametrize("adapter", FRAMEWORKS)
def test_offline_the_error_names_the_file_and_its_place_and_there_it_is_used(adapter, digits, few):
    need(adapter)
    given = arguments(adapter, digits, few, "mobilenet_v2", weights="imagenet")
    done = offline(given, few.parent)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in done.stderr
    found = re.search(
        r"Fetch (https://\S+) on another machine and put it at (\S+), name a file by --weights "
        r"FILE, or train from scratch by --weights none\.",
        errors[0],
    )
    assert found
    assert Path(found[1]).name == Path(found[2]).name
    assert few.parent / f"{adapter}-cache" in Path(found[2]).parents
    put_weights(adapter, Path(found[2]), few.parent)
    done = offline(given, few.parent)
    assert done.returncode == 0, done.stderr
    assert lossan.read_log(few.with_name("run.parquet")).n_samples == 8
