"""The sample scripts, run as their readers run them."""

import csv
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lossan

ROOT = Path(__file__).parents[2]
NEEDED = {"torch": "torch", "keras": "tensorflow"}


@pytest.mark.parametrize("framework", NEEDED)
def test_the_log_a_sample_script_writes_tells_the_wrong_labels(framework, tmp_path):
    if importlib.util.find_spec(NEEDED[framework]) is None:
        pytest.skip(f"{NEEDED[framework]} is not installed")
    given = re.search(
        rf"^\$ python (samples/record_{framework}\.py) (\S+) && lossan analyze \2$",
        (ROOT / "README.md").read_text(),
        re.MULTILINE,
    )
    assert given, "the README gives no command for this script"
    command = [sys.executable, str(ROOT / given[1]), given[2]]
    environment = {**os.environ, "KERAS_BACKEND": NEEDED["keras"]}
    subprocess.run(command, check=True, cwd=tmp_path, env=environment, capture_output=True)
    log = lossan.read_log(tmp_path / given[2])
    assert (log.n_samples, log.n_epochs, log.recorded) == (1797, 8, "train")
    table = ROOT / "samples" / "digits" / "labels-6-percent-wrong.csv"
    rows = {row["sample_id"]: row for row in csv.DictReader(table.read_text().splitlines())}
    ids = log.sample_id.to_pylist()
    assert log.label.to_pylist() == [int(rows[i]["label"]) for i in ids]
    assert lossan.analyze(log).summary.evaluation.auroc > 0.95
