"""A child process that reads hostile files: what it does there hurts nobody, and is measured."""

import multiprocessing
import os
import resource
import shutil
import tempfile
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Any

SECONDS = 10.0
"""A case may take so much of a processor's time."""
_PATIENCE = 300.0  # seconds that nobody waits longer, whatever the processor does
MEGABYTES = 512
"""A case may take so much memory beyond what the process had before."""
_ROOM = 3 << 30  # beyond the bound, so that a case that breaks it is told instead of ending the run
_GOOD = ("read", "refused")


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Parameters
    ----------
    kind : str
        ``"read"``, ``"refused"``; or a broken promise: ``"traceback"``, ``"crash"``, ``"hang"``,
        ``"memory"``.
    text : str
        What was said.
    seconds : float
    megabytes : float
        How much memory it took beyond what the process had before.
    """

    kind: str
    text: str
    seconds: float = 0.0
    megabytes: float = 0.0

    @property
    def held(self) -> bool:
        """Whether it ended in a result or one error, in time and within the memory allowed."""
        return self.kind in _GOOD


class Sandbox:
    """Reads files one after another in a child, and begins a new one when that does not survive.

    Parameters
    ----------
    method : str
        How the child is started.
    """

    def __init__(self, method: str = "forkserver") -> None:
        # Python 3.11 starts the process that children are forked from without our sys.path
        paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        self._context = multiprocessing.get_context(method)
        if method == "forkserver":
            self._context.set_forkserver_preload(["readers"])
        self._child: Any = None

    def try_case(self, reader: str, content: bytes) -> Outcome:
        """Let a reader read a file."""
        if self._child is None:
            self._start()
        began = monotonic()
        try:
            self._pipe.send((reader, content))
            if not self._answers():
                self._end()
                return Outcome("hang", f"not done in {SECONDS:.0f} s", monotonic() - began)
            kind, text, megabytes = self._pipe.recv()
        except (EOFError, OSError):
            self._child.join()
            code = self._child.exitcode
            self._end()
            return Outcome("crash", f"the process ended with {code}", monotonic() - began)
        seconds = monotonic() - began
        if kind in _GOOD and ("not enough memory" in text or megabytes > MEGABYTES):
            kind, text = "memory", f"{megabytes:.0f} MB: {text}"
        return Outcome(kind, text, seconds, megabytes)

    def _answers(self) -> bool:
        """Wait for the child; on a busy machine what counts is its own time."""
        began, used = monotonic(), self._used()
        while not self._pipe.poll(SECONDS):
            if self._used() - used >= SECONDS or monotonic() - began > _PATIENCE:
                return False
        return True

    def _used(self) -> float:
        fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._end()

    def _start(self) -> None:
        self._pipe, theirs = self._context.Pipe()
        self._child = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        self._child.start()
        theirs.close()
        self._pipe.recv()  # everything is imported

    def _end(self) -> None:
        self._child.kill()
        self._child.join()
        self._pipe.close()
        self._child = None


def _serve(pipe: Connection) -> None:
    """Read cases until the parent has had enough."""
    import faulthandler
    import warnings

    from readers import READERS, findings

    faulthandler.disable()  # pytest's, when forked from it: a crash is reported by the parent
    warnings.simplefilter("ignore")
    findings()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    scratch = tempfile.mkdtemp(prefix="lossan-fuzz-", dir=memory())
    _limit()
    pipe.send("ready")
    try:
        while True:
            name, content = pipe.recv()
            folder = Path(tempfile.mkdtemp(dir=scratch))
            pipe.send(_read(READERS[name], folder, content))
            shutil.rmtree(folder)
    except (EOFError, OSError):
        shutil.rmtree(scratch, ignore_errors=True)


def _read(reader: Any, folder: Path, content: bytes) -> tuple[str, str, float]:
    from lossan.errors import LossanError

    path = folder / "file"
    path.write_bytes(content)
    before = _peak(reset=True)
    try:
        reader.read(path)
    except LossanError as error:
        kind, text = "refused", str(error)
    except BaseException as error:  # noqa: BLE001  (whatever it is, it is a fault)
        kind = "memory" if isinstance(error, MemoryError) else "traceback"
        text = "".join(traceback.format_exception(error)[-4:])[-1500:]
    else:
        kind, text = "read", ""
    return kind, text[:1500], (_peak() - before) / 1024


def _limit() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    room = used + (MEGABYTES << 20) + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (room, room))


def _peak(*, reset: bool = False) -> int:
    """Return the most memory, in kB, that this process had since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise RuntimeError("there is no VmHWM in /proc/self/status")


def memory() -> str | None:
    """Return a folder in memory, where there is one: a disk would only be slower."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
