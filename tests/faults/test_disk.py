"""The short form of ``python tests/faults/run.py --only disk``, and a writer it must reject."""

from contextlib import contextmanager
from dataclasses import replace

import disk
import pytest

from lossan.errors import OutputError
from lossan.io import _labels

SITES = {site.to: site for site in disk.SITES}
# how many operations further each time: every one is for the long form
DRAWING, OTHER = 11, 3


@pytest.mark.parametrize("to", SITES)
def test_a_full_disk_ends_in_one_error(to, tmp_path):
    draws = to.startswith(("analyze", "report"))
    tally = disk.fill(tmp_path, replace(SITES[to], every=DRAWING if draws else OTHER))
    assert tally.tried >= 1
    assert tally.wrong == []


def test_a_full_disk_loses_nothing_recorded(tmp_path):
    tally = disk.record_until_full(tmp_path)
    assert tally.tried > 20
    assert tally.wrong == []


@contextmanager
def in_place(path):
    """Write under the final name from the first byte on."""
    try:
        handle = disk.os.open(path, disk.os.O_WRONLY | disk.os.O_CREAT | disk.os.O_TRUNC)
        with disk.os.fdopen(handle, "wb") as file:
            yield file
    except OSError as error:
        raise OutputError.from_os_error(path, error) from error


def test_a_writer_in_place_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(_labels, "atomic_file", in_place)
    tally = disk.fill(tmp_path, SITES["corrupt"])
    assert any("noisy.csv is not whole" in wrong for wrong in tally.wrong)


def test_an_error_that_is_none_of_ours_is_rejected(tmp_path, monkeypatch):
    @contextmanager
    def bare(path):
        with disk.os.fdopen(disk.os.open(path, disk.os.O_CREAT | disk.os.O_WRONLY), "wb") as file:
            yield file
            raise RuntimeError(path)

    monkeypatch.setattr(_labels, "atomic_file", bare)
    with pytest.raises(AssertionError, match="ends with 1"):
        disk.fill(tmp_path, SITES["corrupt"])
