"""HTML and scripts in ids, labels, groups, paths, class names and metadata."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import numpy as np
import pytest

from lossan import analyze, build_log

pytest.importorskip("jinja2")

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</script><script>alert(1)</script>",
    "</style><svg onload=alert(1)>",
    "</title><iframe src=javascript:alert(1)>",
    "javascript:alert(1)",
    "{{ 7 * 191 }}{% for x in y %}",
    "<!-- --><base href=//evil.example>",
    "&lt;script&gt;&#x3c;b&#62;",
    "$\\frac{1}{$ $x^",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "\u2028<b>\u202e",
    "<a href=//evil.example>x</a>",
]
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "nav", "ul"),
    *("li", "ol", "a", "dl", "div", "dt", "dd", "small", "span", "strong", "code", "details"),
    *("summary", "table", "caption", "tr", "th", "td", "figure", "figcaption", "form", "label"),
    *("select", "option", "input", "button", "img", "script", "svg", "g", "path", "defs", "use"),
    *("clippath", "rect", "text", "tspan", "section", "bdi"),
}


class Taken(HTMLParser):
    """A page taken apart."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts = [], []
        self._script = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._script = tag == "script"

    def handle_data(self, data):
        if self._script:
            self.scripts.append(data)
            self._script = False


def harmless(page):
    """Check that a page holds nothing but what our templates put there."""
    found = Taken(page)
    names = [tag for tag, _ in found.tags]
    assert set(names) <= ALLOWED
    policies = [a["content"] for t, a in found.tags if a.get("http-equiv") is not None]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'")
    assert names.index("meta") < names.index("title")
    allowed = re.findall(r"script-src 'sha256-([^']+)'", policies[0])
    ours = [b64encode(sha256(text.encode()).digest()).decode() for text in found.scripts]
    assert ours == allowed
    assert names.count("script") == len(allowed) <= 1
    assert names.count("meta") == 3
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("href", "xlink:href", "action", "formaction", "srcdoc"):
            assert (attributes.get(name) or "#").startswith("#")
        assert attributes.get("src", "data:image/jpeg;base64,").startswith(
            "data:image/jpeg;base64,"
        )
    assert "{{ 7 * 191 }}{% for x in y %}" in page  # shown, not worked out


def poisoned(n=56):
    """Return a log in which every text is an attack."""
    rng = np.random.default_rng(0)
    texts = [ATTACKS[i % len(ATTACKS)] for i in range(n)]
    loss = rng.gamma(1, 0.2, (n, 4))
    loss[:20] += 3
    return build_log(
        loss,
        sample_id=[f"{text} {i}" for i, text in enumerate(texts)],
        label=texts,
        path=texts,
        group=texts,
        predicted=np.array([[texts[(i + 1) % n]] * 4 for i in range(n)]),
        margin=-loss,
        label_prob=np.exp(-loss),
        predicted_prob=np.full(loss.shape, 0.9),
        metadata={
            "recorded": "eval",
            "classes": ATTACKS,
            **{f"{text}": text for text in ATTACKS},
            "nested": {text: [text] for text in ATTACKS},
        },
    )


@pytest.mark.parametrize("detector", ["kmeans", "auto"])
@pytest.mark.parametrize("with_images", [False, True])
def test_a_report(detector, with_images, canary, accepted, tmp_path):
    """Markup in a log's texts, in a report"""
    analyze(poisoned(), detector=detector, name=ATTACKS[1]).save(tmp_path / "found")
    options = []
    if with_images:
        from PIL import Image

        (tmp_path / "images").mkdir()
        Image.new("RGB", (9, 9)).save(tmp_path / "images" / ATTACKS[6], "PNG")
        options = ["--images", "images"]
    accepted("report", "found", "-o", "page.html", *options)
    page = (tmp_path / "page.html").read_text()
    harmless(page)
    assert "alert(1)" in page  # it is there, as text


TEXTS = ("labels", "model", "detector", "weights", "optimizer", "augmentation", "adapter")


