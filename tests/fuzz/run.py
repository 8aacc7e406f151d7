"""Fuzz every reader in one command: ``python tests/fuzz/run.py``; exits 1 if a promise broke.

Each file ends in a result or one LossanError, within `sandbox.SECONDS` of a processor's time and
`sandbox.MEGABYTES` of memory beyond what the process had; never in a traceback or a crash.
"""

import argparse
import hashlib
import importlib.util
import random
import re
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from generate import files
from hypothesis import HealthCheck, Phase, given, seed, settings
from mutate import mutate
from readers import READERS, Reader
from sandbox import MEGABYTES, SECONDS, Outcome, Sandbox, memory

_GENERATED, _GUIDED = 0.15, 0.15  # shares; the rest is mutated


@dataclass
class Tally:
    """What became of the files of one reader."""

    reader: Reader
    counts: Counter[str] = field(default_factory=Counter)
    broken: dict[str, bytes] = field(default_factory=dict)
    megabytes: float = 0.0
    seconds: float = 0.0

    def add(self, how: str, content: bytes, outcome: Outcome) -> None:
        """Count a case, and keep it where the promise broke."""
        self.counts[how] += 1
        self.counts["read" if outcome.kind == "read" else "refused"] += outcome.held
        self.megabytes = max(self.megabytes, outcome.megabytes)
        self.seconds = max(self.seconds, outcome.seconds)
        if not outcome.held:
            self.counts["broken"] += 1
            self.broken.setdefault(f"{outcome.kind}: {outcome.text[-600:]}", content)

    def row(self) -> str:
        """Return it as a row of the table."""
        hows = " | ".join(f"{self.counts[how]:,}" for how in _COLUMNS)
        most = f"{self.megabytes:.0f} MB | {self.seconds:.1f} s"
        return f"| {self.reader.name} | {hows} | {most} |"


_COLUMNS = ("mutated", "generated", "guided", "read", "refused", "broken")
HEAD = (
    f"| reader | {' | '.join(_COLUMNS)} | most memory | longest |\n|{'---|' * (len(_COLUMNS) + 3)}"
)


def mutated(tally: Tally, sandbox: Sandbox, count: int, number: int) -> None:
    """Change valid files at random."""
    rng = random.Random(number)  # noqa: S311
    seeds = tally.reader.seeds()
    for _ in range(count):
        content = mutate(tally.reader.kind, rng.choice(seeds), rng)
        tally.add("mutated", content, sandbox.try_case(tally.reader.name, content))


def generated(tally: Tally, sandbox: Sandbox, count: int, number: int) -> None:
    """Let Hypothesis make files up."""
    if not count:
        return

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(files(tally.reader))
    def one(content: bytes) -> None:
        tally.add("generated", content, sandbox.try_case(tally.reader.name, content))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one()


def guided(tally: Tally, count: int, number: int) -> None:
    """Let a coverage-guided fuzzer look for more."""
    script = Path(__file__).with_name("coverage_guided.py")
    with tempfile.TemporaryDirectory(prefix="lossan-fuzz-", dir=memory()) as folder:
        command = [sys.executable, str(script), tally.reader.name, str(count), str(number), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        runs = re.findall(r"^#(\d+)\s", done.stderr, re.MULTILINE)
        ran = re.search(r"Done (\d+) runs", done.stderr)
        tally.counts["guided"] += int(ran[1]) if ran else int(runs[-1]) if runs else 0
        if done.returncode:
            tally.counts["broken"] += 1
            found = [p.read_bytes() for p in Path(folder).iterdir() if p.is_file()]
            tally.broken[f"guided: {done.stderr[-1500:]}"] = found[0] if found else b""


def fuzz(reader: Reader, sandbox: Sandbox, cases: int, number: int, *, with_guide: bool) -> Tally:
    """Try so many files on a reader."""
    tally = Tally(reader)
    n_guided = int(cases * _GUIDED) if with_guide else 0
    n_generated = int(cases * _GENERATED)
    mutated(tally, sandbox, cases - n_guided - n_generated, number)
    generated(tally, sandbox, n_generated, number)
    if n_guided:
        guided(tally, n_guided, number + 1)
    return tally


def main() -> int:
    """Fuzz every reader, print the table, and return 1 if a promise did not hold."""
    options = _options()
    with_guide = not options.unguided and importlib.util.find_spec("atheris") is not None
    chosen = [r for name, r in READERS.items() if not options.only or name in options.only]
    each = -(-options.cases // len(chosen))
    print(HEAD, flush=True)
    began = monotonic()
    sandbox, tallies = Sandbox(), []
    for reader in chosen:
        tally = fuzz(reader, sandbox, each, options.seed, with_guide=with_guide)
        print(tally.row(), flush=True)
        tallies.append(tally)
    sandbox.close()
    total = sum((t.counts for t in tallies), Counter())
    tried = sum(total[how] for how in ("mutated", "generated", "guided"))
    print(
        f"\n{tried:,} files: {total['read']:,} read, {total['refused']:,} refused, "
        f"{total['guided']:,} guided, {total['broken']:,} broke a promise (a result or one error, "
        f"{SECONDS:.0f} s, {MEGABYTES} MB); seed {options.seed}, {monotonic() - began:.0f} s"
    )
    if not (with_guide or options.unguided):
        print("atheris is not installed, so nothing was guided by coverage: pip install atheris")
    for tally in tallies:
        for told, content in tally.broken.items():
            name = hashlib.sha256(content).hexdigest()[:12]
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / name).write_bytes(content)
            print(f"\n{tally.reader.name}, {options.keep / name}\n{told}")
    return int(bool(total["broken"]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="files in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=READERS, action="append", help="some readers")
    parser.add_argument("--unguided", action="store_true", help="leave out what needs atheris")
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-cases"), help="a folder for files that broke it"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
