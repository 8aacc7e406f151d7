"""A clock that jumps: dates in metadata follow it, nothing else does."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest import mock

import subjects
from tally import Tally

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLOCKS: dict[str, list[timedelta]] = {
    "stands still": [timedelta()],
    "runs backwards": [timedelta(seconds=-i) for i in range(100)],
    "jumps years back and forth": [timedelta(days=d) for d in (0, -9000, 9000, 1, -1)],
    "is at the epoch": [datetime(1970, 1, 1, tzinfo=UTC) - NOW],
}


@contextmanager
def clock(jumps: list[timedelta]) -> Iterator[None]:
    """Let every date this process asks for follow a clock."""
    left = cycle(jumps)

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return (NOW + next(left)).astimezone(tz)

    modules = [m for name, m in sys.modules.items() if name.partition("_")[0].startswith("lossan")]
    with ExitStack() as stack:
        for module in modules:
            if getattr(module, "datetime", None) is datetime:
                stack.enter_context(mock.patch.object(module, "datetime", Jumping))
        stack.enter_context(mock.patch.object(time, "time", _seconds(Jumping)))
        yield


def _seconds(dates: type[datetime]) -> Callable[[], float]:
    def seconds() -> float:
        return dates.now(UTC).timestamp()

    return seconds


def jump(folder: Path, to: str, act: Callable[[Path, Callable[[], None]], Any]) -> Tally:
    """Do the same under each clock; `act` returns what must not depend on it."""
    tally = Tally("clock that jumps", to, "clocks")
    (folder / "right").mkdir(parents=True)
    expected = act(folder / "right", lambda: None)
    for name, jumps in CLOCKS.items():
        place = folder / "wrong"
        place.mkdir()
        tally.hold(f"a clock that {name}", _same, expected, act, place, jumps)
        shutil.rmtree(place)
    return tally


def _same(expected: Any, act: Callable[..., Any], place: Path, jumps: list[timedelta]) -> None:
    times = cycle(jumps)

    def age() -> None:
        """Give every file a time of the clock, as if it had been written then."""
        for file in sorted(place.rglob("*")):
            stamp = (NOW + next(times)).timestamp()
            os.utime(file, (stamp, stamp))

    with clock(jumps):
        assert act(place, age) == expected, "the result is another"


def record(folder: Path, age: Callable[[], None]) -> Any:
    """Record half a log, and go on with it."""
    path = folder / "run.parquet"
    subjects.record(path, lambda _: age(), 2)
    age()
    subjects.record(path, lambda _: age(), 4)
    subjects.check_complete(path, subjects.expected(4))
    return subjects.stored(path)


def analyze(folder: Path, age: Callable[[], None]) -> Any:
    """Analyse, write over it, and return the findings' bytes."""
    subjects.inputs(folder)
    age()
    with subjects.standing_in(folder):
        subjects.succeed("merge", "a.parquet", "b.parquet", "-o", "both.parquet")
        age()
        subjects.succeed("analyze", "both.parquet", "-d", "auto", "-o", "findings")
    names = ("findings.csv", "findings.parquet", "sequences.png")
    return [(folder / "findings" / name).read_bytes() for name in names]


def train(folder: Path, age: Callable[[], None]) -> Any:
    """Train, and go on with it."""
    path, labels = folder / "run.parquet", subjects.digits(folder / "images")
    command = subjects.train_command(path, "torch", labels)
    subjects.succeed(*command, "--epochs", "2")
    age()
    subjects.succeed(*command)
    return subjects.stored(path)
