"""Images in the page: small, upright, and told where they cannot be shown."""

import re
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from lossan import analyze, build_log
from lossan.report import Thumbnails
from lossan.testing import planted_log

N = 12


def logged(**fields):
    rng = np.random.default_rng(0)
    losses = rng.random((N, 4))
    losses[:3] += 4
    return analyze(build_log(losses, label=["cat", "dog"] * (N // 2), **fields), detector="kmeans")


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images" / "deep"
    folder.mkdir(parents=True)
    for number in range(N):
        Image.new("RGB", (400, 300), (20 * number, 0, 90)).save(folder / f"{number}.png")
    return folder.parent


def decode(url):
    start = "data:image/jpeg;base64,"
    assert url.startswith(start)
    return Image.open(BytesIO(b64decode(url[len(start) :])))


def red(url):
    return np.asarray(decode(url).convert("RGB"))[..., 0].mean()


def test_each_suspect_has_its_own_image(images, write):
    result = logged(path=[f"deep/{number}.png" for number in range(N)])
    page = write(result, "--images", images)
    assert len(page.all("img")) == len(page.cards) == N
    for card, image in zip(page.cards, page.all("img"), strict=True):
        number = int(card["attrs"]["data-name"])
        assert image["attrs"]["alt"] == str(number)
        assert red(image["attrs"]["src"]) == pytest.approx(20 * number, abs=4)
        assert decode(image["attrs"]["src"]).size == (200, 150)


def test_an_id_may_be_the_path(images, write):
    result = logged(sample_id=[f"deep/{number}.png" for number in range(N)])
    assert len(write(result, "--images", images).all("img")) == N


def test_missing_broken_and_foreign_images_are_told(images, write):
    (images / "deep" / "1.png").write_bytes(b"no image at all")
    whole = (images / "deep" / "2.png").read_bytes()
    (images / "deep" / "2.png").write_bytes(whole[: len(whole) // 2])
    (images / "deep" / "3.png").unlink()
    (images / "deep" / "loop").symlink_to("loop")
    secret = images.parent / "secret.png"
    Image.new("RGB", (5, 5)).save(secret)
    (images / "deep" / "out.png").symlink_to(secret)
    paths = [f"deep/{number}.png" for number in range(N)]
    paths[4:9] = ["../secret.png", str(secret), "deep/out.png", "deep/loop/a.png", "nul\0.png"]
    page = write(logged(path=paths), "--images", images, says="8 of 12 images cannot be shown")
    told = {
        int(card["attrs"]["data-name"]): re.search(r"cannot be shown: (.*?)\.", card["text"])
        for card in page.cards
    }
    told = {number: match and match[1] for number, match in told.items()}
    expected = dict.fromkeys((0, 9, 10, 11))
    expected |= dict.fromkeys((1, 2), "it is broken, or of a kind unknown here")
    expected |= dict.fromkeys((4, 5, 6), "it lies outside the folder of images")
    assert {k: told.pop(k) for k in sorted(expected)} == dict(sorted(expected.items()))
    assert told[3] == "there is no such file"
    assert set(told) == {3, 7, 8}
    assert None not in told.values()
    assert "8 of 12 images cannot be shown" in page.html
    assert len(page.all("img")) == 4


def test_a_photograph_taken_sideways_stands_upright(tmp_path):
    wide = np.zeros((300, 900, 3), np.uint8)
    wide[:, :450] = 255  # white on the left; turned right by a quarter it is above
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(wide).save(tmp_path / "a.jpg", exif=exif)
    pixels = np.asarray(decode(Thumbnails(tmp_path, size=90).url("a.jpg")).convert("L"))
    assert pixels.shape == (90, 30)
    assert pixels[:40].min() > 200
    assert pixels[50:].max() < 50


def test_twelve_bits_in_sixteen_are_not_black(tmp_path):
    ramp = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (64, 1))
    Image.fromarray(ramp).save(tmp_path / "a.png")
    pixels = np.asarray(decode(Thumbnails(tmp_path).url("a.png")).convert("L"))
    assert pixels.max() > 240
    assert pixels.min() < 15


def test_without_images_nothing_is_said_of_them(write):
    page = write(analyze(planted_log(n_samples=100)))
    assert page.all("img") == []
    assert "image" not in page.all("main")[0]["text"]


def test_an_image_of_too_many_pixels_is_not_called_broken(images, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400 * 300 // 3)
    looked = Thumbnails(images).look("deep/1.png")
    assert (looked.url, looked.trouble) == (None, "it has too many pixels to be shown")
