"""What a page is told, and what happens to a decision."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest

from lossan import analyze
from lossan.cli._review import _reader
from lossan.io import read_findings
from lossan.review import DecisionLog, Plan, active, open_review, outcomes
from lossan.review._press import Press
from lossan.testing import planted_log


@pytest.fixture
def found(base):
    return read_findings(base / "findings").to_pylist()


def test_the_queue(browse, found):
    state = browse().state()
    flagged = [row for row, finding in enumerate(found) if finding["flagged"]]
    assert state["queue"] == flagged
    assert state["decided"] == [False] * len(flagged)
    assert [c["label"] for c in state["classes"]] == [0, 1, 2]
    assert state["last"] is None
    assert browse(top=len(flagged) + 7).state()["queue"] == list(range(len(flagged) + 7))


def test_orders(browse, found):
    by_group = browse(order="group").state()["queue"]
    groups = [found[row]["group"] for row in by_group]
    changes = sum(one != other for one, other in pairwise(groups))
    assert changes == len(set(groups)) - 1
    by_pair = browse(order="class-pair").state()["queue"]
    pairs = [(found[r]["label"], found[r]["suggested_label"]) for r in by_pair]
    counts = [pairs.count(pair) for pair in pairs]
    assert counts == sorted(counts, reverse=True)


def test_a_sample(browse, found):
    browser = browse(order="group")
    row = browser.state()["queue"][0]
    item = browser.item(row)
    assert item["open"]
    assert item["decision"] is None
    finding = found[row]
    for field, column in {"id": "sample_id", "given": "label", "group": "group"}.items():
        assert item[field] == finding[column]
    assert item["suggested"] == finding["suggested_label"]
    assert f"Its mean loss is {finding['f1_mean']:.2f}, where others" in item["why"]


def test_whole_numbers_that_a_browser_would_round_are_told_as_text(tmp_path):
    log, ids = planted_log(n_samples=100, rate=0.2), 2**53 - 50 + np.arange(100)
    patients = pa.array(2**53 + 1 + ids // 2)
    analyze(replace(log, sample_id=pa.array(ids), group=patients)).save(tmp_path)
    review = open_review(tmp_path, Plan(top=100))
    rows = review.state("A", adjudicating=False)["queue"]
    shown = review.items(rows, "A", adjudicating=False)
    assert {str(item["id"]) for item in shown} == {str(sample) for sample in ids}
    assert {type(item["id"]) for item in shown} == {int, str}
    assert all(item["id"] < 2**53 for item in shown if isinstance(item["id"], int))
    assert {item["group"] for item in shown} == {str(group) for group in patients.to_pylist()}


def test_a_class_whose_number_a_browser_would_round_is_the_one_that_is_decided_for(tmp_path):
    log = planted_log(n_samples=100, rate=0.2)
    large = 2**53 + 1  # next to one that a browser takes for the same
    labels = pa.array([large - 1 + code for code in log.label.to_pylist()])
    analyze(replace(log, label=labels, true_label=None, predicted=None)).save(tmp_path)
    review = open_review(tmp_path, Plan(top=2))
    told = review.state("A", adjudicating=False)
    assert [entry["label"] for entry in told["classes"]] == [str(large - 1), str(large)]
    row = told["queue"][0]
    (item,) = review.items([row], "A", adjudicating=False)
    given = int(item["given"])
    other = str(2 * large - 1 - given)
    press = Press(id="12345678", reader="A", row=row, action="relabel", label=other)
    assert review.decide(press)["item"]["decision"]["label"] == other
    (decision,) = DecisionLog.open(tmp_path / "decisions.jsonl", fingerprint=None).decisions
    assert (decision.given_label, decision.label) == (given, int(other))


def test_why_is_said_of_every_suspect_but_not_while_blinded(browse, base):
    browser = browse()
    assert all(browser.item(row)["why"] for row in browser.state()["queue"])
    hidden = browse(blinded=True)
    assert not any("why" in hidden.item(row) for row in hidden.state()["queue"])
    (base / "findings" / "sequences.parquet").unlink()  # a convenience: nothing else needs it
    without = browse()
    assert {without.item(row)["why"] for row in without.state()["queue"]} == {None}


def test_a_decision_is_on_disk_before_its_answer(browse, kept, found):
    browser = browse()
    row = browser.state()["queue"][2]
    finding = found[row]
    other = (finding["label"] + 1) % 3
    answer = browser.press(row, "relabel", label=other, position=2, seconds=3.5)
    assert answer.status_code == 200
    (decision,) = kept()
    assert decision.sample_id == finding["sample_id"]
    assert (decision.action, decision.label, decision.seconds) == ("relabel", other, 3.5)
    assert (decision.given_label, decision.suggested_label) == (
        finding["label"],
        finding["suggested_label"],
    )
    assert decision.shown.model_dump() == {
        "given_label": True,
        "suggested_label": True,
        "order": "suspicion",
        "position": 2,
        "image": finding["path"],
    }
    assert answer.json()["item"]["decision"]["label"] == other
    assert browser.state()["decided"][2]
    assert not browser.state("B")["decided"][2]


def test_the_given_label_chosen_is_a_keep(browse, kept, found):
    assert browse().press(0, "relabel", label=found[0]["label"]).status_code == 200
    assert (kept()[0].action, kept()[0].label) == ("keep", None)


def test_the_same_press_counts_once(browse, kept):
    browser = browse()
    press = {"id": str(uuid4()), "reader": "A", "row": 0, "action": "keep"}
    first, again = browser.post(press), browser.post(press)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert len(kept()) == 1


def test_many_tabs_at_once_lose_nothing(browse, kept):
    browser = browse(top=40)
    presses = [
        {"id": str(uuid4()), "reader": f"R{number % 5}", "row": number // 5, "action": "keep"}
        for number in range(200)
    ]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(browser.post, presses + presses))
    assert {answer.status_code for answer in answers} == {200}
    assert {d.id for d in kept()} == {p["id"] for p in presses}
    assert len(kept()) == 200


def test_a_second_tab_does_not_overwrite_unseen(browse, kept):
    browser = browse()
    first = browser.press(0, "keep").json()["item"]["decision"]["id"]
    late = browser.press(0, "exclude")  # its page still shows the sample as undecided
    assert late.status_code == 409
    assert "another window" in late.json()["error"]
    assert browser.press(0, "exclude", replaces=first).status_code == 200
    assert [d.action for d in active(kept())] == ["exclude"]


def test_what_another_process_wrote_is_seen(browse, kept):
    one, other = browse(), browse()
    assert one.press(0, "unsure").status_code == 200
    assert other.item(0)["decision"]["action"] == "unsure"
    assert other.press(0, "keep").status_code == 409


def test_undo(browse, kept):
    browser = browse()
    first = browser.press(0, "keep").json()["last"]
    second = browser.press(1, "exclude").json()["last"]
    wrong = browser.press(0, "undo", undoes=first["id"])
    assert wrong.status_code == 409
    answer = browser.press(1, "undo", undoes=second["id"]).json()
    assert answer["last"] == first
    assert answer["item"]["decision"] is None
    assert browser.press(0, "undo", undoes=first["id"]).json()["last"] is None
    assert active(kept()) == []
    assert len(kept()) == 4
    assert browser.press(0, "undo", undoes=first["id"]).status_code == 409


def test_an_undo_stands_at_the_place_of_what_it_takes_back(browse, kept):
    browser = browse()
    made = browser.press(3, "unsure", position=3).json()["last"]
    # the page shows the next image by then
    assert browser.press(3, "undo", undoes=made["id"], position=4).status_code == 200
    assert [decision.shown.position for decision in kept()] == [3, 3]


@pytest.mark.parametrize(
    "reader", ["\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "\u0d2e\u0d4b\u0d39\u0d28\u0d4d\u200d"]
)
def test_names_that_are_written_with_joiners(reader, browse, kept):
    browser = browse(reader=_reader(reader))
    assert browser.state(reader)["reader"] == reader
    assert browser.press(0, "keep", reader=reader).status_code == 200
    assert [d.reader for d in kept()] == [reader]


def test_readers(browse):
    browser = browse()
    browser.press(0, "keep", reader="Anna")
    state = browser.state("anna")
    assert state["reader"] == "Anna"
    assert state["readers"] == ["Anna"]
    assert state["decided"][0]
    nobody = browser.get("/api/state").json()
    assert nobody["readers"] == ["Anna"]
    assert "queue" not in nobody
    fixed = browse(reader="Ben")
    assert fixed.get("/api/state").json()["fixed_reader"] == "Ben"
    assert fixed.press(0, "keep", reader="Anna").status_code == 403


def test_the_option_names_a_reader_in_another_case(browse, kept):
    browse().press(0, "keep", reader="Anna")
    fixed = browse(reader="ANNA")
    reader = fixed.state("ANNA")["reader"]
    assert fixed.press(1, "unsure", reader=reader).status_code == 200
    assert [decision.reader for decision in kept()] == ["Anna", "Anna"]


@pytest.mark.parametrize(
    "reader", ["", " ", "a\nb", "x" * 101, "\x00", "\u200c", "a\u200bb", "\u202eab"]
)
def test_a_name_that_is_none(reader, browse):
    assert browse().get("/api/state", params={"reader": reader}).status_code == 422


def secrets_of(finding):
    return {str(finding[c]) for c in ("sample_id", "path", "group")}


def test_blinded_nothing_is_told_before_the_first_opinion(browse, kept, found):
    browser = browse(blinded=True, order="group")
    row = browser.state()["queue"][0]
    hidden = browser.item(row)
    assert hidden.keys() == {"row", "open", "place", "decision"}
    assert not any(secret in json.dumps(hidden) for secret in secrets_of(found[row]))
    assert browser.press(row, "keep").status_code == 422
    picture = browser.get(f"/image/{row}")
    assert not any(s in str(picture.headers) for s in secrets_of(found[row]))

    other = (found[row]["label"] + 1) % 3
    item = browser.press(row, "relabel", label=other).json()["item"]
    assert (item["given"], item["id"]) == (found[row]["label"], found[row]["sample_id"])
    assert not browser.item(row, "B")["open"]
    assert not kept()[0].shown.given_label
    assert not kept()[0].shown.suggested_label
    after = browser.press(row, "keep", replaces=item["decision"]["id"])
    assert after.status_code == 200
    assert kept()[1].shown.given_label
    last = after.json()["last"]
    assert browser.press(row, "undo", undoes=last["id"]).json()["item"]["open"]  # it was seen


def test_readers_differ_and_one_settles_it(browse, kept, found):
    browser = browse(top=3)
    label = (found[1]["label"] + 1) % 3
    for row in range(3):
        assert browser.press(row, "keep", reader="A").status_code == 200
    assert (
        browser.get("/api/state", params={"reader": "B", "adjudicating": True}).status_code == 403
    )  # has not read yet
    asked = {"rows": "1", "reader": "B", "adjudicating": True}
    assert browser.get("/api/items", params=asked).status_code == 403
    assert browser.press(1, "keep", reader="B", adjudication=True).status_code == 403
    for row in (0, 2):
        browser.press(row, "keep", reader="B")
    browser.press(1, "relabel", reader="B", label=label)
    told = browser.progress("A")
    assert told["differ"] == 1
    assert told["agreement"][0]["readers"] == ["A", "B"]
    assert told["agreement"][0]["agreement"] == pytest.approx(2 / 3)

    court = browse(adjudicate=True)
    state = court.state("C", adjudicating=True)
    assert (state["queue"], state["decided"]) == ([1], [False])
    said = court.item(1, "C", adjudicating=True)["opinions"]
    assert [(s["reader"], s["action"], s["label"]) for s in said] == [
        ("A", "keep", None),
        ("B", "relabel", label),
    ]
    answer = court.press(1, "relabel", reader="C", label=label, adjudication=True)
    assert answer.status_code == 200
    made = outcomes(kept())[found[1]["sample_id"]]
    assert (made.state, made.label, made.adjudicator) == ("adjudicated", label, "C")
    assert court.state("C", adjudicating=True)["decided"] == [True]
    assert court.progress("C")["differ"] == 0


def test_progress(browse, found):
    browser = browse()
    for row, seconds in enumerate([1.0, 9.0, 2.0]):
        browser.press(row, "keep", seconds=seconds)
    told = browser.progress()
    assert told["seconds"] == 2.0
    assert told["stopping"]["reviewed"] == 3
    assert told["stopping"]["clean_in_a_row"] == 3
    assert browser.progress("B")["stopping"]["reviewed"] == 0


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"id": "short"}, 422),
        ({"id": "x" * 65}, 422),
        ({"id": 12345678}, 422),
        ({"row": -1}, 422),
        ({"row": "0"}, 422),
        ({"row": True}, 422),
        ({"row": 99_999}, 404),
        ({"action": "delete"}, 422),
        ({"action": "relabel"}, 422),
        ({"action": "relabel", "label": 17}, 422),
        ({"action": "relabel", "label": "0"}, 422),
        ({"action": "relabel", "label": True}, 422),
        ({"action": "relabel", "label": [0]}, 422),
        ({"label": 0}, 422),
        ({"undoes": "x"}, 422),
        ({"action": "undo"}, 409),
        ({"reader": ""}, 422),
        ({"reader": "a\nb"}, 422),
        ({"seconds": -1}, 422),
        ({"seconds": "soon"}, 422),
        ({"time": "2026-01-01"}, 422),
        ({"fingerprint": "x"}, 422),
    ],
)
def test_what_is_no_decision_is_refused(change, status, browse, kept):
    answer = browse().post({"id": "12345678", "reader": "A", "row": 0, "action": "keep"} | change)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert kept() == ()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff", "[" * 5000, '{"id": NaN}'])
def test_what_is_no_json(text, browse, kept):
    browser = browse()
    headers = {"origin": "http://127.0.0.1:8765", "content-type": "application/json"}
    answer = browser.client.post("/api/decisions", content=text.encode(), headers=headers)
    assert answer.status_code in (400, 422)
    assert kept() == ()


@pytest.mark.parametrize("rows", ["", "x", "-1", "1,", "1" * 30, ",".join(["1"] * 101)])
def test_rows_that_are_none(rows, browse):
    answer = browse().get("/api/items", params={"rows": rows, "reader": "A"})
    assert answer.status_code == 422


def test_a_disk_that_takes_no_more(browse, kept, monkeypatch):
    browser = browse()
    press = {"id": str(uuid4()), "reader": "A", "row": 0, "action": "keep"}

    def full(_handle, _data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("lossan.io._append.os.write", full)
        answer = browser.post(press)
    assert answer.status_code == 503
    assert "No space left" in answer.json()["error"]
    assert kept() == ()
    assert browser.post(press).status_code == 200
    assert len(kept()) == 1
