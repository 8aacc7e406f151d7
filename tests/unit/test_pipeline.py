"""From a log to findings: columns, order, summary, and what a detector may see and return."""

import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import lossan
from lossan import analyze, build_log, write_log
from lossan.config import AnalyzeConfig, Config
from lossan.detectors import Detection, Detector
from lossan.errors import DetectorError, OptionError
from lossan.evaluate import evaluate
from lossan.features import FEATURES, compute_features
from lossan.testing import planted_log


class Given(Detector):
    """Returns what it is told to, and remembers what it saw."""

    name, summary, reference = "given", "what it is told", "a test"

    def __init__(self, found=None, **changes):
        super().__init__()
        self.found = found
        self.changes = changes
        self.saw = []

    def detect(self, log, context):
        self.saw.append((log, context))
        if self.found is not None:
            return self.found
        score = context.features["f1_mean"].copy()
        found = Detection(score=score, flagged=score > np.nanmean(score))
        return replace(found, **self.changes)


def assert_same(one, other):
    """Tables are equal, NaN where NaN, in names, types and order of columns."""
    assert one.schema.equals(other.schema)
    pd.testing.assert_frame_equal(one.to_pandas(), other.to_pandas(), check_exact=True)


def small_log(**fields):
    return build_log(
        [[1.0, 0.5], [3.0, 3.5], [2.0, 2.0], [np.nan, 9.0], [3.0, 3.5]],
        sample_id=["e", "d", "c", "b", "a"],
        **fields,
    )


def test_columns_and_their_types():
    log = small_log(
        label=[0, 1, 0, 1, 0], true_label=[0, 0, 0, 1, 1], path=list("vwxyz"), group=[1, 1, 2, 2, 3]
    )
    text, number, real = pa.large_string(), pa.int64(), pa.float64()
    assert list(zip(*_columns(log), strict=True)) == [
        ("rank", number),
        ("sample_id", text),
        ("label", number),
        ("score", real),
        ("flagged", pa.bool_()),
        ("probability", real),
        ("suggested_label", number),
        *((feature, real) for feature in FEATURES),
        ("path", text),
        ("group", number),
        ("true_label", number),
    ]


def _columns(log):
    schema = analyze(log, detector=Given()).table.schema
    return schema.names, schema.types


def test_columns_of_a_log_that_knows_nothing_but_losses():
    log = build_log([[1.0, 0.5], [3.0, 3.5]])
    table = analyze(log).table
    assert table.schema.names == [
        *("rank", "sample_id", "label", "score", "flagged", "probability", "suggested_label"),
        *FEATURES,
        *("path", "group"),
    ]
    for name in ("label", "suggested_label", "path", "group"):
        assert table[name].null_count == 2
    assert table["sample_id"].type == pa.int64()


def test_most_suspicious_first_ties_by_id_unscored_last():
    result = analyze(small_log(label=list("xyxyx"), path=list("54321")), detector=Given())
    findings = result.findings
    assert findings["sample_id"].tolist() == ["a", "d", "c", "e", "b"]
    assert findings["rank"].tolist() == [1, 2, 3, 4, 5]
    assert findings["path"].tolist() == ["1", "4", "3", "5", "2"]
    assert findings["label"].tolist() == ["x", "y", "x", "x", "y"]
    assert findings["flagged"].tolist() == [True, True, False, False, False]
    assert findings["suggested_label"][:2].tolist() == ["y", "x"]
    assert findings["suggested_label"][2:].isna().all()
    assert np.isnan(findings["score"].iloc[-1])
    assert findings[list(FEATURES)].iloc[-1].isna().all()
    assert findings["probability"].isna().all()
    assert result.rows.tolist() == [0, 3, 2, 4, 1]


def test_features_stand_beside_their_samples():
    log = planted_log(gaps=0.2, string_ids=True)
    result = analyze(log, early_epochs=3)
    features = compute_features(log.loss, early_epochs=3)
    for name in FEATURES:
        np.testing.assert_array_equal(result.findings[name], features[name][result.rows])
    ids = np.array(log.sample_id.to_pylist())[result.rows]
    assert result.findings["sample_id"].tolist() == ids.tolist()


