"""Versions with known holes, and packages that are not what was locked."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
# Below these, opening a file or answering a request could run code or take all memory.
SAFE_FROM = {
    "torch": "2.10",  # CVE-2026-24747, CVE-2025-32434: code in spite of weights_only=True
    "keras": "3.14.1",  # CVE-2025-1550, -8747, -9905, -9906, CVE-2026-0897, -1669, -12480
    "pyarrow": "26",  # CVE-2026-92287, CVE-2023-47248
    "starlette": "0.49.1",  # CVE-2025-62727
}


def declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(text) for group in groups for text in group]


def pinned(file):
    found = {}
    for line in (ROOT / "tests" / file).read_text().splitlines():
        if match := re.match(r"([A-Za-z0-9_.-]+)==([^ ]+)", line):
            found[canonicalize_name(match[1])] = Version(match[2])
        else:
            assert not line.strip() or line[:1] in "# ", line
    return found


@pytest.mark.parametrize("name", SAFE_FROM)
def test_versions_with_known_holes(name):
    """A version with a known hole, allowed or pinned"""
    least = Version(SAFE_FROM[name])
    asked = [r for r in declared() if r.name == name]
    assert asked
    for requirement in asked:
        bounds = [Version(s.version) for s in requirement.specifier if s.operator == ">="]
        assert bounds, f"{requirement} has no lower bound"
        assert max(bounds) >= least
    assert pinned("constraints.txt")[name] >= least


def test_what_is_locked():
    """A package that was exchanged on its way"""
    locked = pinned("locked.txt")
    assert locked == pinned("constraints.txt")
    text = (ROOT / "tests" / "locked.txt").read_text()
    entries = re.split(r"^(?=[A-Za-z])", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(locked)
    assert [e for e in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", e)] == []


def test_every_package_has_a_lower_bound():
    """An old version of any package"""
    names = [r for r in declared() if r.name != "lossan"]
    assert [str(r) for r in names if not r.specifier] == []
