"""Findings in a folder, and a page taken apart as a browser would."""

from html.parser import HTMLParser

import pytest

from lossan import analyze
from lossan.cli import run
from lossan.testing import planted_log

VOID = {"meta", "img", "input", "br"}
APART = {"td", "th", "dt", "dd", "small", "p", "li", "h1", "h2", "h3"}


class Page(HTMLParser):
    """The elements of a page: name, attributes and text of each."""

    def __init__(self, html):
        super().__init__()
        self.html = html
        self.elements, self._open = [], []
        self.feed(html)
        assert [e["name"] for e in self._open] == []

    def handle_starttag(self, tag, attrs):
        element = {"name": tag, "text": "", "inside": [e["name"] for e in self._open]}
        element |= {"attrs": dict(attrs)}
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop()["name"] == tag
        if tag in APART:
            self.handle_data(" ")

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def all(self, name, **attrs):
        return [
            e
            for e in self.elements
            if e["name"] == name and attrs.items() <= {k: e["attrs"].get(k) for k in attrs}.items()
        ]

    @property
    def cards(self):
        return [e for e in self.all("li") if "data-rank" in e["attrs"]]

    def rows(self, table):
        """Return the cells' texts of each row of a table."""
        start = self.elements.index(*self.all("table", id=table))
        rows = []
        for element in self.elements[start + 1 :]:
            if "table" not in element["inside"]:
                break
            if element["name"] == "tr":
                rows.append([])
            elif element["name"] in ("td", "th"):
                rows[-1].append(" ".join(element["text"].split()))
        return rows


@pytest.fixture
def write(tmp_path, capsys):
    """Return a function that runs ``lossan report`` on a result, and returns the page."""

    def make(result, *options, says=None):
        folder, page = tmp_path / "findings", tmp_path / "page.html"
        result.save(folder)
        assert run(["report", str(folder), "-o", str(page), *map(str, options)]) == 0
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.endswith(f"Wrote {page}\n")
        if says is not None:
            assert says in said.err
        return Page(page.read_text())

    return make


@pytest.fixture(scope="session")
def found():
    """Return findings with three classes, predictions and a known truth."""
    log = planted_log(n_samples=600, n_classes=3, channels=True, string_ids=True, rate=0.1)
    return analyze(log, detector="auto")
