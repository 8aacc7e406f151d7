"""What the PyTorch adapter records, held against plain numpy."""

import subprocess
import sys
from collections import Counter, namedtuple
from contextlib import nullcontext

import numpy as np
import pytest

import lossan

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler  # noqa: E402

from lossan_torch import TorchRecorder, WithIds, record_evaluation  # noqa: E402

N, K = 41, 3


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(
        torch.randn(N, 5, generator=generator), torch.randint(0, K, (N,), generator=generator)
    )


def read(path):
    log = lossan.read_log(path)
    channels = np.stack([log.loss, log.label_prob, log.margin, log.predicted_prob])
    classes = log.predicted.values.to_numpy()
    return log, np.concatenate([channels, classes[log.predicted.codes][None]])


def test_channels_are_those_of_a_plain_computation(tmp_path, reference):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (2, N, K)), rng.integers(0, K, N)
    with TorchRecorder(tmp_path / "run.parquet", recorded="train") as recorder:
        for epoch in logits:
            for rows in np.array_split(rng.permutation(N), 4):
                recorder.record(
                    torch.tensor(rows),
                    logits=torch.tensor(epoch[rows], requires_grad=True),
                    targets=torch.tensor(labels[rows]),
                )
            recorder.end_epoch()
    log, found = read(tmp_path / "run.parquet")
    expected = np.stack([reference(epoch, labels) for epoch in logits], axis=2)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
    assert log.label.to_pylist() == labels.tolist()
    assert log.recorded == "train"
    assert log.metadata["framework"].startswith("torch ")


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
def test_one_sigmoid_output_is_two_classes(tmp_path, shape, reference):
    rng = np.random.default_rng(0)
    score, labels = rng.normal(0, 3, N), rng.integers(0, 2, N)
    with TorchRecorder(tmp_path / "run.parquet") as recorder:
        for _ in range(2):
            logits, targets = (
                torch.tensor(score.reshape(shape)),
                torch.tensor(labels.reshape(shape)),
            )
            recorder.record(range(N), logits=logits, targets=targets.float())
            recorder.end_epoch()
    _, found = read(tmp_path / "run.parquet")
    expected = reference(np.stack([np.zeros(N), score], axis=1), labels)
    np.testing.assert_allclose(found[:, :, 0], expected, rtol=2e-5, atol=1e-6)


def test_half_precision_is_widened_before_the_loss(tmp_path, reference):
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(0, 3, (1000, 10))).to(torch.bfloat16)
    labels = torch.tensor(rng.integers(0, 10, 1000))
    with TorchRecorder(tmp_path / "run.parquet") as recorder:
        for _ in range(2):
            recorder.record(range(1000), logits=logits, targets=labels)
            recorder.end_epoch()
    log, found = read(tmp_path / "run.parquet")
    expected = reference(logits.float().numpy(), labels)
    np.testing.assert_allclose(found[0, :, 0], expected[0], rtol=2e-5)
    assert len(np.unique(log.loss)) > 900


def test_the_objective_does_not_change_what_is_recorded(tmp_path, data, reference):
    """Class weights, label smoothing, accumulation: the plain loss of each sample is logged."""
    torch.manual_seed(0)
    model = torch.nn.Linear(5, K)
    objective = torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.1]), label_smoothing=0.2)
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    expected = {}
    loader = DataLoader(WithIds(data), batch_size=8, shuffle=True)  # the last batch has one sample
    with TorchRecorder(tmp_path / "run.parquet", recorded="train") as recorder:
        for epoch in range(2):
            for step, (ids, x, y) in enumerate(loader):
                logits = model(x)
                recorder.record(ids, logits=logits, targets=y)
                plain = reference(logits.detach(), y)[0]
                expected |= {(int(i), epoch): v for i, v in zip(ids, plain, strict=True)}
                objective(logits, y).backward()
                if step % 2:
                    optimiser.step()
                    optimiser.zero_grad()
            assert recorder.end_epoch().n_samples == N
    log = lossan.read_log(tmp_path / "run.parquet")
    found = {(i, e): log.loss[i, e] for i in range(N) for e in range(2)}
    assert found == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("workers", [0, 2])
def test_ids_stay_with_their_samples_across_workers(tmp_path, workers):
    values = torch.arange(N, dtype=torch.float32)
    dataset = WithIds(
        TensorDataset(values, torch.zeros(N, dtype=torch.long)), [f"s{i:02d}" for i in range(N)]
    )
    loader = DataLoader(dataset, batch_size=8, shuffle=True, num_workers=workers)
    with TorchRecorder(tmp_path / "run.parquet") as recorder:
        for _ in range(2):
            for ids, x, y in loader:
                recorder.record(ids, logits=torch.stack([x, 0 * x], dim=1), targets=y)
            recorder.end_epoch()
    log = lossan.read_log(tmp_path / "run.parquet")
    assert log.sample_id.to_pylist() == [f"s{i:02d}" for i in range(N)]
    np.testing.assert_array_equal(log.margin[:, 0], values)


def test_samples_drop_last_never_shows_are_told(tmp_path, data):
    loader = DataLoader(WithIds(data), batch_size=8, drop_last=True)
    labels = dict.fromkeys(range(N), 0)
    with TorchRecorder(tmp_path / "run.parquet", labels=labels) as recorder:
        for epoch in range(2):
            for ids, x, y in loader:
                recorder.record(ids, logits=x[:, :K], targets=y)
            if epoch == 0:
                with pytest.warns(lossan.RecordingWarning, match="1 known sample"):
                    report = recorder.end_epoch()
            else:
                report = recorder.end_epoch()
            assert (report.n_samples, report.n_missed) == (N - 1, 1)