def test_order_of_the_rows_given_does_not_matter():
    log = planted_log(channels=True)
    rows = np.random.default_rng(0).permutation(log.n_samples)
    mixed = build_log(
        log.loss[rows],
        sample_id=log.sample_id.take(pa.array(rows)),
        label=log.label.take(pa.array(rows)),
        true_label=log.true_label.take(pa.array(rows)),
    )
    plain = replace(log, label_prob=None, margin=None, predicted_prob=None, predicted=None)
    one, other = analyze(plain), analyze(mixed)
    assert_same(one.table, other.table)
    assert one.summary.log.fingerprint == other.summary.log.fingerprint


def test_every_sample_stays_in_the_findings():
    log = planted_log(n_epochs=2, gaps=0.4)
    result = analyze(log)
    unscored = int((log.n_observed < 2).sum())
    assert unscored > 50
    assert len(result.table) == log.n_samples
    assert result.summary.n_unscored == unscored
    assert np.isnan(result.findings["score"].to_numpy()[-unscored:]).all()
    assert not result.findings["flagged"].to_numpy()[-unscored:].any()


def test_probability_noise_rate_and_notes_are_passed_on():
    detector = Given(
        probability=np.array([0.1, np.nan, 0.3, 0.9, 0.5]),
        noise_rate=(0.2, 0.1, 0.3),
        notes=("something to know",),
    )
    result = analyze(small_log(), detector=detector)
    known = dict(zip(result.findings["sample_id"], result.findings["probability"], strict=True))
    assert np.isnan(known.pop("b"))
    assert known == {"a": 0.1, "c": 0.3, "d": 0.9, "e": 0.5}
    assert result.summary.noise_rate.model_dump() == {"estimate": 0.2, "low": 0.1, "high": 0.3}
    assert result.summary.notes == ["something to know"]


def test_summary():
    log = planted_log(gaps=0.1, string_ids=True)
    result = analyze(log, early_epochs=2, seed=3, settings={"n_init": 2}, name="a run")
    summary = json.loads(result.summary.model_dump_json())
    flagged = result.findings["flagged"]
    assert summary["schema_version"] == "1"
    assert summary["lossan_version"] == lossan.__version__
    assert summary["created"].endswith("+00:00")
    assert summary["log"] == {
        "path": "a run",
        "n_samples": 600,
        "n_epochs": 8,
        "recorded": "train",
        "fingerprint": log.fingerprint,
        "n_logs": 1,
    }
    assert summary["detector"] == {
        "name": "kmeans",
        "parameters": {
            "early_epochs": 2,
            "scale": "standard",
            "by_class": False,
            "seed": 3,
            "max_iter": 300,
            "tol": 1e-4,
            "n_init": 2,
        },
    }
    assert summary["n_flagged"] == flagged.sum()
    assert summary["flagged_fraction"] == pytest.approx(flagged.mean())
    assert summary["noise_rate"] is None


@pytest.mark.parametrize(("n_epochs", "early"), [(2, 1), (7, 3), (8, 4)])
def test_the_default_of_early_epochs_is_stated(n_epochs, early):
    parameters = analyze(planted_log(n_epochs=n_epochs)).summary.detector.parameters
    assert parameters["early_epochs"] == early


def assert_close(one, other):
    one, other = (part.model_dump(exclude_none=True) for part in (one, other))
    assert one == pytest.approx(other, rel=1e-12)


def test_evaluation_is_that_of_the_findings():
    findings = (result := analyze(planted_log(n_classes=3, rate=0.1))).findings
    wrong = (findings["label"] != findings["true_label"]).to_numpy()
    flagged, score = findings["flagged"].to_numpy(), findings["score"].to_numpy()
    assert_close(result.summary.evaluation, evaluate(wrong, flagged, score))
    assert [c.label for c in result.summary.per_class] == [0, 1, 2]
    for part in result.summary.per_class:
        own = (findings["label"] == part.label).to_numpy()
        assert part.n_samples == own.sum()
        assert part.n_flagged == flagged[own].sum()
        assert part.n_unscored == 0
        assert_close(part.evaluation, evaluate(wrong[own], flagged[own], score[own]))


def test_only_samples_of_known_truth_are_evaluated():
    log = small_log(label=[0, 1, 0, 1, None], true_label=[0, 0, None, None, 1])
    result = analyze(log, detector=Given())
    assert result.summary.evaluation.n == 2  # e is right and unflagged, d wrong and flagged
    assert (result.summary.evaluation.tp, result.summary.evaluation.tn) == (1, 1)
    assert [(c.label, c.n_samples, c.n_unscored) for c in result.summary.per_class] == [
        (0, 2, 0),
        (1, 2, 1),
    ]
    assert [c.evaluation.n for c in result.summary.per_class] == [1, 1]


