"""Options and helpers that several commands share."""

import inspect
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Timer, current_thread, main_thread
from time import monotonic
from traceback import walk_stack
from types import FrameType
from typing import Annotated, Any

import typer

from lossan.errors import OptionError

Log = Annotated[str, typer.Argument(metavar="LOG", help="The loss log; - is standard input.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Findings = Annotated[
    Path, typer.Argument(metavar="FINDINGS_DIR", help="What lossan analyze -o wrote.")
]
Images = Annotated[
    Path | None, typer.Option("--images", metavar="DIR", help="What paths are relative to.")
]
Detector = Annotated[str, typer.Option("-d", "--detector", help="Which one.")]
EarlyEpochs = Annotated[
    int | None, typer.Option("-p", "--early-epochs", help="P of feature F2; default N//2.")
]
Rate = Annotated[float, typer.Option("--rate", help="The share to flip in each class.")]
Seed = Annotated[int, typer.Option("--seed", help="Everything random follows from it.")]

_READING: dict[str, tuple[Any, Any]] = {
    "id_column": (str | None, "The column with the sample ids."),
    "epoch_column": (str | None, "The one with the epochs."),
    "loss_column": (str | None, "The one with the losses."),
    "label_column": (str | None, "The one with the given labels."),
    "true_label_column": (str | None, "The known truth, for evaluation only."),
    "duplicates": (str, "A repeated sample and epoch: error or last."),
    "invalid": (str, "Infinite losses: error or mask."),
}
_QUIET_SECONDS = 2.0
_LATER_SECONDS = 0.05
# control characters, and those that turn the direction of writing
_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def reads_log(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how to read a log; it takes them as ``**reading``."""
    signature = inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if kind is not str else "error",
            annotation=Annotated[kind, typer.Option(f"--{name.replace('_', '-')}", help=text)],
        )
        for name, (kind, text) in _READING.items()
    ]
    command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]  # inspect reads it
    # typer asks for the resolved annotations, which `inspect` would not find among the added ones
    command.__annotations__ = {p.name: p.annotation for p in [*own, *added]}
    return command


def printable(path: str) -> str:
    """Return a path as text that any file can hold, though its bytes may not be UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def visible(text: str) -> str:
    r"""Spell out what would steer the terminal instead of being shown: data is only text.

    Examples
    --------
    >>> visible("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """Turn ``KEY=VALUE`` options into a dict; the detector's parameters check the values."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise OptionError(f"--set {pair}: needed is KEY=VALUE, for example --set max_iter=300.")
        key = key.strip()
        if key in settings:
            raise OptionError(f"--set {key} is given twice: {settings[key]} and {value.strip()}.")
        settings[key] = value.strip()
    return settings


@contextmanager
def orderly_end() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, so that what it put aside is removed."""
    if current_thread() is not main_thread():  # only there Python lets one take signals
        yield
        return
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    taken = {number: held for number, held in usual.items() if signal.getsignal(number) is held}
    for number in taken:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, held in taken.items():
            signal.signal(number, held)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; amid an import a little later, for Python might then never end."""
    if any("importlib" in frame.f_code.co_filename for frame, _ in walk_stack(frame)):
        later = Timer(_LATER_SECONDS, os.kill, [os.getpid(), number])
        later.daemon = True
        later.start()
        return
    raise KeyboardInterrupt


@contextmanager
def task_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far each step of long work came, as `reading_progress` does."""
    with ExitStack() as stack:
        steps: dict[str, Callable[[int, int], None]] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in steps:
                stack.close()
                steps.clear()
                steps[what] = stack.enter_context(reading_progress(what, "tasks"))
            steps[what](done, total)

        yield update


@contextmanager
def reading_progress(what: str, unit: str = "rows") -> Iterator[Callable[[int, int], None]]:
    """Show on standard error how far reading came: a bar on a terminal, plain lines otherwise.

    Nothing is shown for what ends within two seconds.
    """
    began = last = monotonic()
    bar: Any = None

    def update(done: int, total: int) -> None:
        nonlocal bar, last
        now = monotonic()
        if now - began < _QUIET_SECONDS or not total:
            return
        if sys.stderr.isatty():
            if bar is None:
                bar = _bar(what)
            bar.update(0, completed=done, total=total)
        elif now - last >= _QUIET_SECONDS:
            last = now
            print(f"{what}: {done:,} of {total:,} {unit}", file=sys.stderr, flush=True)

    try:
        yield update
    finally:
        if bar is not None:
            bar.stop()


def _bar(what: str) -> Any:
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    bar.add_task(what)
    bar.start()
    return bar


def refuse_parts(output: Path, findings: Path) -> None:
    """Refuse to write over what lossan keeps in a folder of findings."""
    from lossan.io import PARTS, PICTURE
    from lossan.review import DECISIONS

    for name in (*PARTS, PICTURE, DECISIONS):
        refuse_same(output, findings / name)


def refuse_same(output: Path, original: Path) -> None:
    """Refuse to write over what is read, by whatever name."""
    same = output.resolve() == original.resolve()
    if same or (output.exists() and original.exists() and output.samefile(original)):
        raise OptionError(
            f"-o {output} is {original} itself; the original is never overwritten. Give another "
            "name."
        )
