"""A review in headless Chromium: findings with drawn images, a server of its own, a browser."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from lossan import analyze
from lossan.review import DecisionLog, findings_fingerprint
from lossan.testing import planted_log

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
QUIET = "--disable-gpu --disable-quic --no-first-run --disable-background-networking"
OPTIONS = [*QUIET.split(), "--disable-component-update", "--disable-sync"]
NAMES = ["healthy", "mild", "severe"]


def pytest_collection_modifyitems(items):
    """Skip what needs a browser where there is none, and say so."""
    if CHROMIUM is None:
        for item in items:
            if "browser" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine"))


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*root, *OPTIONS])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def analysed(tmp_path_factory):
    """Return a folder of findings and one of images, never written to by tests."""
    base = tmp_path_factory.mktemp("browser")
    log = planted_log(n_samples=150, n_classes=3, rate=0.1, string_ids=True, channels=True)
    ids = log.sample_id.to_pylist()
    label = pa.array(NAMES).take(log.label.cast(pa.int64()))
    truth = pa.array(NAMES).take(log.true_label.cast(pa.int64()))
    path = pa.array([f"{name}.png" for name in ids])
    group = pa.array([f"patient-{number // 2}" for number in range(len(ids))])
    named = replace(log, label=label, true_label=truth, path=path, group=group, predicted=None)
    analyze(named).save(base / "findings")
    (base / "images").mkdir()
    for number, name in enumerate(ids):
        image = Image.new("RGB", (120, 90), (40, 20, 10))
        ImageDraw.Draw(image).ellipse((10 + number % 40, 10, 80, 80), fill=(200, 90, number))
        image.save(base / "images" / f"{name}.png")
    return base


@pytest.fixture
def base(analysed, tmp_path):
    """Return folders `findings`, a copy, and `images`."""
    for name in ("findings", "images"):
        shutil.copytree(analysed / name, tmp_path / name)
    return tmp_path


class Server:
    """`lossan review` as its user starts it."""

    def __init__(self, base, *options):
        command = ["review", base / "findings", "--images", base / "images", "--no-open", *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lossan", *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise AssertionError(self.process.communicate()[1])
        self.port = int(self.url.split(":")[2].split("/")[0])

    def end(self, number=signal.SIGINT):
        """End it, and return its exit code and what it said on standard error."""
        self.process.send_signal(number)
        _out, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def serve(base):
    """Return a function that starts a server on any free port."""
    started = []

    def start(*options):
        port = () if "--port" in options else ("--port", 0)
        started.append(Server(base, *port, *options))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
        server.process.communicate()


class Reader:
    """A reader at the keyboard."""

    def __init__(self, page, url):
        self.page, self.url = page, url
        self.keyboard = page.keyboard
        page.goto(url)

    @property
    def row(self):
        """The row of the image that is shown."""
        return int(self.page.get_attribute("#stage", "data-row"))

    @property
    def count(self):
        return self.page.inner_text("#count")

    def at(self, number, total):
        """Wait until an image is shown."""
        self.page.wait_for_function(
            "([n, t]) => document.querySelector('#count').textContent === `${n} of ${t}`"
            " && document.querySelector('#stage').dataset.row !== undefined"
            " && !document.body.classList.contains('saving')",
            arg=[number, total],
        )

    def press(self, *keys):
        for key in keys:
            self.keyboard.press(key)

    def decide(self, *keys):
        """Press keys, and wait until each decision is on disk and the page has gone on."""
        for key in keys:
            self.keyboard.press(key)
            self.saved()

    def saved(self):
        self.page.wait_for_function("() => !document.body.classList.contains('saving')")
        self.page.wait_for_function("() => document.querySelector('#live').textContent !== ''")

    def close(self):
        """Close the dialog that is open."""
        self.keyboard.press("Escape")
        self.page.wait_for_function("() => document.querySelector('dialog[open]') === null")

    def ended(self):
        self.page.wait_for_selector("#status[open]")

    def text(self, place):
        return self.page.inner_text(place)


@pytest.fixture
def sit_down(chromium):
    """Return a function that opens a page for a reader; its faults and foreign requests fail."""
    contexts, faults, asked = [], [], []

    def open_page(url, name=None, *, expected=(), begins=True, **options):
        context = chromium.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        context.set_default_timeout(60_000)  # a loaded machine is slow, not wrong
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda said: (
                faults.append(said.text)
                if said.type in ("error", "warning") and not any(e in said.text for e in expected)
                else None
            ),
        )
        page.on("request", lambda request: asked.append(request.url))
        reader = Reader(page, url)
        if name is not None:
            page.wait_for_selector("#who[open]")
            page.keyboard.type(name)
            page.keyboard.press("Enter")
        if begins:
            page.wait_for_selector("#stage[data-row]")
        return reader

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
    assert [
        url for url in asked if not url.startswith(("http://127.0.0.1:", "blob:http://127"))
    ] == []


@pytest.fixture
def kept(base):
    """Return a function that reads the decisions from the disk."""
    folder = base / "findings"

    def read():
        log = DecisionLog.open(
            folder / "decisions.jsonl", fingerprint=findings_fingerprint(folder), create=False
        )
        return log.decisions

    read.path = folder / "decisions.jsonl"
    return read


@pytest.fixture
def found(base):
    """Return the findings, a dict for each row."""
    from lossan.io import read_findings

    return read_findings(base / "findings").to_pylist()
