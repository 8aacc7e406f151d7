"""Fault injection in one command: ``python tests/faults/run.py``; exits 1 if a promise broke."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from time import monotonic

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import clocks
import day
import disk
import kill
import locks
import power
from tally import HEAD, Tally

ADAPTERS = ("torch", "keras")


def kills(folder: Path, options: argparse.Namespace) -> Iterable[Tally]:
    """Kill -9 of a recording and of a training with each adapter."""
    adapters = () if options.quick else ADAPTERS
    kill.warm(*adapters)
    yield kill.kill_recordings(folder / "recording", options.kills, options.seed)
    for adapter in adapters:
        count = options.training_kills
        yield kill.kill_trainings(folder / adapter, adapter, count, options.seed)


def power_cuts(folder: Path, options: argparse.Namespace) -> Iterable[Tally]:
    """Cut the power before every file operation."""
    scenarios = list(power.scenarios())
    if not options.quick:
        scenarios.append(power.training(folder))
    for number, scenario in enumerate(scenarios):
        yield power.cut_power(folder / str(number), scenario)


def full_disks(folder: Path, options: argparse.Namespace) -> Iterable[Tally]:
    """Let the disk be full from every operation on, and real ones of every size."""
    yield disk.record_until_full(folder / "recording")
    sites = list(disk.SITES)
    if options.quick:
        sites = [replace(site, every=5) for site in sites]
    else:
        sites += [*disk.trainings("torch", 4), *disk.trainings("keras", 12)]
    for number, site in enumerate(sites):
        yield disk.fill(folder / str(number), site)
    if disk.can_mount() and not options.quick:
        for number in _MOUNTED:
            yield disk.fill_for_real(folder / f"mounted-{number}", disk.SITES[number], 5)


_MOUNTED = (0, 4)  # of the sites: findings into a new folder, a log into one


def second_writers(folder: Path, options: argparse.Namespace) -> Iterable[Tally]:
    """Let several processes write one log."""
    kill.warm()
    yield locks.second_writers(folder / "second", 4 if options.quick else 20)
    yield locks.crowd(folder / "crowd", 4, 5 if options.quick else 20)


def jumping_clocks(folder: Path, options: argparse.Namespace) -> Iterable[Tally]:
    """Let the clock jump."""
    yield clocks.jump(folder / "record", "recording", clocks.record)
    yield clocks.jump(folder / "analyze", "merge, analyze -o", clocks.analyze)
    if not options.quick:
        yield clocks.jump(folder / "train", "training, torch", clocks.train)


def reviews(folder: Path, options: argparse.Namespace) -> Iterable[Tally]:
    """End the review page's server under its readers, again and again."""
    folder.mkdir()
    decisions, readers, ends = (40, 2, 2) if options.quick else (1000, 4, 20)
    yield day.a_day(folder, decisions, readers, ends, options.seed)


FAULTS: dict[str, Callable[[Path, argparse.Namespace], Iterable[Tally]]] = {
    "kill": kills,
    "power": power_cuts,
    "disk": full_disks,
    "locks": second_writers,
    "clock": jumping_clocks,
    "review": reviews,
}


def main() -> int:
    """Inject every fault, print the table, and return 1 if a promise did not hold."""
    options = _options()
    tallies: list[Tally] = []
    print(HEAD, flush=True)
    began = monotonic()
    with tempfile.TemporaryDirectory(prefix="lossan-faults-", dir=_memory()) as scratch:
        for name in options.only or FAULTS:
            for tally in FAULTS[name](Path(scratch) / name, options):
                print(tally.row(), flush=True)
                tallies.append(tally)
    print(f"\nseed {options.seed}, {monotonic() - began:.0f} s")
    for tally in tallies:
        print("\n".join([*tally.notes, *(f"NOT HELD: {wrong}" for wrong in tally.wrong)]))
    return int(any(tally.wrong for tally in tallies))


def _memory() -> str | None:
    """Return a folder in memory, where there is one: a disk would only be slower."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="of recordings")
    parser.add_argument(
        "--training-kills", type=int, default=200, help="of trainings with each adapter"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=FAULTS, action="append", help="some kinds of faults")
    parser.add_argument("--quick", action="store_true", help="recordings alone, in half a minute")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