def test_an_experiment(canary, tmp_path):
    """Markup in class names and ids, in an experiment's report"""
    from lossan.experiment import _page
    from lossan.experiment._summary import (
        METRICS,
        Budget,
        Counts,
        ExperimentSummary,
        Mean,
        Search,
        Trial,
    )

    log = poisoned()
    truth = [*log.label.to_pylist()[1:], log.label[0].as_py()]
    fields = {f: getattr(log, f) for f in ("sample_id", "label", "path", "group", "predicted")}
    fields["predicted"] = log.predicted.values.take(log.predicted.codes.ravel())
    fields["predicted"] = np.array(fields["predicted"].to_pylist()).reshape(log.loss.shape)
    result = analyze(build_log(log.loss, true_label=truth, **fields), detector="kmeans")
    table = {name: {text: Counts(right=1, wrong=1) for text in ATTACKS} for name in ("A", "A'")}
    summary = ExperimentSummary(
        lossan_version=ATTACKS[0],
        created=ATTACKS[1],
        options={text: text for text in ATTACKS}
        | dict.fromkeys(TEXTS, ATTACKS[2])
        | {"noise": "planted", "reviewer": "oracle", "scale": "none", "record": "train"}
        | {"seeds": 1, "retrain_epochs": 0, "epochs": 8, "early_epochs": None, "image_size": 32}
        | {"lr": 1.0, "batch_size": 8, "rate": 0.1, "test_share": 0.1},
        n_train=20,
        n_test=5,
        n_groups=None,
        classes=ATTACKS,
        table1=table,
        table1_per_seed=[table],
        experiment1=Search(per_seed=[result.evaluation], mean={m: Mean(mean=0.5) for m in METRICS}),
        experiment2=None,
        budget=Budget(reviewed=[0, 1], detector=[0, 1], last_loss=[0, 1], ideal=[0, 1]),
        trials=[
            Trial(
                rate=0.1,
                n_epochs=8,
                early_epochs=4,
                scale="none",
                n_seeds=1,
                detector=name,
                flagged_fraction=0.5,
                **{key: dict.fromkeys(METRICS, 0.5) for key in ("figures", "low", "high")},
            )
            for name in ATTACKS
        ],
        notes=ATTACKS,
    )
    harmless(_page.render(summary, [result], tmp_path))


def test_a_comparison(canary, monkeypatch, accepted, tmp_path):
    """Markup in the names of runs, in a comparison"""
    import json

    epochs = [{"test_accuracy": 0.5, "test_loss": 1.0, "test_n": 8, "test_right": "f0"}] * 2
    names = [text for text in ATTACKS if "/" not in text]
    for name in names:
        (tmp_path / f"{name}.history.json").write_text(json.dumps({"epochs": epochs}))
    accepted("compare", *names, "-o", "page.html")
    harmless((tmp_path / "page.html").read_text())


STEERED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
STEERING = ["\x1b[2J\x1b]0;gone\x07", "\x9b31m", "a\rb", "\u202egnp.exe", "\x08"]


@pytest.mark.parametrize("text", STEERING)
@pytest.mark.parametrize("command", ["analyze", "inspect", "refused"])
def test_the_terminal(text, command, canary, tmp_path, capsys):
    """Escape sequences that steer a terminal, in ids, labels and metadata"""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lossan.cli import run
    from lossan.io import write_log

    n = 20
    log = build_log(
        np.random.default_rng(0).random((n, 3)),
        sample_id=[f"{text}{i}" for i in range(n)],
        label=[f"{text}a", f"{text}b"] * (n // 2),
        metadata={"note": text, text: "x", "classes": [text]},
    )
    if command == "refused":
        pq.write_table(pa.table({f"{text}id": [1], f"{text}loss": [1.0]}), "log.parquet")
    else:
        write_log(log, "log.parquet")
    run([{"refused": "analyze"}.get(command, command), "log.parquet"])
    said = capsys.readouterr()
    assert not STEERED.search(said.out + said.err)
    assert said.out + said.err


@pytest.mark.parametrize("text", STEERING)
def test_the_terminal_in_a_note(text, canary, tmp_path, capsys):
    """Escape sequences in the names of classes that a note tells of"""
    from lossan.cli import run
    from lossan.io import write_log

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 3000)
    label = np.where(rng.random(3000) < 0.2 * truth, 0, truth)
    sure = np.abs(rng.normal(3, 1.5, (3000, 1))).repeat(3, axis=1)
    margin = np.where((label == truth)[:, None], sure, -sure)
    names = np.array([f"{text}a", f"{text}b"])
    log = build_log(np.log1p(np.exp(-margin)), label=names[label], margin=margin)
    write_log(log, "log.parquet")
    assert run(["analyze", "log.parquet", "-d", "auto"]) == 0
    said = capsys.readouterr()
    assert "of what is surely" in said.out
    assert not STEERED.search(said.out + said.err)
