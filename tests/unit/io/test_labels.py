"""Labels and findings tables: text stays as it was written."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossan.errors import TableError
from lossan.io import read_findings, read_labels, write_labels


@pytest.fixture
def csv(tmp_path):
    def write(text, name="labels.csv"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["7", "-3", "0"], [7, -3, 0]),
        (["007", "8", "9"], ["007", "8", "9"]),
        (["7", "8", "x"], ["7", "8", "x"]),
        (["1e3", "2", "3"], ["1e3", "2", "3"]),
        (["+7", "8", "9"], ["+7", "8", "9"]),
        (["-0", "1", "2"], ["-0", "1", "2"]),
        (["9" * 18, "8", "9"], [int("9" * 18), 8, 9]),
        (["9" * 19, "8", "9"], ["9" * 19, "8", "9"]),
        (["NA", "nan", "null"], ["NA", "nan", "null"]),
        (["2020-01-01", "1", "2"], ["2020-01-01", "1", "2"]),
    ],
)
def test_integers_only_where_nothing_is_lost(csv, ids, expected):
    rows = "".join(f"{i},{i},true\n" for i in ids)
    labels = read_labels(csv(f"sample_id,label\n{rows.replace(',true', '')}"))
    assert labels.column("sample_id").to_pylist() == expected
    assert labels.column("label").to_pylist() == expected
    findings = read_findings(csv(f"sample_id,label,flagged\n{rows}", "findings.csv"))
    assert findings["sample_id"].to_pylist() == expected
    assert findings["label"].to_pylist() == expected


def test_findings_leave_unknown_values_unknown(csv):
    text = 'sample_id,label,flagged,score\na,,true,nan\nb,"",false,1.5\n'
    table = read_findings(csv(text, "findings.csv")).to_pylist()
    assert [row["label"] for row in table] == [None, ""]
    assert table[1]["score"] == 1.5


def test_cells_of_several_lines_are_read_from_long_findings(csv):
    paths = [f"a\r{row}\n{row}" for row in range(150_000)]  # more than Arrow reads at once
    rows = "".join(f'{row},a,true,"{path}"\n' for row, path in enumerate(paths))
    table = read_findings(csv(f"sample_id,label,flagged,path\n{rows}", "findings.csv"))
    assert table["path"].to_pylist() == paths


@pytest.mark.parametrize(
    "text",
    [
        "sample_id,label\n1,a\n2,b\n",
        "\ufeffsample_id,label\n1,a\n2,b\n",
        "sample_id,label\r\n1,a\r\n2,b",
        '"sample_id","label"\n"1","a"\n"2","b"\n\n',
    ],
    ids=["plain", "byte order mark", "Windows", "quoted"],
)
def test_csv_as_others_write_it(csv, text):
    labels = read_labels(csv(text))
    assert labels.column("sample_id").to_pylist() == [1, 2]
    assert labels.column("label").to_pylist() == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("sample_id,label\n", "holds no samples"),
        ("a,b\n1,2\n", r"no column 'sample_id'.*\n.*no column 'label'"),
        ("sample_id,lable\n1,2\n", "Did you mean 'lable'?"),
        ("sample_id,label,label\n1,2,3\n", "'label' stands in it 2 times"),
        ("sample_id,label\n1,a\n2\n", "row 3 has 1 values, the header 2"),
        ("sample_id,label\n1,a\n1,b\n2,\n,c\n", r"sample_id is empty in 1 rows(.|\n)*label is em"),
        ("sample_id,label\n1,a\n1,b\n", "1 sample_id values stand more than once, first '1'"),
        ('sample_id,label\n1,"a\n', "not well-formed CSV"),
        (b"sample_id,label\n1,\xff\n", "neither Parquet nor UTF-8"),
        (b"\x00\x01\xfe", "neither Parquet nor UTF-8"),
    ],
)
def test_bad_csv_is_refused(csv, text, words):
    with pytest.raises(TableError, match=words):
        read_labels(csv(text))


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array([[1], [2]]), "label has the type list"),
        (pa.array([1.0, 2.0]), "label has the type double"),
        (pa.array([True, False]), "label has the type bool"),
        (pa.array([b"\xff", b"a"]).view(pa.string()), "label is not valid UTF-8"),
        (pa.nulls(2), "label is empty in 2 rows"),
        (pa.array([2**63, 1], pa.uint64()), "not in range"),
    ],
    ids=lambda v: str(getattr(v, "type", "")),
)
def test_bad_parquet_is_refused(tmp_path, column, words):
    pq.write_table(pa.table({"sample_id": [1, 2], "label": column}), tmp_path / "l.parquet")
    with pytest.raises(TableError, match=words):
        read_labels(tmp_path / "l.parquet")


@pytest.mark.parametrize("read", [read_labels, read_findings])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere", "no such file"),
        ("file/below", "Not a directory"),
        ("cut.parquet", "damaged"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_table_that_cannot_be_read(tmp_path, read, path, words):
    (tmp_path / "file").touch()
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(TableError, match=words):
        read(tmp_path / path)


def test_a_directory_is_no_labels_table(tmp_path):
    with pytest.raises(TableError, match="is a directory; a labels table is"):
        read_labels(tmp_path)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_table_survives_writing(csv, tmp_path, name):
    notes = '007,"a, ""b""","two\nlines"\n8,é☃,\n9,c,"two\rlines"\n10,d,"lines\r\n"\n'
    text = f"sample_id,label,note\n{notes}"
    labels = read_labels(csv(text))
    write_labels(labels, tmp_path / name)
    again = read_labels(tmp_path / name)
    assert again.table.to_pylist() == labels.table.to_pylist()
    if name.endswith("csv"):
        assert (tmp_path / name).read_bytes() == text.encode()


def test_a_column_is_replaced_in_its_place_or_added(csv):
    labels = read_labels(csv("sample_id,label,x\n1,a,p\n2,b,q\n"))
    changed = labels.with_column("label", pa.array(["c", "d"])).with_column("y", pa.array([1, 2]))
    assert changed.table.column_names == ["sample_id", "label", "x", "y"]
    assert changed.table["label"].to_pylist() == ["c", "d"]
    assert labels.table["label"].to_pylist() == ["a", "b"]
