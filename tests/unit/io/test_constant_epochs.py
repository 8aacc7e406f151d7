"""A row group of one epoch by its statistics: the epochs need not be decoded, and are the same."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lossan
from lossan.errors import LogError
from lossan.io import _footer

N, EPOCHS = 40, 4
TYPES = [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64()]


def table(kind=None, first=0):
    """Return a log written epoch by epoch, its ids in another order each time."""
    rng = np.random.default_rng(0)
    ids = np.concatenate([rng.permutation(N) for _ in range(EPOCHS)])
    epochs = pa.array(np.repeat(np.arange(EPOCHS) + first, N))
    loss = rng.random(N * EPOCHS).astype(np.float32)
    return pa.table({"sample_id": ids, "epoch": epochs.cast(kind or pa.int64()), "loss": loss})


def expected(log):
    """Return the losses by a plain loop over the rows."""
    rows = log.to_pylist()
    first = min(row["epoch"] for row in rows)
    loss = np.full((N, EPOCHS), np.nan, np.float32)
    for row in rows:
        loss[row["sample_id"], row["epoch"] - first] = row["loss"]
    return loss


def written(path, log, **options):
    pq.write_table(log, path, row_group_size=N, **options)
    return path


def decoded(monkeypatch):
    """Return the list that the columns of every decoded row group go to."""
    asked = []
    true = _footer.open_parquet

    def spy(*args):
        file = true(*args)
        plain = file.iter_batches

        def batches(rows, groups, columns, **options):
            asked.append(columns)
            return plain(rows, groups, columns, **options)

        file.iter_batches = batches
        return file

    monkeypatch.setattr(_footer, "open_parquet", spy)
    return asked


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_epochs_of_one_value_are_read_from_statistics(kind, tmp_path, monkeypatch):
    log, asked = table(kind, first=3), decoded(monkeypatch)
    read = lossan.read_log(written(tmp_path / "log.parquet", log))
    assert asked == [["sample_id", "loss"]] * EPOCHS
    assert read.epochs.tolist() == [3, 4, 5, 6]
    assert np.array_equal(read.loss, expected(log))


@pytest.mark.parametrize(
    ("log", "options"),
    [
        (table(), {"write_statistics": False}),
        (table(first=-9), {}),
        (table().slice(N // 2), {}),
    ],
    ids=["no statistics", "below zero", "two a group"],
)
def test_other_epochs_are_decoded(log, options, tmp_path, monkeypatch):
    asked = decoded(monkeypatch)
    read = lossan.read_log(written(tmp_path / "log.parquet", log, **options))
    assert ["sample_id", "epoch", "loss"] in asked
    assert np.array_equal(read.loss, expected(log), equal_nan=True)


def test_decimals_are_not_taken_for_the_integers_they_are_stored_as(tmp_path):
    whole = table()
    values = pa.array([Decimal(e) for e in whole["epoch"].to_pylist()], pa.decimal128(5, 2))
    path = tmp_path / "log.parquet"
    pq.write_table(
        whole.set_column(1, "epoch", values),
        path,
        row_group_size=N,
        store_decimal_as_integer=True,
    )
    chunks = _footer.read_footer(path).groups[1].chunks
    assert chunks["epoch"].kind in (1, 2)
    assert chunks["epoch"].constant is None


@pytest.mark.parametrize(
    ("place", "field", "told"), [(0, "sample_id", "1 row"), (1, "epoch", "epoch")]
)
def test_a_null_is_told_where_the_epoch_is_one(place, field, told, tmp_path):
    log = table()
    values = [None if row == 5 else v for row, v in enumerate(log[field].to_pylist())]
    path = written(tmp_path / "log.parquet", log.set_column(place, field, pa.array(values)))
    with pytest.raises(LogError, match=told):
        lossan.read_log(path)


def test_a_repeated_row_is_told_with_its_epoch(tmp_path):
    log = table()
    again = pa.concat_tables([log, log.slice(N, 1)])
    path = written(tmp_path / "log.parquet", again)
    sample = log["sample_id"][N].as_py()
    with pytest.raises(LogError, match=f"sample {sample} at epoch 1"):
        lossan.read_log(path)
