"""What every adapter's training shares: images and samples."""

import numpy as np
import pytest

from lossan.errors import LossanError, OptionError
from lossan.training import (
    Progress,
    TrainOptions,
    epoch_order,
    find_adapter,
    load_image,
    make_plan,
    sample_rng,
)
from lossan.training._images import check_images
from lossan.training._samples import read_samples

image = pytest.importorskip("PIL.Image")

TURNED = b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"  # an entry of EXIF: the orientation is 6


def picture(path, array):
    image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize("suffix", ["png", "tiff", "bmp"])
def test_grey_and_colour_come_as_rgb(tmp_path, suffix):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    expected = np.repeat(grey[:, :, None], 3, axis=2)
    for name, array in (("grey", grey), ("colour", expected)):
        file = picture(tmp_path / f"{name}.{suffix}", array)
        np.testing.assert_array_equal(load_image(file, 8), expected)


def test_16_bits_are_scaled_by_the_range_of_their_type(tmp_path):
    deep = np.array([[0, 257 * 10], [257 * 100, 65535]], np.uint16)
    loaded = load_image(picture(tmp_path / "deep.png", deep), 2)
    np.testing.assert_array_equal(loaded[:, :, 0], [[0, 10], [100, 255]])


def test_fractions_are_not_taken_for_black(tmp_path):
    fractions = np.array([[0, 0.2], [0.4, 1]], np.float32)
    loaded = load_image(picture(tmp_path / "deep.tiff", fractions), 2)
    np.testing.assert_array_equal(loaded[:, :, 0], [[0, 51], [102, 255]])


def test_images_are_squared(tmp_path):
    file = picture(tmp_path / "a.png", np.zeros((20, 40, 3), np.uint8))
    assert load_image(file, 16).shape == (16, 16, 3)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_images_are_turned_upright_as_a_browser_shows_them(tmp_path, dtype, white):
    wide = np.zeros((20, 40), dtype)
    wide[:, :5] = white
    exif = image.Exif()
    exif[0x0112] = 6  # the left side of what is stored is the top of what was photographed
    image.fromarray(wide).save(tmp_path / "a.tif", exif=exif)
    upright = load_image(tmp_path / "a.tif", 40)[..., 0]
    assert upright[:4].min() > 200
    assert upright[7:].max() < 50


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of the notes, where Pillow reads on
@pytest.mark.parametrize("suffix", ["png", "webp", "jpg"])
@pytest.mark.parametrize(
    ("note", "turned"),
    [
        (b"Exif\0\0garbage garbage", False),
        (b"Exif\0\0MM\0*\xff\xff\xff\xff", False),
        # the orientation 6, then a maker's name of a type that there is not
        (b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + TURNED + b"\x01\x0f\0c\0\0\0\x01" + b"\xff" * 4, True),
        # the orientation 6, then a resolution with no place for it in the file
        (b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + TURNED + b"\x01\x1a\0\x05\0\0\0\x01\0\0\x27\x0f", True),
    ],
    ids=["garbage", "out of the file", "another note of no type", "another note out of the file"],
)
def test_a_note_that_cannot_be_read_neither_turns_an_image_nor_stops_a_training(
    tmp_path, suffix, note, turned
):
    wide = np.zeros((16, 32), np.uint8)
    wide[:, :8] = 255
    file = tmp_path / f"a.{suffix}"
    image.fromarray(wide).save(file, exif=note)
    assert check_images([file]) == {}
    left, top = load_image(file, 32)[..., 0].astype(int)[[24, 4], [4, 24]]
    assert (left < 50, top > 200) == (turned, turned)


def test_whatever_a_training_cannot_read_is_told_before_it(tmp_path, monkeypatch):
    file = picture(tmp_path / "a.png", np.zeros((4, 4), np.uint8))

    def fail(*_, **__):
        raise ValueError("no such conversion")

    monkeypatch.setattr("PIL.Image.Image.convert", fail)
    with pytest.raises(LossanError, match="no such conversion"):
        load_image(file, 8)
    assert check_images([file]) == {0: "no such conversion"}


def test_unreadable_images_are_told(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG broken")
    for name, words in (("a.png", "cannot be read"), ("b.png", "no such file")):
        with pytest.raises(LossanError, match=words):
            load_image(tmp_path / name, 8)


def table(folder, rows, header="sample_id,path,label"):
    for row in rows:
        name = row.split(",")[1]
        if name.startswith("ok"):
            picture(folder / name, np.zeros((4, 4), np.uint8))
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder / "labels.csv"


def test_all_bad_images_are_listed_before_the_first_epoch(tmp_path):
    rows = ["1,ok1.png,a", "2,gone.png,b", "3,ok2.png,b", "4,text.png,a"]
    (tmp_path / "text.png").write_text("hello")
    path = table(tmp_path, rows)
    with pytest.raises(LossanError, match=r"2 of 4 images(.|\n)*gone\.png(.|\n)*text\.png"):
        read_samples(path, None)
    samples, skipped = read_samples(path, None, skip_unreadable=True)
    assert samples.ids == [1, 3]
    assert len(skipped) == 2


@pytest.mark.parametrize("classes", [None, ["a", "b"]], ids=["training", "test"])
@pytest.mark.parametrize("skip", [False, True])
def test_a_table_without_an_image_that_can_be_read_is_refused(tmp_path, classes, skip):
    path = table(tmp_path, ["1,gone.png,a", "2,lost.png,b"])
    words = (
        r"2 of 2 images cannot be read:\n.*gone(.|\n)*Mend them or name their folder by --images.$"
    )
    with pytest.raises(LossanError, match=words):
        read_samples(path, None, classes=classes, skip_unreadable=skip)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "bmp", "webp"])
