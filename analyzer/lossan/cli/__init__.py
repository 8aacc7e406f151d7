"""The command line: parse, call, print."""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer

from lossan import __version__
from lossan.cli import _analyze, _inspect, _labels, _plugins, _tables, _train
from lossan.errors import LossanError

# What typer raises for bad usage; which package holds the class depends on typer's version.
_UsageError: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
_OUR_FAULT = 1
_BAD_INPUT = 2
_INTERRUPTED = 130

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


for _module in (_analyze, _inspect, _tables, _plugins, _labels, _train):
    for _name, _command in _module.COMMANDS.items():
        app.command(_name)(_command)


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; every message goes to standard error."""
    try:
        code = typer.main.get_command(app)(
            args=list(arguments), prog_name="lossan", standalone_mode=False
        )
        sys.stdout.flush()
    except Exception as error:  # noqa: BLE001  (a message for each; the last resort is below)
        return _exit_code(error)
    except KeyboardInterrupt:
        return _say("interrupted; nothing half-written stays behind.", _INTERRUPTED)
    return int(code or 0)


def _exit_code(error: Exception) -> int:
    if isinstance(error, LossanError):
        return _say(str(error), _BAD_INPUT)
    if isinstance(error, _UsageError):
        return _say(f"{error.format_message()} See: lossan --help", _BAD_INPUT)
    if isinstance(error, typer.Abort):
        return _say("interrupted; nothing half-written stays behind.", _INTERRUPTED)
    if isinstance(error, BrokenPipeError):
        # whoever read our output has had enough: not a fault, and nothing more to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, MemoryError):
        return _say(f"not enough memory ({str(error) or 'no reason given'}).", _BAD_INPUT)
    traceback.print_exception(error)
    return _say("this is a fault in lossan; please report the lines above.", _OUR_FAULT)


def _say(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code
