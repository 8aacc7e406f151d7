"""The detectors' benchmark measures rightly and runs as a whole."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks" / "detectors"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def test_figures_of_a_hand_worked_ranking(scripts):
    from metrics import measure

    wrong = np.array([True, False, True, False])
    found = measure(wrong, np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, False, False, False]))
    # of the four pairs of a wrong and a right label three are in order
    assert found["auroc"] == pytest.approx(3 / 4)
    # precision at the two wrong labels: 1 of 1 and 2 of 3
    assert found["auprc"] == pytest.approx((1 + 2 / 3) / 2)
    assert (found["precision"], found["recall"], found["flagged"]) == (1, 1 / 2, 1 / 4)
    # best is to flag three: precision 2/3, recall 1
    assert found["best_f1"] == pytest.approx(4 / 5)
    assert found["share"] == pytest.approx((2 / 3) / (4 / 5))


def test_without_wrong_labels_only_the_flagged_share_is_said(scripts):
    from metrics import measure

    flagged = np.array([True, False, False, False])
    assert measure(np.zeros(4, bool), np.arange(4.0), flagged) == {"flagged": 1 / 4}


def test_ctrl_smooths_as_published(scripts):
    from ctrl import smooth

    loss = np.random.default_rng(0).random((3, 8))
    expected = np.empty((3, 8))
    for epoch in range(8):
        last = max(epoch, 5)  # the first average, of epochs 2 to 6, stands for those before it
        expected[:, epoch] = loss[:, last - 4 : last + 1].mean(axis=1)
    assert np.allclose(smooth(loss), expected)


def test_ctrl_finds_what_stands_apart(scripts):
    from ctrl import ctrl

    rng = np.random.default_rng(0)
    given, wrong = np.arange(200) % 2, np.arange(200) % 20 < 2
    loss = rng.normal(np.where(wrong, 1.2, 0.2)[:, None], 0.05, (200, 8))
    score, flagged = ctrl(loss, given, ~wrong, 2)
    assert np.array_equal(flagged, wrong)
    assert score[wrong].min() > score[~wrong].max()


def test_confused_classes_get_their_shares(scripts):
    pytest.importorskip("torch")
    from images import FASHION, Images
    from noise import made_wrong
    from tasks import CONFUSED, Task

    truth = np.repeat(np.arange(10), 50)
    images = Images(np.zeros((500, 1), np.float32), truth, FASHION)
    given = made_wrong(Task(name="t", source="fashion", noise="confused"), images)
    moved = {(FASHION[t], FASHION[g]) for t, g in zip(truth, given, strict=True) if t != g}
    assert moved == {(origin, target) for origin, target, _ in CONFUSED}
    for origin, target, share in CONFUSED:
        pair = (truth == FASHION.index(origin)) & (given == FASHION.index(target))
        assert pair.sum() == share * 50


def test_the_quick_form_runs(tmp_path):
    for peer in ("torch", "aum", "cleanlab"):
        pytest.importorskip(peer)
    command = [sys.executable, FOLDER / "run.py", "--quick", "--cache", tmp_path, "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    logs = json.loads((tmp_path / "results.json").read_text())
    assert [log["recorded"] for log in logs] == ["train", "eval"]
    for log in logs:
        methods = {row["method"]: row for row in log["methods"]}
        assert methods["cleanlab-cv/prune_by_noise_rate"]["auroc"] > 0.95
        assert methods["ctrl"]["auroc"] > 0.95
        assert methods["aum"]["auroc"] > 0.95
        assert methods["lossan kmeans"]["auroc"] > 0.95
        assert methods["all-negative"]["f1"] == 0
    assert "lossan kmeans" in (tmp_path / "tables.md").read_text()
