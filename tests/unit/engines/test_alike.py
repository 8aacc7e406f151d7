"""What a log may hold, and what is said of it, is the same in memory and beyond it."""

import json
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

import lossan
from lossan import pipeline
from lossan.cli import run
from lossan.engines import _result, _run, analyze_large
from lossan.engines._shuffle import bounds_of, bucket_of
from lossan.errors import LogError


@pytest.fixture(autouse=True)
def small_buckets(monkeypatch):
    monkeypatch.setattr(_run, "UNIT_ROWS", 300)
    monkeypatch.setattr(_run, "BUCKET_CELLS", 400)


def rows(n=300, n_epochs=4, **columns):
    """A long log as a table, one epoch after another."""
    rng = np.random.default_rng(0)
    level = np.where(rng.random(n) < 0.1, 2.0, 0.3)
    fields = {
        "sample_id": np.tile(np.arange(n), n_epochs),
        "epoch": np.repeat(np.arange(n_epochs), n),
        "loss": (level * rng.gamma(4, 0.25, (n_epochs, n))).ravel(),
    }
    return pa.table(fields | columns)


def names(n=300, repeated=4, kind=None):
    return pa.array([f"img-{i:04d}.png" for i in range(n)] * repeated, kind or pa.string())


def both_say(path):
    """Return the message of the error that both engines raise."""
    with pytest.raises(LogError) as local:
        lossan.analyze(path)
    with pytest.raises(LogError) as disk, analyze_large(str(path)):
        pass
    assert str(local.value) == str(disk.value)
    return str(local.value)


def both_find(path):
    """Return the findings, which must be those of both engines."""
    expected = lossan.analyze(path).findings
    with analyze_large(str(path)) as result:
        found, _ = result.head(len(expected))
    assert_frame_equal(found.to_pandas(), expected)
    return expected


@pytest.mark.parametrize("most", [100, 250, 10_000])
def test_the_unscored_are_shown_where_there_is_room_for_them(tmp_path, monkeypatch, most):
    table = rows()
    few = table.column("epoch").to_numpy() > 0
    once = table.column("sample_id").to_numpy() % 5 == 2  # 60 samples, observed at one epoch
    path = tmp_path / "log.parquet"
    pq.write_table(table.filter(pa.array(~(few & once))), path)
    for module in (pipeline, _result):
        monkeypatch.setattr(module, "MOST_SEQUENCES", most)
    lossan.analyze(path).save(tmp_path / "memory")
    with analyze_large(str(path)) as result:
        result.save(str(tmp_path / "disk"))
    memory, disk = (
        pq.read_table(tmp_path / folder / "sequences.parquet") for folder in ("memory", "disk")
    )
    assert disk.to_pydict() == memory.to_pydict()
    shown = set(memory["sample_id"].to_pylist())
    assert sum(name % 5 == 2 for name in shown) == {100: 0, 250: 10, 10_000: 60}[most]


@pytest.mark.parametrize("long_ones", [[], [5], [5, 6], [*range(0, 300, 7)]])
def test_ids_go_to_buckets_in_their_order_however_long_some_are(long_ones):
    texts = [f"img-{i:04d}.png" for i in range(300)]
    for i in long_ones:
        texts[i] = "ä" * 20_000 + texts[i]
    ids = pa.array(texts, pa.large_string())
    bucket = bucket_of(bounds_of(ids, 8), ids)
    assert len(set(bucket.tolist())) == 8
    order = np.argsort(np.array([t.encode() for t in texts], object), kind="stable")
    assert (np.diff(bucket[order].astype(int)) >= 0).all()
    views = ids.cast(pa.string())
    assert bucket_of(bounds_of(views, 8), views).tolist() == bucket.tolist()


def test_one_long_id_takes_no_memory_for_the_others():
    texts = [*(f"img-{i:06d}.png" for i in range(50_000)), "z" * 200_000]
    ids = pa.array(texts, pa.large_string())
    bounds = bounds_of(pa.array(sorted(texts)[-8:], pa.large_string()), 8)
    tracemalloc.start()
    bucket = bucket_of(bounds, ids)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 28
    assert bucket[-1] == bucket.max()


def test_a_log_with_one_long_id(tmp_path):
    ids = [*names(299, 1).to_pylist(), "x" * 100_000]
    loss = list(np.random.default_rng(0).gamma(2, 0.5, (300, 4)))
    pq.write_table(pa.table({"sample_id": ids, "loss": loss}), tmp_path / "log.parquet")
    assert "x" * 100_000 in set(both_find(tmp_path / "log.parquet")["sample_id"])


@pytest.mark.parametrize("fields", [["sample_id"], ["label", "predicted", "path", "group"]])
def test_views_of_texts_are_texts(tmp_path, fields):
    views = {field: names(kind=pa.string_view()) for field in fields}
    texts = {field: column.cast(pa.string()) for field, column in views.items()}
    pq.write_table(rows(**views), tmp_path / "views.parquet")
    pq.write_table(rows(**texts), tmp_path / "texts.parquet")
    found = both_find(tmp_path / "views.parquet")
    assert_frame_equal(found, lossan.analyze(tmp_path / "texts.parquet").findings)


@pytest.mark.parametrize("layout", ["lists", "numbered"])
def test_views_of_texts_in_wide_logs(tmp_path, layout):
    loss = np.random.default_rng(0).gamma(2, 0.5, (300, 2))
    view, kind = names(repeated=1, kind=pa.string_view()), pa.list_(pa.string_view())
    if layout == "lists":
        said = pa.array([[i, i] for i in view.to_pylist()], kind)
        columns = {"loss": list(loss), "predicted": said}
    else:
        columns = {f"loss_{e}": loss[:, e] for e in (0, 1)}
        columns |= {f"predicted_{e}": view for e in (0, 1)}
    pq.write_table(pa.table({"sample_id": view, "label": view, **columns}), tmp_path / "w.parquet")
    both_find(tmp_path / "w.parquet")


