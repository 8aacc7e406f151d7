"""Every reader of files, each with valid files to begin from and a way to read a changed one."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import lossan
from lossan.cli import run
from lossan.compare import compare_runs
from lossan.errors import LossanError
from lossan.io import read_arrays, read_findings, read_labels, scan_log
from lossan.recorder import Recorder
from lossan.report import read_report
from lossan.review import DecisionLog, exchange, outcomes
from lossan.testing import planted_log
from lossan.training import read_history

N, EPOCHS = 12, 5


@dataclass(frozen=True)
class Reader:
    """A reader of one kind of file.

    Parameters
    ----------
    name : str
        What it is called in the table.
    kind : str
        How its files are made up: ``"parquet"``, ``"npz"`` or ``"text"``.
    seeds : callable
        Returns valid files, as bytes.
    read : callable
        Reads a file in a folder of its own; a LossanError refuses it, anything else is a fault.
    """

    name: str
    kind: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], Any]


def put(folder: Path, content: bytes, name: str = "file") -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _parquet(table: pa.Table, **how: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **how)
    return out.getvalue()


@cache
def _log() -> lossan.LossLog:
    return planted_log(n_samples=N, n_epochs=EPOCHS, channels=True, string_ids=True)


@cache
def _written(name: str, layout: str | None = None) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, name)
        lossan.write_log(_log(), path, layout=layout)
        return path.read_bytes()


def _rows(string: bool) -> dict[str, Any]:
    ids = np.repeat(np.arange(N), EPOCHS)
    loss = np.random.default_rng(0).gamma(1, 1, N * EPOCHS)
    return {
        "sample_id": [f"s{i}" for i in ids] if string else ids,
        "epoch": np.tile(np.arange(EPOCHS), N),
        "loss": loss,
        "label": [("a", "b")[i % 2] for i in ids] if string else ids % 2,
    }


def _long() -> list[bytes]:
    plain, text = pa.table(_rows(False)), pa.table(_rows(True))
    return [
        _written("log.parquet"),
        _parquet(plain),
        _parquet(plain, compression="zstd", row_group_size=16, write_page_index=True),
        _parquet(text, use_dictionary=False, compression="none", data_page_version="2.0"),
        _parquet(
            text,
            use_dictionary=False,
            column_encoding={"sample_id": "DELTA_BYTE_ARRAY", "epoch": "DELTA_BINARY_PACKED"},
        ),
    ]


def _plain() -> list[bytes]:
    return _long()[1:3]


def _wide() -> list[bytes]:
    loss = _log().loss
    numbered = {f"loss_{e + 1}": loss[:, e] for e in range(EPOCHS)}
    ragged = pa.array([row[: 1 + i % EPOCHS].tolist() for i, row in enumerate(loss)])
    return [
        _written("log.parquet", "wide"),
        _parquet(pa.table({"sample_id": np.arange(N), **numbered})),
        _parquet(pa.table({"sample_id": np.arange(N), "loss": ragged})),
    ]


def _npz() -> list[bytes]:
    plain = io.BytesIO()
    np.savez(plain, loss=_log().loss)
    return [_written("log.npz"), plain.getvalue()]


def _text(*texts: str) -> list[bytes]:
    return [text.encode() for text in texts]


def _labels() -> pa.Table:
    ids = np.arange(N)
    columns = {"path": [f"{i}.png" for i in ids], "label": [("a", "b")[i % 2] for i in ids]}
    return pa.table({"sample_id": ids, **columns, "group": ids // 3})


def _csv(table: pa.Table) -> str:
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return "\n".join(",".join(map(str, row)) for row in [table.column_names, *rows]) + "\n"


@cache
def findings() -> Path:
    """Return a folder of findings, made once a process."""
    import atexit
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="lossan-fuzz-"))
    atexit.register(shutil.rmtree, folder, True)
    lossan.analyze(_log(), detector="auto").save(folder / "found")
    return folder / "found"


def _found(name: str) -> list[bytes]:
    return [(findings() / name).read_bytes()]


def _answers() -> list[bytes]:
    tasks = exchange.make_tasks(findings(), order="suspicion", top=6, blinded=False)
    lines = exchange.write_csv(tasks).decode().splitlines()
    place = lines[0].split(",").index("decision")
    answered = [lines[0]]
    for line, what in zip(lines[1:], cycle(("keep", "unsure", "exclude", "")), strict=False):
        cells = line.split(",")
        cells[place] = what
        answered.append(",".join(cells))
    return _text("\n".join(answered) + "\n")


def _exported() -> list[bytes]:
    tasks = exchange.make_tasks(findings(), order="suspicion", top=3, blinded=False)
    made = json.loads(exchange.write_label_studio(tasks))
    for task in made:
        choice = {"from_name": "decision", "to_name": "image", "type": "choices"}
        result = [{**choice, "value": {"choices": [str(task["data"]["given_label"])]}}]
        by = {"id": 1, "email": "a@b.c"}
        when = "2026-01-01T00:00:00Z"
        task["annotations"] = [{"id": 7, "completed_by": by, "created_at": when, "result": result}]
    return [json.dumps(made).encode()]


def _decided() -> list[bytes]:
    folder = findings().parent / "decided"
    shutil.copytree(findings(), folder)
    (folder.parent / "answers.csv").write_bytes(_answers()[0])
    batch = exchange.read_csv(folder.parent / "answers.csv", "R1")
    exchange.import_answers(folder, batch)
    content = (folder / "decisions.jsonl").read_bytes()
    shutil.rmtree(folder)
    return [content]


def _history(accuracy: float = 0.5) -> dict[str, Any]:
    figures = {"test_loss": 1.0, "test_accuracy": accuracy, "test_n": 8, "test_right": "f0"}
    return {"epochs": [{"epoch": e + 1, "train_loss": 0.5, **figures} for e in range(2)]}


def _read_log(path: Path) -> None:
    reading = scan_log(path)
    if reading.log is not None and not reading.faults:
        lossan.compute_features(reading.log.loss)


def _in_a_folder(content: Path) -> None:
    folder = content.parent / "log"
    rows = pa.table(_rows(False))
    other = rows.set_column(0, "sample_id", pa.array(np.repeat(np.arange(N, 2 * N), EPOCHS)))
    put(folder, _parquet(other), "inner/part-0.parquet")
    content.rename(folder / "part-1.parquet")
    _read_log(folder)


def _report_with(name: str) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        folder = path.parent / "found"
        shutil.copytree(findings(), folder)
        path.replace(folder / name)
        read_report(folder, top=20)

    return read


def _read_decisions(path: Path) -> None:
    log = DecisionLog.open(path, fingerprint=None, create=False)
    outcomes(log.decisions)


def _import(read: Callable[[Path, str | None], Any]) -> Callable[[Path], None]:
    def imported(path: Path) -> None:
        folder = path.parent / "found"
        shutil.copytree(findings(), folder)
        exchange.import_answers(folder, read(path, "R9"), new_labels=True)

    return imported


def _read_history(path: Path) -> None:
    log = path.parent / "run"
    path.rename(log.with_name("run.history.json"))
    put(path.parent, json.dumps(_history()).encode(), "other.history.json")
    other = path.parent / "other"
    compare_runs({"a": [read_history(log)], "b": [read_history(other)]})


def _go_on(path: Path) -> None:
    folder = path.parent / "run.parquet.recording"
    folder.mkdir()
    put(folder, _parquet(pa.table(_rows(False))), "epoch-000002.parquet")
    path.rename(folder / "epoch-000001.parquet")
    with Recorder(path.parent / "run.parquet", recorded="train", resume=True) as recorder:
        recorder.record([0, 1], [1.0, 2.0])
        recorder.end_epoch()


def command(*arguments: str) -> str:
    """Run a command line; raise what it ends in, and return what it printed.

    Raises
    ------
    LossanError
        When it is refused by one error.
    AssertionError
        When it ends in any other way than done or refused.
    """
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(arguments)
    errors = [line for line in err.getvalue().splitlines() if line.startswith("error: ")]
    assert code in (0, 2), f"exit code {code}: {err.getvalue()[-2000:]}"
    assert "Traceback" not in err.getvalue(), err.getvalue()[-2000:]
    assert len(errors) == (code == 2), f"exit code {code} with {len(errors)} errors"
    if code == 2:
        raise LossanError(errors[0])
    return out.getvalue()


def _configure(path: Path) -> None:
    command(
        "experiment", "no-such-table.csv", "-o", str(path.parent / "out"), "--config", str(path)
    )


_TOML = """adapter = "torch"
rate = 0.06
seeds = 2
rates = [0, 0.02]
model = "inception_v3"
image-size = 550
weights = "none"
detector = "auto"
"""

READERS = {
    reader.name: reader
    for reader in (
        Reader("log, long Parquet", "parquet", _long, _read_log),
        Reader("log, wide Parquet", "parquet", _wide, _read_log),
        Reader("log, directory", "parquet", _plain, _in_a_folder),
        Reader("log, NPZ", "npz", _npz, _read_log),
        Reader("recording that goes on", "parquet", _plain, _go_on),
        Reader("labels, CSV", "text", lambda: _text(_csv(_labels())), read_labels),
        Reader("labels, Parquet", "parquet", lambda: [_parquet(_labels())], read_labels),
        Reader("findings, Parquet", "parquet", lambda: _found("findings.parquet"), read_findings),
        Reader("findings, CSV", "text", lambda: _found("findings.csv"), read_findings),
        Reader(
            "report's findings",
            "parquet",
            lambda: _found("findings.parquet"),
            _report_with("findings.parquet"),
        ),
        Reader(
            "summary.json", "text", lambda: _found("summary.json"), _report_with("summary.json")
        ),
        Reader("decisions.jsonl", "text", _decided, _read_decisions),
        Reader("import, CSV", "text", _answers, _import(exchange.read_csv)),
        Reader("import, Label Studio", "text", _exported, _import(exchange.read_label_studio)),
        Reader("configuration, TOML", "text", lambda: _text(_TOML), _configure),
        Reader(
            "history.json", "text", lambda: _text(json.dumps(_history(), indent=2)), _read_history
        ),
        Reader("checkpoint, NPZ", "npz", _npz, read_arrays),
    )
}


def members(content: bytes) -> dict[str, bytes]:
    """Return what stands in a zip archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
