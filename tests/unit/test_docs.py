"""The documentation says what the program does."""

import re
import tomllib
from pathlib import Path

import pytest
import typer

from lossan.cli import app, run

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


def test_every_extra_is_in_the_readme():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in project["optional-dependencies"]:
        assert f".[{extra}]" in README


def test_every_task_is_documented():
    tasks = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["poe"]["tasks"]
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    assert [name for name in tasks if f"`poe {name}`" not in contributing] == []


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


def test_modules_stay_short():
    folders = ("analyzer", "adapters", "tests", "samples")
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name: size for name, size in sizes.items() if size > 400} == {}
