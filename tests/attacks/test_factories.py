"""``package.module:factory`` in data: only the command line may name one."""

import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossan import analyze
from lossan.io import write_log

# Keras' own variables do not know numpy 2's copy keyword.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
NAME = "evil_module:factory"
STATED = {
    "format_version": "1",
    "recorded": "train",
    "model": NAME,
    "adapter": NAME,
    "weights": NAME,
    "detector": NAME,
    "producer": NAME,
    "factory": NAME,
    "classes": [NAME, "b"],
}


@pytest.fixture
def evil(canary, tmp_path, monkeypatch, works):
    """Put a module where imports are looked for; importing it makes the canary."""
    code = "from pathlib import Path\nPath('the-attack-ran').touch()\n"
    code += "def factory(**_):\n    return None\n"
    (tmp_path / "evil_module.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))

    def try_it():
        __import__("evil_module")
        sys.modules.pop("evil_module")

    works(try_it)
    yield
    assert "evil_module" not in sys.modules


@pytest.fixture
def stating(log):
    """Return a log whose metadata names the factory wherever it may."""
    fields = {f: getattr(log, f) for f in log.__dataclass_fields__}
    return type(log)(**(fields | {"metadata": STATED}))


@pytest.mark.parametrize("target", ["log.parquet", "log.npz", "log/"])
@pytest.mark.parametrize("command", ["analyze", "inspect", "convert", "merge"])
def test_a_logs_metadata(target, command, evil, stating, accepted):
    """A factory named in a log's metadata"""
    write_log(stating, target)
    more = {"convert": ["out.parquet"], "merge": ["-o", "out.parquet"]}.get(command, [])
    accepted(command, target, *more)


def test_findings_metadata(evil, stating, accepted, tmp_path):
    """A factory named in findings and their summary"""
    pytest.importorskip("jinja2")
    analyze(stating, detector="auto").save(tmp_path / "found")
    summary = json.loads((tmp_path / "found" / "summary.json").read_text())
    summary["detector"]["name"] = NAME
    summary["log"]["path"] = NAME
    (tmp_path / "found" / "summary.json").write_text(json.dumps(summary))
    accepted("report", "found", "-o", "page.html")
    accepted("evaluate", "found")


@pytest.mark.parametrize("adapter", ["torch", "keras"])
def test_a_labels_tables_metadata(adapter, evil, accepted, train, tmp_path):
    """A factory named in a labels table: its metadata, columns and values"""
    n = 8
    table = {
        "sample_id": [f"s{i}" for i in range(n)],
        "path": [f"{i}.png" for i in range(n)],
        "label": [NAME, "b"] * (n // 2),
        "model": [NAME] * n,
        "adapter": [NAME] * n,
        "weights": [NAME] * n,
    }
    told = {"lossan": json.dumps(STATED), "model": NAME}
    pq.write_table(pa.table(table).replace_schema_metadata(told), tmp_path / "labels.parquet")
    model = f"attack_networks:{adapter}_net"
    accepted(*train(adapter, "--model", model, labels=tmp_path / "labels.parquet"))


@pytest.mark.parametrize("text", [f'model = "{NAME}"', f'model = ["{NAME}"]'])
def test_a_configuration(text, evil, refused, images, tmp_path):
    """A factory named in a configuration file"""
    pytest.importorskip("torch")
    (tmp_path / "config.toml").write_text(text)
    given = ["experiment", tmp_path / "labels.csv", "-o", "out", "--images", images]
    said = refused(*given, "--weights", "none", "--config", "config.toml")
    assert "only the command line may" in said


def test_a_checkpoint_and_an_experiment_in_progress(evil, refused, train, images, tmp_path):
    """A factory named in a checkpoint, a history or an experiment that goes on"""
    np.savez(tmp_path / "run.parquet.checkpoint.npz", about=np.array(json.dumps(STATED)))
    (tmp_path / "run.parquet.history.json").write_text(json.dumps({"epochs": [STATED]}))
    refused(*train("keras", "--model", "attack_networks:keras_net", "--resume"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "experiment.json").write_text(json.dumps(STATED))
    given = ["experiment", tmp_path / "labels.csv", "-o", "out", "--images", images]
    refused(*given, "--adapter", "torch", "--weights", "none", "--epochs", "2")
    refused("compare", "run.parquet", "run.parquet")
