"""The ``lossan`` command; answers ``--version`` before anything else is imported."""

import sys

from lossan._version import __version__


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        print(f"lossan {__version__}")
        return
    from lossan.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
