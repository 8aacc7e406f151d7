"""Logs under pseudonyms: nothing of the ids is left, the same key gives the same names."""

import hmac
import io
import stat
import zipfile

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lossan import build_log, read_log
from lossan.cli import run
from lossan.io import write_log
from lossan.pseudonyms import pseudonymise, read_key

KEY = b"0123456789abcdef0123456789abcdef"
NAMES = [f"Patient-Smith-{i:03d}" for i in range(60)]
GROUPS = [f"Ward-Jones-{i // 4}" for i in range(60)]
TARGETS = ["out.parquet", "out.npz", "out/"]


def log(**other):
    rng = np.random.default_rng(0)
    fields = {
        "sample_id": NAMES,
        "group": GROUPS,
        "path": [f"scans/{n}/{g}.png" for n, g in zip(NAMES, GROUPS, strict=True)],
        "label": rng.integers(0, 2, 60),
        "predicted": rng.integers(0, 2, (60, 4)),
    } | other
    told = {"recorded": "train", "weights": f"/data/{NAMES[3]}.pt", "who": NAMES[7], "seed": 4}
    return build_log(rng.gamma(1, 1, (60, 4)), metadata=told, **fields)


def pseudonym(field, value, key=KEY):
    return hmac.new(key, f"{field}:{value}".encode(), "sha256").hexdigest()[:32]


def test_each_sample_keeps_what_is_its_own():
    before, after = log(), pseudonymise(log(), KEY)
    place = {name: i for i, name in enumerate(after.sample_id.to_pylist())}
    assert list(place) == sorted(place)
    rows = [place[pseudonym("sample_id", name)] for name in before.sample_id.to_pylist()]
    assert sorted(rows) == list(range(60))
    np.testing.assert_array_equal(after.loss[rows], before.loss)
    np.testing.assert_array_equal(after.predicted.codes[rows], before.predicted.codes)
    assert after.label.take(rows).equals(before.label)
    expected = [pseudonym("group", name) for name in before.group.to_pylist()]
    assert after.group.take(rows).to_pylist() == expected
    assert after.path is None


def test_integers_and_missing_groups():
    ids = np.arange(60) * 7 - 100
    after = pseudonymise(log(sample_id=ids, group=["a", None] * 30, path=None), KEY)
    assert set(after.sample_id.to_pylist()) == {pseudonym("sample_id", i) for i in ids.tolist()}
    assert after.group.null_count == 30
    assert pc.count_distinct(after.group).as_py() == 1


def test_the_same_key_gives_the_same_names_and_another_others():
    one, two = pseudonymise(log(), KEY), pseudonymise(log(), KEY + b"!")
    assert one.sample_id.equals(pseudonymise(log(), KEY).sample_id)
    assert not set(one.sample_id.to_pylist()) & set(two.sample_id.to_pylist())
    assert one.metadata["pseudonymised"]["method"] == "HMAC-SHA256"
    assert one.metadata["pseudonymised"]["key"] != two.metadata["pseudonymised"]["key"]
    assert {k: one.metadata.get(k) for k in ("recorded", "seed")} == {
        "recorded": "train",
        "seed": 4,
    }


def unpacked(file):
    """Yield a file as it is and without compression: its values, metadata and statistics."""
    yield file.read_bytes()
    if file.suffix == ".npz":
        with zipfile.ZipFile(file) as archive:
            yield from (archive.read(name) for name in archive.namelist())
        return
    bare = io.BytesIO()
    pq.write_table(pq.read_table(file), bare, compression="none")
    yield bare.getvalue()
    footer = pq.read_metadata(file)
    for group in range(footer.num_row_groups):
        columns = [footer.row_group(group).column(i) for i in range(footer.num_columns)]
        yield repr([c.to_dict() for c in columns]).encode()


def test_the_ids_would_be_found(tmp_path):
    for name in ("log.parquet", "log.npz"):
        write_log(log(), tmp_path / name)
        found = b"".join(unpacked(tmp_path / name))
        assert any("Smith".encode(e) in found for e in ("utf-8", "utf-32-le"))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("layout", ["long", "wide"])
@pytest.mark.parametrize("source", ["log.parquet", "log.npz"])
def test_no_id_is_left_in_any_byte(source, target, layout, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_log(log(), source)
    whole = target == "out.parquet"
    if not whole and layout == "wide":
        return
    options = ["--layout", layout] if whole else []
    assert run(["convert", source, target, "--hash-ids", *options]) == 0
    said = capsys.readouterr().err
    assert "a new one in out" in said
    files = [f for f in tmp_path.rglob("*") if f.is_file()]
    files = [f for f in files if f.name != source and f.suffix != ".key"]
    assert files
    for name, content in [(f.name, part) for f in files for part in unpacked(f)]:
        for word in ("Smith", "Jones", "Patient", "Ward", "scans", ".png"):
            for encoding in ("utf-8", "utf-16-le", "utf-32-le"):
                assert word.encode(encoding) not in content, name
    found = read_log(target)
    assert (found.n_samples, found.channels) == (60, ("label", "group", "predicted"))
    assert np.array_equal(np.sort(found.loss, axis=0), np.sort(log().loss, axis=0))


def test_a_new_key_is_its_owners_alone_and_is_used_again(tmp_path, capsys):
    write_log(log(), tmp_path / "log.parquet")
    out, key = tmp_path / "out.parquet", tmp_path / "secret"
    given = ["convert", str(tmp_path / "log.parquet"), str(out), "--hash-ids"]
    assert run([*given, "--key-file", str(key)]) == 0
    first = read_log(out).sample_id
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_text().strip()) == 64
    assert run([*given, "--key-file", str(key)]) == 0
    assert "the one that was there" in capsys.readouterr().err
    assert read_log(out).sample_id.equals(first)
    assert read_key(key) == (key.read_bytes().strip(), False)
    assert read_key(tmp_path / "other")[0] != key.read_bytes().strip()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--key-file", "KEY"], "--key-file is for --hash-ids"),
        (["--hash-ids", "--key-file", "SHORT"], "holds 5 bytes; a key has 32"),
        (["--hash-ids", "--key-file", "FOLDER"], "cannot be read"),
        (["--hash-ids", "--key-file", "FOLDER/no/key"], "cannot write"),
        (["--hash-ids", "--layout", "tall"], "layout is 'tall'"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(options, words, tmp_path, capsys):
    write_log(log(), tmp_path / "log.parquet")
    (tmp_path / "short").write_text("hello")
    (tmp_path / "folder").mkdir()
    names = {"KEY": "key", "SHORT": "short", "FOLDER": "folder", "FOLDER/no/key": "folder/no/key"}
    given = [str(tmp_path / names[o]) if o in names else o for o in options]
    before = sorted(tmp_path.rglob("*"))
    source, target = str(tmp_path / "log.parquet"), str(tmp_path / "out.parquet")
    assert run(["convert", source, target, *given]) == 2
    assert words in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
