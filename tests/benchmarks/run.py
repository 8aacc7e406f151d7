"""Run every benchmark of this folder: ``python tests/benchmarks/run.py``."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Run each script in a process of its own, so that none inherits another's memory."""
    for script in sorted(HERE.glob("*.py")):
        if script.name not in {Path(__file__).name, "_measure.py"}:
            print(f"\n## {script.stem}", flush=True)
            subprocess.run([sys.executable, str(script)], check=True)


if __name__ == "__main__":
    main()
