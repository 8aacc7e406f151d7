"""Label Studio's documented JSON: tasks for it, and an export of it written by hand."""

import json
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest

from lossan.review import Decision, DecisionLog, findings_fingerprint, new_id

from .conftest import FILES, GIVEN, NAMES, SUGGESTED

EXPORT = "decisions export DIR --to label-studio -o"
IMPORT = "decisions import --from label-studio --findings DIR"


@pytest.fixture
def exported():
    return json.loads((FILES / "label_studio.json").read_text())


@pytest.fixture
def write(tmp_path):
    def make(tasks):
        path = tmp_path / "exported.json"
        path.write_text(tasks if isinstance(tasks, str) else json.dumps(tasks))
        return path

    return make


def test_tasks(tmp_path, lossan, findings):
    path = tmp_path / "tasks.json"
    lossan(EXPORT, path, "--image-prefix", "/data/local-files/?d=")
    tasks = json.loads(path.read_text())
    assert [t["data"]["sample_id"] for t in tasks] == NAMES[:9]
    assert [t["data"]["given_label"] for t in tasks] == GIVEN[:9]
    assert tasks[3]["data"]["image"] == "/data/local-files/?d=images/3%20%23.png"
    assert {t["data"]["findings"] for t in tasks} == {findings_fingerprint(findings)}
    results = [t["predictions"][0]["result"][0] for t in tasks]
    assert [r["value"]["choices"] for r in results] == [[s] for s in SUGGESTED[:9]]
    assert len({r["id"] for r in results}) == 9  # as Label Studio asks for
    assert tasks[0]["predictions"][0]["score"] == 0.9


def test_the_configuration_fits_the_tasks(tmp_path, lossan):
    lossan(EXPORT, tmp_path / "tasks.json")
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    view = ElementTree.parse(tmp_path / "tasks.config.xml").getroot()  # noqa: S314  (our own)
    image, choices = view.find("Image"), view.find("Choices")
    for task in tasks:
        assert image.get("value").removeprefix("$") in task["data"]
        for result in task["predictions"][0]["result"]:
            assert (result["from_name"], result["to_name"]) == (choices.get("name"), "image")
            assert result["value"]["choices"][0] in [c.get("value") for c in choices]
    assert image.get("name") == choices.get("toName") == "image"
    assert [c.get("value") for c in choices] == [
        "-1",
        "=1+1",
        "cat",
        "dog",
        "(unsure)",
        "(exclude)",
    ]
    assert "$given_label" in view.find("Header").get("value")


def test_blinded_tasks_say_nothing_of_the_labels(tmp_path, lossan):
    lossan(EXPORT, tmp_path / "tasks.json", "--blinded")
    for task in json.loads((tmp_path / "tasks.json").read_text()):
        assert set(task) == {"data"}
        assert set(task["data"]) == {"image", "sample_id", "findings"}
    assert "given" not in (tmp_path / "tasks.config.xml").read_text()


def test_findings_without_labels_leave_the_choices_to_be_named(tmp_path, lossan, findings):
    table = pq.read_table(findings / "findings.parquet")
    assert "note:" not in lossan(EXPORT, tmp_path / "tasks.json")
    pq.write_table(table.drop_columns(["label", "suggested_label"]), findings / "findings.parquet")
    said = lossan(EXPORT, tmp_path / "tasks.json")
    config = tmp_path / "tasks.config.xml"
    assert f'add a <Choice value="..."/> for each class to {config}, and import by --new-' in said
    choices = ElementTree.parse(config).getroot().find("Choices")  # noqa: S314  (our own)
    assert [choice.get("value") for choice in choices] == ["(unsure)", "(exclude)"]


def test_annotations_are_imported(lossan, decisions, findings):
    path = FILES / "label_studio.json"
    said = lossan(IMPORT, path)
    assert said.startswith("Added 7 decisions; 0 were there already, 2 samples have none")
    assert decisions() == {
        "a.png": (None, None, ("user 1", "b@example.org")),
        "=HYPERLINK(1)": ("keep", "dog", ("user 1",)),
        "-5": ("unsure", None, ("user 1",)),
        'b,"c"': ("exclude", None, ("user 1",)),
        "@owl": ("keep", "cat", ("user 1",)),  # the later of two annotations
    }
    kept = DecisionLog.open(
        findings / "decisions.jsonl", fingerprint=findings_fingerprint(findings)
    ).decisions
    unsure = next(d for d in kept if d.action == "unsure")
    assert (unsure.time, unsure.seconds) == ("2026-03-01T09:18:00.000Z", 4.288)
    before = (findings / "decisions.jsonl").read_bytes()
    assert lossan(IMPORT, path).startswith("Added 0 decisions; 7 were there already")
    assert (findings / "decisions.jsonl").read_bytes() == before


def test_a_new_annotation_is_added_to_what_is_there(lossan, decisions, exported, write):
    lossan(IMPORT, write(exported))
    again = exported[2]["annotations"][0]
    again["result"][0]["value"]["choices"] = ["dog"]
    again["updated_at"] = "2026-03-02T09:18:00.000000Z"
    assert lossan(IMPORT, write(exported)).startswith("Added 1 decisions; 6 were")
    assert decisions()["-5"] == ("relabel", "dog", ("user 1",))


