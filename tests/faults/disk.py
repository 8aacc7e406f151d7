"""A disk that is full from the n-th operation on; and a real one where root mounts it.

Every command ends with one ``error:`` and exit code 2, leaves what was there and nothing
half-written, and goes through once there is space again.
"""

import errno
import gc
import io
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow.parquet as pq
import subjects
from tally import Tally

import lossan
from lossan.cli import run
from lossan.errors import OutputError

_PAGE = 4096


class Full:
    """Lets so many operations that need space pass while it is entered, and no more.

    Parameters
    ----------
    room : int, optional
        How many; without a limit they are only counted.
    """

    def __init__(self, room: int | None = None) -> None:
        self.room, self.asked = room, 0
        self._stack = ExitStack()

    def ask(self) -> None:
        """Count an operation that needs space.

        Raises
        ------
        OSError
            When the disk is full.
        """
        self.asked += 1
        if self.room is not None and self.asked > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __enter__(self) -> "Full":
        for name in ("mkdir", "rename", "replace", "fsync"):
            self._watch(name, lambda *_: True)
        self._watch("open", lambda _, flags=0, *__: flags & os.O_CREAT)
        fdopen = os.fdopen

        def opened(handle: int, mode: str = "r", *more: Any, **named: Any) -> Any:
            if mode != "wb":
                return fdopen(handle, mode, *more, **named)
            return io.BufferedWriter(_Raw(handle, self))

        self._stack.enter_context(mock.patch.object(os, "fdopen", opened))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _watch(self, name: str, needs: Callable[..., Any]) -> None:
        real = getattr(os, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if needs(*arguments):
                self.ask()
            return real(*arguments, **named)

        self._stack.enter_context(mock.patch.object(os, name, call))


class _Raw(io.FileIO):
    """A file whose every write to disk may be the one too many."""

    def __init__(self, handle: int, disk: Full) -> None:
        super().__init__(handle, "wb")
        self._disk = disk

    def write(self, data: Any) -> int:
        self._disk.ask()
        return super().write(data)


@dataclass(frozen=True)
class Site:
    """A command that writes.

    Parameters
    ----------
    to : str
        What it is called in the table.
    command : tuple of str
    log : str, optional
        The log it trains on: as far as it came it must be whole, and resuming must complete it.
    every : int
        Of so many operations one is made to fail.
    """

    to: str
    command: tuple[str, ...]
    log: str | None = None
    every: int = 1


SITES = (
    Site("analyze -o, new folder", ("analyze", "a.parquet", "-o", "deep/er/findings")),
    Site("analyze -o, over findings", ("analyze", "b.parquet", "-o", "findings")),
    Site("convert to Parquet", ("convert", "a.parquet", "wide.parquet", "--layout", "wide")),
    Site("convert to NPZ, over a file", ("convert", "a.parquet", "old.npz")),
    Site("convert to a folder", ("convert", "a.parquet", "folder/")),
    Site("convert --hash-ids", ("convert", "a.parquet", "hashed.parquet", "--hash-ids")),
    Site(
        "analyze --engine disk",
        ("analyze", "a.parquet", "--engine", "disk", "--spill", ".", "-o", "spilled"),
    ),
    Site("merge", ("merge", "a.parquet", "b.parquet", "-o", "both.parquet")),
    Site("corrupt", ("corrupt", "labels.csv", "-o", "noisy.csv", "--rate", "0.2")),
    Site("report", ("report", "findings", "-o", "report.html")),
)


def trainings(adapter: str, every: int) -> list[Site]:
    """Return the sites that train."""
    labels, log = Path("images/labels.csv"), Path("run.parquet")
    train = subjects.train_command(log, adapter, labels)
    given = train[train.index("--adapter") : -1]
    more = ["--seeds", "1", "--retrain-epochs", "2", "--rate", "0.2", "--test-share", "0.25"]
    trial = ("experiment", str(labels), "-o", "trial", *given, "--epochs", "2", *more)
    return [
        Site(f"train, {adapter}", (*train, "--epochs", "3"), str(log), every),
        Site(f"experiment, {adapter}", trial, every=10 * every),
    ]


def fill(folder: Path, site: Site) -> Tally:
    """Let the disk be full from every operation of a command on."""
    tally = Tally("full disk", site.to, "operations")
    with subjects.without_flushing(), _collecting_what_is_new():
        _fill(folder, site, tally)
    return tally


@contextmanager
def _collecting_what_is_new() -> Iterator[None]:
    """Spare each collection the objects of whole frameworks, which would take it half a second."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _fill(folder: Path, site: Site, tally: Tally) -> None:
    before = folder / "before"
    before.mkdir(parents=True)
    subjects.inputs(before)
    subjects.digits(before / "images")
    clean = folder / "clean"
    shutil.copytree(before, clean)
    with Full() as disk:
        _succeed(clean, site)
    for room in range(0, disk.asked, site.every):
        place = folder / "full"
        shutil.copytree(before, place)
        with Full(room):
            ended = _run(place, site)
        tally.hold(f"operation {room + 1}", _check, place, before, ended, site, clean)
        shutil.rmtree(place)


def record_until_full(folder: Path) -> Tally:
    """Let the disk be full while recording; with space again nothing is missing."""
    tally = Tally("full disk", "recording", "operations")
    folder.mkdir(parents=True, exist_ok=True)
    with Full() as disk:
        subjects.record(folder / "clean" / "run.parquet", lambda _: None, 3)
    for room in range(disk.asked):
        tally.hold(f"operation {room + 1}", _record, folder / f"{room}" / "run.parquet", room)
    return tally


def _record(path: Path, room: int) -> None:
    """Record on a disk that fills up; each step that fails is done again once there is space."""
    disk = Full(room)

    def patiently(step: Callable[[], Any]) -> Any:
        try:
            return step()
        except OutputError:
            held = subjects.stored(path)
            assert sorted(held) == list(range(1, len(held) + 1)), f"epochs {sorted(held)}"
            disk.room = None
            return step()

    with disk:
        recorder = patiently(lambda: lossan.Recorder(path, recorded="train", resume=True))
        for epoch in range(3):
            recorder.record(range(subjects.SAMPLES), subjects.losses(epoch))
            patiently(recorder.end_epoch)
        patiently(recorder.close)
    assert disk.room is None, "no operation failed"
    subjects.check_complete(path, subjects.expected(3))


def _run(place: Path, site: Site) -> tuple[int, str]:
    """Run a command; return its exit code and all it said as an error, at its end too."""
    said = io.StringIO()
    with subjects.standing_in(place), redirect_stdout(io.StringIO()), redirect_stderr(said):
        code = run(site.command)
        gc.collect()  # what is only now cleaned up may complain as well
    return code, said.getvalue()


def _succeed(place: Path, site: Site) -> None:
    code, said = _run(place, site)
    assert code == 0, f"with space again it ends with {code}: {said}"


def _check(place: Path, before: Path, ended: tuple[int, str], site: Site, clean: Path) -> None:
    code, said = ended
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    assert (code, len(errors)) == (2, 1), f"exit code {code}: {said}"
    for trace in ("Traceback", "Exception ignored"):
        assert trace not in said, said
    for file in (p for p in before.rglob("*") if p.is_file()):
        kept = place / file.relative_to(before)
        assert kept.exists(), f"{kept.name} is gone"
    for file in (p for p in place.rglob("*") if p.is_file()):
        assert not file.name.endswith(".tmp"), f"{file.name} stayed behind"
        old = before / file.relative_to(place)
        if not (old.exists() and old.read_bytes() == file.read_bytes()):
            _whole(file)
    if site.log:
        held = subjects.stored(place / site.log)
        whole = subjects.stored(clean / site.log)
        assert held == {epoch: whole[epoch] for epoch in range(1, len(held) + 1)}
    _succeed(place, site)
    if site.log:
        assert subjects.stored(place / site.log) == whole
    names = [sorted(str(p.relative_to(at)) for p in at.rglob("*")) for at in (place, clean)]
    assert names[0] == names[1], f"{set(names[0]) ^ set(names[1])}"


def _whole(file: Path) -> None:
    """Read a file to its end, whatever it is."""
    data = file.read_bytes()
    readers: dict[str, Callable[[], Any]] = {
        ".parquet": lambda: pq.read_table(io.BytesIO(data)),
        ".json": lambda: json.loads(data),
        ".npz": lambda: zipfile.ZipFile(io.BytesIO(data)).testzip(),
        ".pt": lambda: zipfile.ZipFile(io.BytesIO(data)).testzip(),
        ".png": lambda: data.index(b"IEND"),
        ".html": lambda: data.rindex(b"</html>"),
        ".csv": lambda: data.rindex(b"\n", len(data) - 1),
        ".md": lambda: data.rindex(b"\n", len(data) - 1),
        ".key": lambda: data.index(b"\n", 64),
        ".lock": lambda: None,
    }
    kind = ".lock" if file.name == ".lock" else file.suffix
    assert kind in readers, f"{file.name} is of no kind that was to be written"
    try:
        readers[kind]()
    except Exception as error:
        raise AssertionError(f"{file.name} is not whole: {error}") from error


def fill_for_real(folder: Path, site: Site, step: int = 1) -> Tally:
    """Give a real file system some pages more each time, until the command goes through."""
    tally = Tally("full tmpfs", site.to, "sizes")
    before = folder / "before"
    before.mkdir(parents=True)
    subjects.inputs(before)
    clean = folder / "clean"
    shutil.copytree(before, clean)
    _succeed(clean, site)
    with _mounted(folder / "mounted") as resize:
        for pages in range(0, 10_000, step):
            place = folder / "mounted" / "place"
            resize(None)
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(before, place)
            resize(pages)
            ended = _run(place, site)
            resize(None)
            if ended[0] == 0:
                return tally
            tally.hold(f"{pages} pages free", _check, place, before, ended, site, clean)
    raise RuntimeError("it never goes through")


def can_mount() -> bool:
    """Return whether a file system may be mounted here."""
    if not hasattr(os, "geteuid") or os.geteuid() or not shutil.which("mount"):
        return False
    # its own name space, so that nothing stays mounted whatever happens
    return subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


@contextmanager
def _mounted(folder: Path) -> Iterator[Callable[[int | None], None]]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "lossan", folder], check=True)

    def resize(free: int | None) -> None:
        """Leave so many pages free, or as many as anyone could want."""
        room = os.statvfs(folder)
        used = room.f_blocks - room.f_bfree
        size = "64m" if free is None else str((used + free) * _PAGE)
        subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)

    try:
        yield resize
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
