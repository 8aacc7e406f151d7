"""What every attack is tried with: a canary, a log, a command that must refuse."""

import importlib.util
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from lossan.cli import run
from lossan.testing import planted_log

CANARY = "the-attack-ran"


class Payload:
    """Runs code where it is unpickled: it makes the file CANARY in the current folder."""

    def __reduce__(self):
        return (Path.touch, (Path(CANARY),))


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """Return a file that must not be there after the test; the current folder is its own."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / CANARY
    yield file
    assert not file.exists(), "the attack ran its code"


@pytest.fixture
def works(canary):
    """Check that an attack does its work where nobody is careful, and tidy up after it."""

    def check(attack):
        attack()
        assert canary.exists(), "this attack would not harm anyone"
        canary.unlink()

    return check


@pytest.fixture
def pickled(works):
    """Return a pickle that makes the canary where it is loaded."""
    content = pickle.dumps(Payload())
    works(lambda: pickle.loads(content))  # noqa: S301
    return content


@pytest.fixture
def payload():
    return Payload()


@pytest.fixture
def refused(capsys):
    """Run a command that must be refused by one error, and return what it said."""

    def check(*arguments):
        assert run([str(a) for a in arguments]) == 2
        said = capsys.readouterr().err
        assert len([line for line in said.splitlines() if line.startswith("error: ")]) == 1
        assert "Traceback" not in said
        return said

    return check


@pytest.fixture
def accepted(capsys):
    """Run a command that does its work, and return what it printed."""

    def check(*arguments):
        code = run([str(a) for a in arguments])
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out + said.err

    return check


@pytest.fixture
def log():
    """Return a log of 40 samples with labels."""
    return planted_log(n_samples=40, n_epochs=4, channels=True, string_ids=True)


@pytest.fixture
def images(tmp_path):
    """Return a labels table of eight small images in a folder."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "images"
    folder.mkdir(exist_ok=True)
    lines = ["sample_id,path,label"]
    for number in range(8):
        grey = np.random.default_rng(number).integers(0, 255, (24, 24), np.uint8)
        image.fromarray(grey).save(folder / f"{number}.png")
        lines.append(f"s{number},{number}.png,{'ab'[number % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def train(tmp_path, images):
    """Return the arguments that train a small network on those images."""
    table, target = tmp_path / "labels.csv", tmp_path / "run.parquet"

    def arguments(adapter, *more, labels=table, output=target, weights="none"):
        if importlib.util.find_spec({"torch": "torch", "keras": "tensorflow"}[adapter]) is None:
            pytest.skip(f"{adapter} is not installed")
        size = ["--image-size", "24", "--epochs", "2", "--batch-size", "4", "--workers", "0"]
        network = ["--adapter", adapter, "--weights", weights, "--images", images]
        return ["train", labels, "-o", output, *network, *size, *more]

    return arguments


@pytest.fixture(autouse=True)
def factories_are_importable(monkeypatch):
    """Let ``--model attack_networks:...`` find the networks beside the tests."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
