"""The modules beside the tests are scripts of a folder, not of a package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
