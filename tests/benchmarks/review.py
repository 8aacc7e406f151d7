"""How quick the review page is, and that it loses nothing: a browser, and many readers at once.

``python tests/benchmarks/review.py [--fundus FOLDER] [--keys 1000] [--seconds 8]``

1. With FOLDER, the fundus photographs of samples/fundus: 50 suspects by keyboard alone, open and
   blinded, decided as the known truth has it; then `lossan apply`.
2. A queue of 10,000 suspects on drawn images.
3. 50 readers at once and 20 slow clients, all on this machine.

Key to image: from the keydown event to the second frame after the next image stood in the page.
"""

import argparse
import csv
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import numpy as np

ROOT = Path(__file__).parents[2]
WATCH = """
window.took = [];
let pressed = 0;
addEventListener("keydown", (event) => { pressed = event.timeStamp; }, true);
addEventListener("DOMContentLoaded", () => new MutationObserver((changes) => {
  if (!changes.some((c) => [...c.addedNodes].some((n) => n.nodeName === "IMG"))) return;
  const since = pressed;
  requestAnimationFrame(() => requestAnimationFrame((now) => {
    if (since) window.took.push(performance.now() - since);
  }));
}).observe(document.querySelector("#stage"), { childList: true }));
"""


def lossan(*arguments):
    command = [sys.executable, "-m", "lossan", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextmanager
def served(findings, images, *options):
    command = ["review", findings, "--images", images, "--port", 0, "--no-open", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "lossan", *map(str, command)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


@contextmanager
def browser_page(url):
    from playwright.sync_api import sync_playwright

    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*root, "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.add_init_script(WATCH)
        page.goto(url)
        page.wait_for_selector("#stage img")
        yield page
        browser.close()


def wait_for(page, position):
    """Wait until so many images were shown after a key, or the queue has ended."""
    page.wait_for_function(
        "n => (window.took.length >= n || document.querySelector('#status[open]'))"
        " && !document.body.classList.contains('saving')",
        arg=position,
    )


def told(name, values):
    low, high, most = (*np.percentile(values, [50, 95]), max(values))
    return f"{name}: median {low:.0f} ms, 95% {high:.0f} ms, most {most:.0f} ms ({len(values)})"


def fundus(folder, base):
    findings = base / "fundus"
    log = ROOT / "samples" / "fundus" / "log.parquet"
    lossan("analyze", log, "-d", "auto", "-o", findings, "--top", 0)
    with (ROOT / "samples" / "fundus" / "noisy.csv").open(newline="") as file:
        truth = {row["sample_id"]: row["true_label"] for row in csv.DictReader(file)}
    with (findings / "findings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:50]
    classes = ["non-referable", "referable"]
    for blinded in ([], ["--blinded"]):
        keys = 0
        options = ["--top", 50, "--reader", "B" if blinded else "A", *blinded]
        with served(findings, folder, *options) as url, browser_page(url) as page:
            for number, row in enumerate(rows):
                right = truth[row["sample_id"]]
                keeps = right == row["label"] and not blinded
                page.keyboard.press("k" if keeps else str(classes.index(right) + 1))
                keys += 1
                if blinded and right != row["label"]:
                    page.wait_for_selector("#go-on:not([hidden])")
                    page.keyboard.press("Enter")
                    keys += 1
                wait_for(page, number + 1)
            page.wait_for_selector("#status[open]")
            took = page.evaluate("window.took")
        print(told(f"fundus, 50 suspects{' blinded' if blinded else ''}, key to image", took))
        print(f"  keys: {keys} for 50 images")
    labels = ROOT / "samples" / "fundus" / "noisy.csv"
    lossan("apply", labels, findings, "-o", base / "corrected.csv")
    with (base / "corrected.csv").open(newline="") as file:
        corrected = list(csv.DictReader(file))
    changed = [r for r in corrected if r["label"] != r["original_label"]]
    right = sum(r["label"] == truth[r["sample_id"]] for r in changed)
    print(f"  apply: {len(changed)} labels changed, {right} of them to the truth")


def made_up(base, suspects):
    from PIL import Image

    from lossan import analyze
    from lossan.build import build_log

    rng = np.random.default_rng(0)
    ids = [f"{number:05d}.jpg" for number in range(suspects)]
    loss = np.sort(rng.gamma(2.0, 1.0, (suspects, 4)), axis=1)
    log = build_log(
        loss,
        sample_id=ids,
        label=rng.integers(0, 5, suspects),
        path=ids,
        group=rng.integers(0, 5000, suspects),
    )
    analyze(log).save(base / "many")
    images = base / "images"
    images.mkdir()
    for number, name in enumerate(ids):
        if number < 200:
            small = rng.integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(small).resize((550, 550)).save(images / name)
        else:
            os.link(images / ids[number % 200], images / name)
    return base / "many", images


def many(findings, images, suspects, keys):
    began = time.monotonic()
    options = ["--top", suspects, "--reader", "A"]
    with served(findings, images, *options) as url, browser_page(url) as page:
        print(f"{suspects:,} suspects: first image after {time.monotonic() - began:.1f} s")
        for number in range(keys):
            page.keyboard.press("k")
            wait_for(page, number + 1)
        print(told("  key to image", page.evaluate("window.took")))


class Client(threading.Thread):
    """A reader without a browser, as fast as it is answered."""

    def __init__(self, url, name, until):
        super().__init__()
        self.url, self.name_, self.until = url, name, until
        self.took, self.sent, self.faults = {}, [], []

    def run(self):
        place, _, token = self.url.partition("/?token=")
        host = place.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=60)
        headers = {"Cookie": f"lossan_{host.rpartition(':')[2]}={token}", "Origin": place}
        row = 0
        while time.monotonic() < self.until:
            press = {"id": str(uuid4()), "reader": self.name_, "row": row, "action": "keep"}
            self.sent.append(press["id"])
            body = json.dumps(press | {"position": row, "seconds": 1.0})
            kind = {**headers, "Content-Type": "application/json"}
            self.ask(connection, "decision", "POST", "/api/decisions", body, kind)
            rows = ",".join(map(str, range(row, row + 20)))
            address = f"/api/items?rows={rows}&reader={self.name_}&adjudicating=false"
            self.ask(connection, "items", "GET", address, None, headers)
            self.ask(connection, "image", "GET", f"/image/{row}", None, headers)
            if row % 20 == 19:
                self.ask(
                    connection,
                    "progress",
                    "GET",
                    f"/api/progress?reader={self.name_}",
                    None,
                    headers,
                )
            row += 1
        connection.close()

    def ask(self, connection, kind, method, address, body, headers):
        began = time.monotonic()
        connection.request(method, address, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        self.took.setdefault(kind, []).append(1000 * (time.monotonic() - began))
        if answer.status != 200:
            self.faults.append((kind, answer.status, content[:200]))


def slow(url, until):
    """Send a request a byte at a time."""
    host, _, port = url.removeprefix("http://").partition("/")[0].rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=10) as away:
        for byte in b"GET /page/review.js HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " + b"x" * 10_000:
            if time.monotonic() > until:
                return
            away.sendall(bytes([byte]))
            time.sleep(0.05)


def load(findings, images, seconds, readers=50, dawdlers=20):
    file = findings / "decisions.jsonl"
    file.unlink(missing_ok=True)
    with served(findings, images, "--top", 10_000) as url:
        until = time.monotonic() + seconds
        clients = [Client(url, f"R{number}", until) for number in range(readers)]
        late = [threading.Thread(target=slow, args=(url, until)) for _ in range(dawdlers)]
        for thread in [*late, *clients]:
            thread.start()
        for thread in [*clients, *late]:
            thread.join()
    print(f"{readers} readers and {dawdlers} slow clients for {seconds:.0f} s")
    for kind in ("decision", "items", "image", "progress"):
        values = [value for client in clients for value in client.took.get(kind, [])]
        if values:
            print(told(f"  {kind}", values))
    sent = [press for client in clients for press in client.sent]
    kept = [json.loads(line)["id"] for line in file.read_text().splitlines()]
    faults = [fault for client in clients for fault in client.faults]
    print(f"  {len(sent)} decisions sent, {len(kept)} kept, {len(set(sent) - set(kept))} lost")
    print(f"  {len(kept) - len(set(kept))} kept twice, {len(faults)} refused {faults[:1]}")
    assert sorted(sent) == sorted(kept)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fundus", type=Path)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        if options.fundus is not None:
            fundus(options.fundus, base)
        findings, images = made_up(base, 10_000)
        many(findings, images, 10_000, options.keys)
        load(findings, images, options.seconds)


if __name__ == "__main__":
    main()
