"""The short form of ``python tests/faults/run.py --only power``, and writers it must reject."""

import os
from contextlib import contextmanager

import layer
import power
import pytest
import subjects

from lossan.io import _atomic, _epochs

SCENARIOS = {scenario.to: scenario for scenario in power.scenarios()}


@pytest.mark.parametrize("to", SCENARIOS)
def test_a_power_cut_takes_nothing_that_was_safe(to, tmp_path):
    tally = power.cut_power(tmp_path, SCENARIOS[to])
    assert tally.tried > 3
    assert tally.wrong == []


@contextmanager
def in_place(path):
    """Write under the final name from the first byte on."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    _atomic.sync(path.parent)


@contextmanager
def unflushed(path):
    """Rename a file whose bytes may not have reached the disk."""
    temporary = path.with_name(f".{path.name}.00000000.tmp")
    with temporary.open("wb") as file:
        yield file
    temporary.replace(path)
    _atomic.sync(path.parent)


@contextmanager
def unflushed_name(path):
    """Flush the bytes but not the name they stand under."""
    temporary = path.with_name(f".{path.name}.00000000.tmp")
    with temporary.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@pytest.mark.parametrize("writer", [in_place, unflushed, unflushed_name])
def test_a_broken_writer_is_rejected(writer, tmp_path, monkeypatch):
    monkeypatch.setattr(_epochs, "atomic_file", writer)
    assert power.cut_power(tmp_path, SCENARIOS["recording"]).wrong


def test_a_removal_that_may_come_back_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(_epochs, "remove_file", lambda path: path.unlink())
    assert power.cut_power(tmp_path, SCENARIOS["closed log, resumed"]).wrong


def test_what_a_cut_may_leave_of_one_file(tmp_path):
    """By hand: its name may be lost; what of its bytes was not flushed is lost, torn or zeros."""
    path = tmp_path / "file"
    with layer.Disk(tmp_path) as disk, path.open("wb") as file:
        file.write(b"ab")
        file.flush()
        os.fsync(file.fileno())
        file.write(b"cd")
        file.flush()
    left = [cut.tree for cut in disk.cuts]
    bytes_left = [tree["file"] for tree in left if tree]
    assert {} in left
    before = {b"", b"a", b"\0\0", b"ab"}
    assert set(bytes_left) == before | {b"ab", b"\0\0\0\0", b"abcd"}


def test_a_flushed_folder_keeps_its_names(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with layer.Disk(tmp_path) as disk:
        path.rename(tmp_path / "new")
        _atomic.sync(tmp_path)
        disk.promise = 1
    assert [cut.tree for cut in disk.cuts if cut.promise] == [{"new": b"old"}]
    assert {"file": b"old"} in [cut.tree for cut in disk.cuts]


def test_the_layer_notices_what_it_cannot_see(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    real = os.unlink
    disk = layer.Disk(tmp_path)
    with pytest.raises(RuntimeError, match="unwatched"), disk:
        real(tmp_path / "file")


def test_inputs_are_as_the_scenarios_think(tmp_path):
    subjects.inputs(tmp_path)
    assert (tmp_path / "findings" / "sequences.png").exists()
