"""Beyond memory the findings are those of the analysis in memory, to the last byte."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import lossan
from lossan import blocks, clustering, fingerprint, points
from lossan.engines import _models, _points, _prints, _run, _shuffle, analyze_large
from lossan.errors import LogError, OptionError, OutputError

FILES = ("findings.parquet", "findings.csv", "sequences.parquet")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Cut logs of some hundred samples as if they had millions."""
    monkeypatch.setattr(_shuffle, "UNIT_ROWS", 700)
    monkeypatch.setattr(_run, "UNIT_ROWS", 700)
    monkeypatch.setattr(_run, "BUCKET_CELLS", 900)
    monkeypatch.setattr(blocks, "BLOCK", 64)
    monkeypatch.setattr(clustering, "_SUBSAMPLE", 300)
    for module in (points, _points):
        monkeypatch.setattr(module, "CHUNK", 256)
    for module in (fingerprint, _prints):
        monkeypatch.setattr(module, "CHUNK", 256)


def rows_of(seed=0, n=800, n_epochs=5, *, strings=False, gaps=0.0, fields=(), n_classes=3, shape=4):
    """A long log as a table, its rows in a random order."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(n) < 0.1
    level = np.where(wrong[:, None], 2.0, 2.0 * 0.5 ** np.arange(1, n_epochs + 1))
    loss = (level * rng.gamma(shape, 1 / shape, (n, n_epochs))).astype(np.float32)
    sample = np.repeat(rng.choice(10**12, n, replace=False), n_epochs)
    given_label = rng.integers(0, n_classes, n)
    truth = np.where(wrong, (given_label + 1) % n_classes, given_label)
    columns = {
        "sample_id": [f"img/{i:x}ä" for i in sample] if strings else sample,
        "epoch": np.tile(np.arange(n_epochs) * 2, n),
        "loss": loss.ravel(),
        "label": np.repeat(given_label, n_epochs),
        "true_label": np.repeat(truth, n_epochs),
        "predicted": np.repeat(truth, n_epochs),
        "label_prob": np.exp(-loss).ravel(),
        "margin": -np.log(np.expm1(np.maximum(loss, 1e-3))).ravel(),
        "path": [f"{i}.png" for i in sample],
    }
    kept = ["sample_id", "epoch", "loss", *fields]
    table = pa.table({name: columns[name] for name in kept})
    order = rng.permutation(len(table))
    return table.take(pa.array(order[rng.random(len(table)) >= gaps]))


def write(table, folder, *, row_group_size=500):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "log.parquet"
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def both(path, tmp_path, **options):
    """Save the findings of both engines; return their folders."""
    reading = {k: options.pop(k) for k in ("duplicates", "invalid") if k in options}
    local, disk = tmp_path / "local", tmp_path / "disk"
    lossan.analyze(lossan.read_log(path, **reading), name=str(path), **options).save(local)
    with analyze_large(str(path), spill=str(tmp_path), **options, **reading) as result:
        result.save(str(disk))
    assert not list(tmp_path.glob("lossan-*")), "nothing is left of what was spilled"
    return local, disk


def same_summary(local, disk):
    one, other = (json.loads((f / "summary.json").read_text()) for f in (local, disk))
    assert one.pop("created") <= other.pop("created")
    assert one == other


ALL = ("label", "true_label", "path")


@pytest.mark.parametrize("strings", [False, True])
@pytest.mark.parametrize("fields", [(), ("label",), ALL, (*ALL, "predicted")])
@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_a_long_log_has_the_findings_it_has_in_memory(tmp_path, strings, fields, gaps):
    path = write(rows_of(strings=strings, fields=fields, gaps=gaps), tmp_path)
    local, disk = both(path, tmp_path, seed=3)
    same_summary(local, disk)
    for name in FILES[:2]:
        assert (local / name).read_bytes() == (disk / name).read_bytes(), name


@pytest.mark.parametrize(
    "options", [{"scale": "none"}, {"early_epochs": 1}, {"settings": {"n_init": 2}}]
)
def test_options_mean_the_same(tmp_path, options):
    path = write(rows_of(5, fields=ALL), tmp_path)
    local, disk = both(path, tmp_path, **options)
    same_summary(local, disk)
    assert (local / FILES[0]).read_bytes() == (disk / FILES[0]).read_bytes()


@pytest.mark.parametrize("form", ["lists", "numbered", "folder"])
def test_other_forms_have_the_findings_they_have_in_memory(tmp_path, form):
    table = rows_of(2, fields=ALL)
    if form == "folder":
        log = tmp_path / "log"
        for epoch in (0, 2, 4, 6, 8):
            part = table.filter(pa.compute.equal(table["epoch"], epoch)).drop(["epoch"])
            write(part, log / f"epoch={epoch}", row_group_size=300)
    else:
        whole = write(table, tmp_path / "long")
        log = tmp_path / "wide.parquet"
        read = lossan.read_log(whole)
        losses = list(read.loss)
        columns = (
            {"loss": losses}
            if form == "lists"
            else {f"loss_{e}": read.loss[:, e] for e in range(read.n_epochs)}
        )
        rows = np.random.default_rng(0).permutation(read.n_samples)
        wide = pa.table({"sample_id": read.sample_id, "label": read.label, **columns})
        pq.write_table(wide.take(pa.array(rows)), log, row_group_size=200)
    local, disk = both(log, tmp_path)
    same_summary(local, disk)
    assert (local / FILES[0]).read_bytes() == (disk / FILES[0]).read_bytes()


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**16), n=st.integers(2, 60), gaps=st.floats(0, 0.7), strings=st.booleans()
)
def test_any_log_has_the_flags_it_has_in_memory(tmp_path_factory, seed, n, gaps, strings):
    folder = tmp_path_factory.mktemp("any")
    path = write(rows_of(seed, n, 4, strings=strings, gaps=gaps, fields=("label",)), folder)
    try:
        expected = lossan.analyze(path).findings.dropna(subset="score")
    except lossan.LossanError as error:
        with pytest.raises(type(error)), analyze_large(str(path)):
            pass
        return
    with analyze_large(str(path)) as result:
        found, _ = result.head(n)
    assert_frame_equal(found.to_pandas(), expected)


@pytest.mark.parametrize("fields", [ALL, (*ALL, "margin"), (*ALL, "label_prob", "predicted")])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_auto_says_what_it_says_in_memory(tmp_path, fields, n_classes):
    path = write(
        rows_of(7, 3000, 6, fields=fields, gaps=0.1, n_classes=n_classes, shape=30), tmp_path
    )
    local, disk = both(path, tmp_path, detector="auto")
    assert (local / FILES[0]).read_bytes() == (disk / FILES[0]).read_bytes()
    one, other = (json.loads((f / "summary.json").read_text()) for f in (local, disk))
    assert one["n_flagged"] > 0
    for field in ("noise_rate", "n_flagged", "evaluation", "scores", "notes"):
        assert one[field] == other[field], field
    for ours, theirs in zip(one["per_class"], other["per_class"], strict=True):
        assert ours.pop("expected_wrong") == pytest.approx(theirs.pop("expected_wrong"))
        assert ours == theirs


def test_auto_fitted_to_a_sample_judges_all(tmp_path, monkeypatch):
    path = write(rows_of(7, 6000, 6, fields=ALL, shape=30), tmp_path)
    expected = lossan.analyze(path, detector="auto")
    monkeypatch.setattr(_models, "FITTED", 12_000)
    with analyze_large(str(path), detector="auto") as result:
        found = result.overview
    assert found.n_flagged == pytest.approx(expected.overview.n_flagged, rel=0.1)
    assert found.evaluation.auprc == pytest.approx(expected.evaluation.auprc, abs=0.01)
    assert found.noise_rate.low <= 0.1 <= found.noise_rate.high


def test_a_report_can_be_made_of_the_suspects(tmp_path):
    path = write(rows_of(8, fields=ALL), tmp_path)
    _, disk = both(path, tmp_path)
    shown = lossan.read_log(disk / "sequences.parquet")
    whole = lossan.read_log(path)
    flagged = pq.read_table(disk / "findings.parquet").filter(pa.compute.field("flagged"))
    assert set(flagged["sample_id"].to_pylist()) <= set(shown.sample_id.to_pylist())
    rows = np.searchsorted(whole.sample_id.to_numpy(), shown.sample_id.to_numpy())
    assert np.array_equal(shown.loss, whole.loss[rows])


def messages(error):
    return sorted(fault.code for fault in error.value.faults)


@pytest.mark.parametrize("fault", ["duplicate", "infinite", "margin", "label", "null", "nothing"])
def test_faults_are_those_told_in_memory(tmp_path, fault):
    table = rows_of(4, fields=("label",)).to_pandas()
    if fault == "duplicate":
        table = table.loc[[*range(len(table)), *range(30)]]
    elif fault == "infinite":
        table.loc[:40, "loss"] = np.inf
    elif fault == "margin":
        table["margin"] = np.where(table.index < 40, np.inf, 1.0)
    elif fault == "label":
        table.loc[table["epoch"] == 0, "label"] += 1
    elif fault == "null":
        table["sample_id"] = table["sample_id"].astype("Int64")
        table.loc[:3, "sample_id"] = None
    else:
        table = table.iloc[:0]
    path = write(pa.Table.from_pandas(table, preserve_index=False), tmp_path)
    with pytest.raises(LogError) as expected:
        lossan.read_log(path)
    with pytest.raises(LogError) as found, analyze_large(str(path)):
        pass
    assert messages(found) == messages(expected)
    counts = [[f.count for f in e.value.faults] for e in (expected, found)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("duplicates", ["last"])
def test_the_last_of_repeated_rows_is_the_one_in_memory(tmp_path, duplicates):
    table = rows_of(4)
    again = table.set_column(2, "loss", pa.compute.add(table["loss"], 1)).slice(50, 400)
    path = write(pa.concat_tables([table, again.cast(table.schema)]), tmp_path)
    local, disk = both(path, tmp_path, duplicates=duplicates)
    assert (local / FILES[0]).read_bytes() == (disk / FILES[0]).read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "spark"}, "engine is 'spark'; allowed: dask, disk, local"),
        ({"detector": "gmm"}, "kmeans and auto can be had, not gmm"),
        ({"scheduler": "tcp://x:1"}, "is for --engine dask, not disk"),
        ({"spill": "s3://bucket/x"}, "spills to a folder, not to a store"),
        ({"engine": "dask", "scheduler": "tcp://127.0.0.1:9"}, "name a place that every worker"),
    ],
)
def test_what_cannot_be_done_is_told(tmp_path, options, message):
    path = write(rows_of(), tmp_path)
    with pytest.raises(OptionError, match=re.escape(message)), analyze_large(str(path), **options):
        pass


def test_npz_is_told_to_be_converted(tmp_path):
    np.savez(tmp_path / "log.npz", loss=np.ones((3, 2)))
    with (
        pytest.raises(OptionError, match="lossan convert"),
        analyze_large(str(tmp_path / "log.npz")),
    ):
        pass


def test_no_room_to_spill_names_the_option(tmp_path, monkeypatch):
    path = write(rows_of(), tmp_path)
    with (
        pytest.raises(OutputError, match=r"cannot spill to .*nowhere.*--spill DIR"),
        analyze_large(str(path), spill=str(tmp_path / "nowhere")),
    ):
        pass