def test_an_older_export_does_not_override_a_later_one(lossan, decisions, exported, write):
    older = write(exported).rename(write(exported).with_name("older.json"))
    again = exported[2]["annotations"][0]
    again["result"][0]["value"]["choices"] = ["dog"]
    again["updated_at"] = "2026-03-02T09:18:00.000000Z"
    lossan(IMPORT, write(exported))
    assert lossan(IMPORT, older).startswith("Added 0 decisions; 7 were there already")
    assert decisions()["-5"] == ("relabel", "dog", ("user 1",))


def test_an_export_does_not_override_what_its_reader_decided_since(
    lossan, decisions, exported, write, findings
):
    fingerprint = findings_fingerprint(findings)
    log = DecisionLog.open(findings / "decisions.jsonl", fingerprint=fingerprint)
    a_month_before, a_day_after = "2026-02-01T09:30:00.000Z", "2026-03-02T09:30:00.000Z"
    for sample, time in (("-5", a_day_after), ('b,"c"', a_month_before)):
        log.append(
            Decision(
                id=new_id(),
                time=time,
                reader="user 1",
                sample_id=sample,
                action="keep",
                given_label=GIVEN[NAMES.index(sample)],
                fingerprint=fingerprint,
            )
        )
    lossan(IMPORT, write(exported))
    assert [decisions()[sample][0] for sample in ("-5", 'b,"c"')] == ["keep", "exclude"]


def test_a_name_for_the_only_annotator(lossan, decisions, exported, write):
    assert "2 people (b@example.org, user 1)" in lossan(
        IMPORT, write(exported), "--reader", "A", code=2
    )
    del exported[0]["annotations"][1]
    lossan(IMPORT, write(exported), "--reader", "A")
    assert {readers for _, _, readers in decisions().values()} == {("A",)}


def test_what_was_exported_is_imported_when_annotated(tmp_path, lossan, decisions):
    lossan(EXPORT, tmp_path / "tasks.json")
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    for task in tasks:  # the annotator accepts each prediction
        task["annotations"] = [
            {"result": task["predictions"][0]["result"], "completed_by": 1, "was_cancelled": False}
        ]
    (tmp_path / "done.json").write_text(json.dumps(tasks))
    lossan(IMPORT, tmp_path / "done.json")
    assert {s: label for s, (_, label, _) in decisions().items()} == dict(
        zip(NAMES[:9], SUGGESTED[:9], strict=True)
    )


def test_all_faults_are_told_with_their_tasks(lossan, exported, write, findings):
    exported[0]["annotations"][1]["result"] = []
    exported[0]["annotations"][0]["result"][0]["value"]["choices"] = ["cat", "dog"]
    exported[1]["data"]["sample_id"] = "zebra"
    exported[2]["data"]["findings"] = "sha256:other"
    exported[3]["data"].pop("sample_id")
    exported[4] = {"image": "x", "label": "cat", "annotator": 1}  # JSON-MIN
    exported[6]["annotations"][0]["completed_by"] = None
    exported[6]["annotations"][1]["updated_at"] = "yesterday"
    said = lossan(IMPORT, write([*exported, 5]), code=2)
    assert "has 9 faults" in said
    for words in (
        "task 1, annotation 1: needed is one choice, it has 2",
        "task 1, annotation 2: needed is one choice, it has 0",
        "task 2, annotation 1: the findings have no sample 'zebra'",
        "task 3, annotation 1: it is of other findings",
        "task 4: its data have no sample_id",
        "task 5: it lacks data or annotations; export as JSON, not as JSON-MIN",
        "task 7, annotation 1: it does not say who made it",
        "task 7, annotation 2: its time 'yesterday' is not one",
        "task 8: it lacks data",
    ):
        assert words in said
    assert not (findings / "decisions.jsonl").exists()


@pytest.mark.parametrize(("text", "words"), [("{", "not JSON"), ("{}", "no list of tasks")])
def test_what_is_no_export_is_refused(text, words, lossan, write):
    assert words in lossan(IMPORT, write(text), code=2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"result": [{"type": "choices", "value": {"choices": 5}}]}, "its choices are no list"),
        ({"result": [{"type": "choices", "value": {"choices": "cat"}}]}, "choices are no list"),
        ({"result": [{"type": "choices", "value": {"choices": ["\ud800"]}}]}, "half a character"),
        ({"lead_time": 10**400}, "its lead_time is too large"),
        ({"updated_at": "0001-01-01T00:00:00+10:00"}, "is not one"),
    ],
)
def test_an_annotation_of_odd_values_is_told(change, words, lossan, exported, write, findings):
    exported[1]["annotations"][0] |= change
    said = lossan(IMPORT, write(exported), "--new-labels", code=2)
    assert "has 1 fault" in said
    assert "task 2, annotation 1: " in said
    assert words in said
    assert not (findings / "decisions.jsonl").exists()


@pytest.mark.parametrize("output", ["", ".", "/"])
@pytest.mark.parametrize("program", ["csv", "label-studio"])
def test_a_queue_needs_a_file_of_a_name(output, program, lossan):
    said = lossan(f"decisions export DIR --to {program} -o", output, code=2)
    assert f"-o {output!r} names no file" in said
