"""A power cut before every file operation: what was said to be safe is there and can go on."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import subjects
from layer import Cut, Disk
from tally import Tally

EPOCHS = 4


@dataclass(frozen=True)
class Scenario:
    """Something during which the power is cut.

    Parameters
    ----------
    to : str
        What it is called in the table.
    prepare : callable
        Lays into a folder what is there before.
    act : callable
        Does it, in the folder, telling the disk what it was promised.
    check : callable
        Holds a folder with what the cut left to the promise.
    """

    to: str
    prepare: Callable[[Path], Any]
    act: Callable[[Path, Disk], Any]
    check: Callable[[Path, Cut], Any]


def cut_power(folder: Path, scenario: Scenario) -> Tally:
    """Cut the power at every moment of a scenario."""
    tally = Tally("power cut", scenario.to, "states")
    place = folder / "before"
    place.mkdir(parents=True)
    scenario.prepare(place)
    with Disk(place) as disk:
        scenario.act(place, disk)
    with subjects.without_flushing():
        for number, cut in enumerate(disk.cuts):
            left = folder / f"left-{number}"
            left.mkdir()
            cut.lay(left)
            tally.hold(f"before {cut.where}", scenario.check, left, cut)
            shutil.rmtree(left)
    return tally


def scenarios() -> Iterator[Scenario]:
    """Yield the scenarios of a recording and of results."""
    yield Scenario("recording", _nothing, _record, _check_recording)
    yield Scenario("recording, resumed", _half, _record, _check_recording)
    yield Scenario("closed log, resumed", _closed, _record, _check_recording)
    yield Scenario("log, overwritten", _closed, _overwrite, _check_overwritten)
    yield result("analyze -o, new folder", "analyze", "a.parquet", "-o", "deep/er/findings")
    yield result("analyze -o, over findings", "analyze", "b.parquet", "-o", "findings")
    yield result("convert to Parquet", "convert", "a.parquet", "wide.parquet", "--layout", "wide")
    yield result("convert to NPZ, over a file", "convert", "a.parquet", "old.npz")
    yield result("convert to a folder", "convert", "a.parquet", "folder/")
    engine = ("--engine", "disk")
    yield result("analyze --engine disk", "analyze", "a.parquet", *engine, "-o", "spilled")
    yield result("merge", "merge", "a.parquet", "b.parquet", "-o", "both.parquet")
    yield result("corrupt", "corrupt", "labels.csv", "-o", "noisy.csv", "--rate", "0.2")


def _nothing(folder: Path) -> None:
    """Lay nothing."""


def _half(folder: Path) -> None:
    """Lay a recording that was killed after two epochs."""
    with suppress(KeyboardInterrupt):
        subjects.record(folder / "run.parquet", _die_after(2), EPOCHS)


def _die_after(epoch: int) -> subjects.Say:
    def say(said: tuple[str, int]) -> None:
        if said == ("ended", epoch):
            raise KeyboardInterrupt

    return say


def _closed(folder: Path) -> None:
    """Lay a log of two epochs."""
    subjects.record(folder / "run.parquet", lambda _: None, 2)


def _record(folder: Path, disk: Disk) -> None:
    disk.promise = 0 if not any(folder.iterdir()) else 2
    subjects.record(folder / "run.parquet", _promise(disk), EPOCHS)


def _overwrite(folder: Path, disk: Disk) -> None:
    how = {"overwrite": True}
    subjects.record(folder / "run.parquet", _promise(disk), EPOCHS, shift=0.5, **how)


def _promise(disk: Disk) -> subjects.Say:
    def say(said: tuple[str, int]) -> None:
        if said[0] == "ended":
            disk.promise = said[1]

    return say


def _check_recording(folder: Path, cut: Cut) -> None:
    path, whole = folder / "run.parquet", subjects.expected(EPOCHS)
    subjects.check_log(path, cut.promise, cut.promise + 1, whole)
    subjects.record(path, lambda _: None, EPOCHS)
    subjects.check_complete(path, whole)


def _check_overwritten(folder: Path, cut: Cut) -> None:
    path, whole = folder / "run.parquet", subjects.expected(EPOCHS, shift=0.5)
    if cut.promise == 0:  # the old log was to go: what is there of either must only be whole
        subjects.stored(path)
        return
    subjects.check_log(path, cut.promise, cut.promise + 1, whole)
    subjects.record(path, lambda _: None, EPOCHS, shift=0.5)
    subjects.check_complete(path, whole)


def result(to: str, *command: str) -> Scenario:
    """Return the scenario of a command that writes results; each file is the old or the new."""
    old: dict[str, bytes] = {}
    new: dict[str, bytes] = {}

    def prepare(folder: Path) -> None:
        subjects.inputs(folder)
        old.update(_visible(folder))

    def act(folder: Path, disk: Disk) -> None:
        with subjects.standing_in(folder):
            subjects.succeed(*command)
        disk.promise = 1
        new.update(_visible(folder))

    def check(folder: Path, cut: Cut) -> None:
        there = _visible(folder)
        other = [p for p, data in there.items() if data not in (old.get(p), new.get(p))]
        assert not other, f"{other} are neither as before nor as after"
        lost = sorted(set(old) - set(there))
        assert not lost, f"{lost} were there before"
        if cut.promise:
            missing = [p for p, data in new.items() if there.get(p) != data]
            assert not missing, f"{missing} were written and are not there"
        for made in _made(old, new):
            parts = [p for p in new if Path(made) in Path(p).parents]
            held = [p for p in parts if p in there]
            assert len(held) in (0, len(parts)), f"of {made} only {held} is there"

    return Scenario(to, prepare, act, check)


def _visible(folder: Path) -> dict[str, bytes]:
    """Return the files that are not hidden, with their bytes."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    names = {p: p.relative_to(folder) for p in files}
    return {
        str(name): p.read_bytes()
        for p, name in names.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def _made(old: dict[str, bytes], new: dict[str, bytes]) -> set[str]:
    """Return the folders of new files in which nothing was before."""
    folders = {str(Path(p).parent) for p in new if p not in old} - {"."}
    return {f for f in folders if not any(Path(f) in Path(p).parents for p in old)}


def training(folder: Path, adapter: str = "torch", resumed: int = 20) -> Scenario:
    """Return the scenario of a training: log, history and checkpoint agree.

    Parameters
    ----------
    folder : Path
        Gets the images.
    adapter : str
    resumed : int
        Every so many states the training is resumed to its end.
    """
    labels = subjects.digits(folder / "images")
    whole: dict[int, dict[Any, float]] = {}
    seen: list[int] = []

    def act(place: Path, disk: Disk) -> None:
        module = __import__(f"lossan_{adapter}.train", fromlist=["train"])
        save = module._Training.save

        def saved(self: Any, epochs: int) -> None:
            save(self, epochs)
            disk.promise = epochs

        path = place / "run.parquet"
        with mock.patch.object(module._Training, "save", saved):
            subjects.succeed(*subjects.train_command(path, adapter, labels))
        whole.update(subjects.stored(path))

    def check(place: Path, cut: Cut) -> None:
        path = place / "run.parquet"
        kept = _checkpointed(path)
        assert kept in (cut.promise, cut.promise + 1), f"{kept} checkpointed, not {cut.promise}"
        subjects.check_log(path, kept, kept + 1, whole)
        history = path.with_name(path.name + ".history.json")
        if kept or history.exists():
            assert len(json.loads(history.read_text())["epochs"]) in (kept, kept + 1)
        seen.append(kept)
        if len(seen) % resumed == 1:
            subjects.succeed(*subjects.train_command(path, adapter, labels))
            beside = (history.name, f"{path.name}.checkpoint.pt")
            subjects.check_complete(path, whole, *beside)

    return Scenario(f"training, {adapter}", _nothing, act, check)


def _checkpointed(path: Path) -> int:
    import torch

    file = path.with_name(path.name + ".checkpoint.pt")
    return torch.load(file, weights_only=True)["epochs"] if file.exists() else 0
