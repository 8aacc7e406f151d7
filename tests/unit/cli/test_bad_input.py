"""What a hostile or unlucky user gives: one message, exit code 2, nothing left behind."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossan.cli import run

N, EPOCHS = 20, 4
ROWS = N * EPOCHS
LOSS = np.random.default_rng(0).gamma(1, 1, (N, EPOCHS))


def table(**other):
    columns = {
        "sample_id": np.repeat(np.arange(N), EPOCHS),
        "epoch": np.tile(np.arange(EPOCHS), N),
        "loss": LOSS.ravel(),
    }
    return pa.table({k: v for k, v in (columns | other).items() if v is not None})


@pytest.fixture
def log(tmp_path):
    pq.write_table(table(), tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


@pytest.fixture
def refused(capsys):
    """Run a command that must be refused, and return what it said."""

    def check(*arguments):
        assert run([str(a) for a in arguments]) == 2
        said = capsys.readouterr()
        assert said.err.startswith("error: ")
        assert "Traceback" not in said.err
        assert said.out == ""
        return said.err

    return check


def header(shape, descr="<f4"):
    out = io.BytesIO()
    fields = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, fields)
    return out.getvalue()


MEMBERS = {
    "8 TB in 100 bytes": {"loss.npy": header((10**12, 2)) + bytes(100)},
    "a trillion empty ids": {
        "loss.npy": header((1, 2)) + bytes(8),
        "sample_id.npy": header((10**12,), "<U0"),
    },
    "negative shape": {"loss.npy": header((-3, -4)) + bytes(48)},
    "too short": {"loss.npy": header((3, 4)) + bytes(40)},
    "not an array": {"loss.npy": b"hello"},
    "no bytes": {"loss.npy": b""},
    "unknown version": {"loss.npy": b"\x93NUMPY\x09\x09" + bytes(100)},
    "open bracket": {"loss.npy": b"\x93NUMPY\x01\x00\x10\x00" + b"(" * 16},
    "code": {"loss.npy": b"\x93NUMPY\x01\x00\x20\x00" + b"__import__('os').abort()".ljust(32)},
    "a folder": {"loss.npy/": b""},
    "nothing": {},
}


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("command", ["analyze", "inspect"])
def test_npz_made_by_hand(name, command, tmp_path, refused):
    with zipfile.ZipFile(tmp_path / "log.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in MEMBERS[name].items():
            archive.writestr(member, content)
    assert str(tmp_path / "log.npz") in refused(command, tmp_path / "log.npz")


def test_an_encrypted_npz(tmp_path, refused):
    with zipfile.ZipFile(tmp_path / "log.npz", "w") as archive:
        archive.writestr("loss.npy", header((1, 2)) + bytes(8))
    content = bytearray((tmp_path / "log.npz").read_bytes())
    content[6] |= 1  # of the local header
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and of the directory
    (tmp_path / "log.npz").write_bytes(content)
    assert "encrypted" in refused("analyze", tmp_path / "log.npz")


@pytest.mark.parametrize("key", ["sample_id", "label", "meta"])
@pytest.mark.parametrize("value", [np.array(3), np.array([["a"]]), np.array([b"\xff"])])
def test_npz_arrays_of_a_wrong_shape(key, value, tmp_path, refused):
    np.savez(tmp_path / "log.npz", loss=LOSS, **{key: value})
    refused("analyze", tmp_path / "log.npz")


class Pickled:
    """Leaves a trace where it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("unpickled"),))


