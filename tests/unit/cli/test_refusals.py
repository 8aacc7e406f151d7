"""Bad input: one clear message, exit code 2, no traceback, nothing left behind."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossan.cli import run

N, EPOCHS = 20, 4
ROWS = N * EPOCHS


def columns(**other):
    rng = np.random.default_rng(0)
    return {
        "sample_id": np.tile(np.arange(N), EPOCHS),
        "epoch": np.repeat(np.arange(EPOCHS), N),
        "loss": rng.gamma(1, 1, ROWS),
    } | other


def parquet(path, **other):
    pq.write_table(pa.table(columns(**other)), path)


def without(path, name, **other):
    pq.write_table(pa.table({k: v for k, v in columns(**other).items() if k != name}), path)


def repeated(path):
    table = pa.table(columns())
    pq.write_table(pa.concat_tables([table, table.slice(5, 3)]), path)


def with_metadata(path, text):
    pq.write_table(pa.table(columns()).replace_schema_metadata({"lossan": text}), path)


def cut(path, share):
    parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


def damaged(path):
    parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes(50) + whole[150:])


def not_utf8(path):
    raw = pa.array([b"\xff%02d" % i for i in range(N)] * EPOCHS, pa.binary())
    parquet(path, sample_id=pa.Array.from_buffers(pa.string(), ROWS, raw.buffers()))


def infinite(path):
    loss = columns()["loss"]
    loss[3] = np.inf
    parquet(path, loss=loss)


def null_ids(path):
    ids = pa.array([None, *range(1, N)], pa.int64())
    parquet(path, sample_id=pa.concat_arrays([ids] * EPOCHS))


def bomb(path):
    header = b"\x93NUMPY\x01\x00\x76\x00" + (
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000)}".ljust(117) + b"\n"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("loss.npy", header)


def folder(path, **parts):
    path.mkdir()
    for name, make in parts.items():
        make(path / f"{name}.parquet")


MADE = {
    "text": (lambda p: p.write_text("hello"), "neither Parquet nor NPZ"),
    "empty": (lambda p: p.touch(), "empty"),
    "truncated": (lambda p: cut(p, 0.5), "truncated"),
    "header only": (lambda p: cut(p, 0.01), "truncated"),
    "damaged": (damaged, "damaged"),
    "missing": (lambda _: None, "no such file"),
    "no loss": (lambda p: without(p, "loss", nll=columns()["loss"]), "--loss-column nll"),
    "no epoch": (lambda p: without(p, "epoch"), "--epoch-column"),
    "no id": (lambda p: without(p, "sample_id", guid=np.arange(ROWS)), "--id-column guid"),
    "loss text": (lambda p: parquet(p, loss=["a"] * ROWS), "must be a number"),
    "epoch float": (lambda p: parquet(p, epoch=np.zeros(ROWS)), "epochs are integers"),
    "id float": (lambda p: parquet(p, sample_id=np.zeros(ROWS)), "integers or strings"),
    "id binary": (lambda p: parquet(p, sample_id=[b"a"] * ROWS), "integers or strings"),
    "id too large": (lambda p: parquet(p, sample_id=np.full(ROWS, 2**63, np.uint64)), "range"),
    "id null": (null_ids, "sample_id is null in 4 rows"),
    "not UTF-8": (not_utf8, "not valid UTF-8"),
    "label struct": (lambda p: parquet(p, label=[{"a": 1}] * ROWS), "integers or strings"),
    "label changes": (lambda p: parquet(p, label=np.arange(ROWS) % 3), "label changes"),
    "repeated": (repeated, "3 rows repeat"),
    "one epoch": (
        lambda p: parquet(p, epoch=np.zeros(ROWS, int), sample_id=np.arange(ROWS)),
        "1 epoch",
    ),
    "one sample": (
        lambda p: parquet(p, sample_id=[1] * ROWS, epoch=np.arange(ROWS)),
        "only 1 sample",
    ),
    "all equal": (lambda p: parquet(p, loss=np.ones(ROWS)), "same features"),
    "infinite": (infinite, "1 loss is infinite"),
    "beyond float32": (lambda p: parquet(p, loss=np.full(ROWS, 1e300)), "80 losses are infinite"),
    "all NaN": (lambda p: parquet(p, loss=np.full(ROWS, np.nan)), "every loss is NaN"),
    "no rows": (lambda p: pq.write_table(pa.table(columns()).slice(0, 0), p), "no samples"),
    "probability": (lambda p: parquet(p, label_prob=np.full(ROWS, 1.5)), "outside [0, 1]"),
    "metadata": (lambda p: with_metadata(p, "{bad"), "not JSON"),
    "metadata list": (lambda p: with_metadata(p, "[1]"), "not an object"),
    "future": (lambda p: with_metadata(p, '{"format_version": "9", "recorded": "x"}'), "2 faults"),
    "no parts": (folder, "no Parquet file"),
    "bad part": (lambda p: folder(p, a=parquet, b=lambda q: cut(q, 0.5)), "b.parquet: it is trunc"),
    "schemas": (
        lambda p: folder(p, a=parquet, b=lambda q: parquet(q, sample_id=["x"] * ROWS)),
        "int64 in a.parquet and string in b.parquet",
    ),
    "npz.pickled": (lambda p: np.savez(p, loss=np.array([[1, 2]], object)), "pickled"),
    "npz.object ids": (
        lambda p: np.savez(p, loss=np.ones((2, 3)), sample_id=np.array(["a", 1], object)),
        "pickled",
    ),
    "npz.flat": (lambda p: np.savez(p, loss=np.ones(5)), "(n_samples, n_epochs)"),
    "npz.no loss": (lambda p: np.savez(p, lass=np.ones((2, 3))), "no array 'loss'"),
    "npz.lengths": (lambda p: np.savez(p, loss=np.ones((2, 3)), label=np.ones(3, int)), "3 values"),
    "npz.bomb": (bomb, "claims 8000000000000 bytes"),
    "npz.cut": (lambda p: p.write_bytes(b"PK\x03\x04" + bytes(20)), "zip archive"),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "log.parquet"
    parquet(path)
    return path


@pytest.mark.parametrize("name", MADE)
def test_bad_log_is_refused(name, tmp_path, capsys):
    make, words = MADE[name]
    path = tmp_path / ("log.npz" if name.startswith("npz") else "log.parquet")
    make(path)
    target = tmp_path / "out"
    assert run(["analyze", str(path), "-o", str(target)]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert words in said.err
    assert str(path) in said.err or name in ("one sample", "all equal")
    assert said.out == ""
    assert not target.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("analyze", "LOG"),
        ("analyze LOG --frobnicate", "--frobnicate"),
        ("frobnicate", "frobnicate"),
        ("analyze LOG --scale robust", "'standard' or 'none'"),
        ("analyze LOG --seed -1", "seed is -1"),
        ("analyze LOG --seed x", "seed"),
        ("analyze LOG --top -1", "--top"),
        ("analyze LOG -p 0", "early_epochs is 0"),
        ("analyze LOG -p 4", "allowed: 1 to 3"),
        ("analyze LOG -d kmean", "Did you mean 'kmeans'?"),
        ("analyze LOG --set max_iter", "KEY=VALUE"),
        ("analyze LOG --set max_iter=3 --set max_iter=4", "--set max_iter is given twice: 3 and 4"),
        ("analyze LOG --set max_iter=x", "max_iter is 'x'"),
        ("analyze LOG --set tol=inf", "tol is 'inf'"),
        ("analyze LOG --set n_init=100000", "n_init is '100000'"),
        ("analyze LOG --set n_inits=3", "Did you mean 'n_init'?"),
        ("analyze LOG --by-class", "needs labels"),
        ("analyze LOG --duplicates first", "allowed: error, last"),
        ("analyze LOG --invalid drop", "allowed: error, mask"),
        ("analyze LOG --loss-column nope --id-column bar", "2 faults"),
        ("analyze LOG -o LOG/below", "cannot write"),
        ("inspect nowhere.parquet", "no such file"),
        ("convert LOG TMP/x.npz --layout wide", "is for Parquet"),
        ("convert LOG TMP/x.parquet --layout tall", "allowed: long, wide"),
        ("convert LOG TMP/no/x.parquet", "cannot write"),
        ("merge LOG LOG -o TMP/m.parquet", "80 rows repeat"),
        ("merge LOG", "-o"),
        ("corrupt nowhere.csv -o TMP/x.csv", "no such file"),
        ("evaluate LOG", "not findings"),
        ("evaluate nowhere", "no such file"),
        ("train LOG -o TMP/x.parquet --adapter paper", "no adapter 'paper'"),
    ],
)
def test_bad_usage_is_refused(arguments, words, good, tmp_path, capsys):
    words_given = [
        a.replace("LOG", str(good)).replace("TMP", str(tmp_path)) for a in arguments.split()
    ]
    assert run(words_given) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert words in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_process_ends_with_2_and_no_traceback(tmp_path):
    (tmp_path / "log.parquet").write_text("hello")
    done = subprocess.run(
        [sys.executable, "-m", "lossan", "analyze", str(tmp_path / "log.parquet")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_fault_of_ours_is_1(good, monkeypatch, capsys):
    monkeypatch.setattr("lossan.detect.features_of", lambda *_, **__: 1 / 0)
    assert run(["analyze", str(good)]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_inspect_tells_all_faults_and_what_there_is(tmp_path, capsys):
    path = tmp_path / "log.parquet"
    loss = columns()["loss"]
    loss[3] = np.inf
    table = pa.table(columns(loss=loss, label=np.arange(ROWS) % 3))
    pq.write_table(pa.concat_tables([table, table.slice(5, 3)]), path)
    assert run(["inspect", str(path), "--json"]) == 2
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert {f["code"]: f["count"] for f in found["faults"]} == {
        "duplicate": 3,
        "label_changes": N,
        "infinite": 1,
    }
    assert (found["n_samples"], found["n_epochs"], found["layout"]) == (N, EPOCHS, "long")
    assert said.err.startswith("error: ")


def test_a_full_disk_leaves_nothing(good, tmp_path, monkeypatch, capsys):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert run(["analyze", str(good), "-o", str(tmp_path / "out")]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_permission_is_told(good, monkeypatch, capsys):
    def forbidden(*_args, **_options):
        raise PermissionError(13, "Permission denied", str(good))

    monkeypatch.setattr("pathlib.Path.open", forbidden)
    assert run(["analyze", str(good)]) == 2
    assert "permission denied" in capsys.readouterr().err.lower()
