"""The same log in every physical form gives identical results, whatever the order of its rows."""

import io
import itertools
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lossan
from lossan.cli import run
from lossan.errors import LogError
from lossan.io import _footer, _npz, _slots

N, EPOCHS = 60, 5

IDS = {
    "dense": np.arange(N),
    "from 1": np.arange(1, N + 1),
    "negative": np.arange(N) - 30,
    "sparse": np.arange(N) * 7_919_000_017 - 10**11,
    "text": np.array([f"img_{i:04d}" for i in range(N)]),
    "lengths": np.array(["é" * (i % 7) + str(i) for i in range(N)]),
    "long": np.array([f"{'x' * 300}{i}" for i in range(N)]),
}


def make(ids, seed=0, gaps=True):
    """Return a long frame with every field, in a random order of rows."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(ids))
    frame = pd.DataFrame(
        {
            "sample_id": np.repeat(ids[order], EPOCHS),
            "epoch": np.tile(np.arange(EPOCHS), len(ids)),
            "loss": rng.gamma(1, 1, len(ids) * EPOCHS).astype(np.float32),
            "label": np.repeat(rng.choice(["cat", "dog", "eel"], len(ids)), EPOCHS),
            "true_label": np.repeat(rng.choice(["cat", "dog", "eel"], len(ids)), EPOCHS),
            "path": np.repeat([f"a/{i}.png" for i in order], EPOCHS),
            "group": np.repeat(order // 2, EPOCHS),
            "label_prob": rng.random(len(ids) * EPOCHS).astype(np.float32),
            "margin": rng.normal(size=len(ids) * EPOCHS).astype(np.float32),
            "predicted": rng.choice(["cat", "dog", "eel"], len(ids) * EPOCHS),
        }
    )
    if gaps:
        frame.loc[rng.random(len(frame)) < 0.1, "loss"] = np.nan
    return frame.sample(frac=1, random_state=seed).reset_index(drop=True)


def wide(frame, channels=("loss", "label_prob", "margin", "predicted")):
    ordered = frame.sort_values(["sample_id", "epoch"])
    groups = ordered.groupby("sample_id", sort=True)
    static = groups[["label", "true_label", "path", "group"]].first().reset_index()
    return static, {c: groups[c].agg(list).tolist() for c in channels}


def write_long(frame, path, **options):
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, **options)


def write_lists(frame, path, kind):
    static, lists = wide(frame)
    table = pa.Table.from_pandas(static, preserve_index=False)
    for name, values in lists.items():
        item = pa.string() if name == "predicted" else pa.float32()
        column = pa.array(values, pa.list_(item), from_pandas=True)
        if kind == "fixed":
            column = column.cast(pa.list_(item, EPOCHS))
        table = table.append_column(name, column)
    pq.write_table(table, path)


def write_numbered(frame, path):
    static, lists = wide(frame)
    for name, values in lists.items():
        for number, column in enumerate(zip(*values, strict=True), 1):
            static[f"{name}_{number}"] = column
    write_long(static.sample(frac=1, random_state=1), path)


def write_folder(frame, path):
    for epoch, part in frame.groupby("epoch"):
        (path / f"epoch={epoch}").mkdir(parents=True)
        write_long(part.drop(columns="epoch"), path / f"epoch={epoch}" / "part-0.parquet")


def write_shards(frame, path):
    path.mkdir()
    for rank in range(3):
        write_long(frame[frame["group"] % 3 == rank], path / f"rank-{rank}.any")
    (path / "_SUCCESS").touch()
    (path / "notes.txt").write_text("not a part")


def write_npz(frame, path):
    static, lists = wide(frame)
    arrays = {c: np.array(v) for c, v in lists.items()}
    arrays |= {c: static[c].to_numpy() for c in static}
    arrays = {c: v.astype(str) if v.dtype == object else v for c, v in arrays.items()}
    np.savez(path, **arrays)


FORMS = {
    "long.parquet": write_long,
    "groups.parquet": lambda f, p: write_long(f, p, row_group_size=17),
    "plain.parquet": lambda f, p: write_long(f, p, use_dictionary=False, write_statistics=False),
    "epochs.parquet": lambda f, p: write_long(f.sort_values("epoch", kind="stable"), p),
    "samples.parquet": lambda f, p: write_long(f.sort_values(["sample_id", "epoch"]), p),
    "category.parquet": lambda f, p: write_long(f.astype({"label": "category"}), p),
    "list.parquet": lambda f, p: write_lists(f, p, "variable"),
    "fixed.parquet": lambda f, p: write_lists(f, p, "fixed"),
    "numbered.parquet": write_numbered,
    "folder": write_folder,
    "shards": write_shards,
    "log.npz": write_npz,
}


@pytest.mark.parametrize("ids", IDS)
def test_every_form_gives_the_same_bytes(ids, tmp_path, monkeypatch):
    monkeypatch.setattr(_footer, "BATCH_ROWS", 23)
    frame = make(IDS[ids])
    found = {}
    for name, write in FORMS.items():
        write(frame, tmp_path / name)
        result = lossan.analyze(tmp_path / name, name="a log")
        result.save(tmp_path / f"out-{name}")
        folder = tmp_path / f"out-{name}"
        found[name] = [(folder / f).read_bytes() for f in ("findings.parquet", "findings.csv")]
        found[name].append(result.summary.log.fingerprint)
    for name, findings in found.items():
        assert findings == found["long.parquet"], name


@pytest.mark.parametrize("ids", IDS)
def test_long_is_what_pandas_pivots(ids, tmp_path, monkeypatch):
    monkeypatch.setattr(_footer, "BATCH_ROWS", 23)
    frame = make(IDS[ids])
    write_long(frame, tmp_path / "log.parquet")
    log = lossan.read_log(tmp_path / "log.parquet")
    first = frame.drop_duplicates("sample_id").set_index("sample_id").sort_index()
    assert log.sample_id.to_pylist() == first.index.tolist()
    for field in ("loss", "label_prob", "margin"):
        expected = frame.pivot(index="sample_id", columns="epoch", values=field).sort_index()
        np.testing.assert_array_equal(getattr(log, field), expected.to_numpy())
    for field in ("label", "true_label", "path", "group"):
        assert getattr(log, field).to_pylist() == first[field].tolist()
    expected = frame.pivot(index="sample_id", columns="epoch", values="predicted").sort_index()
    names = np.array(log.predicted.values.to_pylist())
    np.testing.assert_array_equal(names[log.predicted.codes], expected.to_numpy())
    assert log.loss.T.flags.c_contiguous or log.loss.T[0].flags.c_contiguous


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(-(2**62), 2**62), st.integers(-3, 5), st.floats(0, 100, width=32)),
        min_size=1,
        max_size=80,
        unique_by=lambda row: row[:2],
    ),
    text=st.booleans(),
)
def test_any_rows_are_read_as_they_are(rows, text, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "log.parquet"
    ids, epochs, losses = zip(*rows, strict=True)
    ids = [str(i) for i in ids] if text else ids
    pq.write_table(
        pa.table({"sample_id": ids, "epoch": epochs, "loss": pa.array(losses, pa.float32())}), path
    )
    cells = {(i, e): v for i, e, v in zip(ids, epochs, losses, strict=True)}
    if len(set(epochs)) < 2:
        with pytest.raises(lossan.LossanError, match="at least 2"):
            lossan.read_log(path)
        return
    log = lossan.read_log(path)
    assert log.sample_id.to_pylist() == sorted(set(ids))
    assert log.epochs.tolist() == sorted(set(epochs))
    for row, column in itertools.product(range(log.n_samples), range(log.n_epochs)):
        expected = cells.get((log.sample_id[row].as_py(), log.epochs[column]), np.nan)
        np.testing.assert_equal(log.loss[row, column], np.float32(expected))


@pytest.mark.parametrize("target", ["o.parquet", "o.npz", "folder/"])
@pytest.mark.parametrize("layout", [None, "wide"])
def test_convert_keeps_everything(target, layout, tmp_path):
    frame = make(IDS["text"], gaps=target != "o.npz")
    write_long(frame, tmp_path / "log.parquet")
    log = lossan.read_log(tmp_path / "log.parquet")
    if layout and target != "o.parquet":
        with pytest.raises(lossan.LossanError):
            lossan.write_log(log, f"{tmp_path}/{target}", layout=layout)
        return
    lossan.write_log(log, f"{tmp_path}/{target}", layout=layout)
    again = lossan.read_log(f"{tmp_path}/{target}")
    assert again.fingerprint == log.fingerprint
    for field in log.channels:
        ours, theirs = getattr(log, field), getattr(again, field)
        if field == "predicted":
            assert (
                np.array(ours.values)[ours.codes].tolist()
                == np.array(theirs.values)[theirs.codes].tolist()
            )
        elif isinstance(ours, np.ndarray):
            np.testing.assert_array_equal(ours, theirs)
        else:
            assert ours.equals(theirs)


def test_strings_with_one_hash_stay_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(_slots, "string_hashes", lambda v: np.zeros(len(v), np.int64))
    test_long_is_what_pandas_pivots("lengths", tmp_path, monkeypatch)


def test_integers_in_one_place_of_the_table_stay_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(_slots, "_GOLDEN", np.uint64(0))
    test_long_is_what_pandas_pivots("sparse", tmp_path, monkeypatch)


def test_standard_input(tmp_path, monkeypatch, capsys):
    write_long(make(IDS["dense"]), tmp_path / "log.parquet")
    piped = io.TextIOWrapper(io.BytesIO((tmp_path / "log.parquet").read_bytes()))
    monkeypatch.setattr(sys, "stdin", piped)
    assert run(["analyze", "-", "--json"]) == 0
    from_pipe = capsys.readouterr().out
    assert run(["analyze", str(tmp_path / "log.parquet"), "--json"]) == 0
    from_file = capsys.readouterr().out
    same = [line for line in from_pipe.splitlines() if "created" not in line and "path" not in line]
    assert same == [x for x in from_file.splitlines() if "created" not in x and "path" not in x]


def test_other_column_names(tmp_path):
    frame = make(IDS["text"])
    names = {"sample_id": "guid", "epoch": "ep", "loss": "nll", "label": "y", "true_label": "t"}
    write_long(frame, tmp_path / "log.parquet")
    write_long(frame.rename(columns=names), tmp_path / "other.parquet")
    options = {f"{'id' if k == 'sample_id' else k}_column": v for k, v in names.items()}
    other = lossan.read_log(tmp_path / "other.parquet", **options)
    assert other.fingerprint == lossan.read_log(tmp_path / "log.parquet").fingerprint
    assert other.true_label is not None


def test_last_of_duplicates(tmp_path):
    frame = make(IDS["dense"], gaps=False)
    again = frame.iloc[:7].assign(loss=9.0)
    write_long(pd.concat([frame, again]), tmp_path / "log.parquet")
    with pytest.raises(lossan.LossanError, match="7 rows repeat"):
        lossan.read_log(tmp_path / "log.parquet")
    log = lossan.read_log(tmp_path / "log.parquet", duplicates="last")
    assert int((log.loss == 9.0).sum()) == 7


def test_masked_infinities_are_not_observed(tmp_path):
    frame = make(IDS["dense"], gaps=False)
    frame.loc[3, "loss"] = np.inf
    write_long(frame, tmp_path / "log.parquet")
    log = lossan.read_log(tmp_path / "log.parquet", invalid="mask")
    assert int(np.isnan(log.loss).sum()) == 1
    assert log.n_observed.sum() == N * EPOCHS - 1


def test_partly_known_truth_stays_unknown(tmp_path):
    frame = make(IDS["dense"])
    frame.loc[frame["sample_id"] > 9, "true_label"] = None
    write_long(frame, tmp_path / "log.parquet")
    result = lossan.analyze(tmp_path / "log.parquet")
    assert result.summary.evaluation.n == 10


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4", "i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npz_of_any_numbers_and_order_in_pieces(put_npz, dtype, order, monkeypatch):
    monkeypatch.setattr(_npz, "_TURNED", 50)  # a few rows at a time
    loss = (np.random.default_rng(0).random((23, 5)) * 9).astype(dtype, order=order)
    log = lossan.read_log(put_npz(loss=loss, margin=loss.astype("f4")))
    np.testing.assert_array_equal(log.loss, loss.astype("f4"))
    np.testing.assert_array_equal(log.margin, loss.astype("f4"))


@pytest.mark.parametrize("dtype", ["<U3", ">U3"])
@pytest.mark.parametrize("field", ["meta", "label", "sample_id"])
def test_npz_with_text_of_no_characters_is_damaged(put_npz, field, dtype):
    text = np.array("abc" if field == "meta" else ["abc", "abd"], dtype)
    number = np.dtype("u4").newbyteorder(text.dtype.byteorder)
    text.reshape(-1).view(number)[-1] = sys.maxunicode + 1
    path = put_npz(loss=np.ones((2, 2)), **{field: text})
    with pytest.raises(LogError, match=f"the array '{field}' is damaged"):
        lossan.read_log(path)
