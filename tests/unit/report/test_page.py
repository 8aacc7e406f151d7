"""The page of findings: its numbers, its suspects, its size, and that it asks nobody."""

import os
import re
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256

import numpy as np
import pytest

from lossan import analyze, build_log
from lossan.detectors import Detection, Detector
from lossan.testing import planted_log


def words(element):
    return " ".join(element["text"].split())


def percent(value):
    return f"{100 * value:.1f}%"


def chance(value):
    """Write a probability: none of them is certain, and none is impossible."""
    if value >= 0.995:
        return "more than 99%"
    return "less than 1%" if value < 0.005 else f"{100 * value:.0f}%"


def test_the_numbers_are_those_of_the_summary_and_of_the_findings(found, write):
    page, s, frame = write(found), found.summary, found.findings
    flagged = frame["flagged"]
    assert words(page.all("h1")[0]) == f"{flagged.sum()} of {len(frame)} labels to look at again"
    facts = [words(e) for e in page.all("dd")]
    assert facts[0] == f"{len(frame)} {s.log.n_epochs} epochs"
    assert facts[1] == f"{flagged.sum()} {percent(flagged.mean())} of all"
    assert facts[2].startswith(str(frame["score"].isna().sum()))
    rate = s.noise_rate
    interval = f"95% interval {percent(rate.low)} to {percent(rate.high)}"
    assert facts[3] == f"{percent(rate.estimate)} {interval}"
    heading, *rows = page.rows("per-class")
    assert heading[0] == "given label"
    for row, entry in zip(rows, s.per_class, strict=True):
        part = frame[frame["label"] == entry.label]
        wrong = part["probability"].sum()
        assert row == [
            str(entry.label),
            str(len(part)),
            str(part["flagged"].sum()),
            percent(part["flagged"].mean()),
            f"{wrong:.1f} ({percent(wrong / len(part))})",
            "0",
            f"{part.loc[~part['flagged'], 'f1_mean'].median():.3f}",
        ]
    expected = frame[flagged].groupby(["label", "suggested_label"]).size()
    rows = page.rows("pairs")[1:]
    assert len(rows) == len(expected)
    assert {(int(r[0]), int(r[1])): int(r[2]) for r in rows} == expected.to_dict()
    text = words(page.all("main")[0])
    e = s.evaluation
    assert f"{e.tp} of {e.tp + e.fn} wrong labels flagged" in text
    for figure in ("sensitivity", "specificity", "precision", "f1", "auroc", "auprc"):
        assert percent(getattr(e, figure)) in text
        assert percent(getattr(e, f"{figure}_low")) in text
    assert s.log.fingerprint in text
    assert f"cut at {s.scores.cut:.4g}" in text


def test_the_features(found, write):
    rows, frame = write(found).rows("feature-table")[1:], found.findings
    for row, name in zip(rows, [c for c in frame if re.match(r"f\d_", c)], strict=True):
        cells = [row[0][:2].lower()]
        for kind in (True, False):
            values = frame.loc[frame["flagged"] == kind, name]
            middle, low, high = np.percentile(values, [50, 5, 95])
            cells += [f"{middle:.2f} ({low:.2f} to {high:.2f})", f"{values.mean():.2f}"]
        assert [name[:2], *row[1:]] == cells


def test_the_suspects(found, write):
    page, frame = write(found), found.findings
    n = int(frame["flagged"].sum())
    shown = frame[:n].to_dict("records") + frame[n : n + 50].to_dict("records")
    assert len(page.cards) == n + 50
    said = set()
    for card, row in zip(page.cards, shown, strict=True):
        text = words(card)
        assert text.startswith(f"{row['rank']}. {row['sample_id']} Given {row['label']}")
        assert f"known truth: {row['true_label']}" in text
        assert ("Not flagged" in text) == (not row["flagged"])
        assert f"wrong with probability {chance(row['probability'])} " in f"{text} "
        assert f"Its mean loss is {row['f1_mean']:.2f}" in text
        said.add(text.partition("wrong with probability ")[2].partition("%")[0])
        if row["flagged"]:
            assert f"suggested {row['suggested_label']:.0f}" in text
    assert said >= {"more than 99", "less than 1"}
    assert not said & {"0", "100"}
    assert len(page.all("img")) == 0


def test_what_a_suspect_is_suspected_for(found, write):
    log = found.log
    ids = log.sample_id.to_pylist()
    medians = {entry.label: entry.median_loss for entry in found.summary.per_class}
    seen = set()
    for card in write(found).cards:
        row = ids.index(card["attrs"]["data-name"])
        given = log.label[row].as_py()
        predicted = [log.predicted.values[int(code)].as_py() for code in log.predicted.codes[row]]
        other = [name for name in predicted if name != given]
        text = words(card)
        if other:
            says = max(sorted(set(other)), key=other.count)
            at = [e for e, name in enumerate(predicted) if name == says]
            count = "all 8 epochs" if len(other) == 8 else f"{len(other)} of 8 epochs"
            how = "says" if len(at) == len(other) else "mostly says"
            sure = np.mean([float(log.predicted_prob[row, e]) for e in at])
            seen.add(how)
            expected = f"contradicts the label at {count} and {how} {says} with {sure:.2f}."
        else:
            seen.add("confirms")
            expected = "The network predicts the given label at all 8 epochs."
        assert expected in text
        assert f", where others labelled {given} have {medians[given]:.2f}." in text
    assert seen >= {"says", "mostly says"}


