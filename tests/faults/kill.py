"""``kill -9`` at random moments; after each the log is whole, and resuming completes it."""

import multiprocessing
import os
import shutil
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import subjects
from tally import Tally

_PATIENCE = 300.0  # seconds; no subject takes so long


def warm(*adapters: str) -> None:
    """Have everything imported once, in the process that all victims are forked from."""
    # Python 3.11 starts that process without our sys.path
    paths = [subjects.HERE, os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    trains = [f"lossan_{adapter}.train" for adapter in adapters]
    multiprocessing.set_forkserver_preload(["subjects", "pandas", *trains])


def kill_recordings(folder: Path, kills: int, seed: int) -> Tally:
    """Kill a plain recording again and again, until so many kills have hit one."""
    tally = Tally("kill -9", "recording", "kills")
    _Victim(folder, subjects.record, (), ()).kill(tally, kills, seed)
    return tally


def kill_trainings(folder: Path, adapter: str, kills: int, seed: int) -> Tally:
    """Kill ``lossan train`` again and again, until so many kills have hit one."""
    tally = Tally("kill -9", f"training, {adapter}", "kills")
    labels = subjects.digits(folder / "images")
    suffix = {"torch": "pt", "keras": "npz"}[adapter]
    beside = ("run.parquet.history.json", f"run.parquet.checkpoint.{suffix}")
    _Victim(folder, subjects.train, (adapter, labels), beside).kill(tally, kills, seed)
    return tally


class _Victim:
    """A run in a process of its own, forked from one that has everything imported."""

    def __init__(
        self, folder: Path, run: Callable[..., None], more: tuple[Any, ...], beside: tuple[str, ...]
    ) -> None:
        self._folder, self._run, self._more, self._beside = folder, run, more, beside
        self._context = multiprocessing.get_context("forkserver")

    def kill(self, tally: Tally, kills: int, seed: int) -> None:
        """Kill and resume until every kill is spent, from one log to the next."""
        rng = np.random.default_rng(seed)
        whole, seconds = self._undisturbed()
        logs = 0
        while tally.tried < kills:
            logs += 1
            path = self._folder / f"killed-{logs}" / "run.parquet"
            path.parent.mkdir(parents=True)
            self._kill_until_closed(tally, kills, path, whole, rng, seconds)
        tally.notes.append(f"{tally.fault}, {tally.to}: {logs} logs completed")

    def _undisturbed(self) -> tuple[dict[int, dict[Any, float]], float]:
        """Return the log of an undisturbed run, and how long it takes from its first breath."""
        path = self._folder / "undisturbed" / "run.parquet"
        path.parent.mkdir(parents=True)
        said, closed, seconds = self._live(path, None)
        if not closed:
            raise RuntimeError(f"the undisturbed run failed after saying {said}")
        return subjects.stored(path), seconds

    def _kill_until_closed(
        self, tally: Tally, kills: int, path: Path, whole: Any, rng: Any, seconds: float
    ) -> None:
        held = saved = 0
        closed = False
        while not closed:
            delay = rng.uniform(0, seconds) if tally.tried < kills else None
            said, closed, _ = self._live(path, delay)
            opened = [n for what, n in said if what == "opened"]
            if opened and opened[0] < saved:
                tally.wrong.append(f"{tally.to}: {saved} epochs checkpointed, {opened[0]} kept")
            saved = max([saved, *(n for what, n in said if what == "saved")])
            if not closed:
                where = f"kill {tally.tried + 1}"
                held = tally.hold(where, subjects.check_log, path, *self._bounds(said, held), whole)
                if self._run is subjects.record:
                    self._complete_a_copy(tally, path, whole)
        tally.also(path.parent.name, subjects.check_complete, path, whole, *self._beside)

    def _complete_a_copy(self, tally: Tally, path: Path, whole: Any) -> None:
        copy = path.parent.with_name("copy")
        shutil.copytree(path.parent, copy)
        self._run(copy / path.name, lambda _: None)
        where = f"{path.parent.name}, resumed after kill {tally.tried}"
        tally.also(where, subjects.check_complete, copy / path.name, whole)
        shutil.rmtree(copy)

    def _bounds(self, said: list[tuple[str, int]], held: int | None) -> tuple[int, int]:
        """Return how many epochs must, and may, be on disk after a life."""
        marks = [n for what, n in said if what in ("opened", "ended")]
        if marks:
            return marks[-1], marks[-1] + 1
        # what a training recorded after its last checkpoint it records again
        return (held or 0) - bool(self._more), held or 0

    def _live(self, path: Path, delay: float | None) -> tuple[list[tuple[str, int]], bool, float]:
        """Let a process live for a while; return what it said, whether it closed, and its time."""
        hear, say = self._context.Pipe(duplex=False)
        child = self._context.Process(target=_be, args=(say, self._run, path, self._more))
        child.start()
        say.close()
        hear.poll(_PATIENCE)
        hear.recv()  # its first breath: everything is imported, nothing has begun
        began = monotonic()
        child.join(_PATIENCE if delay is None else delay)
        child.kill()
        child.join()
        said = list(_heard(hear))
        return said, child.exitcode == 0, monotonic() - began


def _be(say: Connection, run: Callable[..., None], path: Path, more: tuple[Any, ...]) -> None:
    """Run a subject in a child."""
    subjects.quiet()
    say.send(("born", 0))
    run(path, say.send, *more)


def _heard(hear: Connection) -> Any:
    try:
        while True:
            yield hear.recv()
    except (EOFError, OSError):  # a message may be cut off with its sender
        return
