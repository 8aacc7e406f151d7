"""The documentation says what the program does."""

import re
import tomllib
from pathlib import Path

import pytest
import typer

import lossan
from lossan.cli import app, run
from lossan.detectors import installed

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def shown_outputs() -> list[tuple[str, str]]:
    return re.findall(r"<!-- output of: lossan (.*?) -->\n```text\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(("arguments", "shown"), shown_outputs())
def test_readme_shows_real_output(arguments, shown, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert run(arguments.split()) == 0
    printed = capsys.readouterr().out
    assert [line.rstrip() for line in printed.splitlines()] == shown.splitlines()


def test_readme_shows_an_output():
    assert shown_outputs()


def test_every_command_is_in_the_readme():
    commands = typer.main.get_command(app).commands
    missing = [name for name in commands if f"`lossan {name}" not in README]
    assert missing == []


def test_the_paper_is_named_wherever_it_is_meant():
    assert "10.1007/978-3-030-67514-1_21" in README
    said = [found.detector.reference for found in installed().values() if found.detector]
    assert said
    assert [reference for reference in said if "the paper" in reference] == []


def test_every_column_of_the_findings_is_explained():
    log = lossan.read_log(ROOT / "samples" / "fundus" / "log.parquet")
    section = README.split("## The findings")[1].split("\n## ")[0]
    columns = lossan.analyze(log).findings.columns
    assert [name for name in columns if f"`{name}`" not in section] == []


def test_every_extra_is_in_the_readme():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in project["optional-dependencies"]:
        assert f".[{extra}]" in README


def test_every_task_is_documented():
    tasks = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["poe"]["tasks"]
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    assert [name for name in tasks if f"`poe {name}`" not in contributing] == []


def test_the_order_of_imports_is_the_contract():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    layers = tool["importlinter"]["contracts"][0]["layers"]
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    shown = re.search(r"\n\n    (cli > .*?)\n\n", contributing, re.DOTALL)[1]
    told = [set(re.findall(r"\w+", layer)) for layer in shown.split(">")]
    held = [set(re.findall(r"\w+", layer)) - {"_version"} for layer in layers]
    assert told == held[1:]  # all but the entry point, __main__


def test_readme_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks

    def train_one_epoch():
        yield ["a.png", "b.png"], [0.1, 2.0]

    for block in blocks:
        names = {"train_one_epoch": train_one_epoch}
        if "torch" in block:
            torch = pytest.importorskip("torch")
            names["dataset"] = torch.utils.data.TensorDataset(
                torch.eye(4), torch.tensor([0, 1, 0, 1])
            )
            names |= {"model": torch.nn.Linear(4, 2), "DataLoader": torch.utils.data.DataLoader}
        exec(compile(block, "README.md", "exec"), names)  # noqa: S102


@pytest.mark.parametrize(
    ("sample", "expected"),
    [("fundus", "600 of 600 images cannot be read"), ("fashion", "away/labels.csv")],
)
def test_the_experiments_command_is_understood(sample, expected, capsys, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("jinja2")
    text = (ROOT / "samples" / sample / "EXPERIMENT.md").read_text().replace("\\\n", " ")
    command = re.search(r"PYTHONPATH=samples lossan (experiment .*)", text)[1]
    away = tmp_path / "away"  # all that is wrong with it is that the images are elsewhere
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT / "samples")
    arguments = command.replace("FOLDER", str(away)).replace("$WEIGHTS", "none").split()
    output = arguments.index("-o") + 1
    assert run([*arguments[:output], str(tmp_path / "out"), *arguments[output + 1 :]]) == 2
    assert expected in capsys.readouterr().err


def test_modules_stay_short():
    folders = ("analyzer", "adapters", "tests", "samples")
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name: size for name, size in sizes.items() if size > 400} == {}