@pytest.mark.parametrize("key", ["loss", "sample_id", "label", "predicted", "meta"])
def test_pickled_arrays_run_no_code(key, tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays = {"loss": LOSS} | {key: np.array([[Pickled()]], object)}
    np.savez("log.npz", **arrays)
    assert f"'{key}' holds pickled Python objects" in refused("analyze", "log.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["log.npz"]


@pytest.mark.parametrize("ids", [[1, 1, 1, 1], [0, 1, 2, 3]])
def test_fewer_scorable_samples_than_clusters(ids, tmp_path, refused):
    one = pa.table({"sample_id": ids, "epoch": [0, 1, 2, 3], "loss": [1.0, 2, 3, 4]})
    pq.write_table(one, tmp_path / "log.parquet")
    assert "2 clusters" in refused("analyze", tmp_path / "log.parquet", "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_all_faults_of_a_log_are_told_at_once(tmp_path, refused):
    loss = LOSS.ravel().copy()
    loss[5] = np.inf
    bad = table(loss=loss, label=np.arange(ROWS), label_prob=np.full(ROWS, 7.0))
    bad = pa.concat_tables([bad, bad.slice(3, 2)])
    bad = bad.replace_schema_metadata({"lossan": '{"recorded": "later"}'})
    pq.write_table(bad, tmp_path / "log.parquet")
    said = refused("analyze", tmp_path / "log.parquet")
    assert "has 5 faults:" in said
    for words in ("2 rows repeat", "infinite", "label changes", "outside [0, 1]", "'later'"):
        assert words in said


def test_all_faults_of_the_columns_are_told_at_once(tmp_path, refused):
    bad = table(loss=["a"] * ROWS, epoch=LOSS.ravel(), label=[[1]] * ROWS, path=[True] * ROWS)
    pq.write_table(bad, tmp_path / "log.parquet")
    assert "has 4 faults:" in refused("analyze", tmp_path / "log.parquet")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "standard input: nothing came in"),
        (b"hello", "standard input: it is neither Parquet nor NPZ"),
        (b"PAR1 and no more", "standard input: it is truncated"),
        (b"PK\x03\x04", "must be Parquet; this is a zip archive. Give NPZ as a file"),
    ],
)
def test_bad_standard_input(content, words, monkeypatch, refused):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert words in refused("analyze", "-")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("blocked/out", "Not a directory"),
        ("blocked", "File exists"),
        ("x" * 300, "File name too long"),
        ("taken", "summary.json in it is a directory"),
    ],
)
def test_an_output_that_cannot_be_written(name, words, log, tmp_path, refused):
    (tmp_path / "blocked").touch()
    (tmp_path / "taken" / "summary.json").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    assert words in refused("analyze", log, "-o", tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("at", ["os.fsync", "pyarrow.csv.write_csv", "pathlib.Path.replace"])
@pytest.mark.parametrize("made", [True, False])
def test_a_full_disk_leaves_what_was_there(at, made, log, tmp_path, monkeypatch, refused):
    if made:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "findings.csv").write_text("earlier")
    before = sorted(tmp_path.rglob("*"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(at, full)
    out = tmp_path / "out" if made else tmp_path / "out" / "deep" / "er"
    assert "No space left on device" in refused("analyze", log, "-o", out)
    assert sorted(tmp_path.rglob("*")) == before
    if made:
        assert (out / "findings.csv").read_text() == "earlier"


@pytest.mark.parametrize("target", ["out.parquet", "out.npz", "out/"])
def test_a_conversion_that_fails_leaves_nothing(target, log, tmp_path, monkeypatch, refused):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    before = sorted(tmp_path.rglob("*"))
    assert "No space left" in refused("convert", log, f"{tmp_path}/{target}")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", ["convert", "merge"])
def test_a_bad_log_makes_no_other_log(command, tmp_path, refused):
    loss = LOSS.ravel().copy()
    loss[5] = np.inf
    pq.write_table(table(loss=loss), tmp_path / "log.parquet")
    where = [tmp_path / "out.parquet"]
    where = ["-o", *where] if command == "merge" else where
    assert "infinite" in refused(command, tmp_path / "log.parquet", *where)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no command is given; allowed: analyze"),
        (["analyze"], "LOG"),
        (["convert", "LOG"], "TARGET"),
        (["corrupt", "LABELS"], "-o"),
        (["corrupt", "LABELS", "-o", "OUT", "--rate", "1.5"], "allowed: 0 to 1"),
        (["corrupt", "LABELS", "-o", "OUT", "--rate", "nan"], "allowed: 0 to 1"),
        (["corrupt", "LABELS", "-o", "OUT", "--seed", "-1"], "seed is -1"),
        (["corrupt", "LABELS", "-o", "LABELS"], "the original is never overwritten"),
        (["corrupt", "LABELS", "-o", "LABELS/below"], "cannot write"),
        (["corrupt", "LOG", "-o", "OUT"], "no column 'label'"),
        (["analyze", "LOG", "--top", "x"], "--top"),
        (["analyze", "LOG", "--seed", "4294967296"], "less than 4294967296"),
        (["analyze", "LOG", "--seed", "1.5"], "--seed"),
        (["analyze", "LOG", "--set", "=3"], "KEY=VALUE"),
        (["analyze", "LOG", "--set", "tol=nan", "--set", "max_iter=0"], "max_iter is '0'"),
        (["analyze", "LOG", "--epoch-column", "loss"], "epochs are integers"),
        (["evaluate", "LABELS", "--truth", "LABELS"], "it lacks flagged"),
        (["evaluate", "LOG"], "is not findings"),
    ],
)
def test_bad_usage(arguments, words, log, tmp_path, refused):
    names = {"LOG": log, "LABELS": tmp_path / "labels.csv", "OUT": tmp_path / "out.csv"}
    names["LABELS"].write_text("sample_id,label\n1,a\n2,b\n")
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    given = [str(names.get(a.removesuffix("/below"), a)) + "/below" * ("/" in a) for a in arguments]
    assert words in refused(*given)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_top_beyond_all_samples_is_all_of_them(log, capsys):
    assert run(["analyze", str(log), "--top", str(10**30)]) == 0
    assert f"The {N} most suspicious" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["[red]x[", "a[/b]", "[link=x]", "ünï ☃"])
@pytest.mark.parametrize("command", ["analyze", "inspect"])
def test_a_name_is_no_markup(name, command, log, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_bytes(log.read_bytes())
    assert run([command, name]) == 0
    assert (name in capsys.readouterr().out) is (command == "inspect")


def process(*arguments, **options):
    command = [sys.executable, "-m", "lossan", *map(str, arguments)]
    options = {"stdout": subprocess.PIPE} | options
    return subprocess.run(command, stderr=subprocess.PIPE, check=False, **options)


def test_a_process_that_is_piped_a_log(log):
    with log.open("rb") as file:
        done = process("inspect", "-", stdin=file)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"no faults found" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_an_output_of_any_encoding(encoding, log):
    done = process("analyze", log, env=os.environ | {"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"most suspicious" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_output(log):
    with Path("/dev/full").open("wb") as full:
        done = process("analyze", log, stdout=full)
    assert done.returncode == 2
    assert done.stderr == b"error: cannot write the output: No space left on device.\n"


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize("to", [">&-", "| head -c 1 > head"])
def test_an_output_that_nobody_reads(to, log, tmp_path):
    line = f'set -o pipefail; "{sys.executable}" -m lossan analyze "{log}" {to}'
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX alone")
def test_a_log_whose_name_is_not_utf8(tmp_path):
    name = os.fsencode(tmp_path) + b"/l\xffg.npz"
    try:
        with open(name, "wb") as file:  # noqa: PTH123
            np.savez(file, loss=LOSS)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    done = process("analyze", os.fsdecode(name), "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"l\\xffg.npz" in done.stdout
