"""Two processes and one log: the second is refused at once, and a crash lets go of the log."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import subjects
from tally import Tally

import lossan
from lossan.errors import RecorderError

_PATIENCE = 120.0  # seconds; nothing here takes so long


def second_writers(folder: Path, tries: int) -> Tally:
    """Record, let another process try, go on; or be killed, and let it have the log."""
    tally = Tally("second writer", "recording", "tries")
    for number in range(tries):
        path = folder / str(number) / "run.parquet"
        path.parent.mkdir(parents=True)
        tally.hold(f"try {number + 1}", _try_second, path, number % 2 == 1)
    return tally


def _try_second(path: Path, killed: bool) -> None:
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe()
    first = context.Process(target=_first, args=(path, there))
    first.start()
    try:
        assert here.poll(_PATIENCE), "the first never came up"
        here.recv()
        for how in ({"resume": True}, {"overwrite": True}):
            told = _refusal(path, **how)
            assert "another process is recording" in told, f"with {how}: {told or 'let in'}"
        if killed:
            first.kill()
        else:
            here.send("go on")
        first.join(_PATIENCE)
    finally:
        first.kill()
        first.join()
    whole = subjects.expected()
    if killed:
        subjects.check_log(path, 2, 2, whole)
        subjects.record(path, lambda _: None)
    subjects.check_complete(path, whole)


def _refusal(path: Path, **how: bool) -> str:
    try:
        lossan.Recorder(path, **how)
    except RecorderError as error:
        return str(error)
    return ""


def _first(path: Path, there: Connection) -> None:
    subjects.quiet()

    def say(said: tuple[str, int]) -> None:
        if said == ("ended", 2):
            there.send(said)
            there.recv()

    subjects.record(path, say)


def crowd(folder: Path, processes: int, epochs: int) -> Tally:
    """Let several processes open, add an epoch and close, all at the same time.

    Parameters
    ----------
    folder : Path
    processes : int
    epochs : int
        How many each adds; where it is refused it tries again.
    """
    tally = Tally("crowd of writers", "recording", "epochs")
    path = folder / "run.parquet"
    path.parent.mkdir(parents=True)
    context = multiprocessing.get_context("forkserver")
    several = [context.Process(target=_add, args=(path, i, epochs)) for i in range(processes)]
    for process in several:
        process.start()
    for process in several:
        process.join(_PATIENCE)
        process.kill()
    codes = [process.exitcode for process in several]
    tally.also("the processes", _all_done, codes)
    found = subjects.stored(path)
    kept = sorted(loss for rows in found.values() for loss in rows.values())
    for process in range(processes):
        for number in range(epochs):
            mark = _mark(process, number)
            tally.hold(f"epoch {number} of process {process}", _once, kept.count(mark))
    tally.also("the end", subjects.check_complete, path, found)
    return tally


def _add(path: Path, process: int, epochs: int) -> None:
    subjects.quiet()
    for number in range(epochs):
        while True:
            try:
                recorder = lossan.Recorder(path, resume=True)
            except RecorderError:
                continue
            recorder.record([0], [_mark(process, number)])
            recorder.end_epoch()
            recorder.close()
            break


def _mark(process: int, number: int) -> float:
    return float(1000 * process + number)


def _all_done(codes: list[int | None]) -> None:
    assert set(codes) == {0}, f"exit codes {codes}"


def _once(count: int) -> None:
    assert count == 1, f"it is there {count} times"
