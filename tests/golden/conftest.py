"""The module beside the tests is a script of a folder, not of a package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
