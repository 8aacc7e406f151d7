"""What the summary says beside its counts, against plain counts over findings and log."""

import itertools

import numpy as np
import pandas as pd
import pytest

from lossan import analyze, build_log, read_log
from lossan.describe import describe_scores
from lossan.features import FEATURES
from lossan.testing import planted_log


@pytest.fixture(scope="module", params=["kmeans", "auto"])
def result(request):
    log = planted_log(n_samples=2000, n_classes=3, n_epochs=6, gaps=0.3, channels=True, rate=0.2)
    found = analyze(log, detector=request.param)
    assert found.summary.n_flagged > 20
    return found


def in_bins(values, edges):
    """Count by a plain loop; the last bin holds its right edge too."""
    counts = [0] * (len(edges) - 1)
    for value in values:
        place = max(i for i in range(len(counts)) if value >= edges[i])
        assert value < edges[place + 1] or place == len(counts) - 1
        counts[place] += 1
    return counts


def test_pairs(result):
    flagged = result.findings[result.findings["flagged"]]
    expected = {
        pair: (
            len(part),
            part["probability"].sum(min_count=1),
            int((part["label"] != part["true_label"]).sum()),
        )
        for pair, part in flagged.groupby(["label", "suggested_label"], dropna=False)
    }
    pairs = result.summary.class_pairs
    assert len(pairs) == len(expected) > 3
    for pair in pairs:
        count, wrong, known_wrong = expected[pair.label, pair.suggested_label]
        assert (pair.n_flagged, pair.n_wrong, pair.n_known) == (count, known_wrong, count)
        found = np.nan if pair.expected_wrong is None else pair.expected_wrong
        assert found == pytest.approx(wrong, nan_ok=True)
    counts = [pair.n_flagged for pair in pairs]
    assert counts == sorted(counts, reverse=True)


def test_classes(result):
    frame = result.findings
    for entry in result.summary.per_class:
        part = frame[frame["label"] == entry.label]
        usual = part.loc[~part["flagged"] & part["f1_mean"].notna(), "f1_mean"]
        assert entry.median_loss == pytest.approx(usual.median())
        if result.summary.noise_rate is None:
            assert entry.expected_wrong is None
        else:
            assert entry.expected_wrong == pytest.approx(part["probability"].sum())


def test_scores(result):
    scores, frame = result.summary.scores, result.findings.dropna(subset="score")
    above, below = (frame.loc[frame["flagged"] == kind, "score"] for kind in (True, False))
    assert scores.cut == above.min()
    assert scores.cut in scores.edges
    assert scores.flagged == in_bins(above, scores.edges)
    assert scores.unflagged == in_bins(below, scores.edges)
    widths = np.diff(scores.edges)
    assert widths.min() == pytest.approx(widths.max())
    # no bin holds both kinds
    assert not any(a and b for a, b in zip(scores.flagged, scores.unflagged, strict=True))


def test_features(result):
    frame = result.findings.dropna(subset="f1_mean")
    assert [feature.name for feature in result.summary.features] == list(FEATURES)
    for feature in result.summary.features:
        for kind, flagged in ((feature.flagged, True), (feature.unflagged, False)):
            values = frame.loc[frame["flagged"] == flagged, feature.name]
            assert (kind.n, kind.mean) == (len(values), pytest.approx(values.mean()))
            for percent in (5, 25, 50, 75, 95):
                assert getattr(kind, f"p{percent}") == pytest.approx(np.percentile(values, percent))
            assert kind.counts == in_bins(values, feature.edges)
            assert sum(kind.counts) == len(values)


def test_losses_by_epoch(result):
    frame, by_epoch = result.findings, result.summary.loss_by_epoch
    assert by_epoch.epochs == result.log.epochs.tolist()
    scored = frame["score"].notna()
    for values, chosen in (
        (by_epoch.flagged, frame["flagged"]),
        (by_epoch.unflagged, scored & ~frame["flagged"]),
    ):
        losses = pd.DataFrame(result.log.loss[result.rows]).loc[chosen.to_numpy()]
        assert values == pytest.approx(losses.median().tolist())


def test_sequences_are_the_logs_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("lossan.pipeline.MOST_SEQUENCES", 50)
    result = analyze(planted_log(n_samples=500, channels=True, string_ids=True))
    result.save(tmp_path)
    kept = read_log(tmp_path / "sequences.parquet")
    whole = dict(zip(result.log.sample_id.to_pylist(), result.log.loss.tolist(), strict=True))
    ids = kept.sample_id.to_pylist()
    assert kept.loss.tolist() == [whole[name] for name in ids]
    assert kept.metadata["loss_name"] == "cross-entropy"
    # the first suspects, and 20 of each kind for Fig. 4
    assert set(result.findings["sample_id"][:50]) <= set(ids)
    assert 50 <= len(ids) <= 90
    for typical in result.typical(20):
        assert {tuple(s) for s in typical.tolist()} <= {tuple(s) for s in kept.loss.tolist()}


@pytest.mark.parametrize(
    "score",
    [
        [1.0],
        [2.0, 2.0, 2.0],
        [0.0, 1e-300, 1.0],
        [1e6, 1e6 + 1e-9, 1e6 + 1],
        [-5.0, 0.1, 0.2, 0.3, 1e9],
        [np.nan, 1.0, np.inf, 3.0],
    ],
)
def test_every_finite_score_is_counted_once(score):
    score = np.array(score)
    ordered = np.sort(score[np.isfinite(score)])
    for lowest in (*ordered, np.inf):
        flagged = score >= lowest
        found = describe_scores(score, flagged)
        finite = np.isfinite(score)
        assert sum(found.flagged) == (flagged & finite).sum()
        assert sum(found.unflagged) == (~flagged & finite).sum()
        assert all(a <= b for a, b in itertools.pairwise(found.edges))
        if (flagged & finite).any():
            assert found.cut == lowest
            assert lowest in found.edges


def test_without_scores_or_a_common_cut():
    nothing = np.zeros(2, bool)
    assert describe_scores(np.array([np.nan, np.nan]), nothing) is None
    assert describe_scores(np.array([1.0, 2.0]), nothing).cut is None
    mixed = describe_scores(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]))
    assert mixed.cut is None
    assert (sum(mixed.flagged), sum(mixed.unflagged)) == (2, 1)


def test_without_labels_there_are_no_pairs():
    summary = analyze(build_log(planted_log().loss)).summary
    assert summary.class_pairs == []
    assert summary.per_class == []
    assert summary.n_flagged == summary.features[0].flagged.n
