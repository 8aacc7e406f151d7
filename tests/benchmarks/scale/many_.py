"""A log in a store, analysed by worker processes, one of them killed; and sized for 10^10 rows.

``python many_.py LOG`` prints JSON. The store is moto's server, which speaks S3 and keeps all it is
given in memory; in a process of its own, for it would be counted in the memory of other works.
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import numpy as np
from distributed import Client, LocalCluster
from moto.server import ThreadedMotoServer

import lossan
from lossan.engines import analyze_large
from lossan.engines._shuffle import BUCKET_CELLS, UNIT_ROWS
from lossan.io import read_findings

BUCKET, WORKERS = "logs", 2


def main(log: Path) -> None:
    """Analyse the log in the store, and in memory, and compare."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    store = boto3.client("s3")
    store.create_bucket(Bucket=BUCKET)
    store.upload_file(str(log), BUCKET, "log.parquet")
    with LocalCluster(
        n_workers=WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    ) as cluster:
        found = analyse(cluster)
    found |= {"equal": equal(store, log), "sized": sized(found)}
    print(json.dumps(found))
    server.stop()


def analyse(cluster: LocalCluster) -> dict[str, object]:
    """Analyse the log in the store; a worker is killed while buckets are read."""
    killed, began = [], time.perf_counter()
    with Client(cluster) as client:

        def watch(what: str, done: int, of: int) -> None:
            if what == "reading" and not killed:
                killed.append(next(iter(client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)

        with analyze_large(
            f"s3://{BUCKET}/log.parquet",
            engine="dask",
            scheduler=cluster.scheduler_address,
            spill=f"s3://{BUCKET}/spill",
            progress=watch,
        ) as result:
            result.save(f"s3://{BUCKET}/findings")
            n, n_epochs = result.pieces.n_samples, result.pieces.plan.n_epochs
        seconds = time.perf_counter() - began
        peaks = client.run(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return {
        "seconds": seconds,
        "killed": len(killed),
        "rows": n * n_epochs,
        "peak": max(peaks.values()) * 1024,
    }


def equal(store: object, log: Path) -> bool:
    """Compare the findings, features included, to those of one process in memory."""
    with TemporaryDirectory() as folder:
        listed = store.list_objects_v2(Bucket=BUCKET, Prefix="findings/")["Contents"]
        for key in (item["Key"] for item in listed):
            target = Path(folder, key)
            target.parent.mkdir(parents=True, exist_ok=True)
            store.download_file(BUCKET, key, str(target))
        found = read_findings(Path(folder, "findings")).to_pandas()
    return found.equals(lossan.analyze(log).findings)


def sized(found: dict[str, float], rows: float = 1e10) -> dict[str, float]:
    """Return what the measured figures make of 10^10 rows."""
    fragments, buckets = np.ceil(rows / UNIT_ROWS), np.ceil(rows / BUCKET_CELLS)
    return {
        "core_hours": found["seconds"] * WORKERS / found["rows"] * rows / 3600,
        "buckets": buckets,
        "spilled": 30 * rows,
        "reads": fragments * buckets,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
