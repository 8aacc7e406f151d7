"""Detectors of other distributions are found, held to the contract, and may be broken."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from lossan import write_log
from lossan.detectors import Detection, Detector, find, installed
from lossan.errors import DetectorError
from lossan.testing import ContractError, check_detector, planted_log

SOURCE = Path(__file__).parents[1] / "example_plugin"


def install(folder, distribution, entry_points, modules):
    """Lay a distribution out as an installer does; no network, no build."""
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = [f"{name} = {target}" for name, target in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[lossan.detectors]", *lines, ""]))
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)


@pytest.fixture
def example(tmp_path):
    """A folder that holds the example plug-in, installed as its pyproject.toml says."""
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())
    modules = project["tool"]["setuptools"]["py-modules"]
    folder = tmp_path / "site"
    install(
        folder,
        project["project"]["name"],
        project["project"]["entry-points"]["lossan.detectors"],
        {name: (SOURCE / f"{name}.py").read_text() for name in modules},
    )
    return folder


def lossan(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "lossan", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def listed(folder):
    done = lossan(folder, "detectors", "--json")
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)}


def test_example_plugin_is_listed(example):
    row = listed(example)["peak_loss"]
    assert row["distribution"] == "lossan-peak-loss"
    assert row["problem"] is None
    assert row["parameters"] == {"deviations": 2.0}


def test_without_the_example_it_is_not_listed(tmp_path):
    assert "peak_loss" not in listed(tmp_path)


def test_example_plugin_analyses(example, tmp_path):
    write_log(planted_log(), tmp_path / "log.parquet")
    done = lossan(
        example,
        *("analyze", tmp_path / "log.parquet", "-d", "peak_loss", "--json"),
        *("--set", "deviations=3"),
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["detector"]["name"] == "peak_loss"
    assert summary["detector"]["parameters"]["deviations"] == 3.0
    assert summary["evaluation"]["auroc"] > 0.9


def test_example_plugin_keeps_the_contract(example, monkeypatch):
    monkeypatch.syspath_prepend(example)
    check_detector(find("peak_loss"))


def test_example_plugin_is_installable(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    shutil.copytree(SOURCE, tmp_path / "source")  # a build leaves files beside the source
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
            *("--no-build-isolation", "--target", tmp_path / "site", tmp_path / "source"),
        ],
        check=True,
    )
    assert listed(tmp_path / "site")["peak_loss"]["distribution"] == "lossan-peak-loss"


def test_a_plugin_that_fails_to_import_is_named_and_the_others_go_on(example, tmp_path):
    install(
        example,
        "lossan-broken",
        {"broken": "lossan_broken:Detector"},
        {"lossan_broken": "raise RuntimeError('no licence')\n"},
    )
    rows = listed(example)
    assert rows["broken"]["problem"] == "it fails to import: RuntimeError: no licence"
    assert rows["broken"]["distribution"] == "lossan-broken"
    assert rows["peak_loss"]["problem"] is None
    assert rows["kmeans"]["problem"] is None
    text = lossan(example, "detectors").stdout
    assert "broken of lossan-broken is broken" in text
    write_log(planted_log(), tmp_path / "log.parquet")
    assert lossan(example, "analyze", tmp_path / "log.parquet", "-d", "peak_loss").returncode == 0
    refused = lossan(example, "analyze", tmp_path / "log.parquet", "-d", "broken")
    assert refused.returncode == 2
    # a slow machine tells how far it has read before
    assert refused.stderr.splitlines()[-1].startswith("error: ")
    assert "no licence" in refused.stderr


def test_a_plugin_that_ends_the_process_is_named_and_the_others_go_on(example, tmp_path):
    leaving = "import sys\nsys.exit(0)\n"
    install(
        example, "lossan-leaving", {"leaving": "lossan_leaving:It"}, {"lossan_leaving": leaving}
    )
    rows = listed(example)
    assert rows["leaving"]["problem"] == "it fails to import: SystemExit: 0"
    assert rows["peak_loss"]["problem"] is None
    write_log(planted_log(), tmp_path / "log.parquet")
    refused = lossan(example, "analyze", tmp_path / "log.parquet", "-d", "leaving")
    assert refused.returncode == 2
    assert "SystemExit" in refused.stderr


DETECTOR = """
from lossan.config import Config
from lossan.detectors import Detection, Detector

class Whole(Detector):
    name, summary, reference = "whole", "a summary", "a reference"
    def detect(self, log, context):
        raise NotImplementedError

class Nameless(Detector):
    summary = "a summary"
    def detect(self, log, context):
        raise NotImplementedError

class Unfinished(Detector):
    name, summary, reference = "unfinished", "a summary", "a reference"

class Parametrised(Whole):
    name = "parametrised"
    Parameters = dict

class Taken(Whole):
    name = "kmeans"

class Astray(Whole):
    name, needs = "astray", "margin"

class Numbered(Whole):
    name, summary = "numbered", 3

class Unwritable(Whole):
    name = "unwritable"
    class Parameters(Config):
        what: object = object()

class Clashing(Whole):
    name = "clashing"
    class Parameters(Config):
        seed: int = 5

class Unhashable(Whole):
    name, needs = "unhashable", (["margin"],)

def function(log, context):
    return None
