"""A store that grants some things and not others: a real S3 server that enforces its rules."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lossan
from lossan.engines import analyze_large
from lossan.errors import LogError

boto3 = pytest.importorskip("boto3")
s3fs = pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")

LIST, READ = "s3:ListBucket", "s3:GetObject"
LOG = "s3://clinic/run"


@pytest.fixture(scope="module")
def server():
    """Yield a server that holds a log of two files and has no rules yet, and the keys to it."""
    running = moto_server.ThreadedMotoServer("127.0.0.1", 0)
    running.start()
    host, port = running.get_host_and_port()
    url = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "root", "aws_secret_access_key": "root"}
    owner = boto3.Session(region_name="us-east-1", **keys)
    store = owner.client("s3", endpoint_url=url)
    store.create_bucket(Bucket="clinic")
    for name, body in (("README.md", b"what this is"), ("deep/empty", b"")):
        store.put_object(Bucket="clinic", Key=f"named/{name}", Body=body)
    for part in (0, 1):
        ids = [part * 3 + i for i in (0, 1, 2)]
        rows = {
            "sample_id": ids * 2,
            "epoch": [1] * 3 + [2] * 3,
            "loss": [0.1, 0.2, 3.0, 0.1, 0.1, 3.0],
        }
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(rows), sink)
        body = sink.getvalue().to_pybytes()
        store.put_object(Bucket="clinic", Key=f"run/part-{part}.parquet", Body=body)
        for name in (("first.pq", "deep/second")[part], f"_old/{part}", f".{part}"):
            store.put_object(Bucket="clinic", Key=f"named/{name}", Body=body)
    yield url, owner.client("iam", endpoint_url=url)
    running.stop()


@pytest.fixture
def allowed(server, monkeypatch):
    """Return a function that makes this process a user who may do so much and no more."""
    url, accounts = server

    def allow(*actions):
        name = f"user{len(accounts.list_users()['Users'])}"
        accounts.create_user(UserName=name)
        if actions:
            rules = [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]
            policy = json.dumps({"Version": "2012-10-17", "Statement": rules})
            accounts.put_user_policy(UserName=name, PolicyName="rules", PolicyDocument=policy)
        key = accounts.create_access_key(UserName=name)["AccessKey"]
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        s3fs.S3FileSystem.clear_instance_cache()
        monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)  # from now on

    yield allow
    s3fs.S3FileSystem.clear_instance_cache()


def test_one_who_may_list_and_read_analyses(allowed):
    allowed(LIST, READ)
    assert lossan.analyze(LOG).summary.log.n_samples == 6


@pytest.mark.parametrize(("path", "first"), [("named", 0), ("named/", 0), ("named/deep", 3)])
def test_parts_have_any_name_as_in_a_folder(allowed, path, first):
    allowed(LIST, READ)
    assert lossan.read_log(f"s3://clinic/{path}").sample_id.to_pylist() == [*range(first, 6)]


def test_one_who_may_not_see_what_a_file_is_is_told(allowed):
    allowed(LIST)
    with pytest.raises(LogError, match=r"clinic/named/\S+: the store does not let us: Access De"):
        lossan.read_log("s3://clinic/named")


def test_one_who_may_do_nothing(allowed):
    allowed()
    with pytest.raises(LogError, match=r"^s3://clinic/run: the store does not let us: Access De"):
        lossan.read_log(LOG)


def test_one_who_may_list_but_not_read_is_told_of_every_file(allowed):
    allowed(LIST)
    with pytest.raises(LogError) as caught:
        lossan.read_log(LOG)
    assert caught.value.where == LOG
    assert [fault.code for fault in caught.value.faults] == ["permission"] * 2
    for part, fault in enumerate(caught.value.faults):
        assert fault.message == (
            f"part-{part}.parquet: the store does not let us: Access Denied. Check the "
            "credentials and its rules."
        )


def test_so_is_one_who_asks_for_work_in_parts(allowed):
    allowed(LIST)
    with pytest.raises(LogError, match="does not let us"), analyze_large(LOG, engine="dask"):
        pass


def test_one_who_may_not_write(allowed):
    allowed(LIST, READ)
    result = lossan.analyze(LOG)
    with pytest.raises(LogError, match=r"s3://clinic/found.*does not let us"):
        result.save("s3://clinic/found")
