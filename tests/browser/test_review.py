"""Whole reviews, as readers do them."""

import signal

import pytest

from lossan.review import active, outcomes

pytestmark = pytest.mark.browser
KEYS = {"healthy": "1", "mild": "2", "severe": "3"}
AWAY = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
"""What the browser says of a server that is gone, before or while it answered."""
KILLED = (*AWAY, "ERR_CONTENT_LENGTH_MISMATCH")
"""And of one that was killed, maybe half-way through an image."""


def other(label):
    return next(name for name in KEYS if name != label)


def test_a_whole_review_by_keyboard_alone(serve, sit_down, kept, found):
    reader = sit_down(serve("--top", 12).url, "Anna")
    reader.at(1, 12)
    said = []
    for number, finding in enumerate(found[:12], 1):
        reader.at(number, 12)
        assert reader.row == number - 1
        assert finding["label"] in reader.text("#facts")
        key = ["k", "u", "x", KEYS[other(finding["label"])]][number % 4]
        said.append(
            (finding["sample_id"], {"k": "keep", "u": "unsure", "x": "exclude"}.get(key, "relabel"))
        )
        reader.press(key)  # one key an image
    reader.ended()
    assert "12 of 12" in reader.text("#status-text")
    assert [(d.sample_id, d.action) for d in kept()] == said
    assert [d.shown.position for d in kept()] == list(range(12))
    assert {d.reader for d in kept()} == {"Anna"}
    assert all(d.seconds > 0 for d in kept())
    assert [d.label for d in kept() if d.action == "relabel"] == [
        other(found[row]["label"]) for row in (2, 6, 10)
    ]


def test_back_undo_skip_and_a_changed_mind(serve, sit_down, kept, found):
    reader = sit_down(serve("--top", 4, "--reader", "Anna").url)
    reader.at(1, 4)
    reader.decide("k")
    reader.at(2, 4)
    reader.press("ArrowRight")  # skipped
    reader.at(3, 4)
    reader.decide("x")
    reader.at(4, 4)
    reader.press("z")
    reader.at(3, 4)
    assert "Decided" not in reader.text("#facts")
    reader.press("ArrowLeft", "Backspace")
    reader.at(1, 4)
    assert "Decided: keep" in reader.text("#facts")
    reader.decide("u")  # another decision takes the place of the first
    reader.at(2, 4)
    reader.decide("k")
    reader.at(3, 4)
    reader.decide("k")
    reader.at(4, 4)
    reader.press("k")
    reader.ended()
    assert [d.action for d in active(kept())] == ["unsure", "keep", "keep", "keep"]
    assert [d.action for d in kept()] == [
        "keep",
        "exclude",
        "undo",
        "unsure",
        "keep",
        "keep",
        "keep",
    ]
    reader.close()
    reader.press("z")  # also after the end
    reader.at(4, 4)
    reader.page.wait_for_function("() => document.querySelector('.decided') === null")
    assert len(active(kept())) == 3


def test_who_looks_through_and_changes_a_decision_goes_on_to_the_next(serve, sit_down, kept):
    reader = sit_down(serve("--top", 3, "--reader", "Anna").url)
    for number in (1, 2, 3):
        reader.at(number, 3)
        reader.press("k")
    reader.ended()
    reader.page.get_by_role("button", name="Look through from the first").click()
    reader.at(1, 3)
    reader.press("ArrowRight")
    reader.at(2, 3)
    reader.decide("u")
    reader.at(3, 3)
    assert not reader.page.is_visible("#status")
    reader.press("x")
    reader.ended()
    assert [d.action for d in active(kept())] == ["keep", "unsure", "exclude"]


def test_an_image_that_is_slow_is_said_to_be_loading(serve, sit_down, kept):
    reader = sit_down(serve("--top", 40, "--reader", "Anna").url)
    reader.at(1, 40)
    held = []

    def hold(route):
        held.append(route)

    rows = reader.page.evaluate("fetch('/api/state?reader=Anna').then(r => r.json())")["queue"]
    reader.page.route(f"**/image/{rows[20]}", hold)
    for number in range(2, 21):
        reader.press("ArrowRight")
        reader.at(number, 40)
    reader.press("ArrowRight")
    reader.page.wait_for_function(
        "() => document.querySelector('#stage').textContent === 'Image 21 is loading.'"
    )
    assert reader.page.locator("#stage img").count() == 0  # no other image in its place
    assert reader.count == "21 of 40"
    assert reader.text("#facts") == "Image 21"
    reader.press("k")
    held[0].continue_()
    reader.at(21, 40)
    assert reader.page.locator("#stage img").count() == 1
    assert kept() == ()  # what is not seen is not decided


def test_a_key_held_down_decides_once(serve, sit_down, kept):
    reader = sit_down(serve("--top", 9, "--reader", "Anna").url)
    reader.at(1, 9)
    for _ in range(6):  # without a key up between, the browser marks them as repeated
        reader.keyboard.down("k")
    reader.keyboard.up("k")
    reader.at(2, 9)
    assert len(kept()) == 1


