"""A day at the review page: several readers, and a server that is killed or ended under them.

A reader acts as the page does: what was not acknowledged is sent again under the same id, to the
server that is there by then.
"""

import http.client
import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import subjects
from tally import Tally

import lossan
from lossan.io import read_findings
from lossan.review import DecisionLog, active

_PATIENCE = 120.0  # seconds that a server may take to start, or an answer to come
_CLASSES = 3


def a_day(folder: Path, decisions: int, readers: int, ends: int, seed: int) -> Tally:
    """Let readers decide while the server is ended again and again.

    Parameters
    ----------
    folder : Path
    decisions : int
        How many each reader makes.
    readers : int
    ends : int
        How often the server ends, by turns with ``kill -9`` and with Ctrl-C.
    seed : int
    """
    tally = Tally("a day's review", f"{readers} readers", "decisions")
    findings = _findings(folder, decisions)
    desk = _Desk(findings, folder)
    people = [_Reader(desk, f"R{number}", decisions, seed + number) for number in range(readers)]
    desk.open()
    for person in people:
        person.start()
    total = readers * decisions
    for number in range(ends):
        _wait(people, total * (number + 1) // (ends + 1))
        desk.end(signal.SIGKILL if number % 2 == 0 else signal.SIGINT)
        desk.open()
    for person in people:
        person.join()
    desk.end(signal.SIGINT)
    tally.tried = sum(len(person.acknowledged) for person in people)
    tally.wrong += [f"{p.name}: {p.fault}" for p in people if p.fault]
    tally.also("at the end", _check, findings, people)
    again = sum(person.sent_again for person in people)
    tally.notes.append(
        f"{tally.fault}: the server ended {ends} times, half of them by kill -9; {again} decisions "
        "were sent again"
    )
    return tally


def _findings(folder: Path, n_samples: int) -> Path:
    from PIL import Image

    rng = np.random.default_rng(0)
    ids = [f"{number:05d}.png" for number in range(n_samples)]
    loss, label = rng.gamma(1.0, 1.0, (n_samples, 3)), rng.integers(0, _CLASSES, n_samples)
    log = lossan.build_log(loss, sample_id=ids, label=label)
    lossan.analyze(log).save(folder / "findings")
    (folder / "images").mkdir()
    Image.new("L", (8, 8)).save(folder / "images" / ids[0])
    return folder / "findings"


class _Desk:
    """The server, at another address each time it is started."""

    def __init__(self, findings: Path, folder: Path) -> None:
        command = ["review", findings, "--images", folder / "images", "--port", 0, "--no-open"]
        self._command = [*map(str, command), "--top", "1000000"]
        self._process: Any = None
        self.address: str | None = None

    def open(self) -> None:
        """Start the server."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lossan", *self._command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.address = self._process.stdout.readline().strip()
        assert self.address, "the server did not start"

    def end(self, how: signal.Signals) -> None:
        """End the server."""
        self.address = None
        self._process.send_signal(how)
        self._process.wait(_PATIENCE)
        self._process.stdout.close()


class _Reader(threading.Thread):
    """Somebody who reads on whatever happens, and now and then takes a decision back."""

    def __init__(self, desk: _Desk, name: str, decisions: int, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self._desk, self._decisions = desk, decisions
        self._rng = np.random.default_rng(seed)
        self.acknowledged: list[str] = []
        self.opinions: dict[int, tuple[str, Any]] = {}
        self.sent_again = 0
        self.fault: str | None = None

    def run(self) -> None:
        """Decide on each sample in turn."""
        try:
            row = 0
            while len(self.acknowledged) < self._decisions:
                self._decide(row)
                if len(self.acknowledged) < self._decisions and self._rng.random() < 0.05:
                    self._take_back(row)
                else:
                    row += 1
        except Exception as error:  # noqa: BLE001  (told at the end: a thread's error is lost)
            self.fault = repr(error)

    def _decide(self, row: int) -> None:
        action = str(self._rng.choice(["keep", "keep", "relabel", "unsure", "exclude"]))
        press: dict[str, Any] = {"action": action}
        if action == "relabel":
            press["label"] = int(self._rng.integers(0, _CLASSES))
        self._press(row, press)
        self.opinions[row] = (action, press.get("label"))

    def _take_back(self, row: int) -> None:
        self._press(row, {"action": "undo", "undoes": self.acknowledged[-1]})
        del self.opinions[row]

    def _press(self, row: int, press: dict[str, Any]) -> None:
        """Send a press until it is acknowledged."""
        name = f"{self.name}-{len(self.acknowledged):08d}"
        body = json.dumps({"id": name, "reader": self.name, "row": row, "seconds": 1.0, **press})
        while True:
            with suppress(OSError, http.client.HTTPException):
                status, told = self._send(body)
                if status != 200:
                    raise RuntimeError(f"{name}: {status} {told!r}")
                self.acknowledged.append(name)
                return
            self.sent_again += 1
            sleep(0.02)

    def _send(self, body: str) -> tuple[int, bytes]:
        address = self._desk.address
        if address is None:
            raise ConnectionError
        place, _, token = address.partition("/?token=")
        host = place.removeprefix("http://")
        cookie = f"lossan_{host.rpartition(':')[2]}={token}"
        headers = {"Cookie": cookie, "Origin": place, "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(host, timeout=_PATIENCE)
        try:
            connection.request("POST", "/api/decisions", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def _wait(people: list[_Reader], count: int) -> None:
    """Wait until so many decisions were acknowledged, or all who decide have ended."""
    while sum(len(p.acknowledged) for p in people) < count and any(p.is_alive() for p in people):
        sleep(0.005)


def _check(findings: Path, people: list[_Reader]) -> None:
    """Hold the file to what was acknowledged: all of it, once, and in its order."""
    lines = (findings / "decisions.jsonl").read_text().splitlines()
    kept = []
    for line in lines:
        with suppress(ValueError):  # a line cut off by a kill was acknowledged to nobody
            kept.append(json.loads(line))
    twice = [name for name, count in Counter(d["id"] for d in kept).items() if count > 1]
    assert not twice, f"{len(twice)} decisions kept twice, first {twice[0]}"
    for person in people:
        mine = [d["id"] for d in kept if d["reader"] == person.name]
        assert mine == person.acknowledged, f"{person.name}: {len(mine)} kept, others than sent"
    log = DecisionLog.open(findings / "decisions.jsonl", fingerprint=None, create=False)
    table = read_findings(findings)
    ids, given = table["sample_id"].to_pylist(), table["label"].to_pylist()
    found: dict[str, dict[Any, Any]] = {person.name: {} for person in people}
    for decision in active(log.decisions):
        found[decision.reader][decision.sample_id] = (decision.action, decision.label)
    for person in people:
        said = {
            # who chooses the given label keeps it
            ids[row]: ("keep", None) if label == given[row] else (action, label)
            for row, (action, label) in person.opinions.items()
        }
        assert found[person.name] == said, f"{person.name}'s opinions are others than they gave"
    subjects.succeed("decisions", "show", str(findings))
