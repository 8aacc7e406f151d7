"""A review of findings with images, and a browser's requests to it."""

from dataclasses import replace
from uuid import uuid4

import pyarrow as pa
import pytest
from PIL import Image
from starlette.testclient import TestClient

from lossan import analyze
from lossan.review import DecisionLog, ImageFolder, Plan, findings_fingerprint, open_review
from lossan.review._server import review_app
from lossan.review._server_guard import Hosts
from lossan.testing import planted_log

TOKEN = "the-token-of-this-test"  # noqa: S105
ORIGIN = "http://127.0.0.1:8765"


@pytest.fixture(scope="session")
def analysed(tmp_path_factory):
    """Return a folder of findings and one of images, never written to by tests."""
    base = tmp_path_factory.mktemp("review")
    log = planted_log(n_samples=200, n_classes=3, rate=0.1, string_ids=True, channels=True)
    ids = log.sample_id.to_pylist()
    path = pa.array([f"pictures/{name}.png" for name in ids])
    group = pa.array([f"patient-{number // 2}" for number in range(len(ids))])
    analyze(replace(log, path=path, group=group)).save(base / "findings")
    (base / "images" / "pictures").mkdir(parents=True)
    for number, name in enumerate(ids):
        colour = (number, 255 - number, 80)
        Image.new("RGB", (8, 6), colour).save(base / "images" / "pictures" / f"{name}.png")
    return base


@pytest.fixture
def base(analysed, tmp_path):
    """Return folders `findings`, a copy, and `images`."""
    (tmp_path / "findings").mkdir()
    for file in (analysed / "findings").iterdir():
        (tmp_path / "findings" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "images").symlink_to(analysed / "images")
    return tmp_path


class Browser:
    """A page of the review, taking part by its requests."""

    def __init__(self, review, images, *, hosts):
        app = review_app(review, images, token=TOKEN, cookie="lossan_8765", hosts=hosts)
        self.client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
        self.get = self.client.get

    def enter(self):
        assert self.client.get("/", params={"token": TOKEN}).status_code == 200
        return self

    def state(self, reader="A", adjudicating=False):
        return self._asked("/api/state", reader=reader, adjudicating=adjudicating)

    def item(self, row, reader="A", adjudicating=False):
        told = self._asked("/api/items", rows=row, reader=reader, adjudicating=adjudicating)
        return told["items"][0]

    def progress(self, reader="A"):
        return self._asked("/api/progress", reader=reader)

    def _asked(self, path, **params):
        answer = self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, body, **headers):
        return self.client.post("/api/decisions", json=body, headers={"origin": ORIGIN, **headers})

    def press(self, row, action="keep", reader="A", **other):
        body = {"id": str(uuid4()), "reader": reader, "row": row, "action": action}
        return self.post(body | other)


@pytest.fixture
def browse(base):
    """Return a function that begins a review and returns a browser in it."""

    def begin(*, hosts=Hosts(), **plan):  # noqa: B008  (frozen)
        review = open_review(base / "findings", Plan(**plan))
        return Browser(review, ImageFolder(base / "images"), hosts=hosts).enter()

    return begin


@pytest.fixture
def kept(base):
    """Return a function that reads the decisions from the disk."""
    folder = base / "findings"

    def read():
        log = DecisionLog.open(
            folder / "decisions.jsonl", fingerprint=findings_fingerprint(folder), create=False
        )
        return log.decisions

    return read
