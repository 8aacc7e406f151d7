"""Several logs of one data set, put together."""

from dataclasses import replace

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from lossan import analyze, build_log
from lossan.cli import run
from lossan.detectors import Detection
from lossan.errors import LogError, OptionError
from lossan.io import write_log
from lossan.merge import merge_logs
from lossan.several import combine, lay_end_to_end, wholes
from lossan.testing import planted_log

NAN = np.nan


def test_scores_and_flags_of_a_hand_worked_case():
    one = Detection(
        score=np.array([0.9, 0.2, 0.1, NAN]),
        flagged=np.array([True, False, False, False]),
        probability=np.array([0.8, 0.2, 0.0, NAN]),
        noise_rate=(0.2, 0.1, 0.3),
        notes=("small",),
    )
    other = Detection(
        score=np.array([0.5, 0.3, 0.6]),
        flagged=np.array([False, False, True]),
        probability=np.array([0.4, 0.3, 0.6]),
        noise_rate=(0.4, 0.3, 0.6),
    )
    rows = [np.array([0, 1, 2, 3, -1]), np.array([1, -1, 0, -1, 2])]
    found = combine([one, other], rows, ["log 1", "log 2"])
    np.testing.assert_allclose(found.score, [0.6, 0.2, 0.3, NAN, 0.6])
    # a third of each log is flagged, so a third of four scored samples: one, but two are equal
    assert found.flagged.tolist() == [False] * 5
    np.testing.assert_allclose(found.probability, [0.55, 0.2, 0.2, NAN, 0.6])
    assert found.noise_rate == (pytest.approx(0.3), 0.1, 0.6)
    assert found.notes == ("log 1: small",)


def noisy(seed):
    log = planted_log(n_samples=400, seed=0)
    noise = np.random.default_rng(seed).exponential(1.5, log.loss.shape).astype(np.float32)
    return replace(log, loss=log.loss + noise)


@pytest.mark.parametrize("detector", ["kmeans", "mean_loss", "auto"])
def test_several_runs_rank_better_than_the_worst_of_them(detector):
    logs = [noisy(seed) for seed in range(4)]
    alone = [analyze(log, detector=detector).summary.evaluation.auprc for log in logs]
    together = analyze(logs, detector=detector).summary
    assert together.log.n_logs == 4
    assert together.evaluation.auprc > np.mean(alone)


def test_the_same_log_twice_says_the_same():
    log = planted_log(n_samples=300)
    one, two = analyze(log), analyze([log, log])
    for column in ("sample_id", "score", "flagged", "f1_mean", "f3_drop_position"):
        assert one.table[column].equals(two.table[column]), column


@pytest.mark.parametrize("detector", ["kmeans", "auto"])
def test_folds_that_share_no_sample_are_parts_of_one_log(detector):
    log = planted_log(n_samples=300)
    folds = [log.select(np.arange(start, 300, 3)) for start in range(3)]
    together, whole = analyze(folds, detector=detector), analyze(log, detector=detector)
    assert_frame_equal(together.findings, whole.findings)
    assert together.noise_rate == whole.noise_rate
    assert together.summary.log.n_epochs == log.n_epochs
    assert together.summary.log.n_logs == 3


def test_folds_of_several_seeds_are_a_log_for_each_seed():
    logs = [noisy(seed) for seed in (1, 2)]
    halves = [np.arange(0, 400, 2), np.arange(1, 400, 2)]
    parts = [logs[seed].select(half) for half in halves for seed in (0, 1)]
    found = wholes(parts)
    assert [name for _, name in found] == ["logs 1, 3", "logs 2, 4"]
    assert [log.fingerprint for log, _ in found] == [log.fingerprint for log in logs]
    assert_frame_equal(analyze(parts).findings, analyze(logs).findings)


@pytest.mark.parametrize(
    "change",
    [
        lambda log: replace(log, epochs=log.epochs + 1),
        lambda log: replace(log, metadata={"recorded": "eval"}),
        lambda log: replace(log, true_label=None),
        lambda log: replace(log, sample_id=log.sample_id.cast("string")),
    ],
    ids=["epochs", "recorded", "channels", "ids"],
)
def test_logs_that_say_other_things_are_no_parts_of_one(change):
    log = planted_log(n_samples=100)
    one, other = log.select(np.arange(50)), change(log.select(np.arange(50, 100)))
    assert [name for _, name in wholes([one, other])] == ["log 1", "log 2"]


