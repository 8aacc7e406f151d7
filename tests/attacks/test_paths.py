"""Paths in data that lead out of the folder of images, or to what is no file."""

import os

import numpy as np
import pytest

from lossan import analyze
from lossan.testing import planted_log

N = 40
SECRET = (201, 17, 94)


@pytest.fixture
def outside(tmp_path):
    """Return an image that must not be shown, outside the folder that may be."""
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (24, 24), SECRET).save(tmp_path / "secret.png")
    (tmp_path / "images").mkdir(exist_ok=True)
    image.new("RGB", (24, 24), (0, 200, 0)).save(tmp_path / "images" / "open.png")
    return tmp_path / "secret.png"


def way(name, folder, secret):
    """Return the path that stands in the data, making what it needs."""
    if name == "link":
        (folder / "link.png").symlink_to(secret)
        return "link.png"
    if name == "linked folder":
        (folder / "inner").symlink_to(secret.parent)
        return "inner/secret.png"
    return {
        "dots": "../secret.png",
        "deep dots": "a/b/../../../secret.png",
        "absolute": str(secret),
        "back again": f"../images/../{secret.name}",
        "home": "~/../secret.png",
        "file URL": secret.as_uri(),
    }[name]


WAYS = ["link", "linked folder", "dots", "deep dots", "absolute", "back again", "home", "file URL"]


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("field", ["path", "sample_id"])
def test_a_report_shows_no_file_outside(field, name, outside, canary, accepted, tmp_path):
    """A path out of the folder of images, in a report"""
    pytest.importorskip("jinja2")
    path = way(name, tmp_path / "images", outside)
    values = [path, *("open.png" if field == "path" else f"open-{i}" for i in range(N - 1))]
    log = planted_log(n_samples=N, n_epochs=4, string_ids=True)
    fields = {"sample_id": log.sample_id, "label": log.label} | {field: values}
    from lossan import build_log

    loss = np.sort(log.loss, axis=0)[::-1]  # the first sample is the most suspicious one
    (tmp_path / "images" / "open-0").write_bytes((tmp_path / "images" / "open.png").read_bytes())
    analyze(build_log(loss, **fields)).save(tmp_path / "found")
    said = accepted("report", "found", "--images", "images", "-o", "page.html")
    assert "cannot be shown" in said
    page = (tmp_path / "page.html").read_text()
    shown = [part.split('"')[0] for part in page.split("data:image/jpeg;base64,")[1:]]
    assert shown
    assert all(colour(picture)[1] > 150 for picture in shown)


def colour(picture):
    from base64 import b64decode
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(b64decode(picture))) as image:
        return image.convert("RGB").getpixel((5, 5))


@pytest.mark.parametrize("name", ["dots", "deep dots", "absolute", "back again"])
@pytest.mark.parametrize("adapter", ["torch", "keras"])
def test_a_labels_table_trains_on_no_file_outside(name, adapter, outside, canary, refused, train):
    """A path out of the folder of images, in a labels table"""
    path = way(name, outside.parent / "images", outside)
    table = outside.parent / "evil.csv"
    table.write_text(f"sample_id,path,label\n1,{path},a\n2,open.png,b\n")
    model = f"attack_networks:{adapter}_net"
    assert "lead out of the folder" in refused(*train(adapter, "--model", model, labels=table))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "link to /dev/zero"])
def test_what_is_no_file_does_not_hang_a_training(name, canary, refused, images, train, tmp_path):
    """A pipe or device in place of an image"""
    os.mkfifo(images / "pipe")
    (images / "link to ").mkdir()
    (images / "zero").symlink_to("/dev/zero")
    path = {"link to /dev/zero": "zero"}.get(name, name)
    table = tmp_path / "evil.csv"
    table.write_text(f"sample_id,path,label\n1,{path},a\n2,1.png,b\n")
    refused(*train("torch", "--model", "attack_networks:torch_net", labels=table))


@pytest.mark.parametrize("command", ["analyze", "evaluate", "corrupt", "report"])
def test_a_name_with_a_nul(command, canary, refused):
    """A NUL in a file's name"""
    more = {"corrupt": ["-o", "out.csv"], "report": ["-o", "out.html"]}.get(command, [])
    refused(command, "a\0b", *more)
