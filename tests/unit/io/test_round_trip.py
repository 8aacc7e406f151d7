"""Whatever a log may hold, writing it in any form and reading it again changes no finding."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lossan import analyze, build_log, read_log, write_log
from lossan.errors import DetectorError, OptionError
from lossan.losslog import STATIC_FIELDS

FORMS = {
    "long": ("log.parquet", None),
    "wide": ("wide.parquet", "wide"),
    "folder": ("folder/", None),
    "npz": ("log.npz", None),
}

integers = st.integers(-(2**63), 2**63 - 1)
# UTF-8 of up to 4 bytes, the character NUL, and strings longer than are hashed as one row
texts = st.text(max_size=6) | st.text("aé☃🐟", min_size=90, max_size=130)
names = st.sampled_from([integers, texts])


@st.composite
def logs(draw):
    n, n_epochs = draw(st.integers(2, 9)), draw(st.integers(2, 4))
    cells = (n, n_epochs)
    kind = draw(names)
    fields = {"sample_id": draw(st.lists(kind, min_size=n, max_size=n, unique=True))}
    losses = st.floats(-10, 100, width=32) | st.just(np.nan)
    fields["loss"] = draw(hnp.arrays(np.float32, cells, elements=losses))
    fields["loss"][0, 0] = 1.0  # something was observed
    for field in STATIC_FIELDS:
        if draw(st.booleans()):
            values = draw(names) | st.none() if draw(st.booleans()) else draw(names)
            fields[field] = draw(st.lists(values, min_size=n, max_size=n))
    for field, low in (("label_prob", 0), ("margin", -50), ("predicted_prob", 0)):
        if draw(st.booleans()):
            values = st.floats(low, 1, width=32) | st.just(np.nan)
            fields[field] = draw(hnp.arrays(np.float32, cells, elements=values))
    if draw(st.booleans()):
        classes = draw(st.sampled_from([st.sampled_from(["a", "é"]), st.integers(0, 3)]))
        classes = classes | st.none() if draw(st.booleans()) else classes
        rows = st.lists(classes, min_size=n_epochs, max_size=n_epochs)
        fields["predicted"] = np.array(draw(st.lists(rows, min_size=n, max_size=n)), object)
    return fields


def outcome(source, folder):
    """Return the bytes of the findings, or why there are none."""
    try:
        result = analyze(source, name="a log")
    except DetectorError as error:
        return str(error)
    result.save(folder)
    files = [(folder / f).read_bytes() for f in ("findings.parquet", "findings.csv")]
    return [*files, result.summary.log.fingerprint]


def npz_cannot(log):
    """Tell whether a log holds what NPZ has no room for."""
    columns = [log.sample_id, *(getattr(log, f) for f in STATIC_FIELDS if getattr(log, f))]
    values = [v for column in columns for v in column.to_pylist()]
    if log.predicted is not None:
        values += [None] * int((log.predicted.codes < 0).sum())
    return any(v is None or (isinstance(v, str) and v.endswith("\0")) for v in values)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fields=logs())
def test_every_form_gives_the_findings_of_the_arrays(fields, tmp_path_factory):
    log = build_log(**fields)
    folder = tmp_path_factory.mktemp("forms")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lossan.pipeline.can_plot", lambda: False)
        expected = outcome(log, folder / "arrays")
        for form, (name, layout) in FORMS.items():
            target = f"{folder}/{name}"
            if form == "npz" and npz_cannot(log):
                with pytest.raises(OptionError, match="NPZ"):
                    write_log(log, target)
                assert not (folder / name).exists()
                continue
            write_log(log, target, layout=layout)
            assert outcome(target, folder / form) == expected, form


@pytest.mark.parametrize("form", FORMS)
def test_metadata_survives_and_is_stamped(form, tmp_path):
    metadata = {"recorded": "eval", "classes": ["käse", "☃"], "learning_rate": 5e-5}
    log = build_log([[1.0, 2.0], [3.0, 4.0]], metadata=metadata)
    name, layout = FORMS[form]
    write_log(log, f"{tmp_path}/{name}", layout=layout)
    again = read_log(f"{tmp_path}/{name}")
    assert {k: again.metadata[k] for k in metadata} == metadata
    assert again.recorded == "eval"
    assert again.metadata["format_version"] == "1"
    assert again.metadata["producer"].startswith("lossan ")
    assert set(again.metadata) == {*metadata, "format_version", "producer", "created"}


def test_the_producer_of_a_foreign_log_stays_its_producer(tmp_path):
    log = build_log([[1.0, 2.0], [3.0, 4.0]], metadata={"producer": "x 1", "created": "then"})
    write_log(log, tmp_path / "log.parquet")
    again = read_log(tmp_path / "log.parquet").metadata
    assert (again["producer"], again["created"]) == ("x 1", "then")


@pytest.mark.parametrize("form", ["long", "folder"])
def test_epochs_keep_their_numbers(form, tmp_path):
    table = pa.table({"sample_id": [1, 1, 2, 2], "epoch": [-7, 40] * 2, "loss": [1.0, 2, 3, 4]})
    pq.write_table(table, tmp_path / "made.parquet")
    name, _ = FORMS[form]
    write_log(read_log(tmp_path / "made.parquet"), f"{tmp_path}/{name}")
    assert read_log(f"{tmp_path}/{name}").epochs.tolist() == [-7, 40]


@pytest.mark.parametrize("form", FORMS)
def test_slices_do_not_show(form, tmp_path, monkeypatch):
    monkeypatch.setattr("lossan.io._write.ROWS", 7)
    rng = np.random.default_rng(0)
    fields = {"label": list("abcde") * 5, "margin": rng.normal(size=(25, 3))}
    fields["predicted"] = rng.choice(["a", "b"], (25, 3))
    log = build_log(rng.random((25, 3)), sample_id=rng.permutation(25), **fields)
    name, layout = FORMS[form]
    write_log(log, f"{tmp_path}/{name}", layout=layout)
    again = read_log(f"{tmp_path}/{name}")
    assert again.fingerprint == log.fingerprint
    assert again.margin.tolist() == log.margin.tolist()
    ours, read = (np.array(p.values)[p.codes] for p in (log.predicted, again.predicted))
    assert ours.tolist() == read.tolist()


def test_a_recording_that_never_closed_is_a_log(tmp_path):
    folder = tmp_path / "run.parquet.recording"
    folder.mkdir()
    for epoch in (1, 2, 10):
        part = pa.table({"sample_id": [1, 2], "epoch": [epoch] * 2, "loss": [float(epoch), 0.5]})
        part = part.replace_schema_metadata({"lossan": json.dumps({"recorded": "train"})})
        pq.write_table(part, folder / f"epoch-{epoch:06d}.parquet")
    (folder / ".epoch-000011.parquet.x.tmp").write_bytes(b"PAR1 half")
    log = read_log(folder)
    assert log.loss.tolist() == [[1, 2, 10], [0.5, 0.5, 0.5]]
    assert log.recorded == "train"
