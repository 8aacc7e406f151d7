"""Every figure of scale beside its target, its limit and its peers, from one run.

``python tests/benchmarks/scale/run.py [--samples 1e7] [--large] [--only NAME ...] [--plot FILE]``

Each figure is of works run in turn, `--rounds` times: medians, and the median of the ratios of
neighbours, which a busy machine changes least. Seconds "of cores" are those of all cores together.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import startup
from growth import draw
from growth import growth as grow
from logs import auto_log, long_log, npz_log, wide_log
from works import DECODE, LOAD_NPZ, PANDAS, Cost, analyze, in_turn, middle, python, times

HERE = Path(__file__).parent
Row = tuple[str, ...]
Section = Callable[[Path, argparse.Namespace], Iterator[Row]]
DECODING = "pyarrow decoding"


def long(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Long Parquet beside its decoding and beside pandas and scikit-learn."""
    n = int(options.samples)
    log = long_log(folder / "long.parquet", n, 8)
    name = f"long, {n:,} x 8, {log.stat().st_size / 1e6:.0f} MB"
    yield from held(name, log, 3, 1.5, options)
    written = analyze(log, "-o", str(folder / "findings"))
    yield f"{name}, -o", str(written), *verdict("2.5 GB", written.peak / 2.5e9), ""
    if not options.quick:
        ours, peer = in_turn([partial(analyze, log), partial(python, PANDAS, log)], 1)
        faster = 1 / times(ours, peer)
        beside = f"pandas pivot, scikit-learn: {middle(peer)}"
        yield name, f"{faster:.1f} x as fast", *verdict("8 x", 8 / faster), beside