def test_a_table_of_views_is_read_whole(tmp_path):
    table = pa.table({"sample_id": names(9, 1, pa.string_view()), "label": [0, 1, 1] * 3})
    pq.write_table(table, tmp_path / "labels.parquet")
    read = lossan.io.read_labels(tmp_path / "labels.parquet").table
    assert read["sample_id"].to_pylist() == table["sample_id"].to_pylist()


@pytest.mark.parametrize("places", [[5], [5, 290], [5, 6, 290]])
def test_all_epochs_that_are_null_are_counted(tmp_path, places):
    epoch = pa.array(np.repeat(np.arange(4), 300), mask=np.isin(np.arange(1200), places))
    table = rows(sample_id=names(kind=pa.string_view()), epoch=epoch)
    pq.write_table(table, tmp_path / "log.parquet")
    told = f"epoch is null in {len(places)} row"
    assert told in both_say(tmp_path / "log.parquet")


@pytest.mark.parametrize("places", [[], [5], [5, 290]])
def test_that_nothing_was_observed_is_told_of_a_whole_log(tmp_path, places):
    loss = pa.array(np.full(1200, np.nan))
    epoch = pa.array(np.repeat(np.arange(4), 300), mask=np.isin(np.arange(1200), places))
    table = rows().drop(["loss", "epoch"]).append_column("loss", loss)
    pq.write_table(table.append_column("epoch", epoch), tmp_path / "log.parquet")
    assert "every loss is NaN or absent" in both_say(tmp_path / "log.parquet")


def test_a_range_of_ids_of_which_nothing_was_observed_is_no_fault(tmp_path):
    sample = np.tile(np.arange(300), 4)
    loss = rows()["loss"].to_numpy()
    table = rows(loss=np.where(sample < 200, np.nan, loss))
    pq.write_table(table, tmp_path / "log.parquet")
    expected = lossan.analyze(tmp_path / "log.parquet").overview
    with analyze_large(str(tmp_path / "log.parquet")) as result:
        assert len(result.pieces.each) == 3
        assert result.overview == expected


def parts(folder, count=4, **kinds):
    """Write a folder of parts with metadata of their own; return their files."""
    folder.mkdir()
    table, files = rows(), [folder / f"p{number}.parquet" for number in range(count)]
    for number, file in enumerate(files):
        said = json.dumps({"recorded": kinds.get(file.stem, "train")})
        part = table.slice(number * 300, 300).replace_schema_metadata({"lossan": said})
        pq.write_table(part, file)
    return files


def test_all_damaged_parts_are_named_at_once(tmp_path):
    files = parts(tmp_path / "log")
    for file in (files[1], files[3]):
        whole = bytearray(file.read_bytes())
        start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
        whole[start : start + 40] = b"\xff" * 40
        file.write_bytes(whole)
    said = both_say(tmp_path / "log")
    assert said.startswith(f"{tmp_path / 'log'} has 2 faults:")
    assert "1. p1.parquet: it is damaged" in said
    assert "2. p3.parquet: it is damaged" in said


@pytest.mark.parametrize("count", [1, 4])
def test_a_part_damaged_inside_is_named_with_its_log(tmp_path, count):
    file = parts(tmp_path / "log", count)[-1]
    whole = bytearray(file.read_bytes())
    whole[4:204] = b"\xff" * 200
    file.write_bytes(whole)
    log = tmp_path / "log"
    assert both_say(log).startswith(f"{log}: {file.name}: it is damaged")


def test_one_damaged_file_is_named(tmp_path):
    file = parts(tmp_path / "log", 1)[0]
    file.write_bytes(file.read_bytes()[:-60] + b"\xff" * 52 + file.read_bytes()[-8:])
    assert both_say(file).startswith(f"{file}: it is damaged")


def test_parts_recorded_in_different_ways_are_refused(tmp_path):
    parts(tmp_path / "log", p2="eval")
    said = both_say(tmp_path / "log")
    assert "its parts were recorded in different ways: eval (p2.parquet), train (p0.parq" in said


def test_metadata_that_is_none_is_told_of_every_part(tmp_path):
    for file in parts(tmp_path / "log")[2:]:
        pq.write_table(pq.read_table(file).replace_schema_metadata({"lossan": "{"}), file)
    said = both_say(tmp_path / "log")
    assert "p2.parquet: its metadata is not JSON" in said
    assert "p3.parquet: its metadata is not JSON" in said


@pytest.mark.parametrize("engine", ["local", "disk"])
def test_samples_without_a_score_are_no_suspects(tmp_path, engine, capsys):
    few = {
        "sample_id": [1, 1, 2, 2, 3, 3, 4, 5],
        "epoch": [0, 1, 0, 1, 0, 1, 0, 1],
        "loss": [1.0, 2.0, 0.1, 0.2, 3.0, 1.0, 4.0, 5.0],
    }
    pq.write_table(pa.table(few), tmp_path / "few.parquet")
    assert run(["analyze", str(tmp_path / "few.parquet"), "--engine", engine, "--top", "20"]) == 0
    shown = capsys.readouterr().out
    assert "2 could not be scored" in shown
    assert "The 3 most suspicious" in shown
    assert "nan" not in shown
