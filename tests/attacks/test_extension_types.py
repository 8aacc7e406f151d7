"""Arrow extension types that a Parquet file names, with code waiting for them."""

from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossan import Recorder, analyze, read_log

N, EPOCHS = 20, 4


class Waiting(pa.ExtensionType):
    """A type whose reading from a file runs code, as some programs register them."""

    def __init__(self, file):
        self.file = file
        super().__init__(pa.int64(), "lossan.attack")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        from pathlib import Path

        Path("the-attack-ran").touch()
        return cls("")


@pytest.fixture
def registered(canary):
    pa.register_extension_type(Waiting(""))
    yield
    pa.unregister_extension_type("lossan.attack")


def columns(**other):
    rng = np.random.default_rng(0)
    return {
        "sample_id": np.repeat(np.arange(N), EPOCHS),
        "epoch": np.tile(np.arange(EPOCHS), N),
        "loss": rng.gamma(1, 1, N * EPOCHS),
        "label": np.repeat(np.arange(N) % 2, EPOCHS),
    } | other


def waiting(values):
    return pa.ExtensionArray.from_storage(Waiting(""), pa.array(values, pa.int64()))


def put(path, table, works):
    pq.write_table(table, path)
    works(lambda: pq.read_table(path))


@pytest.mark.parametrize("column", ["sample_id", "epoch", "label", "extra"])
@pytest.mark.parametrize("command", ["analyze", "inspect", "convert", "merge"])
def test_a_log(column, command, registered, works, accepted):
    """A registered extension type in a log"""
    made = columns()
    made[column] = waiting(made.get(column, np.arange(N * EPOCHS)))
    put("log.parquet", pa.table(made), works)
    more = {"convert": ["out.parquet"], "merge": ["-o", "out.parquet"]}.get(command, [])
    accepted(command, "log.parquet", *more)


def test_a_part_of_a_directory(registered, works, accepted, tmp_path):
    """A registered extension type in a part of a directory"""
    (tmp_path / "log").mkdir()
    pq.write_table(pa.table(columns()), tmp_path / "log" / "0.parquet")
    made = columns(sample_id=np.repeat(np.arange(N) + N, EPOCHS))
    put(tmp_path / "log" / "1.parquet", pa.table(made | {"label": waiting(made["label"])}), works)
    accepted("analyze", "log")


def test_a_labels_table(registered, works, accepted):
    """A registered extension type in a labels table"""
    table = pa.table({"sample_id": np.arange(N), "label": waiting(np.arange(N) % 2)})
    put("labels.parquet", table, works)
    accepted("corrupt", "labels.parquet", "-o", "out.csv", "--rate", "0.2")


@pytest.mark.parametrize("file", ["findings.parquet", "sequences.parquet"])
@pytest.mark.parametrize("command", ["report", "evaluate"])
def test_findings(file, command, registered, works, accepted, log, tmp_path):
    """A registered extension type in findings"""
    pytest.importorskip("jinja2")
    analyze(log, detector="kmeans").save(tmp_path / "found")
    table = pq.read_table(tmp_path / "found" / file)
    table = table.append_column("extra", waiting(np.arange(len(table))))
    put(tmp_path / "found" / file, table, works)
    accepted(command, "found", *(["-o", "page.html"] if command == "report" else []))


def test_a_recording_that_goes_on(registered, works, canary, tmp_path):
    """A registered extension type in a recording that goes on"""
    with suppress(KeyboardInterrupt), Recorder("run.parquet", recorded="train") as recorder:
        recorder.record(list(range(N)), np.ones(N))
        recorder.end_epoch()
        raise KeyboardInterrupt
    file = tmp_path / "run.parquet.recording" / "epoch-000001.parquet"
    table = pq.read_table(file)
    table = table.set_column(0, "sample_id", waiting(table["sample_id"].to_pylist()))
    put(file, table, works)
    with Recorder("run.parquet", recorded="train", resume=True) as recorder:
        recorder.record(list(range(N)), np.ones(N))
        recorder.end_epoch()
    assert read_log("run.parquet").n_epochs == 2


@pytest.mark.parametrize("name", ["arrow.py_extension_type", "pandas.period", "arrow.uuid", "x.y"])
@pytest.mark.parametrize("column", ["sample_id", "extra"])
def test_types_that_unpickle(name, column, canary, pickled, accepted):
    """arrow.py_extension_type and others with a pickle as their metadata (CVE-2023-47248)"""
    metadata = {"ARROW:extension:name": name, "ARROW:extension:metadata": pickled}
    made = pa.table(columns(extra=np.arange(N * EPOCHS)))
    place = made.column_names.index(column)
    field = made.schema.field(place).with_metadata(metadata)
    pq.write_table(made.cast(made.schema.set(place, field)), "log.parquet")
    accepted("analyze", "log.parquet")


def test_a_schema_given_twice(registered, canary, accepted, tmp_path):
    """A second Arrow schema that hides the first"""
    put_aside = waiting(np.repeat(np.arange(N), EPOCHS))
    pq.write_table(pa.table(columns(sample_id=put_aside)), "evil.parquet")
    stored = pq.read_metadata("evil.parquet").metadata[b"ARROW:schema"]
    canary.unlink()  # reading the metadata was enough
    # written under a key of the same length, then renamed in the footer
    table = pa.table(columns()).replace_schema_metadata({b"ARROW:schemb": stored})
    pq.write_table(table, "log.parquet")
    content = (tmp_path / "log.parquet").read_bytes()
    assert content.count(b"ARROW:schemb") == 1
    (tmp_path / "log.parquet").write_bytes(content.replace(b"ARROW:schemb", b"ARROW:schema"))
    accepted("analyze", "log.parquet")


def test_what_is_not_an_extension_is_read_as_ever(tmp_path):
    """Schemas without extension types keep their types"""
    kind = pa.list_(pa.float32(), 4)
    table = pa.table({"sample_id": [1, 2], "loss": pa.array([[1, 2, 3, 4]] * 2, kind)})
    pq.write_table(table, tmp_path / "log.parquet")
    assert read_log(tmp_path / "log.parquet").n_epochs == 4
