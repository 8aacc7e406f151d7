"""Models of Keras that bring code of their own: layers of a marshalled Python function."""

import json
import zipfile

import pytest

# Keras' own variables do not know numpy 2's copy keyword.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning", "ignore:You are saving your model:Warning"
)

KERAS = ["--model", "attack_networks:keras_net"]


@pytest.fixture
def keras():
    pytest.importorskip("tensorflow")
    return pytest.importorskip("keras")


@pytest.fixture
def hostile(keras, canary):
    """Return a model of the layers of keras_net and one more that makes the canary when called."""
    layers = keras.layers
    run = layers.Lambda(
        lambda x: (__import__("pathlib").Path("the-attack-ran").touch(), x)[1],
        output_shape=(12,),
    )
    parts = [layers.AveragePooling2D(12), layers.Flatten(), run, layers.Dense(2, name="head")]
    model = keras.Sequential([layers.Input((24, 24, 3)), *parts])
    canary.unlink(missing_ok=True)  # where building calls the layer
    return model


def opened_carelessly(keras, file):
    model = keras.saving.load_model(file, safe_mode=False, compile=False)
    model(keras.ops.zeros((1, 24, 24, 3)))


def test_a_lambda_layer_in_a_whole_model(keras, hostile, works, accepted, train, tmp_path):
    """A Lambda layer in a whole model given by --weights (keras): its numbers alone are read"""
    hostile.save(tmp_path / "model.h5")
    works(lambda: opened_carelessly(keras, tmp_path / "model.h5"))
    accepted(*train("keras", *KERAS, weights=tmp_path / "model.h5"))


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.weights.h5"])
def test_a_lambda_layer_in_a_keras_archive(name, keras, hostile, works, refused, train, tmp_path):
    """A Lambda layer in a .keras archive given by --weights, under any name"""
    hostile.save(tmp_path / "model.keras")
    works(lambda: opened_carelessly(keras, tmp_path / "model.keras"))
    (tmp_path / "model.keras").rename(tmp_path / name)
    told = "needed is a .weights.h5" if name == "model.keras" else "is no HDF5 file"
    assert told in refused(*train("keras", *KERAS, weights=tmp_path / name))


@pytest.mark.parametrize("member", ["config.json", "__init__.py", "model.weights.h5"])
def test_a_keras_archive_as_a_checkpoint(member, keras, hostile, canary, refused, train, tmp_path):
    """A .keras archive as the checkpoint that --resume goes on from"""
    hostile.save(tmp_path / "model.keras")
    file = tmp_path / "run.parquet.checkpoint.npz"
    with zipfile.ZipFile(tmp_path / "model.keras") as source, zipfile.ZipFile(file, "w") as target:
        target.writestr(member, source.read("config.json"))
        target.writestr("metadata.json", json.dumps({"keras_version": keras.__version__}))
    refused(*train("keras", *KERAS, "--resume"))
