"""Every figure of scale beside its target, its limit and its peers, from one run.

``python tests/benchmarks/scale/run.py [--samples 1e7] [--large] [--only NAME ...] [--plot FILE]``
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

from logs import long_log, npz_log, wide_log
from works import DECODE, LOAD_NPZ, PANDAS, Cost, analyze, python

Row = tuple[str, str, str, str]
Section = Callable[[Path, argparse.Namespace], Iterator[Row]]


def long(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Long Parquet beside its decoding and beside pandas and scikit-learn."""
    n = int(options.samples)
    log = long_log(folder / "long.parquet", n, 8)
    name = f"long, {n:,} x 8, {log.stat().st_size / 1e6:.0f} MB"
    limit, ours = python(DECODE, log), analyze(log)
    yield row(name, ours, "3 x the decoding, 1.5 GB", limit, "pyarrow decoding")
    written = analyze(log, "-o", str(folder / "findings"))
    yield row(f"{name}, -o", written, "2.5 GB", limit, "pyarrow decoding")
    if not options.quick:
        peer = python(PANDAS, log)
        yield row(name, ours, "1/8 of the peer", peer, "pandas pivot, scikit-learn")


def other_forms(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Wide Parquet and NPZ beside their decoding."""
    n = int(options.samples)
    wide = wide_log(folder / "wide.parquet", n, 8)
    yield row(f"wide, {n:,} x 8", analyze(wide), "3 x", python(DECODE, wide), "pyarrow decoding")
    npz = npz_log(folder / "log.npz", n, 8)
    yield row(f"NPZ, {n:,} x 8", analyze(npz), "3 x", python(LOAD_NPZ, npz), "numpy.load")


def strings(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """String ids of 26 characters."""
    n = int(options.samples / 5)
    log = long_log(folder / "strings.parquet", n, 8, strings=True)
    limit = python(DECODE, log)
    yield row(f"string ids, {n:,} x 8", analyze(log), "8 x", limit, "pyarrow decoding")


def imagenet(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """As many images as ImageNet has, and as many epochs as it is trained for."""
    n = int(options.samples * 0.128)
    log = long_log(folder / "imagenet.parquet", n, 90)
    limit = python(DECODE, log)
    yield row(f"long, {n:,} x 90", analyze(log), "3 x", limit, "pyarrow decoding")


def beyond_memory(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Ten times as many samples, by the engine that spills, and a subset that fits both."""
    n = int(options.samples * (10 if options.large else 1))
    log = long_log(folder / "large.parquet", n, 8)
    spill = folder / "spill"
    spill.mkdir()
    limit = python(DECODE, log)
    ours = analyze(log, "--engine", "disk", "--spill", str(spill))
    yield row(f"--engine disk, {n:,} x 8", ours, "4 GB", limit, "pyarrow decoding")
    if not options.large:
        yield row(f"--engine local, {n:,} x 8", analyze(log), "", ours, "--engine disk")


def profile(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Where the time goes, beside the bandwidth of the memory."""
    log = long_log(folder / "profile.parquet", int(options.samples), 8)
    program = str(Path(__file__).with_name("profile_.py"))
    done = subprocess.run(
        [sys.executable, program, str(log)], capture_output=True, check=True, text=True
    )
    found = json.loads(done.stdout)
    bandwidth = found["bandwidth"]
    for name, seconds, moved in found["stages"]:
        floor = moved / bandwidth
        yield (
            f"stage {name}",
            f"{seconds:.2f} s",
            "",
            f"{floor:.2f} s to move {moved / 1e6:,.0f} MB at {bandwidth / 1e9:.1f} GB/s",
        )


def growth(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Time and memory as samples and epochs grow."""
    costs: dict[tuple[int, int], Cost] = {}
    most = 80_000_000 * options.samples / 1e7
    for n in (10_000, 100_000, 1_000_000, 10_000_000):
        for n_epochs in (4, 8, 32, 128):
            if n * n_epochs > most * 1.7:
                continue
            log = long_log(folder / "growth.parquet", n, n_epochs)
            costs[n, n_epochs] = analyze(log)
            each = costs[n, n_epochs]
            yield f"{n:,} x {n_epochs}", str(each), "", f"{per_cell(costs, n, n_epochs)}"
    if options.plot:
        draw(costs, options.plot)


def per_cell(costs: dict[tuple[int, int], Cost], n: int, n_epochs: int) -> str:
    """Return nanoseconds a loss above what the smallest log costs: start, imports, exit."""
    start = min(cost.seconds for cost in costs.values())
    above = costs[n, n_epochs].seconds - start
    return f"{above / (n * n_epochs) * 1e9:.0f} ns a loss" if above > 0.2 else "start and exit"


def draw(costs: dict[tuple[int, int], Cost], target: str) -> None:
    """Draw seconds and memory against the number of losses."""
    from matplotlib.figure import Figure

    figure = Figure((9, 4), layout="constrained")
    for axes, field, name in zip(
        figure.subplots(1, 2), ("seconds", "peak"), ("s", "bytes"), strict=True
    ):
        for n_epochs in sorted({e for _, e in costs}):
            places = sorted(n for n, e in costs if e == n_epochs)
            values = [getattr(costs[n, n_epochs], field) for n in places]
            axes.loglog([n * n_epochs for n in places], values, "o-", label=f"{n_epochs} epochs")
        axes.set(xlabel="losses", ylabel=name)
        axes.legend()
    figure.savefig(target)


def row(name: str, cost: Cost, target: str, limit: Cost, what: str) -> Row:
    """Return a line of the table: the figure, its target, and the limit it is held against."""
    times = cost.seconds / limit.seconds
    return name, str(cost), target, f"{times:.2f} x {what}: {limit}"


SECTIONS: dict[str, Section] = {
    f.__name__: f for f in (long, other_forms, strings, imagenet, beyond_memory, profile, growth)
}


def main() -> None:
    """Print the table, a line as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=float, default=1e7)
    parser.add_argument("--large", action="store_true", help="100 million samples beyond memory")
    parser.add_argument("--quick", action="store_true", help="without pandas and scikit-learn")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--plot", help="where to draw how the cost grows")
    parser.add_argument("--folder", help="where the logs are made")
    options = parser.parse_args()
    print("| figure | measured | target | beside |\n|---|---|---|---|", flush=True)
    for name in options.only:
        with TemporaryDirectory(dir=options.folder) as folder:
            for cells in SECTIONS[name](Path(folder), options):
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