def test_samples_a_weighted_sampler_repeats_are_told(tmp_path, data):
    generator = torch.Generator().manual_seed(0)
    sampler = WeightedRandomSampler([1.0] * N, N, generator=generator)
    order = list(sampler)
    loader = DataLoader(WithIds(data), batch_size=8, sampler=order)
    with TorchRecorder(tmp_path / "run.parquet") as recorder:
        for epoch in range(2):
            for ids, x, y in loader:
                recorder.record(ids, logits=x[:, :K], targets=y)
            told = pytest.warns(lossan.RecordingWarning, match="repeat")
            with nullcontext() if epoch else told:
                report = recorder.end_epoch()
            assert report.n_samples == len(Counter(order))
            assert report.n_repeated == N - len(Counter(order))


def test_of_inception_the_main_output_counts(tmp_path, reference):
    outputs_of = namedtuple("InceptionOutputs", "logits aux_logits")  # as torchvision has it
    main, auxiliary = torch.randn(4, K), torch.randn(4, K)
    with TorchRecorder(tmp_path / "run.parquet") as recorder:
        for _ in range(2):
            outputs = outputs_of(main, auxiliary)
            recorder.record(range(4), logits=outputs, targets=torch.zeros(4, dtype=torch.long))
            recorder.end_epoch()
    _, found = read(tmp_path / "run.parquet")
    np.testing.assert_allclose(found[0, :, 0], reference(main, [0] * 4)[0], rtol=2e-5)


def test_evaluation_pass_has_no_dropout_and_leaves_the_mode(tmp_path, data, reference):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(5, K))
    model.train()
    with TorchRecorder(tmp_path / "run.parquet", recorded="eval") as recorder:
        for _ in range(2):
            record_evaluation(recorder, model, DataLoader(WithIds(data), batch_size=8))
            recorder.end_epoch()
    assert model.training
    log = lossan.read_log(tmp_path / "run.parquet")
    x, y = data.tensors
    expected = reference(model[1](x).detach(), y)[0]
    np.testing.assert_allclose(log.loss[:, 0], expected, rtol=2e-5)
    np.testing.assert_array_equal(log.loss[:, 0], log.loss[:, 1])


def test_without_torch_the_extra_is_named(monkeypatch):
    import lossan_torch

    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(lossan.LossanError, match=r"pip install 'lossan\[torch\]'"):
        _ = lossan_torch.TorchRecorder


def test_class_names_stand_for_indices(tmp_path):
    with TorchRecorder(tmp_path / "run.parquet", classes=["cat", "dog"]) as recorder:
        for _ in range(2):
            logits = torch.tensor([[2.0, 0.0], [3.0, 0.0]])
            recorder.record([7, 8], logits=logits, targets=torch.tensor([0, 1]))
            recorder.end_epoch()
    log = lossan.read_log(tmp_path / "run.parquet")
    assert log.label.to_pylist() == ["cat", "dog"]
    assert [log.predicted.values.to_pylist()[c] for c in log.predicted.codes[:, 0]] == [
        "cat",
        "cat",
    ]


@pytest.mark.parametrize(
    ("logits", "targets", "words"),
    [
        (torch.zeros(4, 3), torch.zeros(5, dtype=torch.long), "targets of shape"),
        (torch.zeros(4, 3, 2, 2), torch.zeros(4, dtype=torch.long), "n_classes"),
        (torch.zeros(3, 3), torch.zeros(3, dtype=torch.long), "4 ids"),
        ({"out": 1}, torch.zeros(4, dtype=torch.long), "dict"),
    ],
)
def test_shapes_that_do_not_fit_are_told(tmp_path, logits, targets, words):
    recorder = TorchRecorder(tmp_path / "run.parquet")
    with pytest.raises(lossan.LossanError, match=words):
        recorder.record(range(4), logits=logits, targets=targets)


RANK = """
import sys
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset
from lossan_torch import TorchRecorder, WithIds, shard_path

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group(
    "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
)
data = WithIds(TensorDataset(torch.arange(41.0), torch.zeros(41, dtype=torch.long)))
sampler = DistributedSampler(data, seed=0)
with TorchRecorder(shard_path(f"{folder}/run.parquet"), recorded="train") as recorder:
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for ids, x, y in DataLoader(data, batch_size=8, sampler=sampler):
            recorder.record(ids, logits=torch.stack([x, 0 * x], dim=1), targets=y)
        recorder.end_epoch()
dist.destroy_process_group()
"""


def test_two_ranks_merge_without_the_samplers_padding(tmp_path):
    ranks = [
        subprocess.Popen([sys.executable, "-W", "ignore", "-c", RANK, str(rank), str(tmp_path)])
        for rank in (0, 1)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    shards = [str(tmp_path / f"run-rank{rank}.parquet") for rank in (0, 1)]
    assert sum(np.isfinite(lossan.read_log(s).loss).sum() for s in shards) == 42 * 3
    merged = str(tmp_path / "run.parquet")
    command = [sys.executable, "-m", "lossan", "merge", *shards, "-o", merged]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2
    subprocess.run([*command, "--duplicates", "last"], check=True)
    log = lossan.read_log(merged)
    np.testing.assert_array_equal(log.margin, np.repeat(np.arange(41.0)[:, None], 3, axis=1))
