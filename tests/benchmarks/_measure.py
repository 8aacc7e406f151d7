"""Measure pieces of work side by side, each in a process of its own."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence

# The child imports what the work needs first: what is measured is above "the interpreter's own".
# The peak is Linux's own, reset before the work: that of getrusage begins with the parent's.
_CHILD = """
import json, time
def memory(field):
    for line in open("/proc/self/status"):
        if line.startswith(field):
            return int(line.split()[1]) * 1024
{setup}
open("/proc/self/clear_refs", "w").write("5")
before = memory("VmRSS")
began = time.perf_counter()
{work}
seconds = time.perf_counter() - began
print(json.dumps({{"seconds": seconds, "bytes": max(0, memory("VmHWM") - before)}}))
"""


def measure(setup: str, work: str) -> dict[str, float]:
    """Run work once in a new process; return its seconds and its peak memory above the imports."""
    code = _CHILD.format(setup=setup, work=work)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def side_by_side(works: dict[str, tuple[str, str]], rounds: int) -> dict[str, dict[str, float]]:
    """Run each work in turn, several rounds; return medians, so that a drift hits all alike."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, (setup, work) in works.items():
            runs[name].append(measure(setup, work))
    return {
        name: {key: statistics.median(run[key] for run in done) for key in done[0]}
        for name, done in runs.items()
    }


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table."""
    print(f"\n### {title}\n")
    print("| " + " | ".join(headings) + " |")
    print("|" + "---|" * len(headings))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
