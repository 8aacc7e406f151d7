"""Targets, ids and classes of every kind that a training loop has, and those that do not fit."""

from collections import namedtuple

import numpy as np
import pandas as pd
import pytest

import lossan

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot  # noqa: E402

from lossan_torch import TorchRecorder, WithIds, record_evaluation  # noqa: E402

IDS = list("abcdef")
LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
SCORES = LOGITS[:, 0]
BINARY = torch.tensor([0.0, 1, 1, 0, 1, 0])


def recorded(path, logits, targets, ids=IDS, **options):
    with TorchRecorder(path, **options) as recorder:
        for _ in range(2):
            recorder.record(ids, logits=logits, targets=targets)
            recorder.end_epoch()
    return lossan.read_log(path)


@pytest.mark.parametrize(
    "targets",
    [
        LABELS,
        LABELS[:, None],  # as MedMNIST has them
        LABELS.float(),
        LABELS.to(torch.uint8),
        LABELS.tolist(),
        LABELS.numpy(),
        one_hot(LABELS),
        one_hot(LABELS) * 0.7 + 0.1,
    ],
    ids=["indices", "column", "floats", "bytes", "list", "numpy", "one-hot", "soft"],
)
def test_classes_of_every_kind(tmp_path, targets):
    log = recorded(tmp_path / "run.parquet", LOGITS, targets)
    assert log.label.to_pylist() == LABELS.tolist()
    expected = cross_entropy(LOGITS, LABELS, reduction="none")
    np.testing.assert_allclose(log.loss[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("column", [True, False])
@pytest.mark.parametrize(
    "targets",
    [BINARY, BINARY.bool(), BINARY.long(), BINARY * 0.9 + 0.05, BINARY * 0.2 + 0.4],
    ids=["floats", "bools", "integers", "smoothed", "soft"],
)
def test_one_output_takes_the_likelier_class(tmp_path, targets, column):
    logits = SCORES[:, None] if column else SCORES
    log = recorded(tmp_path / "run.parquet", logits, targets[:, None] if column else targets)
    assert log.label.to_pylist() == BINARY.tolist()
    expected = binary_cross_entropy_with_logits(SCORES, BINARY, reduction="none")
    np.testing.assert_allclose(log.loss[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (
            LOGITS,
            torch.tensor([0, 1, -100, 0, 1, 2]),
            "target 2 of a batch is -100; allowed: class",
        ),
        (LOGITS, torch.tensor([0, 1, 3, 0, 1, 2]), "is 3; allowed: class indices from 0 to 2"),
        (LOGITS, LABELS + 0.5, "target 0 of a batch is 0.5"),
        (LOGITS, LABELS * torch.nan, "target 0 of a batch is nan"),
        (SCORES, 2 * BINARY - 1, "target 0 of a batch is -1"),
        (LOGITS, one_hot(LABELS, 5), r"6 samples and 3 classes need .* not \(6, 5\)"),
        (LOGITS, one_hot(BINARY.long()), r"not \(6, 2\)"),
        (LOGITS, LABELS[:5], r"not \(5,\)"),
        (torch.randn(6, 4, 3), LABELS, r"shape \(6, 4, 3\); needed: \(n, n_classes\)"),
        (torch.randn(6, 0), LABELS, "needed"),
        (LOGITS.numpy(), LABELS, "logits are a ndarray"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_of_it_kept(tmp_path, logits, targets, message):
    with TorchRecorder(tmp_path / "run.parquet") as recorder:
        for _ in range(2):
            recorder.record(IDS, logits=LOGITS, targets=LABELS)
            with pytest.raises(lossan.LossanError, match=message):
                recorder.record([name * 2 for name in IDS], logits=logits, targets=targets)
            assert recorder.end_epoch().n_samples == 6


def test_the_shape_of_wrapped_outputs_is_looked_at_too(tmp_path):
    class Outputs:
        logits = torch.randn(6, 4, 3)

    with TorchRecorder(tmp_path / "run.parquet") as recorder:
        with pytest.raises(lossan.LossanError, match="shape"):
            recorder.record(IDS, logits=Outputs(), targets=LABELS)
        with pytest.warns(lossan.RecordingWarning, match="nothing was recorded"):
            recorder.close()


@pytest.mark.parametrize("names", [["x", "y"], ["x", "y", "z", "v"]])
def test_classes_are_as_many_as_logits(tmp_path, names):
    with (
        pytest.raises(lossan.LossanError, match=f"names {len(names)} classes, .* are of 3"),
        TorchRecorder(tmp_path / "run.parquet", classes=names) as recorder,
    ):
        recorder.record(IDS, logits=LOGITS, targets=LABELS)


@pytest.mark.parametrize("named", [True, False])
def test_what_is_predicted_is_like_the_labels_given(tmp_path, named):
    names = ["x", "y", "z"]
    labels = [names[i] for i in LABELS] if named else LABELS.tolist()
    options = {"classes": names, "labels": dict(zip(IDS, labels, strict=True))}
    log = recorded(tmp_path / "run.parquet", LOGITS, LABELS, **options)
    assert log.label.to_pylist() == labels
    predicted = [log.predicted.values[int(code)].as_py() for code in log.predicted.codes[:, 0]]
    best = LOGITS.argmax(dim=1).tolist()
    assert predicted == ([names[i] for i in best] if named else best)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, list])
def test_a_buffer_of_ids_may_be_filled_again(tmp_path, kind):
    ids = kind([0, 0])
    with TorchRecorder(tmp_path / "run.parquet") as recorder:
        for _ in range(2):
            for start in range(0, 6, 2):
                ids[0], ids[1] = start, start + 1
                recorder.record(ids, logits=LOGITS[start : start + 2], targets=[0, 1])
            assert recorder.end_epoch().n_samples == 6
    expected = cross_entropy(LOGITS, torch.tensor([0, 1] * 3), reduction="none")
    np.testing.assert_allclose(lossan.read_log(tmp_path / "run.parquet").loss[:, 1], expected, 1e-5)


def test_ids_that_do_not_fit_take_no_other_batch_with_them(tmp_path):
    with TorchRecorder(tmp_path / "run.parquet") as recorder:
        for _ in range(2):
            for ids in (["a", "b"], [1.5, 2.5], torch.tensor(3), ["a"], ["c", "d"]):
                if ids in (["a", "b"], ["c", "d"]):
                    recorder.record(ids, logits=LOGITS[:2], targets=LABELS[:2])
                else:
                    with pytest.raises(lossan.LossanError, match="ids"):
                        recorder.record(ids, logits=LOGITS[:2], targets=LABELS[:2])
            assert recorder.end_epoch().n_samples == 4


@pytest.mark.parametrize("shuffled", [True, False])
def test_a_tables_column_of_ids_goes_by_place(shuffled):
    data = [(torch.zeros(1), 0)] * 4
    column = pd.Series(list("abcd"), index=[2, 0, 3, 1] if shuffled else None)
    assert [WithIds(data, column)[place][0] for place in range(4)] == list("abcd")


def test_places_from_the_end_have_the_ids_of_their_samples():
    data = [("a", 0), ("b", 1), ("c", 0)]
    counted = WithIds(data)
    assert [counted[place] for place in (-1, -3, 1)] == [(2, "c", 0), (0, "a", 0), (1, "b", 1)]
    assert WithIds(data, "xyz")[-1] == ("z", "c", 0)


def test_frozen_parts_stay_frozen(tmp_path):
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    model.train()
    model[0].eval()
    with TorchRecorder(tmp_path / "run.parquet", recorded="eval") as recorder:
        for _ in range(2):
            record_evaluation(recorder, model, [(IDS, LOGITS, BINARY.long())])
            recorder.end_epoch()
    assert (model.training, model[0].training, model[1].training) == (True, False, True)


def test_a_failed_recording_is_let_go_of(tmp_path):
    """Whatever failed: the next one, in the same process, goes on."""
    path = tmp_path / "run.parquet"

    def fail():
        with TorchRecorder(path) as recorder:
            recorder.record([0, 1], logits=LOGITS[:2], targets=LABELS[:2])
            recorder.end_epoch()
            recorder.record(["a", "b"], logits=LOGITS[:2], targets=LABELS[:2])

    with pytest.raises(lossan.LossanError, match="strings"):
        fail()
    with TorchRecorder(path, resume=True) as recorder:
        assert recorder.n_epochs == 1
        recorder.record([0, 1], logits=LOGITS[:2], targets=LABELS[:2])
        recorder.end_epoch()
    assert lossan.read_log(path).loss.shape == (2, 2)


@pytest.mark.parametrize("row", [[1, 0, 1], [0, 0, 0], [0.9, 0.1, 0.9]])
def test_rows_of_several_labels_are_refused(tmp_path, row):
    logits, targets = torch.randn(4, 3), torch.eye(3)[[0, 1, 2, 0]]
    targets[1] = torch.tensor(row)
    told = pytest.raises(lossan.LossanError, match="target 1 of a batch is a row of several labels")
    with told, TorchRecorder(tmp_path / "run.parquet") as recorder:
        recorder.record(range(4), logits=logits, targets=targets)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_halves_of_two_classes_are_one_label(tmp_path, dtype):
    logits, targets = torch.randn(4, 3), torch.eye(3)[[0, 1, 2, 0]].to(dtype)
    if dtype.is_floating_point:
        targets[0] = torch.tensor([0.5, 0.5, 0])
    with TorchRecorder(tmp_path / "run.parquet") as recorder:
        for _ in range(2):
            recorder.record(range(4), logits=logits, targets=targets)
            recorder.end_epoch()
    expected = cross_entropy(logits, torch.tensor([0, 1, 2, 0]), reduction="none")
    np.testing.assert_allclose(lossan.read_log(tmp_path / "run.parquet").loss[:, 1], expected, 1e-5)


def test_nothing_is_recorded_once_the_log_is_closed(tmp_path):
    recorder = TorchRecorder(tmp_path / "run.parquet")
    for _ in range(2):
        recorder.record(range(2), logits=LOGITS[:2], targets=LABELS[:2])
        recorder.end_epoch()
    recorder.close()
    with pytest.raises(lossan.LossanError, match="the Recorder is closed; make a new one"):
        recorder.record(range(2), logits=LOGITS[:2], targets=LABELS[:2])
    recorder.close()


Inputs = namedtuple("Inputs", "a b")


@pytest.mark.parametrize("kind", [dict, list, tuple, Inputs])
def test_an_evaluation_moves_inputs_of_several_parts(tmp_path, kind):
    parts = [LOGITS[:, :1], {"rest": LOGITS[:, 1:], "name": "kept"}]
    inputs = (
        dict(zip("ab", parts, strict=True))
        if kind is dict
        else kind(*parts)
        if kind is Inputs
        else kind(parts)
    )

    def forward(moved):
        assert type(moved) is kind
        first, second = moved.values() if kind is dict else moved
        assert second["name"] == "kept"
        return torch.cat([first, second["rest"]], dim=1).cpu()

    with TorchRecorder(tmp_path / "run.parquet", recorded="eval") as recorder:
        for _ in range(2):
            batches = [(IDS, inputs, LABELS)]
            record_evaluation(recorder, nn.Identity(), batches, device="cpu", forward=forward)
            recorder.end_epoch()
    expected = cross_entropy(LOGITS, LABELS, reduction="none")
    np.testing.assert_allclose(lossan.read_log(tmp_path / "run.parquet").loss[:, 1], expected, 1e-5)


@pytest.mark.parametrize(
    ("batch", "found"), [((LOGITS, LABELS), "2 parts"), ({"x": LOGITS}, "yields dict")]
)
def test_an_evaluation_of_batches_without_ids_is_refused(tmp_path, batch, found):
    told = pytest.raises(
        lossan.LossanError, match=rf"\(ids, inputs, targets\), but .*{found}; With"
    )
    with told, TorchRecorder(tmp_path / "run.parquet", recorded="eval") as recorder:
        record_evaluation(recorder, nn.Identity(), [batch])
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_losses_with_gradients_is_taken(tmp_path):
    """As one criterion a sample leaves them."""
    losses = [torch.tensor(value, requires_grad=True) for value in (0.5, 0.25)]
    with lossan.Recorder(tmp_path / "run.parquet") as recorder:
        with pytest.raises(lossan.LossanError, match="losses must be numbers, one a sample"):
            recorder.record([1, 2], [torch.zeros(2), torch.zeros(2)])
        for _ in range(2):
            recorder.record([1, 2], losses)
            recorder.end_epoch()
    assert lossan.read_log(tmp_path / "run.parquet").loss.tolist() == [[0.5, 0.5], [0.25, 0.25]]
