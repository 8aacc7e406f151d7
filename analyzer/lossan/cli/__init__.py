"""The command line: parse, call, print."""

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

import typer

from lossan import __version__
from lossan.cli import (
    _analyze,
    _apply,
    _compare,
    _decisions,
    _experiment,
    _inspect,
    _labels,
    _plugins,
    _report,
    _review,
    _tables,
    _train,
)
from lossan.cli._common import orderly_end
from lossan.errors import LossanError, RecordingWarning

# What typer raises for bad usage; which package holds the class depends on typer's version.
_UsageError: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
_OUR_FAULT = 1
_BAD_INPUT = 2
_INTERRUPTED = 130
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

app = typer.Typer(
    name="lossan",
    help="Find wrong labels in the loss every training run already computes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"lossan {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


for _module in (
    _analyze,
    _inspect,
    _tables,
    _plugins,
    _labels,
    _train,
    _experiment,
    _compare,
    _report,
    _review,
    _apply,
):
    for _name, _command in _module.COMMANDS.items():
        app.command(_name)(_command)
app.add_typer(_decisions.app, name="decisions")


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; every message goes to standard error."""
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  (open as long as the process)
    if isinstance(sys.stdout, TextIOWrapper):
        # a character the terminal's or the pipe's encoding lacks is no reason to stop
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with orderly_end(), warnings.catch_warnings():
            _tell_warnings()
            code = typer.main.get_command(app)(
                args=list(arguments), prog_name="lossan", standalone_mode=False
            )
        sys.stdout.flush()
    except Exception as error:  # noqa: BLE001  (a message for each; the last resort is below)
        return _exit_code(error)
    except SystemExit:  # how typer ends when whoever read our output has had enough: no fault
        return 0
    except KeyboardInterrupt:
        code = _INTERRUPTED
    if code == _INTERRUPTED:  # as typer says it too
        return _say("interrupted; nothing half-written stays behind.", _INTERRUPTED)
    return int(code or 0)


def _tell_warnings() -> None:
    """Say what recording warns of without a line of source, and not what Pillow does.

    Of a large image it warns as of an attack, and refuses one twice as large.
    """
    others = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, RecordingWarning):
            print(f"note: {message}", file=sys.stderr)
        else:
            others(message, category, *where, **more)

    warnings.showwarning = show
    warnings.filterwarnings("ignore", "Image size .* could be decompression bomb")


def _exit_code(error: Exception) -> int:
    if isinstance(error, BrokenPipeError):  # as above, where only flushing showed it
        _drop(sys.stdout)
        return 0
    if isinstance(error, typer.Abort):
        return _say("interrupted; nothing half-written stays behind.", _INTERRUPTED)
    message = _what_to_mend(error)
    if message is not None:
        return _say(message, _BAD_INPUT)
    traceback.print_exception(error)
    return _say("this is a fault in lossan; please report the lines above.", _OUR_FAULT)


def _what_to_mend(error: Exception) -> str | None:
    """Return the message of an error whose cause lies outside lossan."""
    if isinstance(error, LossanError):
        return str(error)
    if isinstance(error, _UsageError):
        return _misused(error)
    if isinstance(error, MemoryError):
        return f"not enough memory ({str(error) or 'no reason given'})."
    if isinstance(error, OSError) and error.errno in _FULL:
        _drop(sys.stdout)
        return f"cannot write the output: {error.strerror}."
    return None


def _misused(error: Any) -> str:
    """Say what was wrong with the command line, the value too, and where help is."""
    command = error.ctx.command_path if error.ctx is not None else "lossan"
    see = f"See: {command} --help"
    names = getattr(getattr(error.ctx, "command", None), "commands", None)
    if names and type(error).__name__ == "NoArgsIsHelpError":
        return f"no command is given; allowed: {', '.join(names)}. {see}"
    told = error.format_message().rstrip(".")
    if isinstance(error.__cause__, ValueError) and hasattr(error.__cause__, "errors"):
        value = error.__cause__.errors()[0].get("input")  # pydantic's, which parses for typer
        told = f"{told}; it is {value!r}"
    return f"{told}. {see}"


def _drop(stream: TextIO) -> None:
    """Leave nothing to flush at exit, which would fail again."""
    with suppress(OSError):  # whoever replaced it by something else flushes that
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(message: str, code: int) -> int:
    from lossan.cli._common import visible

    lines = "\n".join(visible(line) for line in message.split("\n"))
    try:
        print(f"error: {lines}", file=sys.stderr, flush=True)
    except OSError:  # nobody can be told, but by the code
        _drop(sys.stderr)
    return code
