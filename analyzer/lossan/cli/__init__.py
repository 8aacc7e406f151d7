"""The command line: parse, call, print."""

import sys
import traceback
from collections.abc import Sequence

import typer

from lossan import __version__
from lossan.cli import _analyze, _inspect, _labels, _plugins, _tables
from lossan.errors import LossanError

# What typer raises for bad usage; which package holds the class depends on typer's version.
_UsageError = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
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


for _module in (_analyze, _inspect, _tables, _plugins, _labels):
    for _name, _command in _module.COMMANDS.items():
        app.command(_name)(_command)


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; every message goes to standard error."""
    try:
        code = typer.main.get_command(app)(
            args=list(arguments), prog_name="lossan", standalone_mode=False
        )
        sys.stdout.flush()
    except LossanError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # whoever read our output has had enough: not a fault
        sys.stderr.close()
        return 0
    except (KeyboardInterrupt, typer.Abort):
        print("error: interrupted; nothing half-written stays behind.", file=sys.stderr)
        return _INTERRUPTED
    except _UsageError as error:
        return _fail(f"{error.format_message()} See: lossan --help")  # type: ignore[attr-defined]
    except MemoryError as error:
        return _fail(f"not enough memory ({error or 'the system gave no reason'}).")
    except Exception:  # noqa: BLE001  (the last resort: say that it is our fault, and where)
        traceback.print_exc()
        print("error: this is a fault in lossan; please report the lines above.", file=sys.stderr)
        return _OUR_FAULT
    return int(code or 0)


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return _BAD_INPUT
