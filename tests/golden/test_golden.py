"""What the detectors find in the samples is what they found before."""

import json
import os
import subprocess
import sys

import golden
import pytest

CASES = [(s, d) for s in golden.SAMPLES for d in golden.DETECTORS]


def kept(sample, detector):
    return json.loads((golden.HERE / f"{sample}-{detector}.json").read_text())


@pytest.mark.parametrize(("sample", "detector"), CASES)
def test_findings_are_the_golden_ones(sample, detector, tmp_path):
    expected = kept(sample, detector)
    csv = golden.found(sample, detector, tmp_path)
    same = expected["machine"] == golden.machine()
    assert golden.differences(expected, csv, same_machine=same) == []


def test_another_processor_changes_no_rank_and_no_flag(tmp_path):
    """Without this machine's wide instructions, as on an old one."""
    slow = {"OPENBLAS_CORETYPE": "NEHALEM", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL"}
    log = golden.HERE.parents[1] / "samples" / golden.SAMPLES["fundus"]
    subprocess.run(
        [sys.executable, "-m", "lossan", "analyze", str(log), "-d", "auto", "-o", str(tmp_path)],
        check=True,
        capture_output=True,
        env={**os.environ, **slow},
    )
    csv = (tmp_path / "findings.csv").read_bytes()
    assert golden.differences(kept("fundus", "auto"), csv, same_machine=False) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: [rows[0], rows[2], rows[1], *rows[3:]], "ranks, flags or suggestions"),
        (lambda rows: [rows[0], rows[1].replace("true", "false"), *rows[2:]], "flagged was true"),
        (lambda rows: [rows[0], rows[1].replace("0.97", "0.96"), *rows[2:]], "score was 0.97"),
        (lambda rows: rows[:500], "there is no rank"),
        (lambda rows: ["x" + rows[0][1:], *rows[1:]], "the columns are"),
    ],
    ids=["order", "flag", "score", "fewer", "columns"],
)
def test_a_change_is_told(change, words, tmp_path):
    csv = golden.found("digits", "kmeans", tmp_path)
    changed = "\n".join(change(csv.decode().splitlines())).encode()
    told = golden.differences(kept("digits", "kmeans"), changed, same_machine=False)
    assert words in "; ".join(told)


def test_the_last_digit_is_told_on_the_same_machine_alone(tmp_path):
    csv = golden.found("digits", "kmeans", tmp_path)
    score = csv.decode().splitlines()[1].split(",")[3]
    changed = csv.replace(score.encode(), f"{float(score) * (1 + 1e-14):.17g}".encode(), 1)
    assert changed != csv
    expected = kept("digits", "kmeans")
    assert golden.differences(expected, changed, same_machine=False) == []
    assert len(golden.differences(expected, changed, same_machine=True)) == 1
