"""Schedulers that cannot be had, and those whose workers see other folders than we do."""

import os
import re
import shutil
import signal
import socket
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

import lossan
from lossan.engines import _dask, analyze_large
from lossan.errors import OptionError, OutputError
from lossan.io import read_findings

distributed = pytest.importorskip("distributed")


@pytest.fixture
def log(tmp_path):
    rng = np.random.default_rng(1)
    table = {"sample_id": np.arange(400), "loss": list(rng.gamma(2, 0.5, (400, 3)))}
    pq.write_table(pa.table(table), tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


@pytest.fixture
def idle():
    """A scheduler without workers."""
    with distributed.LocalCluster(
        n_workers=0, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


def test_a_scheduler_without_workers_is_told(idle, log, tmp_path, monkeypatch, caplog):
    address = idle.scheduler_address
    monkeypatch.setattr(_dask, "_WAIT_SECONDS", 0.5)
    message = rf"{re.escape(address)}: the scheduler has no workers, and none came within 0.5 s"
    with (
        pytest.raises(OptionError, match=message),
        analyze_large(str(log), engine="dask", scheduler=address, spill=str(tmp_path)),
    ):
        pass
    assert f"the scheduler {address} has no workers yet; waiting 0.5 s for one." in caplog.text


def test_workers_that_come_late_are_waited_for(idle, log, tmp_path, monkeypatch):
    monkeypatch.setattr(_dask._log, "warning", lambda *_: idle.scale(1))
    with analyze_large(
        str(log), engine="dask", scheduler=idle.scheduler_address, spill=str(tmp_path)
    ) as result:
        assert result.overview == lossan.analyze(log).overview


@pytest.mark.parametrize("address", ["tls://127.0.0.1:9", "smoke://127.0.0.1:9", "127.0.0.1"])
def test_addresses_that_cannot_be_used_are_named(log, tmp_path, address):
    with (
        pytest.raises(OptionError, match=f"--scheduler {address}: "),
        analyze_large(str(log), engine="dask", scheduler=address, spill=str(tmp_path)),
    ):
        pass


def test_the_address_of_a_worker_is_told_from_a_protocol_that_nobody_speaks():
    with distributed.LocalCluster(
        n_workers=1, processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0"
    ) as cluster:
        address = cluster.workers[0].address
        message = rf"--scheduler {re.escape(address)}: no scheduler answers there \(Worker"
        with pytest.raises(OptionError, match=message):
            _dask._connected(address)


def test_what_listens_and_is_no_scheduler_is_told(monkeypatch):
    monkeypatch.setattr(_dask, "_SECONDS", 0.5)
    told = []

    def connect(address):
        with pytest.raises(OptionError) as caught:
            _dask._connected(address)
        told.append(str(caught.value))

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        waiting = threading.Thread(target=connect, args=(address,), daemon=True)
        waiting.start()
        waiting.join(30)
    assert told, "it waits without end"
    assert told[0].startswith(f"--scheduler {address}: no scheduler answers there (something ")
    assert "within 1.5 s" in told[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_until_workers_that_are_started_can_be_ended(monkeypatch, number):
    done = []

    class Starting:
        def __init__(self, **_):
            signal.raise_signal(number)
            done.append("started")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            done.append("ended")

    monkeypatch.setattr(distributed, "LocalCluster", Starting)
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), _dask.dask_tasks(None, None):
            pass
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    assert done == ["started", "ended"]


def test_relative_paths_are_ours_not_the_workers(log, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    ) as cluster:
        with distributed.Client(cluster) as client:
            client.run(os.chdir, str(elsewhere))
        monkeypatch.chdir(tmp_path)
        (tmp_path / "spill").mkdir()
        with analyze_large(
            "log.parquet", engine="dask", scheduler=cluster.scheduler_address, spill="spill"
        ) as result:
            result.save("found")
            assert result.summary.log.path == "log.parquet"
    assert_frame_equal(read_findings(tmp_path / "found").to_pandas(), lossan.analyze(log).findings)
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("when", ["sorting", "judging"])
def test_a_spill_folder_that_is_cleared_meanwhile_is_told(log, tmp_path, when):
    def clear(what, done, total):
        if what == when:
            for folder in tmp_path.glob("lossan-*"):
                shutil.rmtree(folder)

    message = rf"what was spilled to {re.escape(str(tmp_path))}/lossan-\w+ is gone.*--spill DIR"
    with (
        pytest.raises(OutputError, match=message),
        analyze_large(str(log), spill=str(tmp_path), progress=clear) as result,
    ):
        result.save(str(tmp_path / "found"))
    assert not (tmp_path / "found").exists()
