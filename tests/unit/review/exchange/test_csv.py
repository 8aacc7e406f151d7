"""A queue as a table, filled in as a spreadsheet would, and read back."""

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossan.review import DecisionLog, findings_fingerprint
from lossan.review._exchange._csv import arm, defuse

from .conftest import GIVEN, NAMES, SUGGESTED

EXPORT = "decisions export DIR --to csv -o"
IMPORT = "decisions import --from csv --findings DIR"


@pytest.fixture
def table(tmp_path, lossan):
    """Return the exported queue as rows of cells, and a function that writes it again."""
    path = tmp_path / "queue.csv"
    lossan(EXPORT, path)
    rows = list(csv.DictReader(StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))

    def save(rows, **format_):
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, rows[0], **format_)
            writer.writeheader()
            writer.writerows(rows)
        return path

    return rows, save


def test_the_queue_is_written(table):
    rows, _ = table
    assert len(rows) == 9
    assert [arm(row["sample_id"]) for row in rows] == NAMES[:9]
    assert [arm(row["given_label"]) for row in rows] == GIVEN[:9]
    assert [arm(row["suggested_label"]) for row in rows] == SUGGESTED[:9]
    assert rows[3]["image"] == "images/3 #.png"
    assert {row["decision"] + row["label"] + row["reader"] for row in rows} == {""}
    for row in rows:
        for cell in row.values():
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_options_of_the_queue(tmp_path, lossan):
    path = tmp_path / "queue.csv"
    lossan(EXPORT, path, "--top", 3, "--image-prefix", "http://h/", "--order", "class-pair")
    rows = list(csv.DictReader(StringIO(path.read_bytes().decode("utf-8-sig"))))
    assert [arm(row["sample_id"]) for row in rows] == NAMES[:3]
    assert rows[0]["image"] == "http://h/images/0%20%23.png"


def test_a_blinded_queue_says_nothing_of_labels(tmp_path, lossan):
    path = tmp_path / "queue.csv"
    lossan(EXPORT, path, "--blinded")
    text = path.read_text("utf-8-sig")
    assert not any(word in text for word in ("cat", "dog", "label,s", "probability"))


@pytest.mark.parametrize("program", ["csv", "label-studio"])
def test_a_blinded_queue_is_in_no_order_that_shows_labels(program, tmp_path, lossan):
    path = tmp_path / "blinded"
    line = f"decisions export DIR --blinded --order class-pair --to {program} -o"
    assert "--order class-pair shows which labels are given" in lossan(line, path, code=2)
    assert not path.exists()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_was_filled_in_is_imported(separator, table, lossan, decisions, findings):
    rows, save = table
    filled = [
        ("keep", "", "A"),
        ("relabel", "cat", "Dr. Ä"),
        ("Relabel ", defuse("=1+1"), ""),
        ("", "cat", ""),  # a label alone
        ("unsure", "", ""),
        ("EXCLUDE", "", ""),
        ("relabel", "cat", ""),  # the label it has
        ("", "", "A"),  # no answer
    ]
    for row, (action, label, reader) in zip(rows, filled, strict=False):
        row |= {"decision": action, "label": label, "reader": reader}
    path = save(rows, delimiter=separator)
    said = lossan(IMPORT, path, "--reader", "B")
    assert said.startswith("Added 7 decisions; 0 were there already, 2 samples have none")
    expected = {
        "a.png": ("keep", "cat", ("A",)),
        "=HYPERLINK(1)": ("relabel", "cat", ("Dr. Ä",)),
        "-5": ("relabel", "=1+1", ("B",)),
        'b,"c"': ("relabel", "cat", ("B",)),
        "'=x": ("unsure", None, ("B",)),
        "Ä ß": ("exclude", None, ("B",)),
        "@owl": ("keep", "cat", ("B",)),
    }
    assert decisions() == expected
    before = (findings / "decisions.jsonl").read_bytes()
    assert lossan(IMPORT, path, "--reader", "B").startswith("Added 0 decisions; 7 were there")
    assert (findings / "decisions.jsonl").read_bytes() == before


def test_a_change_of_mind_is_imported_and_back_again(table, lossan, decisions):
    rows, save = table
    for number, action in enumerate(["keep", "unsure", "keep"]):
        rows[0] |= {"decision": action, "reader": "A"}
        rows[1] |= {"decision": "exclude", "reader": f"B{number}"}  # so that the file is another
        lossan(IMPORT, save(rows))
        assert decisions()["a.png"][0] == action


def test_a_reader_is_one_in_whichever_case_the_name_is_typed(table, lossan, decisions):
    rows, save = table
    rows[0] |= {"decision": "keep", "reader": "Anna"}
    lossan(IMPORT, save(rows))
    rows[0] |= {"decision": "unsure", "reader": "ANNA "}
    rows[1] |= {"decision": "keep", "reader": "anna"}
    rows[2] |= {"decision": "keep", "reader": "Bo"}
    rows[3] |= {"decision": "keep", "reader": "BO"}
    lossan(IMPORT, save(rows))
    assert decisions()["a.png"] == ("unsure", None, ("Anna",))
    assert [readers for _, _, readers in decisions().values()] == [
        *(("Anna",), ("Anna",)),
        *(("Bo",), ("Bo",)),
    ]
    twice = [rows[0], rows[0] | {"reader": "Anna", "decision": "keep"}]
    assert "'Anna' decides 'a.png' a second time, after row 2" in lossan(
        IMPORT, save(twice), code=2
    )