@pytest.mark.parametrize("predicted", [None, "1"], ids=["no predictions", "of other names"])
def test_of_two_classes_the_loss_says_what_the_network_says(write, predicted):
    # p = exp(-loss) is 0.9, 0.2, 0.1, 0.4: against at three of four, with 0.8, 0.9, 0.6
    losses = [[0.1, 0.1, 0.1, 0.1], -np.log([0.9, 0.2, 0.1, 0.4]), [0.2, 0.2, 0.2, 0.2]]
    named = {} if predicted is None else {"predicted": np.full((3, 4), predicted)}
    log = build_log(losses, sample_id=["a", "b", "c"], label=["cat", "dog", "dog"], **named)
    card, *others = write(analyze(log, detector="mean_loss")).cards
    assert "at 3 of 4 epochs and says cat with 0.77." in words(card)
    assert "where others labelled dog have 0.20." in words(card)
    assert "predicts the given label at all 4 epochs" in words(others[0])


def test_of_three_classes_a_loss_alone_says_nothing_of_predictions(write):
    page = write(analyze(planted_log(n_classes=3)))
    assert page.cards
    assert not any("network" in words(card) for card in page.cards)


def test_without_labels(write):
    page = write(analyze(build_log(planted_log().loss)))
    assert all("No given label" in words(card) for card in page.cards)
    assert "where unflagged samples have" in words(page.cards[0])


class Content(Detector):
    """Ranks, and flags nothing."""

    name, summary, reference = "content", "ranks", "a test"

    def detect(self, log, context):
        score = context.features["f1_mean"]
        return Detection(score=score, flagged=np.zeros(log.n_samples, bool), notes=("all is well",))


def test_nothing_flagged(write):
    page = write(analyze(planted_log(), detector=Content()))
    assert len(page.cards) == 50
    assert "Nothing is flagged; here are the first 50 in the ranking." in page.html
    assert "Note: all is well" in words(page.all("main")[0])


HOSTILE = "<img src=x onerror=alert(1)>\"'</script></li>&{{ 7*7 }}"


def test_hostile_names_are_text(write):
    log = planted_log(n_samples=200, string_ids=True, channels=True)
    names = [HOSTILE + name for name in log.sample_id.to_pylist()]
    label = [f"{HOSTILE}{v}" for v in log.label.to_pylist()]
    hostile = build_log(
        log.loss,
        sample_id=names,
        label=label,
        group=names,
        path=names,
        metadata={"model": HOSTILE, HOSTILE: "x", "recorded": "train"},
    )
    result = analyze(hostile, name=HOSTILE)
    page = write(result)
    assert page.all("img") == []
    assert len(page.all("script")) == 1
    assert not any(name.startswith("on") for e in page.elements for name in e["attrs"])
    top = result.findings.iloc[0]
    assert page.cards[0]["attrs"]["data-name"] == top["sample_id"]
    assert top["sample_id"] in words(page.cards[0])
    assert f"Given {top['label']}, suggested {top['suggested_label']}" in words(page.cards[0])
    assert [r[0] for r in page.rows("per-class")[1:]] == sorted(set(label))


def test_nothing_is_asked_of_anybody(found, write):
    page = write(found)
    (script,) = page.all("script")
    digest = b64encode(sha256(script["text"].encode()).digest()).decode()
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    rules = dict(
        rule.strip().split(" ", 1) for rule in policy["attrs"]["content"].split(";") if rule.strip()
    )
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "script-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    for element in page.elements:
        assert element["name"] not in {"link", "iframe", "object", "embed", "base"}
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            assert element["attrs"].get(name, "#").startswith(("#", "data:"))
    assert "url(http" not in page.html
    assert "@import" not in page.html


def test_links_lead_somewhere_and_ids_of_ours_are_unique(found, write):
    page = write(found)
    ids = [e["attrs"]["id"] for e in page.elements if "id" in e["attrs"]]
    for link in page.all("a"):
        assert ids.count(link["attrs"]["href"][1:]) == 1


def test_the_same_findings_give_the_same_bytes(found, write, tmp_path):
    here = write(found).html
    there = tmp_path / "there.html"
    command = [sys.executable, "-m", "lossan", "report", tmp_path / "findings", "-o", there]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": "3"})
    assert there.read_text() == here


def test_a_large_log_gives_a_small_page(write):
    log = planted_log(n_samples=200_000, n_epochs=4, rate=0.03)
    result = analyze(log)
    assert result.summary.n_flagged > 2000
    page = write(result, "--top", "300")
    assert [int(c["attrs"]["data-rank"]) for c in page.cards] == list(range(1, 301))
    n = f"{result.summary.n_flagged:,}"
    assert f"The 300 most suspicious of {n} flagged samples" in page.html
    assert len(page.html) < 1_000_000


def test_many_classes_and_pairs_are_cut_short(write):
    log = planted_log(n_samples=3000, n_classes=120, channels=True, rate=0.1)
    page = write(analyze(log))
    assert len(page.rows("per-class")) == 1 + 50
    assert "70 more classes" in page.html
    assert len(page.rows("pairs")) == 1 + 20
    assert "more flagged samples are of rarer pairs" in page.html


def test_epochs_without_end_stay_small(write):
    page = write(analyze(planted_log(n_samples=80, n_epochs=2000)))
    own = [e["attrs"]["d"] for e in page.all("path", **{"class": "own"})]
    assert own
    assert max(map(len, own)) < 1500


@pytest.mark.parametrize("detector", ["kmeans", "auto"])
def test_what_was_analysed_and_how_is_told(detector, write):
    log = planted_log(n_samples=200)
    result = analyze(log, detector=detector, early_epochs=3, seed=5, name="night.parquet")
    text = words(write(result).all("main")[0])
    for told in ("night.parquet", detector, "early_epochs 3", "seed 5", "in the training pass"):
        assert told in text
    assert "loss_name cross-entropy" in text
    assert ("this detector gives no estimate" in text) == (detector == "kmeans")
