"""Files that broke a promise once, found by fuzzing or by hand; each is now read or refused."""

import io
import json
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import readers
import sandbox


@pytest.fixture(scope="module")
def box():
    made = sandbox.Sandbox()
    yield made
    made.close()


@pytest.fixture
def refused(box):
    """Read a file that must be refused within the bounds of a sandbox, and return why."""

    def check(reader, content):
        outcome = box.try_case(reader, content)
        assert outcome.kind == "refused", outcome
        return outcome.text

    return check


def parquet(columns, **how):
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, **{"compression": "zstd"} | how)
    return out.getvalue()


def long(**columns):
    rows = {"sample_id": np.repeat(np.arange(9), 4), "epoch": np.tile(np.arange(4), 9)}
    return rows | {"loss": np.linspace(1, 2, 36)} | columns


def footer_of(content):
    length = struct.unpack("<I", content[-8:-4])[0]
    return len(content) - 8 - length, len(content) - 8


def test_any_byte_of_a_footer_changed(box):
    """Arrow ended the process over some of these: sizes of statistics that do not fit."""
    content = parquet(long(), write_page_index=True, store_schema=False)
    start, stop = footer_of(content)
    kinds = set()
    for place in range(start, stop):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        kinds.add(box.try_case("log, long Parquet", bytes(changed)).kind)
    assert kinds <= {"read", "refused"}


def test_statistics_whose_least_is_above_the_greatest(box):
    """numpy was asked for an array of less than nothing."""
    content = parquet(long(), use_dictionary=False)
    wide = [struct.pack("<q", value) for value in (8, 3)]  # the greatest id and epoch
    start, _ = footer_of(content)
    for value in wide:
        place = content.index(value, start)
        content = content[:place] + struct.pack("<q", -5) + content[place + 8 :]
    outcome = box.try_case("log, long Parquet", content)
    assert outcome.held, outcome


MANY = 20_000


@pytest.mark.parametrize("reader", ["log, long Parquet", "labels, Parquet", "findings, Parquet"])
@pytest.mark.parametrize("how", ["dictionary", "prefixes"])
def test_texts_that_repeat(how, reader, refused):
    """A kilobyte stood for gigabytes of text, once by a dictionary, once by shared prefixes."""
    text = pa.array(["x" * 200_000])
    if how == "dictionary":
        ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(MANY, np.int32)), text)
        options = {}
    else:
        ids = pa.array(["x" * 20_000] * MANY)
        options = {"use_dictionary": False, "column_encoding": {"sample_id": "DELTA_BYTE_ARRAY"}}
    numbers = np.zeros(MANY)
    content = parquet({"sample_id": ids, "epoch": numbers.astype(int), "loss": numbers}, **options)
    assert len(content) < 30_000
    assert "more" in refused(reader, content)


def test_a_list_that_is_far_longer_than_the_others(refused):
    lists = pa.array([[1.0]] * 50_000 + [[1.0] * 50_000])
    content = parquet({"sample_id": np.arange(len(lists)), "loss": lists})
    assert "50,000 epochs, far more than most" in refused("log, wide Parquet", content)


def test_more_values_than_a_file_can_hold(refused):
    """Twelve million losses of nothing in some kilobytes."""
    n = 3_000_000
    zeros = {f"loss_{number}": np.zeros(n, np.float32) for number in range(3)}
    content = parquet({"sample_id": np.zeros(n, np.int64), **zeros}, row_group_size=n)
    assert len(content) < 100_000
    assert "claims 12,000,000 values" in refused("log, wide Parquet", content)


def test_a_page_that_claims_more_than_its_values(refused):
    content = parquet(long(), use_dictionary=False, compression="none")
    # the header of the first page: its type, 0, then its bytes as a zigzag varint, two bytes long
    place = content.index(b"\x15\x00\x15") + 3
    huge = content[:place] + b"\xfe\x7f" + content[place + 2 :]
    assert "a page of sample_id claims 8,191 bytes of 36 numbers" in refused(
        "log, long Parquet", huge
    )


@pytest.mark.parametrize("name", ["sample_id", "flagged", "score"])
@pytest.mark.parametrize("reader", ["findings, CSV", "findings, Parquet"])
def test_findings_with_a_column_twice(reader, name, refused):
    columns = ["sample_id", "flagged", "score", name]
    table = pa.table([pa.array([1, 0])] * 4, names=columns)
    out = io.BytesIO()
    pq.write_table(table, out)
    text = "\n".join([",".join(columns), "1,1,1,1", "0,0,0,0"]).encode()
    assert f"{name!r} stands in it twice" in refused(
        reader, text if reader.endswith("CSV") else out.getvalue()
    )


def test_findings_with_a_column_whose_name_is_no_text(refused):
    assert "not valid UTF-8" in refused("findings, CSV", b"sample_id,flagged,\xff\xfe\n1,1,1\n")


def test_a_recording_whose_epochs_hold_other_types(refused):
    times = pa.array(np.arange(36), pa.timestamp("us"))
    told = refused("recording that goes on", parquet(long(loss=times)))
    assert "timestamp" in told


def test_decisions_that_nest_too_deep(refused):
    line = b'{"id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
    assert "line 1" in refused("decisions.jsonl", line)


@pytest.mark.parametrize("sample", ["\ud800", "no such sample"])
def test_answers_on_no_sample_of_the_findings(sample, refused):
    """Half a character, or no sample known at all."""
    tasks = json.loads(readers.READERS["import, Label Studio"].seeds()[0])[:1]
    tasks[0]["data"]["sample_id"] = sample
    told = refused("import, Label Studio", json.dumps(tasks).encode())
    assert f"no sample {sample!r}" in told


@pytest.mark.parametrize("damage", ["footer", "no ids", "cut"])
def test_a_recording_with_a_damaged_epoch(damage, refused):
    content = {
        "footer": parquet(long())[:-20] + b"\xff" * 12 + parquet(long())[-8:],
        "no ids": parquet({"epoch": [1], "loss": [1.0]}),
        "cut": parquet(long())[:-30],
    }[damage]
    assert "epoch-000001.parquet: it is damaged" in refused("recording that goes on", content)