def other_forms(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Wide Parquet and NPZ beside their decoding, string ids, and as many epochs as ImageNet's."""
    n = int(options.samples)
    yield from held(f"wide, {n:,} x 8", wide_log(folder / "wide.parquet", n, 8), 3, None, options)
    for kind, compressed in (("compressed as lossan writes it", True), ("of numpy.savez", False)):
        npz = npz_log(folder / "log.npz", n, 8, compressed=compressed)
        name = f"NPZ, {kind}, {n:,} x 8"
        yield from held(name, npz, 3, None, options, LOAD_NPZ, "numpy.load")
        npz.unlink()
    few = n // 5
    strings = long_log(folder / "strings.parquet", few, 8, strings=True)
    yield from held(f"ids of 26 characters, {few:,} x 8", strings, 8, None, options)
    images = int(n * 0.128)
    log = long_log(folder / "imagenet.parquet", images, 90)
    yield from held(f"long, {images:,} x 90", log, 3, 1.5, options)


def beyond_memory(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Ten times as many samples, by the engine that spills, and a subset that fits both."""
    n = int(options.samples / 10)
    log = long_log(folder / "subset.parquet", n, 8)
    kinds = {"local": (), "disk": ("--engine", "disk", "--spill", str(folder))}
    costs = {k: analyze(log, *o, "-o", str(folder / k)) for k, o in kinds.items()}
    local, disk = ((folder / kind / "findings.parquet").read_bytes() for kind in kinds)
    same = "the same findings, to the byte" if local == disk else "other findings"
    beside = f"in memory: {costs['local']}"
    yield f"--engine disk, {n:,} x 8", same, *verdict("the same", 1 + (local != disk)), beside
    n = int(options.samples * (10 if options.large else 1))
    log = long_log(folder / "large.parquet", n, 8)
    limit, ours = python(DECODE, log), analyze(log, *kinds["disk"])
    beside = f"{ours.seconds / limit.seconds:.1f} x {DECODING}: {limit}"
    yield f"--engine disk, {n:,} x 8", str(ours), *verdict("4 GB", ours.peak / 4e9), beside


def small(_: Path, options: argparse.Namespace) -> Iterator[Row]:
    """A small log from start to exit beside the import of the libraries that it needs."""
    done = startup.measure(options.rounds + 4)
    for name, (seconds, ratio, limit) in done.items():
        if limit is not None:
            figure = f"{seconds:.2f} s, {ratio:.2f} x"
            yield f"{name}, small log", figure, *verdict(f"{limit} x", ratio / limit), "the imports"


def writing(_: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Records a second, both threads on one core."""
    for kind, batch, rates, peak, ending in child("../recorder.py", "--one-core", "--json"):
        target = verdict("2 million/s", 2 / rates["whole"]) if kind == "integer" else ("", "")
        yield (
            f"Recorder, {kind} ids, batches of {batch}",
            f"{rates['whole']:.2f} million/s, {rates['call']:.2f} of record() alone",
            *target,
            f"lists joined once: {rates['limit']:.2f}; {peak / 1e6:.0f} MB; end_epoch blocks "
            f"{ending:.2f} s",
        )


def many_machines(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Worker processes and a store, one worker killed; and 10^10 rows on paper."""
    n = int(options.samples / 10)
    found = child("many_.py", long_log(folder / "many.parquet", n, 8))
    same = "the same findings as in memory" if found["equal"] else "other findings than in memory"
    name = f"--engine dask, {n:,} x 8, s3, {found['killed']} worker killed"
    yield name, f"{found['seconds']:.1f} s, {same}", *verdict("the same", 2 - found["equal"]), ""
    memory = f"{found['peak'] / 1e9:.2f} GB a worker"
    yield name, memory, *verdict("2 GB", found["peak"] / 2e9), "the Dask worker itself: 0.2 GB"
    size = found["sized"]
    yield (
        "10^10 rows, on paper",
        f"{size['core_hours']:.1f} core hours",
        "",
        "",
        f"{size['buckets']:,.0f} buckets, {size['spilled'] / 1e9:,.0f} GB spilled, "
        f"{size['reads'] / 1e6:.1f} million ranges read",
    )


def auto(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """The detector to recommend, on ten classes with all channels."""
    n = int(options.samples / 10)
    log = auto_log(folder / "auto.parquet", n, 8)
    size = n * 8 * (4 + 3 * 4 + 4)  # loss, three float channels, the predicted class
    ours = analyze(log, "-d", "auto")
    yield f"-d auto, {n:,} x 8, 10 classes", str(ours), *verdict("20 s", ours.seconds / 20), ""
    of = f"of the log's {size / 1e6:.0f} MB"
    yield "the same", f"{ours.peak / size:.1f} x", *verdict("4 x", ours.peak / size / 4), of


def profile(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Where the time goes, beside the bandwidth of the memory."""
    found = child("profile_.py", long_log(folder / "profile.parquet", int(options.samples), 8))
    bandwidth = found["bandwidth"]
    yield "a GB of memory first touched", f"{found['first_touch']:.2f} s", "", "", "by one core"
    for name, seconds, busy, moved in found["stages"]:
        floor = moved / bandwidth
        beside = f"{floor:.2f} s to move {moved / 1e6:,.0f} MB at {bandwidth / 1e9:.1f} GB/s"
        yield f"stage {name}", f"{seconds:.2f} s ({busy:.2f} of cores)", "", "", beside


def growth(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Time and memory as samples and epochs grow."""
    so_far: dict[tuple[int, int], Cost] = {}
    for (name, figure, target, beside), costs in grow(folder, options.samples * _most(options)):
        so_far = costs
        yield name, figure, target, "", beside
    if options.plot:
        draw(so_far, options.plot)


def _most(options: argparse.Namespace) -> float:
    """Return how many losses for each sample asked for the largest log may have."""
    return 80 if options.large else 13


def held(
    name: str,
    log: Path,
    most: float,
    memory: float | None,
    options: argparse.Namespace,
    limit: str = DECODE,
    what: str = DECODING,
) -> Iterator[Row]:
    """Return how many times as long as its limit an analysis takes, and its memory."""
    ours, bare = in_turn([partial(analyze, log), partial(python, limit, log)], options.rounds)
    ratio, cost = times(ours, bare), middle(ours)
    beside = f"{what}: {middle(bare)}; of cores {cost.busy / middle(bare).busy:.1f} x"
    yield name, f"{ratio:.2f} x: {cost}", *verdict(f"{most} x", ratio / most), beside
    if memory is not None:
        yield (
            name,
            f"{cost.peak / 1e9:.2f} GB",
            *verdict(f"{memory} GB", cost.peak / memory / 1e9),
            "",
        )


def verdict(target: str, share: float) -> tuple[str, str]:
    """Return the target, and whether it was met."""
    return target, "met" if share <= 1 else "MISSED"


def child(program: str, *arguments: object) -> Any:
    """Run a program of this folder in a process of its own; return the JSON it prints."""
    command = [sys.executable, str(HERE / program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


SECTIONS: dict[str, Section] = {
    f.__name__: f
    for f in (
        long,
        other_forms,
        beyond_memory,
        small,
        writing,
        many_machines,
        auto,
        profile,
        growth,
    )
}


def main() -> None:
    """Print the table, a line as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=float, default=1e7)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="100 million samples beyond memory")
    parser.add_argument("--quick", action="store_true", help="without pandas and scikit-learn")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--plot", help="where to draw how the cost grows")
    parser.add_argument("--folder", help="where the logs are made")
    options = parser.parse_args()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{os.cpu_count()} cores; load {load} (above the cores, others are at work)\n")
    print("| figure | measured | target | | beside |\n|---|---|---|---|---|", flush=True)
    for name in options.only:
        with TemporaryDirectory(dir=options.folder) as folder:
            for cells in SECTIONS[name](Path(folder), options):
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
