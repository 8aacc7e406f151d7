"""The command from start to exit beside the import of the libraries it needs.

``python tests/benchmarks/startup.py [--rounds 7]``
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from _measure import table

LOG = Path(__file__).parents[2] / "samples" / "digits" / "long.parquet"
NEEDED = (
    "numpy, pandas, pyarrow, pyarrow.compute, pyarrow.csv, pyarrow.parquet, pydantic, typer, "
    "rich.console, rich.table"
)
LIMITS = {"lossan analyze": 1.3, "lossan --version": 0.1}


def seconds(*arguments: str) -> float:
    """Time a Python process from start to exit."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Print each ratio to the imports, pair by pair."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    works = {
        "imports alone": ("-c", f"import {NEEDED}"),
        "lossan analyze": ("-m", "lossan", "analyze", str(LOG)),
        "lossan --version": ("-m", "lossan", "--version"),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, arguments in works.items():
            taken = seconds(*arguments)
            if number:  # the first round fills the file cache
                times[name].append(taken)
    base = times["imports alone"]
    rows = []
    for name, own in times.items():
        ratio = statistics.median(o / b for o, b in zip(own, base, strict=True))
        limit = LIMITS.get(name)
        rows.append([name, f"{statistics.median(own):.2f}", f"{ratio:.2f}", limit or ""])
    table("Start to exit", ["", "median seconds", "x imports", "limit"], rows)


if __name__ == "__main__":
    main()