def test_a_key_held_down_on_a_button_decides_once(serve, sit_down, kept):
    reader = sit_down(serve("--top", 9, "--reader", "Anna").url)
    reader.at(1, 9)
    reader.page.focus("#classes button")
    for number in range(4):
        reader.keyboard.down("Enter")
        reader.saved()
        reader.at(2, 9)
        assert len(kept()) == 1, number
    reader.keyboard.up("Enter")
    reader.press("Enter")
    reader.at(3, 9)


def test_blinded_by_the_mouse_enter_stays_with_the_opinion(serve, sit_down, kept, found):
    reader = sit_down(serve("--top", 2, "--blinded", "--reader", "Anna").url)
    reader.at(1, 2)
    reader.page.locator("#classes button").filter(has_not_text=found[0]["label"]).first.click()
    reader.page.wait_for_selector("#go-on:not([hidden])")
    reader.press("Enter")
    reader.at(2, 2)
    assert len(kept()) == 1


def test_blinded_two_keys_at_most(serve, sit_down, kept, found):
    reader = sit_down(serve("--top", 4, "--blinded").url, "Anna")
    reader.at(1, 4)
    page = reader.page.inner_text("body")
    for secret in ("sample_id", "group", "path"):
        assert str(found[0][secret]) not in page
    assert "given" not in reader.text("#classes")
    reader.press("k")  # nothing to keep yet
    reader.page.wait_for_function(
        "() => document.querySelector('#live').textContent.includes('which class')"
    )
    reader.decide(KEYS[found[0]["label"]])  # the given label: one key, and on
    reader.at(2, 4)
    reader.decide(KEYS[other(found[1]["label"])])  # another: labels are shown
    reader.page.wait_for_selector("#go-on:not([hidden])")
    assert found[1]["sample_id"] in reader.text("#facts")
    reader.press("Enter")  # stays with it
    reader.at(3, 4)
    reader.decide(KEYS[other(found[2]["label"])])
    reader.page.wait_for_selector("#go-on:not([hidden])")
    reader.decide("k")  # convinced by the given label
    reader.at(4, 4)
    reader.decide("u")
    reader.page.wait_for_selector("#go-on:not([hidden])")
    reader.press("Enter")
    reader.ended()
    assert [d.action for d in active(kept())] == ["keep", "relabel", "keep", "unsure"]
    assert [d.shown.given_label for d in kept()] == [False, False, False, True, False]


def test_two_readers_a_conflict_and_who_settles_it(serve, sit_down, kept, found):
    url = serve("--top", 3).url
    anna, ben = sit_down(url, "Anna"), sit_down(url, "Ben")
    anna.at(1, 3)
    for number in (1, 2):
        anna.decide("k")
        anna.at(number + 1, 3)
    anna.press("k")
    anna.ended()
    ben.at(1, 3)
    ben.decide("k")
    ben.at(2, 3)
    ben.decide(KEYS[other(found[1]["label"])])
    ben.at(3, 3)
    ben.press("k")
    ben.ended()
    assert "Anna and Ben agree" in ben.text("#status-text")
    assert "67% of 3" in ben.text("#status-text")
    assert outcomes(kept())[found[1]["sample_id"]].state == "conflict"

    ben.page.click("text=Adjudicate 1")
    ben.at(1, 1)
    assert "Anna: keep" in ben.text(".opinions")
    assert f"Ben: relabel to {other(found[1]['label'])}" in ben.text(".opinions")
    ben.press(KEYS[other(found[1]["label"])])
    ben.ended()
    made = outcomes(kept())[found[1]["sample_id"]]
    assert (made.state, made.label) == ("adjudicated", other(found[1]["label"]))


def test_the_next_reader_at_the_same_page(serve, sit_down, kept):
    reader = sit_down(serve("--top", 2).url, "Anna")
    reader.at(1, 2)
    reader.decide("k")
    reader.at(2, 2)
    reader.page.click("#about")
    reader.page.click("text=Read as somebody else")
    reader.page.wait_for_selector("#who[open]")
    assert reader.text("#known") == "Anna"
    reader.keyboard.type("Ben")
    reader.press("Enter")
    reader.at(1, 2)
    assert reader.text("#reader") == "Ben"
    reader.decide("x")
    reader.at(2, 2)
    assert [(d.reader, d.action) for d in kept()] == [("Anna", "keep"), ("Ben", "exclude")]


def test_a_third_person_adjudicates(serve, sit_down, kept, found):
    first = serve("--top", 2)
    for name, keys in {"Anna": "kk", "Ben": "ku"}.items():
        reader = sit_down(first.url, name, expected=AWAY)
        reader.at(1, 2)
        reader.decide(keys[0])
        reader.at(2, 2)
        reader.press(keys[1])
        reader.ended()
    assert first.end()[0] == 0
    reader = sit_down(serve("--adjudicate", "--reader", "Chief").url)
    reader.at(1, 1)
    assert reader.row == 1
    reader.press("k")
    reader.ended()
    assert outcomes(kept())[found[1]["sample_id"]].adjudicator == "Chief"


