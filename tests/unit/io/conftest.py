"""Tables put into files, read in small batches."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from lossan.io import _footer


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(_footer, "BATCH_ROWS", 4)


@pytest.fixture
def put(tmp_path):
    """Write a table, or several as the parts of a directory, and return where."""

    def write(*tables, **options):
        if len(tables) == 1:
            pq.write_table(tables[0], tmp_path / "log.parquet", **options)
            return tmp_path / "log.parquet"
        (tmp_path / "log").mkdir()
        for number, table in enumerate(tables):
            pq.write_table(table, tmp_path / "log" / f"{number}.parquet", **options)
        return tmp_path / "log"

    return write


@pytest.fixture
def put_npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "log.npz", **arrays)
        return tmp_path / "log.npz"

    return write