def test_a_reader_has_a_name(table, lossan):
    rows, save = table
    rows[0] |= {"decision": "keep"}
    assert "row 2: its reader has no name" in lossan(IMPORT, save(rows), "--reader", "  ", code=2)


def test_an_old_file_does_not_override_what_came_later(table, lossan, decisions, findings):
    rows, save = table
    rows[0] |= {"decision": "keep", "reader": "A"}
    path = save(rows)
    lossan(IMPORT, path)
    fingerprint = findings_fingerprint(findings)
    log = DecisionLog.open(findings / "decisions.jsonl", fingerprint=fingerprint)
    imported = log.decisions[0]
    later = imported.model_copy(update={"id": "later", "action": "unsure"})
    for change, expected in ((later, {"a.png": ("unsure", None, ("A",))}), (later.undo(), None)):
        log.append(change)
        lossan(IMPORT, path)
        assert decisions() == (expected or {"a.png": ("keep", "cat", ("A",))})
    log.append(imported.undo())
    lossan(IMPORT, path)
    assert decisions() == {}


def test_all_faults_are_told_with_their_rows(table, lossan, findings):
    rows, save = table
    rows[0] |= {"decision": "delete", "reader": "A"}
    rows[1] |= {"decision": "relabel", "reader": "A"}
    rows[2] |= {"decision": "keep", "label": "dog", "reader": "A"}
    rows[3] |= {"decision": "keep"}
    rows[4] |= {"decision": "keep", "reader": "A", "sample_id": "zebra"}
    rows[5] |= {"decision": "keep", "reader": "A", "given_label": "cow"}
    rows[6] |= {"decision": "relabel", "reader": "A", "label": "cta"}
    rows[7] |= {"decision": "keep", "reader": "A", "findings": "sha256:other"}
    rows[8] |= {"decision": "keep", "reader": "A\x07"}
    said = lossan(IMPORT, save([*rows, rows[7]]), code=2)
    assert "queue.csv has 11 faults; nothing was imported." in said
    for row, words in {
        2: "the decision is 'delete'; allowed: keep, relabel, unsure, exclude",
        3: "'relabel' needs a label",
        4: "'keep' has the label 'dog' beside it",
        5: "nobody is named",
        6: "no sample 'zebra'",
        7: "its given label is 'cow', in the findings 'dog'",
        8: "the label 'cta' is new to the findings; allowed: -1, =1+1, cat, dog. Did you mean",
        9: "it is of other findings (sha256:other; these: sha256:",
        10: "reader 'A\\x07'",
        11: "a second time, after row 9",
    }.items():
        assert f"row {row}: " in said
        assert words in said
    assert not (findings / "decisions.jsonl").exists()


def test_new_labels_are_allowed_where_one_says_so(table, lossan, decisions):
    rows, save = table
    rows[0] |= {"label": "cow", "reader": "A"}
    path = save(rows)
    assert "--new-labels" in lossan(IMPORT, path, code=2)
    lossan(IMPORT, path, "--new-labels")
    assert decisions() == {"a.png": ("relabel", "cow", ("A",))}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no column 'sample_id'"),
        (b"id,decision\n1,keep\n", "no column 'sample_id'"),
        (b"sample_id,reader\na.png,A\n", "no column 'decision' or 'label'"),
        (b"sample_id,decision,decision\n", "'decision' stands in it more than once"),
        (b"sample_id,decision\n\xff,keep\n", "not UTF-8"),
        (b'sample_id,decision\n"a.png,keep\n', "not well-formed CSV"),
        (b"sample_id,decision\na.png\n", "row 2: 1 cells, the header has 2"),
        (None, "no such file"),
    ],
)
def test_what_is_no_such_table_is_refused(data, words, tmp_path, lossan, findings):
    path = tmp_path / "filled.csv"
    if data is not None:
        path.write_bytes(data)
    said = lossan(IMPORT, path, "--reader", "A", code=2)
    assert words in said
    assert said.startswith(f"error: {path}")
    assert not (findings / "decisions.jsonl").exists()


@given(st.text(st.sampled_from("'=+-@\t\r\nab 1\uff1d"), max_size=6) | st.text(max_size=6))
def test_defusing_is_undone(text):
    harmless = defuse(text)
    assert arm(harmless) == text
    assert not harmless.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"))
    if harmless != text:
        assert harmless == "'" + text
    else:
        assert not text.lstrip("'").startswith(("=", "+", "-", "@", "\t", "\r"))
        assert arm(text) == text


@pytest.mark.parametrize("name", ["decisions.jsonl", "findings.parquet", "summary.json"])
def test_the_findings_are_not_overwritten(name, findings, lossan):
    (findings / "decisions.jsonl").touch()
    before = (findings / name).read_bytes()
    assert "never overwritten" in lossan(EXPORT, findings / name, code=2)
    assert (findings / name).read_bytes() == before


def test_other_formats_are_refused(lossan, tmp_path):
    assert "Did you mean 'csv'" in lossan(
        "decisions export DIR --to cvs -o", tmp_path / "x", code=2
    )
    assert "allowed:" in lossan("decisions import x --findings DIR --from xls", code=2)
