"""Pickled payloads wherever a file could bring one."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest

# Keras' own variables do not know numpy 2's copy keyword.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LOSS = np.random.default_rng(0).gamma(1, 1, (20, 4))
TORCH = ["--model", "attack_networks:torch_net"]
KERAS = ["--model", "attack_networks:keras_net"]


@pytest.mark.parametrize("command", ["analyze", "inspect"])
@pytest.mark.parametrize("key", ["loss", "sample_id", "label", "path", "predicted", "meta"])
def test_an_object_array_in_an_npz_log(key, command, canary, payload, works, refused):
    """Pickled objects as an array of an NPZ log"""
    np.savez("log.npz", **({"loss": LOSS} | {key: np.array([[payload]], object)}))
    works(lambda: np.load("log.npz", allow_pickle=True)[key])
    assert "pickled Python objects" in refused(command, "log.npz")


@pytest.mark.parametrize("name", ["loss", "loss.npy", "sample_id.npy", "meta.npy"])
def test_a_plain_pickle_as_an_npz_member(name, canary, pickled, refused):
    """A pickle as a plain member of an NPZ log"""
    with zipfile.ZipFile("log.npz", "w") as archive:
        array = io.BytesIO()
        np.save(array, LOSS)
        if not name.startswith("loss"):
            archive.writestr("loss.npy", array.getvalue())
        archive.writestr(name, pickled)
    refused("analyze", "log.npz")


@pytest.mark.parametrize("name", ["data.pkl", "extra.npy", "__main__.py"])
def test_a_pickle_beside_the_arrays(name, canary, pickled, accepted):
    """A pickle in an NPZ log where nobody looks"""
    np.savez("log.npz", loss=LOSS)
    with zipfile.ZipFile("log.npz", "a") as archive:
        archive.writestr(name, pickled)
    accepted("analyze", "log.npz")


@pytest.mark.parametrize("name", ["log.parquet", "log.npz", "log.pkl", "labels.csv"])
@pytest.mark.parametrize("command", ["analyze", "inspect", "evaluate", "corrupt"])
def test_a_pickle_in_place_of_a_file(name, command, canary, pickled, refused, tmp_path):
    """A pickle under the name of a log, labels table or findings"""
    (tmp_path / name).write_bytes(pickled)
    refused(command, name, *(["-o", "out.csv"] if command == "corrupt" else []))


def payloads(torch, payload, pickled):
    """Return the ways a file of torch.save can carry code."""
    good = {"2.weight": torch.zeros(2, 12), "2.bias": torch.zeros(2)}
    other = io.BytesIO()
    torch.save(good, other)
    packed = io.BytesIO()
    with zipfile.ZipFile(other) as archive, zipfile.ZipFile(packed, "w") as target:
        for info in archive.infolist():
            content = pickled if info.filename.endswith("data.pkl") else archive.read(info)
            target.writestr(info.filename, content)

    def saved(value, **options):
        out = io.BytesIO()
        torch.save(value, out, **options)
        return out.getvalue()

    return {
        "alone": saved(payload),
        "among tensors": saved({**good, "extra": payload}),
        "in an inner dict": saved({"state_dict": {**good, "extra": payload}}),
        "as a key": saved({(payload,): good["2.bias"]}),
        "old format": saved({**good, "extra": payload}, _use_new_zipfile_serialization=False),
        "the pickle exchanged": packed.getvalue(),
        "no torch at all": pickled,
        "protocol 4": saved({**good, "extra": payload}, pickle_protocol=4),
    }


WAYS = [
    *("alone", "among tensors", "in an inner dict", "as a key", "old format"),
    *("the pickle exchanged", "no torch at all", "protocol 4"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["w.pt", "w.bin"])
def test_torch_weights(name, way, canary, payload, pickled, works, refused, train, tmp_path):
    """A payload in a file given by --weights (torch)"""
    torch = pytest.importorskip("torch")
    content = payloads(torch, payload, pickled)[way]
    (tmp_path / name).write_bytes(content)
    if way != "no torch at all":
        works(lambda: torch.load(tmp_path / name, weights_only=False))
    assert "safely" in refused(*train("torch", *TORCH, weights=tmp_path / name))
    assert not (tmp_path / "run.parquet").exists()


@pytest.mark.parametrize("way", WAYS)
def test_torch_checkpoint(way, canary, payload, pickled, refused, train, tmp_path):
    """A payload in the checkpoint that --resume goes on from (torch)"""
    torch = pytest.importorskip("torch")
    content = payloads(torch, payload, pickled)[way]
    (tmp_path / "run.parquet.checkpoint.pt").write_bytes(content)
    assert "safely" in refused(*train("torch", *TORCH, "--resume"))


@pytest.mark.parametrize("key", ["about", "v0", "extra"])
def test_keras_checkpoint(key, canary, payload, works, refused, train, tmp_path):
    """Pickled objects in the checkpoint that --resume goes on from (keras)"""
    file = tmp_path / "run.parquet.checkpoint.npz"
    about = np.array(json.dumps({"epochs": 1, "options": {}}))
    np.savez(file, **({"about": about} | {key: np.array([payload], object)}))
    works(lambda: np.load(file, allow_pickle=True)[key])
    assert "pickled Python objects" in refused(*train("keras", *KERAS, "--resume"))


@pytest.mark.parametrize("adapter", ["torch", "keras"])
@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"hello", pickle.dumps({"epochs": 1}), b"\x80\x02}q\x00."]
)
def test_checkpoints_that_are_none(adapter, content, canary, refused, train, tmp_path):
    """A checkpoint that is no checkpoint"""
    suffix = {"torch": "pt", "keras": "npz"}[adapter]
    (tmp_path / f"run.parquet.checkpoint.{suffix}").write_bytes(content)
    model = {"torch": TORCH, "keras": KERAS}[adapter]
    refused(*train(adapter, *model, "--resume"))