def test_reload_and_a_second_visit_lose_nothing(serve, sit_down, kept):
    url = serve("--top", 5).url
    reader = sit_down(url, "Anna")
    reader.at(1, 5)
    reader.decide("k")
    reader.at(2, 5)
    reader.page.reload()  # the token is in the cookie by now
    assert "token" not in reader.page.url
    reader.at(2, 5)
    reader.decide("k")
    reader.at(3, 5)
    again = sit_down(url, "anna")  # a new browser, and the name in another case
    again.at(3, 5)
    again.decide("k")
    again.at(4, 5)
    assert [d.shown.position for d in kept()] == [0, 1, 2]
    assert {d.reader for d in kept()} == {"Anna"}


def test_two_tabs_count_nothing_twice(serve, sit_down, kept):
    url = serve("--top", 5).url
    conflict = ("status of 409",)
    one, two = sit_down(url, "Anna"), sit_down(url, "Anna", expected=conflict)
    one.at(1, 5)
    two.at(1, 5)
    one.decide("k")
    one.at(2, 5)
    two.decide("x")  # it still shows the first image as undecided
    two.page.wait_for_selector("#trouble:not([hidden])")
    assert "another window" in two.text("#trouble")
    two.at(1, 5)
    assert "Decided: keep" in two.text("#facts")
    two.decide("x")  # now it is meant
    two.at(2, 5)
    assert [d.action for d in active(kept())] == ["exclude"]


def test_kill_9_in_the_middle(serve, sit_down, kept):
    server = serve("--top", 5)
    reader = sit_down(server.url, "Anna", expected=(*KILLED, "status of 403"))
    reader.at(1, 5)
    reader.decide("k")
    reader.at(2, 5)
    server.end(signal.SIGKILL)
    reader.press("x")
    reader.page.wait_for_selector("#trouble:not([hidden])")
    assert "Not saved yet" in reader.text("#trouble")
    assert reader.count == "2 of 5"  # it has not moved on
    assert len(kept()) == 1
    again = serve("--top", 5, "--port", server.port)
    tab = reader.page.context.new_page()
    tab.goto(again.url)  # the address the new server printed, in the same browser
    reader.at(3, 5)
    assert reader.page.is_hidden("#trouble")
    assert [d.action for d in kept()] == ["keep", "exclude"]
    reader.decide("k")
    reader.at(4, 5)
    code, said = again.end()
    assert code == 0
    assert said.endswith(f"Ended. Decisions: {kept.path}\n")
    assert len(kept()) == 3


def test_given_up_while_the_server_is_away(serve, sit_down, kept):
    server = serve("--top", 5)
    reader = sit_down(server.url, "Anna", expected=KILLED)
    reader.at(1, 5)
    server.end(signal.SIGKILL)
    reader.press("x")
    reader.page.wait_for_selector("#trouble:not([hidden])")
    reader.press("Escape")
    reader.page.wait_for_function(
        "() => document.querySelector('#trouble').textContent.includes('given up')"
    )
    assert reader.count == "1 of 5"
    assert kept() == ()


def test_looked_around_while_the_server_is_away(serve, sit_down):
    server = serve("--top", 60)
    reader = sit_down(server.url, "Anna", expected=(*KILLED, "status of 403"))
    reader.at(1, 60)
    server.end(signal.SIGKILL)
    reader.page.click("#about")
    reader.page.wait_for_selector("#trouble:not([hidden])")  # it was not silent
    for number in range(2, 32):
        reader.press("ArrowRight")
        if number < 30:
            reader.at(number, 60)
    assert "with the same command." in reader.text("#stage")
    assert ".." not in reader.text("#stage")
    reader.press("ArrowRight")
    reader.page.wait_for_selector("#trouble:not([hidden])")
    again = serve("--top", 60, "--port", server.port)
    tab = reader.page.context.new_page()
    tab.goto(again.url)
    reader.press("ArrowRight")
    reader.page.wait_for_selector("#trouble", state="hidden")
    assert reader.page.get_attribute("#stage img", "alt")


def test_missing_and_broken_images_are_told_and_do_not_stop(base, serve, sit_down, kept, found):
    (base / "images" / found[0]["path"]).unlink()
    (base / "images" / found[1]["path"]).write_bytes(b"no image")
    server = serve("--top", 3, "--reader", "Anna")
    reader = sit_down(server.url, expected=(*AWAY, "status of 404"))
    reader.at(1, 3)
    assert "cannot be shown: there is no such file" in reader.text("#stage")
    reader.decide("x")
    reader.at(2, 3)
    assert "cannot be shown: it is broken" in reader.text("#stage")
    reader.decide("x")
    reader.at(3, 3)
    assert reader.page.locator("#stage img").count() == 1
    _code, said = server.end()
    assert f"1 of 3 images cannot be shown, first '{found[0]['path']}'" in said
