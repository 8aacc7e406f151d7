"""What a file claims and may hold: dictionaries of numbers of fixed length, and of long texts."""

import numpy as np
import pyarrow as pa
import pytest

from lossan import read_log
from lossan.errors import LogError
from lossan.io import _bounds

N, EPOCHS = 2000, 8


def rows(**columns):
    ids = {"sample_id": np.tile(np.arange(N), EPOCHS), "epoch": np.repeat(np.arange(EPOCHS), N)}
    return pa.table(ids | columns)


@pytest.mark.parametrize("layout", ["long", "wide"])
@pytest.mark.parametrize("kind", [pa.float16(), pa.decimal128(10, 3)])
def test_a_dictionary_of_many_numbers_of_fixed_length(put, kind, layout):
    loss = np.round(np.random.default_rng(0).gamma(2, 0.5, (N, EPOCHS)), 3).astype(np.float16)
    values = pa.array(loss.astype(float).round(3).T.ravel()).cast(kind, safe=False)
    table = rows(loss=values)
    if layout == "wide":
        values = pa.array(loss.astype(float).round(3).ravel()).cast(kind, safe=False)
        lists = pa.FixedSizeListArray.from_arrays(values, EPOCHS)
        table = pa.table({"sample_id": np.arange(N), "loss": lists})
    np.testing.assert_allclose(read_log(put(table)).loss, loss, atol=1e-3)


def labels_with_a_long_one(put, length):
    label = np.where(np.arange(N) % 2, "a", "b").astype(object)
    label[5] = "c" * length
    loss = np.random.default_rng(0).random(N * EPOCHS)
    return put(rows(loss=loss, label=pa.array(np.tile(label, EPOCHS))), compression="zstd")


def test_one_long_label_is_no_claim_of_every_row(put):
    path = labels_with_a_long_one(put, 30_000)
    size = path.stat().st_size
    assert _bounds._FREE_BYTES + _bounds._BYTES_EACH * size < 30_000 * N * EPOCHS
    log = read_log(path)
    assert log.label[5].as_py() == "c" * 30_000
    assert set(log.label.to_pylist()) == {"a", "b", "c" * 30_000}


def test_a_long_label_of_many_rows_is_refused(put):
    """A kilobyte would become a gigabyte."""
    loss = np.random.default_rng(0).random(N * EPOCHS)
    labels = pa.DictionaryArray.from_arrays(
        np.arange(N * EPOCHS, dtype=np.int32) % 2, ["a", "c" * 100_000]
    )
    path = put(rows(loss=loss, label=labels), compression="zstd")
    with pytest.raises(LogError, match="label claims 800,008,000 bytes, more than its file can"):
        read_log(path)
