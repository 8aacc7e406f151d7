"""The detectors' benchmark: ``python tests/benchmarks/detectors/run.py [--quick] [--only ...]``.

Trains small networks on real images with known wrong labels, records the logs, runs the peers on
the same work and every installed detector on the logs, and prints tables. What was made once is
kept in the cache; delete it to begin anew. ``--quick`` is the digits alone, about a minute; all of
it takes hours on two cores. The sources' own labels count as true. Some of Fashion-MNIST's and of
the fundus grades are not, which costs every method alike.
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tasks import QUICK, Task, chosen


def main() -> None:
    """Make what is missing, measure, print."""
    options = parse()
    # one thread a process: the same figures everywhere, and processes do not fight; before numpy
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    began = time.perf_counter()
    cache = options.cache.expanduser()
    tasks = chosen(list(QUICK) if options.quick else options.only, options.seeds)
    if options.fundus is None:
        for task in [t for t in tasks if t.source == "fundus"]:
            print(f"{task.name}: left out, --fundus is not given")
            tasks.remove(task)
    fetch({task.source for task in tasks}, cache, options.fundus)
    context = get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context) as pool:
        works = [pool.submit(prepare_one, task, cache, options.fundus) for task in tasks]
        for work in works:
            work.result()
    print(report(tasks, cache, options.output or cache))
    print(f"in {time.perf_counter() - began:.0f} s; every log's table: tables.md, results.json")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    base = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    parser.add_argument("--cache", type=Path, default=base / "lossan-detectors")
    parser.add_argument("--fundus", type=Path, help="folder of the photographs and labels.csv")
    parser.add_argument("--only", nargs="+", metavar="TASK")
    parser.add_argument("--seeds", type=int, default=1, help="how many runs of each task")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, help="folder of the tables; the cache by default")
    return parser.parse_args()


def fetch(sources: set[str], cache: Path, fundus: Path | None) -> None:
    """Fill the cache with the images, once and before anything runs side by side."""
    from images import load

    for source in sorted(sources):
        load(source, cache, fundus)


def prepare_one(task: Task, cache: Path, fundus: Path | None) -> None:
    """Make a task's logs and its peers' results where they are missing."""
    import peers
    from make_logs import is_made, make

    if not is_made(task, cache):
        make(task, cache, fundus)
    peers.run(task, cache, fundus)


def report(tasks: list[Task], cache: Path, output: Path) -> str:
    """Measure everything on both logs of each task; write and return the tables."""
    import table
    from work import Work

    works = [Work(task, cache, None, way) for task in tasks for way in ("train", "eval")]
    return table.write([(work, table.rows_of(work)) for work in works], output)


if __name__ == "__main__":
    main()
