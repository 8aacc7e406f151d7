"""The command from start to exit beside the import of the libraries it needs.

``python tests/benchmarks/startup.py [--rounds 7]``
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from _measure import table

LOG = Path(__file__).parents[2] / "samples" / "digits" / "long.parquet"
# What others wrote of all that the run itself has loaded: a library alone may load most of itself
# only when it is first used, as pydantic does and pyarrow with pandas.
NEEDED = """
import json, sys
before = set(sys.modules)
sys.argv[1:] = ["analyze", {log!r}]
from lossan.__main__ import main
try:
    main()
except SystemExit:
    pass
ours = {{"lossan", *sys.stdlib_module_names}}
loaded = [m for m in sys.modules if m not in before and m.split(".")[0] not in ours]
sys.stderr.write(json.dumps(loaded))
"""
IMPORTS = """
import importlib, os
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")  # as the command does
for name in {names!r}:
    try:
        importlib.import_module(name)
    except ImportError:  # what a library put there itself
        pass
"""
LIMITS = {"lossan analyze": 1.3, "lossan --version": 0.1}


def seconds(*arguments: str, compiled: str) -> float:
    """Time a Python process from start to exit, its modules compiled as pip compiles them."""
    environment = os.environ | {"PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)
    return time.perf_counter() - began


def needed() -> list[str]:
    """Return the modules of libraries that the command has loaded when it exits, in their order."""
    code = NEEDED.format(log=str(LOG))
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return list(json.loads(run.stderr.splitlines()[-1]))


def measure(rounds: int) -> dict[str, tuple[float, float, float | None]]:
    """Return of each work the median seconds, the median ratio to the imports, and its limit."""
    works = {
        "imports alone": ("-c", IMPORTS.format(names=needed())),
        "lossan analyze": ("-m", "lossan", "analyze", str(LOG)),
        "lossan --version": ("-m", "lossan", "--version"),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    with TemporaryDirectory() as compiled:
        for number in range(rounds + 1):
            for name, arguments in works.items():
                taken = seconds(*arguments, compiled=compiled)
                if number:  # the first round compiles, and fills the file cache
                    times[name].append(taken)
    base = times["imports alone"]
    ratios = {
        name: statistics.median(o / b for o, b in zip(own, base, strict=True))
        for name, own in times.items()
    }
    return {n: (statistics.median(own), ratios[n], LIMITS.get(n)) for n, own in times.items()}


def main() -> None:
    """Print each ratio to the imports, pair by pair."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    rows = [
        [name, f"{own:.2f}", f"{ratio:.2f}", limit or ""]
        for name, (own, ratio, limit) in measure(parser.parse_args().rounds).items()
    ]
    table("Start to exit", ["", "median seconds", "x imports", "limit"], rows)


if __name__ == "__main__":
    main()