"""

PROBLEMS = [
    ("Whole", "whole", None),
    ("Nameless", "nameless", "name is None; expected one line of text; reference is None"),
    ("Unfinished", "unfinished", "it is abstract: detect is missing"),
    ("Parametrised", "parametrised", "Parameters is <class 'dict'>; expected a subclass of"),
    ("Whole", "another", "it calls itself 'whole', its entry point 'another'"),
    ("function", "function", "is not a subclass of lossan.detectors.Detector"),
    ("Absent", "absent", "it fails to import: AttributeError"),
    ("Astray", "astray", "needs is 'margin'; expected a tuple of names among label"),
    ("Numbered", "numbered", "summary is 3; expected one line of text"),
    ("Unwritable", "unwritable", "Parameters cannot be written as JSON"),
    ("Clashing", "clashing", "parameters seed have names that options of every analysis have"),
    ("Unhashable", "unhashable", "needs is (['margin'],); expected a tuple of names"),
]


@pytest.mark.parametrize(("target", "name", "problem"), PROBLEMS)
def test_what_is_wrong_with_a_plugin_is_told(target, name, problem, tmp_path, monkeypatch):
    module = f"lossan_tried_{name}"
    install(tmp_path, "lossan-tried", {name: f"{module}:{target}"}, {module: DETECTOR})
    monkeypatch.syspath_prepend(tmp_path)
    found = installed()[name]
    assert found.distribution == "lossan-tried"
    if problem is None:
        assert found.problem is None
        assert find(name) is found.detector
    else:
        assert found.detector is None
        assert problem in found.problem
        with pytest.raises(DetectorError, match=f"'{name}' of lossan-tried cannot be used"):
            find(name)


def test_a_plugin_cannot_take_the_name_of_another(tmp_path, monkeypatch):
    modules = {"lossan_taken": DETECTOR}
    install(tmp_path, "lossan-taken", {"kmeans": "lossan_taken:Taken"}, modules)
    monkeypatch.syspath_prepend(tmp_path)
    found = installed()
    assert found["kmeans"].distribution == "lossan"
    assert found["lossan-taken:kmeans"].problem == "the name 'kmeans' is taken by lossan"
    assert find("kmeans") is found["kmeans"].detector


def test_an_unknown_detector_is_told_with_what_there_is():
    with pytest.raises(DetectorError, match=r"no detector 'kmean'; .*Did you mean 'kmeans'\?"):
        find("kmean")


LOUD = """
import os
import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from lossan.config import Config
from lossan.detectors import Detection, Detector

print("hello from the import")

class Loud(Detector):
    name, summary, reference = "loud", "a summary", "a reference"

    class Parameters(Config):
        a: int = 0
        many: list[int] = Field(default_factory=lambda: [1])
        most: float = float("inf")

        @model_validator(mode="after")
        def _check(self):
            if self.a == 2:
                raise RuntimeError("no licence")
            if self.a == 3:
                raise PydanticCustomError("mine", "not three")
            return self

    def detect(self, log, context):
        print("hello from detect")
        score = context.features["f1_mean"].copy()
        return Detection(score=score, flagged=score > np.median(score))

class Unkept(Loud):
    name = "unkept"

    def __init__(self, parameters=None):
        pass
"""
PANIC = "class Panic(BaseException):\n    pass\n\nraise Panic('from below')\n"


@pytest.fixture
def loud(tmp_path):
    folder = tmp_path / "site"
    points = {name: f"lossan_loud:{name.title()}" for name in ("loud", "unkept")}
    points["panic"] = "lossan_panic:It"
    install(folder, "lossan-loud", points, {"lossan_loud": LOUD, "lossan_panic": PANIC})
    write_log(planted_log(), tmp_path / "log.parquet")
    return folder


def test_what_a_plugin_prints_is_no_result(loud, tmp_path):
    rows = listed(loud)
    assert rows["loud"]["parameters"] == {"a": 0, "many": [1], "most": "Infinity"}
    assert rows["panic"]["problem"] == "it fails to import: Panic: from below"
    done = lossan(loud, "analyze", tmp_path / "log.parquet", "-d", "loud", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["detector"]["name"] == "loud"
    assert "hello from the import" in done.stderr
    assert "hello from detect" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["loud", "--set", "a=2"],
            "detector loud failed: RuntimeError: no licence. Tell its autho",
        ),
        (["loud", "--set", "a=3"], "the detector loud: not three"),
        (["unkept"], "the detector unkept does not keep its parameters; its __init__ must call"),
        (["lout"], "no detector 'lout'; "),
    ],
)
def test_a_plugin_that_fails_before_it_runs_is_named(loud, tmp_path, arguments, told):
    done = lossan(loud, "analyze", tmp_path / "log.parquet", "-d", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"probability": [0.5] * 600}, "probability is of type list"),
        ({"probability": np.full(600, 1, np.int64)}, "probability is of type int64; expected"),
        ({"score": np.ma.MaskedArray(np.zeros(600))}, "score is of type MaskedArray"),
    ],
)
def test_the_contract_tells_of_results_that_cannot_be_looked_at(fields, told):
    class Returning(Detector):
        name, summary, reference = "returning", "a summary", "a reference"

        def detect(self, log, context):
            found = {"score": context.features["f1_mean"], "flagged": np.zeros(log.n_samples, bool)}
            return Detection(**found | fields)

    with pytest.raises(ContractError, match=f"output: {told}"):
        check_detector(Returning)
