"""Worker processes and a store that speaks S3: the findings are those of one machine in memory."""

import os
import signal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lossan
from lossan.engines import analyze_large
from lossan.engines._dask import DaskTasks
from lossan.engines._spill import Spill
from lossan.errors import LogError, OptionError
from lossan.io import open_remote

distributed = pytest.importorskip("distributed")
boto3 = pytest.importorskip("boto3")
pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")

BUCKET = "hospital"


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def store():
    """A real S3-compatible server, known to this process and, by its environment, to workers."""
    with pytest.MonkeyPatch.context() as patch:
        server = moto_server.ThreadedMotoServer("127.0.0.1", 0)
        server.start()
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield f"s3://{BUCKET}"
        server.stop()


def table(n=3000, n_epochs=4):
    rng = np.random.default_rng(1)
    wrong = rng.random(n) < 0.08
    level = np.where(wrong[:, None], 2.0, 2.0 * 0.5 ** np.arange(1, n_epochs + 1))
    label = rng.integers(0, 2, n)
    rows = pa.table(
        {
            "sample_id": np.repeat(rng.permutation(n) * 7, n_epochs),
            "epoch": np.tile(np.arange(n_epochs), n),
            "loss": (level * rng.gamma(4, 0.25, (n, n_epochs))).astype(np.float32).ravel(),
            "label": np.repeat(label, n_epochs),
        }
    )
    return rows.take(pa.array(rng.permutation(len(rows))))


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    pq.write_table(table(), path, row_group_size=1500)
    return path


def put(store, name, path):
    boto3.client("s3").upload_file(str(path), BUCKET, name)
    return f"{store}/{name}"


def test_log_spill_and_findings_in_a_store(store, cluster, log, tmp_path, monkeypatch):
    source = put(store, "log.parquet", log)
    monkeypatch.setattr("lossan.engines._run.UNIT_ROWS", 3000)
    monkeypatch.setattr("lossan.engines._run.BUCKET_CELLS", 4000)
    with analyze_large(
        source, engine="dask", scheduler=cluster.scheduler_address, spill=f"{store}/spill"
    ) as result:
        names = result.save(f"{store}/findings")
        assert result.pieces.plan.n_buckets == 3
    assert names == ["findings.parquet", "sequences.parquet", "summary.json"]
    client = boto3.client("s3")
    keys = [k["Key"] for k in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert not [k for k in keys if k.startswith("spill/")], "nothing is left of what was spilled"
    for key in (k for k in keys if k.startswith("findings/")):
        target = tmp_path / key
        target.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(BUCKET, key, str(target))
    found = lossan.io.read_findings(tmp_path / "findings")
    expected = lossan.analyze(log)
    assert found.to_pandas().equals(expected.findings)
    assert expected.summary.log.fingerprint in (tmp_path / "findings/summary.json").read_text()
    assert lossan.read_log(source).fingerprint == expected.summary.log.fingerprint


def test_a_worker_that_is_killed_changes_nothing(cluster, log, tmp_path, monkeypatch):
    monkeypatch.setattr("lossan.engines._run.UNIT_ROWS", 1000)
    monkeypatch.setattr("lossan.engines._run.BUCKET_CELLS", 1000)
    killed = []
    plain = DaskTasks.map

    def kill_one(self, what, task, common, each):
        if what in ("sorting", "reading", "judging"):
            pids = self._client.run(os.getpid)
            os.kill(next(iter(pids.values())), signal.SIGKILL)
            killed.append(what)
        return plain(self, what, task, common, each)

    monkeypatch.setattr(DaskTasks, "map", kill_one)
    with analyze_large(
        str(log), engine="dask", scheduler=cluster.scheduler_address, spill=str(tmp_path)
    ) as result:
        result.save(str(tmp_path / "findings"))
    assert killed == ["sorting", "reading", "judging"]
    found = lossan.io.read_findings(tmp_path / "findings")
    assert found.to_pandas().equals(lossan.analyze(log).findings)


def test_faults_come_back_from_the_workers_whole(cluster, log, tmp_path):
    rows = pq.read_table(log)
    bad = tmp_path / "bad.parquet"
    pq.write_table(pa.concat_tables([rows, rows.slice(0, 5)]), bad)
    with (
        pytest.raises(LogError, match="5 rows repeat a sample and epoch"),
        analyze_large(
            str(bad), engine="dask", scheduler=cluster.scheduler_address, spill=str(tmp_path)
        ),
    ):
        pass


def test_a_scheduler_that_is_not_there(log, tmp_path, monkeypatch):
    monkeypatch.setattr("lossan.engines._dask._SECONDS", 1.0)
    with (
        pytest.raises(OptionError, match="no scheduler answers there"),
        analyze_large(str(log), engine="dask", scheduler="tcp://127.0.0.1:9", spill=str(tmp_path)),
    ):
        pass


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://nobody/log.parquet", "no such file or bucket|NoSuchBucket"),
        ("s3://hospital/none/", "no Parquet file at or below it"),
        ("nowhere://x/y", "no such kind of store"),
    ],
)
def test_a_store_that_has_no_log(store, url, message):
    with pytest.raises(LogError, match=message):
        lossan.read_log(url)