def test_train_and_eval_logs_go_together():
    log = planted_log(n_samples=100)
    logs = [replace(log, metadata={"recorded": mode}) for mode in ("train", "eval")]
    assert lay_end_to_end(logs)[0].recorded is None
    assert lay_end_to_end(logs[:1] * 2)[0].recorded == "train"


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_predictions_of_another_type_than_the_labels_are_left_out_of_several(order):
    label, loss = [0, 1, 2, 0] * 25, planted_log(n_samples=100).loss
    predicted = np.roll(label, 1)[:, None].repeat(loss.shape[1], axis=1)
    both = [build_log(loss, label=label, predicted=p) for p in (predicted, predicted.astype(str))]
    found = analyze([both[k] for k in order])
    expected = analyze([both[0], replace(both[0], predicted=None)])
    assert_frame_equal(found.findings, expected.findings)
    assert found.findings["suggested_label"].notna().any()
    name = f"log {order.index(1) + 1}"
    assert found.overview.notes == (
        f"{name}: the classes predicted were not used: they are strings, the labels integers; "
        "record both alike",
    )
    with pytest.raises(LogError, match="predicted has different types in the logs"):
        merge_logs([replace(log, epochs=log.epochs + 100 * k) for k, log in enumerate(both)])


def test_without_labels_predictions_of_several_types_are_left_out():
    loss = planted_log(n_samples=100).loss
    logs = [build_log(loss, predicted=np.full(loss.shape, k)) for k in ("a", 1)]
    assert lay_end_to_end(logs)[0].predicted is None
    assert lay_end_to_end(logs[:1] * 2)[0].predicted is not None


def test_labels_that_differ_are_refused():
    loss = np.random.default_rng(0).random((4, 3))
    one, other = (build_log(loss, label=label) for label in (["a"] * 4, ["a", "b", "a", "a"]))
    with pytest.raises(LogError, match="label differs between the logs for 1 sample, first 1"):
        analyze([one, other])


def test_all_logs_that_cannot_be_read_are_told_at_once(tmp_path, capsys):
    write_log(noisy(1), tmp_path / "good.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    paths = [str(tmp_path / f"{name}.parquet") for name in ("good", "bad", "none")]
    with pytest.raises(LogError) as told:
        analyze(paths)
    assert [fault.code for fault in told.value.faults] == ["format", "not_found"]
    assert run(["analyze", *paths]) == 2
    said = capsys.readouterr().err
    assert f"{paths[1]}: it is neither" in said
    assert f"{paths[2]}: there is no such file" in said


def test_a_small_log_does_not_decide_for_a_large_one():
    large, part = noisy(1), noisy(2).select(np.arange(4))
    alone = analyze(large, detector="mean_loss")
    together = analyze([large, part], detector="mean_loss")
    assert abs(together.summary.n_flagged - alone.summary.n_flagged) <= 4


def test_early_epochs_are_those_of_each_log():
    log = planted_log(n_samples=200)
    short = replace(log, loss=log.loss[:, :4], epochs=log.epochs[:4])
    assert analyze([log, log]).detector.parameters["early_epochs"] == 4
    assert analyze([log, short]).detector.parameters["early_epochs"] == [2, 4]


def test_no_log_at_all_is_refused():
    with pytest.raises(OptionError, match="at least one"):
        analyze([])


def test_the_command_takes_several(tmp_path, capsys):
    paths = [str(tmp_path / f"{seed}.parquet") for seed in (1, 2)]
    for seed, path in enumerate(paths):
        write_log(noisy(seed), path)
    assert run(["analyze", *paths, "--top", "3"]) == 0
    assert "400 samples x 16 epochs of 2 logs" in capsys.readouterr().out


@pytest.mark.parametrize("detector", ["mean_loss", "kmeans"])
def test_each_class_by_itself_flags_its_own_of_several_logs_too(detector):
    """A class that is hard to learn has higher losses, and its flags are not the other's."""
    log = planted_log(n_classes=2, rate=0.1, seed=3)
    hard = np.array(log.label.to_pylist()) == 1
    log = replace(log, loss=np.where(hard[:, None], log.loss + 3, log.loss).astype(np.float32))
    alone = analyze(log, detector=detector, by_class=True).detection
    twice = analyze([log, log], detector=detector, by_class=True).detection
    np.testing.assert_array_equal(twice.flagged, alone.flagged)
    assert alone.flagged[~hard].any()
