"""What is known of some ranges of ids alone: pieces lack it, and the log has it nevertheless."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lossan
from lossan.engines import _run, analyze_large

N, EPOCHS = 600, 5
FIRST = np.arange(N) < N // 2


@pytest.fixture(autouse=True)
def small_buckets(monkeypatch):
    monkeypatch.setattr(_run, "UNIT_ROWS", 700)
    monkeypatch.setattr(_run, "BUCKET_CELLS", 900)


def write(folder, **columns):
    """Write a long log; columns have the shape (N,) or (N, EPOCHS)."""
    rng = np.random.default_rng(0)
    wrong = rng.random(N) < 0.1
    level = np.where(wrong[:, None], 2.0, 2.0 * 0.5 ** np.arange(1, EPOCHS + 1))
    loss = (level * rng.gamma(30, 1 / 30, (N, EPOCHS))).astype(np.float32)
    rows = {"sample_id": np.arange(N), "epoch": np.arange(EPOCHS)[None], "loss": loss} | columns
    table = {}
    for name, values in rows.items():
        column = values[:, None] if values.ndim == 1 else values
        cells = np.broadcast_to(column, (N, EPOCHS)).ravel()
        table[name] = cells.tolist() if cells.dtype == object else cells
    pq.write_table(pa.table(table), folder / "log.parquet")
    return folder / "log.parquet"


def only(known, values):
    """Return values of which those that are not known are None."""
    values = np.asarray(values).astype(object)
    values[~known] = None
    return values


def labels(n_classes, kind=int):
    drawn = np.random.default_rng(1).integers(0, n_classes, N)
    return drawn if kind is int else np.array([f"class {k}" for k in drawn])


def same(path, folder, **options):
    """Analyse in memory and beyond it, which must say the same; return what is said."""
    lossan.analyze(path, name=str(path), **options).save(folder / "local")
    with analyze_large(str(path), **options) as result:
        assert len(result.pieces.each) > 2
        result.save(str(folder / "disk"))
    local, disk = folder / "local", folder / "disk"
    said = [json.loads((f / "summary.json").read_text()) for f in (local, disk)]
    for one in said:
        del one["created"]
        for label in one["per_class"]:  # summed in another order
            label["expected_wrong"] = label["expected_wrong"] and round(label["expected_wrong"], 9)
        for pair in one["class_pairs"]:
            pair["expected_wrong"] = pair["expected_wrong"] and round(pair["expected_wrong"], 9)
    assert said[0] == said[1]
    for name in ("findings.parquet", "findings.csv"):
        assert (local / name).read_bytes() == (disk / name).read_bytes(), name
    return said[0]


@pytest.mark.parametrize("known", [FIRST, ~FIRST])
def test_pairs_count_suspects_of_pieces_without_a_label(tmp_path, known):
    said = same(write(tmp_path, label=only(known, labels(3, str))), tmp_path)
    counted = sum(pair["n_flagged"] for pair in said["class_pairs"])
    assert counted == said["n_flagged"] > 0


@pytest.mark.parametrize("detector", ["kmeans", "auto"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", [int, str])
def test_predictions_of_some_ranges_of_ids(tmp_path, detector, n_classes, kind):
    given, known = labels(n_classes, kind), np.arange(N) % 300 < 150
    predicted = only(known, np.roll(given, 1))
    path = write(tmp_path, label=given, predicted=np.stack([predicted] * EPOCHS, axis=1))
    said = same(path, tmp_path, detector=detector)
    told = {pair["suggested_label"] for pair in said["class_pairs"]}
    assert {None} < told


@pytest.mark.parametrize("labelled", [FIRST, np.arange(N) % 300 < 150])
def test_two_classes_of_which_ranges_of_ids_have_one(tmp_path, labelled):
    given = only(labelled, np.where(FIRST, "no", "yes"))
    given[N - 1] = "yes"
    path = write(tmp_path, label=given)
    said = same(path, tmp_path)
    assert {pair["suggested_label"] for pair in said["class_pairs"]} > {"yes"}


@pytest.mark.parametrize("classes", [["no", "yes"], ["no", "yes", "maybe"]])
def test_the_other_of_two_classes_where_predictions_say_nothing(tmp_path, classes):
    said = np.where(FIRST, "ja", None)[:, None]
    path = write(tmp_path, label=np.where(labels(2) == 1, "yes", "no"), predicted=said)
    table = pq.read_table(path)
    metadata = {"lossan": json.dumps({"classes": classes})}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    pairs = same(path, tmp_path)["class_pairs"]
    assert {p["suggested_label"] for p in pairs} == ({"no", "yes"} if len(classes) == 2 else {None})


@pytest.mark.parametrize("detector", ["kmeans", "auto"])
@pytest.mark.parametrize("kind", [int, str])
@pytest.mark.parametrize("known", [FIRST, np.zeros(N, bool)])
def test_labels_of_some_ranges_of_ids(tmp_path, detector, kind, known):
    predicted = np.stack([labels(3, kind)] * EPOCHS, axis=1)
    path = write(tmp_path, label=only(known, labels(3)), predicted=predicted)
    said = same(path, tmp_path, detector=detector)
    assert ("no sample has a label" in said["notes"]) == (not known.any())


@pytest.mark.parametrize("detector", ["kmeans", "auto"])
def test_what_is_all_missing_is_noted_of_a_whole_log(tmp_path, detector):
    nothing = np.full((N, EPOCHS), np.nan)
    path = write(
        tmp_path,
        label=labels(3),
        predicted=only(np.zeros(N, bool), np.zeros(N)),
        label_prob=nothing,
        margin=np.where(FIRST[:, None], nothing, 1.0),
    )
    assert same(path, tmp_path, detector=detector)["notes"][:2] == [
        "label_prob was not used: it is all missing",
        "the classes predicted were not used: they are all missing",
    ]
