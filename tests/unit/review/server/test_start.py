"""How `lossan review` starts, and what it does not start with."""

import json
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from lossan import analyze
from lossan.cli import run
from lossan.cli._review import _classes
from lossan.review import Listener, Plan, open_review
from lossan.review._press import Press, ReviewError
from lossan.testing import planted_log


@pytest.fixture
def refused(base, capsys):
    """Return a function that starts a review which must not start; it returns the message."""

    def check(*options, findings=None, images=None):
        findings, images = findings or base / "findings", images or base / "images"
        command = ["review", findings, "--images", images, "--no-open", "--port", 0, *options]
        assert run([str(part) for part in command]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert "error: " in said.err
        assert "Traceback" not in said.err
        return said.err

    return check


def test_a_port_in_use_names_a_free_one(refused):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused("--port", port)
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in said
    free = int(said.rsplit("--port ", 1)[1])
    with socket.socket() as now:
        now.bind(("127.0.0.1", free))


def test_a_host_that_is_not_ours(refused):
    assert "cannot listen on 192.0.2.1" in refused("--host", "192.0.2.1")
    assert "cannot listen on no.such.host.invalid" in refused("--host", "no.such.host.invalid")


def test_images_that_are_not_there(base, refused):
    (base / "empty").mkdir()
    said = refused(images=base / "empty")
    assert "none of the" in said
    assert "pictures/sample-" in said
    assert "there is no such folder" in refused(images=base / "no")
    assert "is not a folder" in refused(images=base / "findings" / "summary.json")


def test_findings_that_are_none(base, refused):
    (base / "empty").mkdir()
    assert "does not exist" in refused(findings=base / "no")
    assert "holds no summary.json" in refused(findings=base / "empty")
    assert "is a file" in refused(findings=base / "findings" / "findings.csv")
    (base / "findings" / "findings.parquet").unlink()
    assert "findings.parquet: there is no such file" in refused()


def test_decisions_of_other_findings(base, browse, refused):
    browse().press(0, "keep")
    summary = json.loads((base / "findings" / "summary.json").read_text())
    summary["log"]["fingerprint"] = "sha256:another"
    (base / "findings" / "summary.json").write_text(json.dumps(summary))
    assert "decisions are of other findings" in refused()


def test_a_cut_off_line_is_told_and_the_whole_ones_count(base, browse, refused):
    browse().press(0, "keep")
    file = base / "findings" / "decisions.jsonl"
    file.write_bytes(file.read_bytes() + b'{"id": "cut')
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = refused("--port", taken.getsockname()[1])  # it comes as far as that
    assert "1 cut-off lines do not count" in said
    assert browse().state()["decided"][0]


def test_nothing_to_review(tmp_path, refused):
    analyze(planted_log(n_samples=50, rate=0.0), detector="auto").save(tmp_path / "clean")
    said = refused(findings=tmp_path / "clean")
    assert "nothing is flagged; --top 50" in said
    assert "no sample on which readers differ" in refused("--adjudicate")


def test_findings_without_labels(tmp_path, base, refused):
    log = planted_log(n_samples=60)
    bare = replace(log, label=None, true_label=None)
    analyze(bare).save(tmp_path / "bare")
    assert "hold no labels; --classes A,B names them" in refused(findings=tmp_path / "bare")
    review = open_review(tmp_path / "bare", Plan(classes=("cat", "dog")))
    state = review.state("A", adjudicating=False)
    assert [c["label"] for c in state["classes"]] == ["cat", "dog"]
    row = state["queue"][0]
    with pytest.raises(ReviewError, match="no given label"):
        review.decide(Press(id="12345678", reader="A", row=row, action="keep"))
    review.decide(Press(id="12345678", reader="A", row=row, action="relabel", label="dog"))
    assert review.state("A", adjudicating=False)["decided"][0]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_alone(host):
    listener = Listener(host, 0)
    with listener.socket:
        assert listener.is_loopback
        assert listener.url("t") == f"http://{host}:{listener.port}/?token=t"
        assert not listener.hosts.allow("10.0.0.1")


def test_a_server_open_to_others():
    listener = Listener("0.0.0.0", 0)  # noqa: S104
    with listener.socket:
        assert not listener.is_loopback
        assert listener.hosts.allow(f"{socket.gethostname()}:{listener.port}")
        assert listener.hosts.allow("10.0.0.1")
        assert not listener.hosts.allow("evil.test")
        assert listener.url("t") == f"http://{socket.gethostname()}:{listener.port}/?token=t"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--order", "random"], "allowed: class-pair, group, suspicion"),
        (["--blinded", "--order", "class-pair"], "blinded, the order is suspicion or group"),
        (["--reader", " "], "1 to 100 printable characters"),
        (["--reader", "a\nb"], "1 to 100 printable characters"),
        (["--classes", "a,,b"], "different names"),
        (["--classes", "1,1"], "different names"),
        (["--classes", '"a,b'], "one that holds a comma stands in double quotes"),
        (["--classes", "a\nb"], "different names"),
        (["--classes", "a,b"], "labels are whole numbers"),
        (["--top", "0"], "--top"),
        (["--port", "70000"], "--port"),
    ],
)
def test_options(options, told, refused):
    assert told in refused(*options)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("b, a", ("b", "a")),
        ('"drusen, soft",none', ("drusen, soft", "none")),
        ('none, "drusen, soft"', ("none", "drusen, soft")),
        ('5" or more,less', ('5" or more', "less")),
    ],
)
def test_a_class_with_a_comma_stands_in_quotes(text, names):
    assert _classes(text) == names


def test_classes_in_the_order_of_their_keys(browse):
    labels = [c["label"] for c in browse(classes=("2", "7", "0")).state()["classes"]]
    assert labels == [2, 7, 0, 1]


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "PIL"])
def test_without_the_extra(package, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    assert "pip install 'lossan[review]'" in refused()


def test_the_core_needs_nothing_of_the_extra():
    lacking = dict.fromkeys(["starlette", "uvicorn", "anyio", "PIL"])
    program = f"import sys; sys.modules |= {lacking}; import lossan.review"
    subprocess.run([sys.executable, "-c", program], check=True)