def test_findings_of_one_machine_go_to_a_store(store, log, tmp_path):
    result = lossan.analyze(log)
    files = result.save(f"{store}/local")
    assert files == result.save(tmp_path)
    listed = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="local/")["Contents"]
    assert sorted(entry["Key"].removeprefix("local/") for entry in listed) == files
    for name in files:
        body = boto3.client("s3").get_object(Bucket=BUCKET, Key=f"local/{name}")["Body"].read()
        assert body == (tmp_path / name).read_bytes()


def test_findings_in_a_store_take_the_place_of_earlier_ones(store, log, tmp_path, monkeypatch):
    monkeypatch.setattr("lossan.engines._output._PART_ROWS", 1000)
    few = tmp_path / "few.parquet"
    rows = pq.read_table(log)
    pq.write_table(rows.filter(pa.compute.less(rows["sample_id"], 1400)), few)
    for source, n_parts in ((log, 3), (few, 1)):
        with analyze_large(str(source)) as result:
            result.save(f"{store}/again")
        assert len(keys_of("again/findings.parquet/")) == n_parts
    assert keys_of("again/") == [
        "again/findings.parquet/part-00000.parquet",
        "again/sequences.parquet",
        "again/summary.json",
    ]
    files = lossan.analyze(log).save(f"{store}/again")
    assert keys_of("again/") == [f"again/{name}" for name in files]


def keys_of(prefix):
    listed = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    return sorted(entry["Key"] for entry in listed)


def test_a_bucket_that_is_not_there_is_told_by_whoever_writes(store, log):
    schema = pa.schema([("x", pa.float64())])
    batch = pa.record_batch([np.arange(1 << 20, dtype=float)], schema=schema)  # more than a part
    with pytest.raises(LogError, match="no such file or bucket"):
        Spill("s3://nobody/spill").write_batches("rows", schema, [batch])
    with pytest.raises(LogError, match="no such file or bucket"):
        lossan.analyze(log).save("s3://nobody/findings")


def test_what_fails_half_way_does_not_appear_in_the_store(store):
    def fail():
        with open_remote(f"{store}/half") as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(LogError, match="KeyError"):
        fail()
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="half")


def test_one_truncated_part_among_many_is_named(store, log, tmp_path):
    for number in range(3):
        put(store, f"parts/part-{number}.parquet", log)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(log.read_bytes()[:-100])
    put(store, "parts/part-1.parquet", cut)
    with pytest.raises(LogError, match=r"part-1\.parquet.*(damaged|truncated)"):
        lossan.read_log(f"{store}/parts")


def test_parts_of_different_schemas_are_named(store, log, tmp_path):
    put(store, "mixed/a.parquet", log)
    other = tmp_path / "b.parquet"
    rows = pq.read_table(log)
    pq.write_table(rows.set_column(0, "sample_id", rows["sample_id"].cast(pa.string())), other)
    put(store, "mixed/b.parquet", other)
    with pytest.raises(
        LogError, match=r"sample_id is int64 in a\.parquet and string in b\.parquet"
    ):
        lossan.read_log(f"{store}/mixed")
