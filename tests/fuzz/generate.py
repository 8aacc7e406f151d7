"""Files that Hypothesis makes up: right in form, and holding whatever a form can hold."""

import copy
import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from readers import Reader

_FIELDS = (
    *("sample_id", "epoch", "loss", "label", "true_label", "path", "group", "label_prob"),
    *("margin", "predicted", "predicted_prob", "loss_1", "loss_2", "loss_x", "flagged", "score"),
    *("rank", "probability", "suggested_label", "f1_mean", "f3_drop_position"),
)
_VALUES = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.int32(): st.integers(-3, 3),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): st.floats(),
    pa.float32(): st.floats(width=32),
    pa.string(): st.text(max_size=8),
    pa.large_string(): st.sampled_from(["a", "b", "", "1", "007"]),
    pa.binary(): st.binary(max_size=8),
    pa.bool_(): st.booleans(),
    pa.null(): st.none(),
    pa.timestamp("us"): st.datetimes(),
    pa.list_(pa.float64()): st.lists(st.floats(), max_size=4),
    pa.list_(pa.float32(), 3): st.lists(st.floats(width=32), min_size=3, max_size=3),
    pa.struct({"x": pa.int64()}): st.fixed_dictionaries({"x": st.integers(0, 9)}),
    pa.list_(pa.list_(pa.int8())): st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=2),
}
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


def files(reader: Reader) -> st.SearchStrategy[bytes]:
    """Return files for a reader."""
    if reader.kind == "parquet":
        return parquet()
    if reader.kind == "npz":
        return npz()
    if "CSV" in reader.name:
        return csv(reader)
    if "TOML" in reader.name:
        return toml()
    return documents(reader)


@st.composite
def parquet(draw: st.DrawFn) -> bytes:
    """Make a table of the fields' names, of any types and values."""
    n_rows = draw(st.integers(0, 8))
    names = draw(st.lists(st.sampled_from(_FIELDS), min_size=1, max_size=8))
    if draw(st.booleans()):
        names = ["sample_id", "epoch", "loss", *names]
    if draw(st.integers(0, 9)):
        names = list(dict.fromkeys(names))
    columns = []
    for _ in names:
        kind = draw(st.sampled_from(list(_VALUES)))
        values = _VALUES[kind] | st.none() if draw(st.booleans()) else _VALUES[kind]
        column = pa.array(draw(st.lists(values, min_size=n_rows, max_size=n_rows)), kind)
        if draw(st.integers(0, 3)) == 0 and pa.types.is_string(kind):
            column = column.dictionary_encode()
        columns.append(column)
    fields = [pa.field(n, c.type) for n, c in zip(names, columns, strict=True)]
    stated = st.binary(max_size=9) | _JSON.map(lambda value: json.dumps(value).encode())
    table = pa.table(columns, schema=pa.schema(fields, {b"lossan": draw(stated)}))
    out = io.BytesIO()
    how = {
        "compression": draw(st.sampled_from(["none", "zstd", "snappy", "gzip", "lz4", "brotli"])),
        "use_dictionary": draw(st.booleans()),
        "data_page_version": draw(st.sampled_from(["1.0", "2.0"])),
        "write_statistics": draw(st.booleans()),
        "row_group_size": draw(st.sampled_from([1, 3, 100])),
        "store_schema": draw(st.booleans()),
        "write_page_index": draw(st.booleans()),
    }
    pq.write_table(table, out, **how)
    return out.getvalue()


@st.composite
def npz(draw: st.DrawFn) -> bytes:
    """Make arrays of the fields' names, of any types and shapes."""
    dtypes = st.one_of(
        hnp.floating_dtypes(),
        hnp.integer_dtypes(),
        hnp.unicode_string_dtypes(max_len=4),
        hnp.byte_string_dtypes(max_len=4),
        hnp.boolean_dtypes(),
        hnp.complex_number_dtypes(),
        hnp.datetime64_dtypes(),
        hnp.array_dtypes(),
    )
    n_samples = draw(st.integers(0, 4))
    shapes = st.sampled_from([(n_samples, 3), (n_samples,), (), (3, n_samples), (0, 0), (2, 2, 2)])
    names = draw(st.lists(st.sampled_from((*_FIELDS, "meta")), max_size=5, unique=True))
    arrays = {"loss": draw(hnp.arrays(draw(hnp.floating_dtypes()), (n_samples, 3)))}
    arrays |= {name: draw(hnp.arrays(draw(dtypes), draw(shapes))) for name in names}
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


@st.composite
def csv(draw: st.DrawFn, reader: Reader) -> bytes:
    """Make a table as text, some of it of a valid one."""
    known = reader.seeds()[0].decode().splitlines()
    cells = st.text(max_size=6) | st.sampled_from(["1", "a", "", '"', '"a,b"', "keep", "nan", "-0"])
    n_columns = known[0].count(",") + 1
    line = st.lists(cells, min_size=n_columns, max_size=n_columns + draw(st.integers(0, 1)))
    lines = draw(st.lists(line.map(",".join) | st.sampled_from(known[1:]), max_size=5))
    head = draw(st.sampled_from([known[0], known[0] + ",sample_id", "", "\ufeff" + known[0]]))
    text = draw(st.sampled_from(["\n", "\r\n", "\r"])).join([head, *lines])
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-16", "latin-1"])), "replace")


@st.composite
def documents(draw: st.DrawFn, reader: Reader) -> bytes:
    """Make JSON, or lines of it, that is a valid document but for some values."""
    texts = reader.seeds()[0].decode().splitlines()
    lines = texts if reader.name.endswith(".jsonl") else ["\n".join(texts)]
    made = []
    for line in lines:
        document = [copy.deepcopy(json.loads(line))]
        for _ in range(draw(st.integers(0, 3))):
            _exchange(draw, document)
        made.append(json.dumps(document[0], ensure_ascii=draw(st.booleans())))
    return "\n".join(made).encode("utf-8", "surrogatepass")


def _exchange(draw: st.DrawFn, inside: Any) -> None:
    """Put something else in place of a value somewhere below."""
    while True:
        keys = list(inside if isinstance(inside, dict) else range(len(inside)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        below = inside[key]
        if not isinstance(below, dict | list) or draw(st.integers(0, 3)) == 0:
            inside[key] = draw(_JSON)
            return
        inside = below


@st.composite
def toml(draw: st.DrawFn) -> bytes:
    """Make a configuration of known and unknown options with any values."""
    keys = ("adapter", "rate", "seeds", "rates", "image-size", "weights", "noise", "model", "x")
    values = st.one_of(
        st.integers().map(str),
        st.floats().map(str),
        st.text(max_size=5).map(json.dumps),
        st.booleans().map(lambda v: str(v).lower()),
        st.sampled_from(["[1, 'a']", "{a = 1}", "1979-05-27", "[[]]", "''", "nan", "-inf"]),
    )
    lines = st.tuples(st.sampled_from(keys), values).map(" = ".join)
    return "\n".join(draw(st.lists(lines, max_size=5))).encode("utf-8", "surrogatepass")
