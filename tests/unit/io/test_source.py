"""What a path holds is told by its content."""

import os
import shutil
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossan import read_log
from lossan.errors import LogError
from lossan.io._source import arrow_errors

TABLE = pa.table({"sample_id": [1, 1, 2, 2], "epoch": [0, 1] * 2, "loss": [1.0, 2, 3, 4]})
LOSS = [[1, 2], [3, 4]]


@pytest.fixture
def open_folder():
    """A folder that others may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def unprivileged():
    """Permission bits do not bind root, so root acts as nobody for a while."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def parquet(path, table=TABLE):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize("name", ["log.npz", "log.csv", "log", "läg ☃.parquet"])
def test_parquet_under_any_name(tmp_path, name):
    assert read_log(parquet(tmp_path / name)).loss.tolist() == LOSS


def test_npz_under_any_name(tmp_path):
    with (tmp_path / "log.parquet").open("wb") as file:
        np.savez(file, loss=np.array(LOSS))
    assert read_log(tmp_path / "log.parquet").loss.tolist() == LOSS


@pytest.mark.parametrize("name", ["x.parquet", "deep/er/x.pq", "x.any", "a=1/x.parq"])
def test_a_directory_of_any_names(tmp_path, name):
    parquet(tmp_path / "log" / name)
    (tmp_path / "log" / "README.md").write_text("what this is")
    assert read_log(tmp_path / "log").loss.tolist() == LOSS


@pytest.mark.parametrize(
    "name", ["_SUCCESS", "_metadata", ".x.parquet.tmp", "_old/x.parquet", ".git/x.parquet"]
)
def test_hidden_files_and_markers_are_no_parts(tmp_path, name):
    parquet(tmp_path / "log" / "x.parquet")
    parquet(tmp_path / "log" / name, TABLE.slice(0, 1))
    assert read_log(tmp_path / "log").loss.tolist() == LOSS


def test_a_folder_names_the_epoch_of_rows_that_do_not(tmp_path):
    for epoch in (-1, 3, 20):
        part = pa.table({"sample_id": [2, 1], "loss": [epoch + 0.5, epoch]})
        parquet(tmp_path / "log" / f"epoch={epoch}" / "part-0.parquet", part)
    log = read_log(tmp_path / "log")
    assert log.epochs.tolist() == [-1, 3, 20]
    assert log.loss.tolist() == [[-1, 3, 20], [-0.5, 3.5, 20.5]]


def test_a_linked_file_is_the_file(tmp_path):
    parquet(tmp_path / "real.parquet")
    (tmp_path / "link.parquet").symlink_to(tmp_path / "real.parquet")
    assert read_log(tmp_path / "link.parquet").loss.tolist() == LOSS


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_read_to_its_end(tmp_path):
    content = parquet(tmp_path / "log.parquet").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writer.start()
    log = read_log(tmp_path / "pipe")
    writer.join()
    assert log.loss.tolist() == LOSS


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere", "no such file. Check the path."),
        ("file/below", "cannot be read: Not a directory"),
        ("x" * 300, "cannot be read: File name too long"),
    ],
)
def test_a_path_that_leads_nowhere(tmp_path, path, words):
    (tmp_path / "file").touch()
    with pytest.raises(LogError, match=words):
        read_log(tmp_path / path)


def test_a_recording_that_was_not_closed_is_pointed_out(tmp_path):
    (tmp_path / "run.parquet.recording").mkdir()
    with pytest.raises(LogError, match="A recording of it that was not closed is in"):
        read_log(tmp_path / "run.parquet")


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
@pytest.mark.parametrize("closed", ["log/a.parquet", "log/sub", "log"])
def test_what_may_not_be_read_is_told_and_not_left_out(open_folder, closed):
    parquet(open_folder / "log" / "a.parquet")
    parquet(open_folder / "log" / "sub" / "b.parquet")
    (open_folder / closed).chmod(0)
    try:
        with unprivileged(), pytest.raises(LogError, match="permission denied") as caught:
            read_log(open_folder / "log")
        assert str(open_folder / closed) in str(caught.value)
    finally:
        (open_folder / closed).chmod(0o755)


def test_all_bad_parts_are_told(tmp_path):
    for name in ("a", "b", "c"):
        parquet(tmp_path / "log" / f"{name}.parquet")
    whole = (tmp_path / "log" / "b.parquet").read_bytes()
    (tmp_path / "log" / "b.parquet").write_bytes(whole[:-9])
    (tmp_path / "log" / "c.parquet").write_bytes(b"")
    with pytest.raises(LogError, match=r"2 faults:\n.*b.parquet.*truncated.*\n.*c.parquet.*empty"):
        read_log(tmp_path / "log")


def test_parquet_cut_anywhere_is_refused(tmp_path):
    whole = parquet(tmp_path / "log.parquet").read_bytes()
    for size in range(0, len(whole), 7):
        (tmp_path / "cut.parquet").write_bytes(whole[:size])
        with pytest.raises(LogError, match=r"empty|truncated|neither Parquet"):
            read_log(tmp_path / "cut.parquet")


def test_npz_damaged_anywhere_is_read_or_refused(tmp_path):
    """No byte that is changed makes anything but a LogError, and a changed loss is noticed."""
    np.savez(tmp_path / "log.npz", loss=np.array(LOSS), label=np.array(["a", "b"]))
    whole = (tmp_path / "log.npz").read_bytes()
    refused = 0
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0x55
        (tmp_path / "bad.npz").write_bytes(changed)
        try:
            assert read_log(tmp_path / "bad.npz").loss.tolist() == LOSS
        except LogError:
            refused += 1
    assert refused > len(whole) / 2


@pytest.mark.parametrize("said", ["Corrupt snappy compressed data.", "Corrupt data", "", "..."])
def test_what_is_said_of_damage_ends_in_one_dot(said):
    with pytest.raises(LogError) as caught, arrow_errors("log"):
        raise pa.ArrowInvalid(said)
    first = said.rstrip(".") or "ArrowInvalid"
    assert str(caught.value) == f"log: it is damaged: {first}. Copy or write it again."


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX alone")
def test_a_name_that_is_not_utf8(tmp_path):
    name = os.fsencode(tmp_path) + b"/l\xffg"
    parquet(tmp_path / "log.parquet")
    try:
        shutil.copy(os.fsencode(tmp_path / "log.parquet"), name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(LogError, match="its name, or that of a column, is not valid UTF-8"):
        read_log(os.fsdecode(name))