def test_without_truth_there_is_no_evaluation():
    result = analyze(small_log(label=list("xyxyx")), detector=Given())
    assert result.summary.evaluation is None
    assert [c.evaluation for c in result.summary.per_class] == [None, None]
    assert "true_label" not in result.table.column_names
    assert analyze(small_log(), detector=Given()).summary.per_class == []


@pytest.mark.parametrize("by_class", [False, True])
def test_no_detector_sees_the_truth(by_class):
    detector = Given()
    analyze(planted_log(), detector=detector, by_class=by_class)
    assert len(detector.saw) == (2 if by_class else 1)
    assert all(log.true_label is None for log, _ in detector.saw)


@pytest.mark.parametrize("by_class", [False, True])
def test_the_truth_changes_no_finding(by_class):
    log = planted_log()
    one = analyze(log, by_class=by_class).table.drop_columns("true_label")
    assert_same(one, analyze(log.without_truth(), by_class=by_class).table)


def test_scale_and_seed_reach_the_detector():
    detector = Given()
    analyze(planted_log(), detector=detector, scale="none", seed=9)
    assert (detector.saw[0][1].scale, detector.saw[0][1].seed) == ("none", 9)


def test_each_class_by_itself_is_as_if_alone():
    log = planted_log(n_classes=3, rate=0.1)
    result = analyze(log, by_class=True)
    score = np.empty(log.n_samples)
    flagged = np.empty(log.n_samples, bool)
    score[result.rows] = result.findings["score"]
    flagged[result.rows] = result.findings["flagged"]
    for label in range(3):
        rows = np.flatnonzero(log.label.to_numpy() == label)
        alone = analyze(log.select(rows))
        order = np.argsort(alone.rows)
        np.testing.assert_array_equal(score[rows], alone.findings["score"].to_numpy()[order])
        np.testing.assert_array_equal(flagged[rows], alone.findings["flagged"].to_numpy()[order])
    assert (np.diff(score[result.rows]) <= 0).all()
    assert result.summary.detector.parameters["by_class"] is True


def test_a_detector_that_lacks_a_channel_is_refused():
    class Needy(Given):
        name = "needy"
        needs: ClassVar = ("margin", "label")

    with pytest.raises(
        DetectorError, match=r"needy needs margin, .* has: loss, label\. .* auto, .*kmeans"
    ):
        analyze(small_log(label=[0, 1, 2, 1, 0]), detector=Needy())


def test_the_refusal_names_only_detectors_that_can_serve():
    with pytest.raises(DetectorError, match="aum needs margin") as refusal:
        analyze(small_log(label=[0, 1, 2, 1, 0]), detector="aum")
    named = str(refusal.value).rsplit(": ", 1)[1].rstrip(".").split(", ")
    for name in named:
        analyze(planted_log(n_classes=3), detector=name)
    assert "aum" not in named


def test_a_detector_of_ones_own_has_its_settings_already():
    with pytest.raises(OptionError, match=r"settings are \{'a': 1\}, but the detector given"):
        analyze(small_log(), detector=Given(), settings={"a": 1})


def test_a_log_is_read_from_where_it_is(tmp_path):
    log = planted_log(string_ids=True)
    write_log(log, tmp_path / "log.parquet")
    result = analyze(tmp_path / "log.parquet")
    assert_same(result.table, analyze(log).table)
    assert result.summary.log.path == str(tmp_path / "log.parquet")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "minmax"}, "scale is 'minmax': input should be 'standard' or 'none'"),
        ({"early_epochs": 0}, "early_epochs is 0"),
        ({"early_epochs": 8}, "early epochs is 8; allowed: 1 to 7"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296"),
        ({"detector": "kmean"}, "no detector 'kmean'.*Did you mean 'kmeans'"),
        ({"scale": "minmax", "seed": -1}, "scale is 'minmax'.*; .*seed is -1"),
    ],
)
def test_options_out_of_range_are_told(options, message):
    with pytest.raises((OptionError, DetectorError), match=message):
        analyze(planted_log(), **options)


def test_an_option_that_does_not_exist_is_told_with_the_nearest():
    with pytest.raises(OptionError, match=r"no parameter 'seeds'; .*Did you mean 'seed'\?"):
        AnalyzeConfig.parse({"seeds": 1}, "analyze")
    with pytest.raises(OptionError, match="no parameter 'cut'; it takes none"):
        Config.parse({"cut": 1}, "this detector")
