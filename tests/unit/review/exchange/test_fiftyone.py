"""FiftyOne where it is not installed, and a stand-in of what we use of it."""

import sys
from datetime import datetime
from types import ModuleType, SimpleNamespace

import pytest

from .conftest import GIVEN, NAMES, SUGGESTED

EXPORT = "decisions export DIR --to fiftyone -o suspects"
IMPORT = "decisions import suspects --from fiftyone --findings DIR"


class Sample:
    """A sample as FiftyOne's documentation has it: fields by name, tags, a time of change."""

    def __init__(self, filepath, **fields):
        self.filepath, self.tags = filepath, []
        self._fields = fields | {"last_modified_at": datetime(2026, 3, 1, 9, 30)}  # UTC, as theirs

    def has_field(self, name):
        return name in self._fields

    def __getitem__(self, name):
        return self._fields[name]


@pytest.fixture
def fiftyone(monkeypatch):
    sets = {}

    class Dataset(list):
        def __init__(self, name):
            super().__init__()
            sets[name] = self
            self.persistent = False

        def add_samples(self, samples):
            self.extend(samples)

    fake = ModuleType("fiftyone")
    fake.Sample, fake.Dataset, fake.Classification = Sample, Dataset, SimpleNamespace
    fake.dataset_exists, fake.load_dataset = sets.__contains__, sets.__getitem__
    fake.list_datasets = lambda: sorted(sets)
    monkeypatch.setitem(sys.modules, "fiftyone", fake)
    return fake


@pytest.mark.parametrize("command", [EXPORT, IMPORT + " --reader A"])
def test_without_fiftyone_the_package_is_named(command, lossan, monkeypatch):
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    assert "pip install fiftyone" in lossan(command, code=2)


def test_without_its_database(lossan, fiftyone):
    def broken():
        raise RuntimeError("MongoDB could not be installed")

    fiftyone.list_datasets = broken
    assert "cannot reach its database: MongoDB" in lossan(EXPORT, code=2)


def test_a_data_set_of_the_suspects(lossan, fiftyone, tmp_path):
    lossan(EXPORT, "--image-prefix", f"{tmp_path}/")
    made = fiftyone.load_dataset("suspects")
    assert made.persistent
    assert [s["lossan_sample_id"] for s in made] == NAMES[:9]
    assert [s["given_label"].label for s in made] == GIVEN[:9]
    assert [s["suggested_label"].label for s in made] == SUGGESTED[:9]
    assert made[0]["suggested_label"].confidence == 0.9
    assert made[0].filepath == str(tmp_path / "images" / "0 #.png")
    assert "has a data set 'suspects' already" in lossan(EXPORT, code=2)


def test_a_blinded_data_set(lossan, fiftyone):
    lossan(EXPORT, "--blinded")
    for sample in fiftyone.load_dataset("suspects"):
        assert not sample.has_field("given_label")
        assert not sample.has_field("suggested_label")


def test_tags_are_imported(lossan, fiftyone, decisions):
    lossan(EXPORT)
    made = fiftyone.load_dataset("suspects")
    made[0].tags += ["keep", "nice"]
    made[1].tags += ["relabel:cat"]
    made[2].tags += ["unsure"]
    made[3].tags += ["nice"]
    said = lossan(IMPORT, "--reader", "A")
    assert said.startswith("Added 3 decisions; 0 were there already, 6 samples have none")
    assert decisions() == {
        "a.png": ("keep", "cat", ("A",)),
        "=HYPERLINK(1)": ("relabel", "cat", ("A",)),
        "-5": ("unsure", None, ("A",)),
    }
    assert lossan(IMPORT, "--reader", "A").startswith("Added 0 decisions; 3 were there already")


def test_what_cannot_be_imported_is_told(lossan, fiftyone):
    lossan(EXPORT)
    assert "no data set 'other'; it has: suspects" in lossan(
        IMPORT.replace("import suspects", "import other"), "--reader", "A", code=2
    )
    assert "give --reader" in lossan(IMPORT, code=2)
    made = fiftyone.load_dataset("suspects")
    made[0].tags += ["keep", "unsure"]
    made[1].tags += ["relabel:cow"]
    made.append(Sample("/x.png"))
    made[-1].tags += ["keep"]
    said = lossan(IMPORT, "--reader", "A", code=2)
    assert "has 3 faults" in said
    assert "it has the tags keep, unsure; needed is one" in said
    assert "the label 'cow' is new" in said
    assert "sample 10 (/x.png): it has no lossan_sample_id" in said
