"""What cannot be written is told by the name the user gave, never a hidden one."""

import pytest

from lossan import analyze
from lossan.errors import OutputError
from lossan.io import write_log
from lossan.testing import planted_log

resource = pytest.importorskip("resource")  # which lets a file grow no further


@pytest.fixture
def small_files():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("there", [False, True])
def test_a_file_of_findings_is_told_by_its_place(there, tmp_path, small_files):
    folder = tmp_path / "out"
    if there:
        folder.mkdir()
    with pytest.raises(OutputError) as told:
        analyze(planted_log(n_samples=2000)).save(folder)
    assert str(told.value).startswith(f"cannot write {folder}/findings.")
    assert ".tmp" not in str(told.value)
    assert [p.name for p in tmp_path.rglob("*")] == ["out"] * there


def test_an_epoch_of_a_directory_log_is_told_by_its_place(tmp_path, monkeypatch, small_files):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match=r"^cannot write log/epoch-000001\.parquet: File too"):
        write_log(planted_log(n_samples=2000), "log/")
    assert not list(tmp_path.iterdir())
