"""Several threads record at once: every record is there once, in the epoch that was open."""

import sys
import threading
from contextlib import contextmanager

import numpy as np

from lossan import LossanError, Recorder, pending, read_log

THREADS, CALLS, BATCH = 4, 300, 10


@contextmanager
def switching_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def run_all(work):
    threads = [threading.Thread(target=work, args=(k,)) for k in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_no_record_is_lost_or_counted_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(pending, "_BLOCK", 40)
    n = THREADS * CALLS * BATCH
    ids = np.arange(n).reshape(THREADS, CALLS, BATCH)
    with Recorder(tmp_path / "run.parquet") as recorder, switching_often():
        for epoch in range(2):

            def work(k, epoch=epoch):
                for part in ids[k]:
                    recorder.record(part, part + n * epoch)

            run_all(work)
            report = recorder.end_epoch()
            assert (report.n_samples, report.n_repeated) == (n, 0)
    expected = np.arange(n)[:, None] + [0, n]
    np.testing.assert_array_equal(read_log(tmp_path / "run.parquet").loss, expected)


def test_threads_settle_one_kind_of_ids(tmp_path):
    refused = []
    with Recorder(tmp_path / "run.parquet") as recorder, switching_often():

        def work(k):
            for call in range(CALLS):
                name = k * CALLS + call
                try:
                    recorder.record([name if k % 2 else f"s{name}"], [1.0])
                except LossanError as error:
                    refused.append(str(error))

        run_all(work)
        assert recorder.end_epoch().n_samples == THREADS * CALLS // 2
        recorder.record(recorder._known, np.ones(len(recorder._known)))
        recorder.end_epoch()
    assert len(refused) == THREADS * CALLS // 2
    assert len({message.split(",")[0] for message in refused}) == 1
