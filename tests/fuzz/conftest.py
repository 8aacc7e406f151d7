"""The modules beside the tests are scripts of a folder, not of a package."""

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# a script of the extra `fuzz`, which the tests do not need
collect_ignore = [] if find_spec("atheris") else ["coverage_guided.py"]