def test_an_image_that_breaks_off_is_told_before_the_first_epoch(tmp_path, suffix):
    names = [f"{name}.{suffix}" for name in ("whole", "broken", "same")]
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in names:
        picture(tmp_path / name, pixels)
    content = (tmp_path / names[1]).read_bytes()
    (tmp_path / names[1]).write_bytes(content[: len(content) // 2])
    path = table(tmp_path, [f"{i},{name},{'ab'[i % 2]}" for i, name in enumerate(names)])
    with pytest.raises(LossanError, match=rf"1 of 3 images cannot be read:\n  {names[1]}: \w"):
        read_samples(path, None)


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (["1,ok1.png,a", "2,ok2.png,a"], {}, "one class only"),
        (["1,ok1.png,a", "1,ok2.png,b"], {}, "more than once, first '1'"),
        (["1,ok1.png,a", "2,ok2.png,"], {}, "label is empty in 1 rows"),
        (["1,ok1.png,a", "2,ok2.png,c"], {"classes": ["a", "b"]}, "outside the classes"),
    ],
)
def test_bad_tables_are_told(tmp_path, rows, options, words):
    with pytest.raises(LossanError, match=words):
        read_samples(table(tmp_path, rows), None, **options)


def test_a_training_may_lack_classes_that_its_network_has_but_not_all_save_one(tmp_path):
    options = TrainOptions(
        labels=table(tmp_path, ["1,ok1.png,2", "2,ok2.png,1"]), output=tmp_path / "o.parquet"
    )
    plan = make_plan(options, classes=["1", "2", "other"])
    assert plan.train.classes == ["1", "2", "other"]
    assert plan.train.given() == ["2", "1"]  # integers in its table, text among the others
    table(tmp_path, ["1,ok1.png,2", "2,ok2.png,2"])
    with pytest.raises(LossanError, match=r"images of one class only \('2'\)"):
        make_plan(options, classes=["1", "2", "other"])


def test_a_table_without_paths_is_told(tmp_path):
    (tmp_path / "labels.csv").write_text("sample_id,label\n1,a\n2,b\n")
    with pytest.raises(LossanError, match="no column 'path'"):
        read_samples(tmp_path / "labels.csv", None)


def test_a_tree_of_class_folders_is_a_table(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / label / "more").mkdir(parents=True)
        picture(tmp_path / label / "1.png", np.zeros((4, 4), np.uint8))
        picture(tmp_path / label / "more" / "2.png", np.zeros((4, 4), np.uint8))
    samples, _ = read_samples(tmp_path, None)
    assert samples.ids == ["cat/1.png", "cat/more/2.png", "dog/1.png", "dog/more/2.png"]
    assert samples.given() == ["cat", "cat", "dog", "dog"]


def test_order_and_chance_follow_from_seed_and_epoch():
    assert sorted(epoch_order(50, seed=0, epoch=1)) == list(range(50))
    assert (epoch_order(50, seed=0, epoch=1) == epoch_order(50, seed=0, epoch=1)).all()
    assert (epoch_order(50, seed=0, epoch=1) != epoch_order(50, seed=0, epoch=2)).any()
    draws = {
        sample_rng(i, seed=s, epoch=e).random() for i in (0, 1) for s in (0, 1) for e in (0, 1)
    }
    assert len(draws) == 8


class Clock:
    """A minute passes with every batch."""

    now = 0.0


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr("lossan.training._progress.monotonic", lambda: Clock.now)
    Clock.now = 0.0
    return Clock


def train_an_epoch(clock):
    with Progress(1, 3, 80) as progress:
        for loss, right in ((40.0, 10), (20.0, 20)):
            clock.now += 60
            progress.update(40, loss, right)
        for _ in progress.over([(range(5), "x"), (range(5), "y")], "test set", 10):
            clock.now += 15
        return progress.end({"test_loss": 0.5, "test_accuracy": 0.25})


def test_plain_lines_tell_loss_accuracy_and_the_time_left(clock, capsys):
    figures = train_an_epoch(clock)
    assert capsys.readouterr().err.splitlines() == [
        "epoch 2/3: loss 1.0000, accuracy 25.00%, 40 of 80, 60 s left",
        "epoch 2/3: loss 0.7500, accuracy 37.50%, 80 of 80, 0 s left",
        "epoch 2/3, test set, 5 of 10, 15 s left",
        "epoch 2/3, test set, 10 of 10, 0 s left",
        "epoch 2/3: loss 0.7500, accuracy 37.50%, test loss 0.5000, accuracy 25.00%, 0:02:30, "
        "about 0:02:30 to the end",
    ]
    assert figures == {
        "train_loss": 0.75,
        "train_accuracy": 0.375,
        "test_loss": 0.5,
        "test_accuracy": 0.25,
        "seconds": 150,
    }


def test_a_terminal_shows_a_bar_and_gets_its_cursor_back(clock, capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    train_an_epoch(clock)
    shown = capsys.readouterr().err
    line = "epoch 2/3: loss 0.7500, accuracy 37.50%"
    for words in (line, "80/80", "epoch 2/3, test set", "10/10"):
        assert words in shown
    with pytest.raises(KeyboardInterrupt), Progress(0, 1, 5):
        raise KeyboardInterrupt
    hidden, back = "\x1b[?25l", "\x1b[?25h"
    ended = shown + capsys.readouterr().err
    assert ended.count(hidden) == ended.count(back) == 2


def test_an_adapter_without_its_framework_names_the_extra(monkeypatch):
    monkeypatch.setattr("lossan_torch.adapter.find_spec", lambda _: None)
    with pytest.raises(OptionError, match=r"pip install 'lossan\[torch\]'"):
        find_adapter("torch")
    with pytest.raises(OptionError, match=r"allowed: .*torch"):
        find_adapter("pytorch")
