"""What images a browser gets, and which it never gets."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from lossan.report import Thumbnails
from lossan.review import ImageFolder


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "outside.png").write_bytes(b"secret")
    Image.new("RGB", (4, 4)).save(tmp_path / "outside.png")
    return tmp_path / "images"


def pixels(picture):
    assert picture.trouble is None
    with Image.open(BytesIO(picture.body)) as image:
        return image.mode, np.asarray(image)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_what_browsers_know_is_sent_as_it_is(name, mode, folder):
    Image.new(mode, (40, 30), 99 if mode == "L" else (1, 2, 3)).save(folder / name)
    picture = ImageFolder(folder).read(name)
    assert picture.body == (folder / name).read_bytes()
    kinds = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
    assert picture.media_type == kinds[name[2:]]


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_deep_grey_is_stretched(name, folder):
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 64  # 12 bits of 16
    Image.fromarray(deep).save(folder / name)
    mode, shown = pixels(ImageFolder(folder).read(name))
    assert mode == "RGB"
    assert (shown.min(), shown.max()) == (0, 255)
    assert np.abs(shown[:, :, 0] - deep / deep.max() * 255).max() <= 0.5


def test_a_tiff_in_colour_keeps_its_pixels(folder):
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(values).save(folder / "a.tif")
    _mode, shown = pixels(ImageFolder(folder).read("a.tif"))
    assert (shown == values).all()


def test_print_colours_are_converted(folder):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(folder / "a.jpg")
    mode, shown = pixels(ImageFolder(folder).read("a.jpg"))
    assert mode == "RGB"
    assert shown[0, 0, 0] > 200
    assert shown[0, 0, 1] < 60


def test_a_huge_image_is_made_smaller(folder):
    Image.new("L", (6000, 500)).save(folder / "a.png")
    _mode, shown = pixels(ImageFolder(folder).read("a.png"))
    assert shown.shape[1] == 4096


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_a_file_cut_off(name, folder):
    values = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    Image.fromarray(values).save(folder / name)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    assert "broken" in ImageFolder(folder).read(name).trouble


@pytest.mark.parametrize("content", [b"", b"no image", b"<svg onload='alert(1)'/>", b"\x89PNG\r\n"])
def test_what_is_no_image(content, folder):
    (folder / "a.png").write_bytes(content)
    assert "broken" in ImageFolder(folder).read("a.png").trouble


@pytest.mark.parametrize(
    "path", ["../outside.png", "sub/../../outside.png", "link.png", "up/outside.png"]
)
def test_nothing_outside_the_folder(path, folder):
    (folder / "sub").mkdir()
    (folder / "link.png").symlink_to(folder.parent / "outside.png")
    (folder / "up").symlink_to(folder.parent)
    images = ImageFolder(folder)
    for asked in (path, str(folder.parent / "outside.png")):
        assert images.read(asked).trouble == "it lies outside the folder of images"


def test_links_inside_the_folder_and_the_folder_itself(folder, tmp_path):
    Image.new("L", (4, 4)).save(folder / "a.png")
    (folder / "same.png").symlink_to("a.png")
    (tmp_path / "by-link").symlink_to(folder)
    images = ImageFolder(tmp_path / "by-link")
    assert images.read("same.png").body == (folder / "a.png").read_bytes()


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("Gro\u0308\u00dfe.png", "Gr\u00f6\u00dfe.png"),  # the log of a Mac, the files of Linux
        ("Gr\u00f6\u00dfe.png", "Gro\u0308\u00dfe.png"),
        ("sub\\Gro\u0308\u00dfe.png", "sub/Gr\u00f6\u00dfe.png"),  # the log of Windows
    ],
)
def test_names_spelt_as_another_system_does(path, file, folder):
    (folder / "sub").mkdir()
    Image.new("L", (4, 4)).save(folder / file)
    assert ImageFolder(folder).read(path).body == (folder / file).read_bytes()
    assert ImageFolder(folder).lacking([path]) == []
    assert Thumbnails(folder).look(path).url is not None
    Image.new("L", (4, 4)).save(folder.parent / "outside.png")
    assert ImageFolder(folder).read("..\\outside.png").trouble == "there is no such file"


def test_what_is_not_there(folder):
    (folder / "loop").symlink_to("loop")
    (folder / "dir").mkdir()
    images = ImageFolder(folder)
    for path in ("no.png", "dir", "", "."):
        assert images.read(path).trouble == "there is no such file"
    for path in ("loop", "a\x00b", "x" * 300):
        assert images.read(path).trouble in ("its file cannot be reached", "there is no such file")
    assert [path for path, _why in images.lacking(["no.png", "dir"])] == ["no.png", "dir"]


def test_the_page_is_told(browse, base, found_rows):
    browser = browse()
    row = found_rows[0]
    good = browser.get(f"/image/{row}")
    assert good.status_code == 200
    assert good.headers["content-type"] == "image/png"
    # rows that are in no queue, and what is no row
    for address in ("/image/199", "/image/-1", "/image/x", "/image/0/..%2f..%2fsummary.json"):
        assert browser.get(address).status_code == 404


@pytest.fixture
def found_rows(browse):
    return browse().state()["queue"]


def test_of_a_large_image_nothing_is_warned(tmp_path, monkeypatch):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    Image.new("RGB", (40, 30)).save(tmp_path / "a.tif")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 30 - 1)  # Pillow warns, up to twice that
    for name in ("a.png", "a.tif"):
        assert ImageFolder(tmp_path).read(name).trouble is None
        assert Thumbnails(tmp_path).look(name).trouble is None


def test_an_image_of_too_many_pixels_is_not_called_broken(tmp_path, monkeypatch):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 30 // 3)
    assert ImageFolder(tmp_path).read("a.png").trouble == "it has too many pixels to be shown"
