"""The ``lossan`` command; answers ``--version`` before anything else is imported."""

import gc
import os
import sys

from lossan._version import __version__


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        try:
            print(f"lossan {__version__}", flush=True)
        except OSError as error:  # whoever asked does not listen, or has no space left
            print(f"error: cannot write the output: {error.strerror}.", file=sys.stderr)
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(2)
        return
    gc.set_threshold(50_000)  # libraries make many objects as they are imported, and no garbage
    # pydantic would look through every installed distribution for plug-ins of its own
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")
    from lossan.cli import run

    code = run(sys.argv[1:])
    gc.freeze()  # else Python looks through all that the libraries made, several times, at its end
    sys.exit(code)


if __name__ == "__main__":
    main()
