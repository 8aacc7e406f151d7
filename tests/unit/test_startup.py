"""What an analysis imports: a small log costs little more than the libraries that it needs."""

import subprocess
import sys

from lossan import write_log
from lossan.testing import planted_log


def test_the_default_detector_loads_nothing_that_only_others_need(tmp_path):
    log = tmp_path / "log.parquet"
    write_log(planted_log(n_samples=60), log)
    program = f"import sys, lossan; lossan.analyze(lossan.read_log({str(log)!r})); "
    program += "print([name for name in ('scipy', 'sklearn', 'torch') if name in sys.modules])"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
