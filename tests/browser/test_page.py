"""The page itself: who can use it, and what it lets in."""

import json

import pyarrow.parquet as pq
import pytest
from axe_playwright_python.sync_playwright import Axe

pytestmark = pytest.mark.browser
SIZES = {"desktop": (1280, 800), "phone": (360, 640)}


def violations(page):
    """Return what axe finds, of every rule it has."""
    found = Axe().run(page).response["violations"]
    return [(v["id"], [node["html"] for node in v["nodes"]]) for v in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_accessible_by_axe(size, scheme, serve, sit_down):
    width, height = SIZES[size]
    looks = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
    # axe is put into the page past its policy, which would not let it run
    reader = sit_down(serve("--top", 2).url, "Anna", bypass_csp=True, **looks)
    page = reader.page
    reader.at(1, 2)
    assert violations(page) == []
    reader.press("?")
    assert violations(page) == []
    reader.close()
    reader.press("/")
    assert violations(page) == []
    reader.close()
    reader.decide("k")
    reader.at(2, 2)
    reader.press("u")
    reader.ended()
    assert violations(page) == []
    width_of_all = page.evaluate("document.documentElement.scrollWidth")
    assert width_of_all <= width  # nothing to scroll sideways


def test_keys_are_named_at_twice_the_size(serve, sit_down):
    zoomed = {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2}
    reader = sit_down(serve("--top", 2, "--reader", "A").url, **zoomed)
    reader.at(1, 2)
    assert [reader.page.is_visible(f"{place} kbd") for place in ("#keep", "#classes")] == [True] * 2


def test_of_many_classes_what_stands_below_is_in_sight(serve, sit_down):
    classes = ",".join(
        f"grade {number} of a long and fine scale of grades" for number in range(100)
    )
    reader = sit_down(serve("--top", 2, "--reader", "A", "--classes", classes).url)
    reader.at(1, 2)
    bottom = "p => p.getBoundingClientRect().bottom"
    for place in ("[data-command=exclude]", "[data-command=undo]", "#why"):
        assert reader.page.eval_on_selector(place, bottom) <= 800, place
    buttons = reader.page.locator("#classes button")
    tall = "all => all.filter(b => b.scrollHeight > b.clientHeight + 1).length"
    assert buttons.evaluate_all(tall) == 0  # no name runs out of its button
    buttons.last.click()
    reader.at(2, 2)


@pytest.mark.parametrize("width", [1280, 390])
def test_long_names_are_broken_not_cut(width, base, serve, sit_down):
    file = base / "findings" / "findings.parquet"
    table = pq.read_table(file)
    rows = table.to_pylist()
    for row in rows:
        row["group"] = "g" * 90
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), file)
    options = ("--top", 2, "--reader", "R" * 100)
    reader = sit_down(serve(*options).url, viewport={"width": width, "height": 800})
    reader.at(1, 2)
    reader.page.click("#about")
    reader.ended()
    cut = "p => p.scrollWidth - p.clientWidth"
    places = ("#panel", "#status", "html")
    assert [reader.page.eval_on_selector(place, cut) for place in places] == [0] * 3


def test_buttons_are_large_enough_to_touch(serve, sit_down):
    reader = sit_down(
        serve("--top", 2, "--reader", "A").url, viewport={"width": 360, "height": 640}
    )
    reader.at(1, 2)
    boxes = reader.page.locator("button:visible").evaluate_all(
        "all => all.map(b => [b, b.getBoundingClientRect()])"
        ".map(([b, box]) => [b.textContent, box.width, box.height])"
    )
    assert len(boxes) > 10
    assert [box for box in boxes if min(box[1:]) < 44] == []


def test_by_touch_alone(serve, sit_down, kept):
    phone = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}
    reader = sit_down(serve("--top", 2, "--reader", "A").url, **phone)
    reader.at(1, 2)
    reader.page.tap("#keep")
    reader.at(2, 2)
    reader.page.tap("text=Exclude")
    reader.ended()
    assert [d.action for d in kept()] == ["keep", "exclude"]


def look(page):
    return page.evaluate(
        "(() => { const i = document.querySelector('#stage img');"
        " const b = i.getBoundingClientRect();"
        " return [b.left, b.top, b.width, i.style.filter]; })()"
    )


def test_zoom_pan_brightness_and_contrast(serve, sit_down):
    reader = sit_down(serve("--top", 2, "--reader", "A").url)
    reader.at(1, 2)
    page = reader.page
    left, top, width, light = look(page)
    stage = page.locator("#stage").bounding_box()
    assert width > 0.9 * min(stage["width"], stage["height"] * 120 / 90)  # as large as it can be
    assert light == ""
    reader.press("+", "+")
    assert look(page)[2] == pytest.approx(width * 1.25**2)
    reader.press("-")
    assert look(page)[2] == pytest.approx(width * 1.25)
    before = look(page)
    reader.press("Shift+ArrowRight", "Shift+ArrowDown")
    assert (look(page)[0] < before[0], look(page)[1] < before[1]) == (True, True)
    reader.press("0")
    assert look(page)[:3] == pytest.approx([left, top, width])
    page.mouse.move(stage["x"] + 300, stage["y"] + 300)
    page.mouse.wheel(0, -500)
    page.wait_for_function(
        f"() => document.querySelector('#stage img').getBoundingClientRect().width > {width * 1.5}"
    )
    before = look(page)
    page.mouse.down()
    page.mouse.move(stage["x"] + 340, stage["y"] + 280)
    page.mouse.up()
    assert look(page)[0] == pytest.approx(before[0] + 40)
    assert look(page)[1] == pytest.approx(before[1] - 20)
    reader.press("b", "b", "Shift+c")
    assert look(page)[3] == "brightness(120%) contrast(90%)"
    reader.press("r")
    assert look(page)[3] == ""
    assert look(page)[:3] == pytest.approx([left, top, width])
    page.locator("#contrast").focus()
    reader.press("ArrowRight")  # moves the slider, not the queue
    assert reader.count == "1 of 2"
    assert look(page)[3] == "brightness(100%) contrast(110%)"


def test_keys_of_one_character_can_be_turned_off(serve, sit_down, kept):
    reader = sit_down(serve("--top", 2, "--reader", "A").url)
    reader.at(1, 2)
    reader.press("?")
    reader.page.uncheck("#single")
    reader.close()
    reader.press("k", "x", "1", "ArrowRight")
    reader.at(2, 2)
    assert kept() == ()


def test_a_closed_dialog_takes_no_keys(serve, sit_down):
    reader = sit_down(serve("--top", 2, "--reader", "A").url)
    reader.at(1, 2)
    # as long as no frame was drawn, a field of the closed dialog may have the focus still
    for field, number in (("single", 2), ("wanted", 1)):
        key = "ArrowRight" if number == 2 else "ArrowLeft"
        reader.page.locator(f"#{field}").dispatch_event("keydown", {"key": key, "bubbles": True})
        reader.at(number, 2)


def test_a_class_by_its_name(serve, sit_down, kept):
    classes = ",".join(f"grade {number}" for number in range(40))
    reader = sit_down(serve("--top", 2, "--reader", "A", "--classes", classes).url)
    reader.at(1, 2)
    reader.press("/")
    reader.keyboard.type("Grade 37")
    reader.press("Enter")
    reader.at(2, 2)
    assert [d.label for d in kept()] == ["grade 37"]


def test_a_class_whose_name_begins_another_by_its_whole_name(serve, sit_down, kept):
    classes = "severe with oedema,mildly severe,severe"
    reader = sit_down(serve("--top", 2, "--reader", "A", "--classes", classes).url)
    reader.at(1, 2)
    reader.press("/")
    reader.keyboard.type("Severe")
    reader.press("Enter")
    reader.at(2, 2)
    last = kept()[-1]
    assert (last.label or last.given_label) == "severe"


@pytest.mark.parametrize(("key", "code"), [("\u0662", "Digit2"), ("\u06f2", "Numpad2")])
def test_digits_of_another_script_choose_classes(key, code, serve, sit_down, kept):
    reader = sit_down(serve("--top", 2, "--reader", "A").url)
    reader.at(1, 2)
    reader.page.dispatch_event(
        "body", "keydown", {"key": "End", "code": "Numpad1", "bubbles": True}
    )
    reader.page.dispatch_event("body", "keydown", {"key": key, "code": code, "bubbles": True})
    reader.at(2, 2)
    (decision,) = kept()
    assert (decision.label or decision.given_label) == "mild"


def test_a_name_that_is_refused_is_asked_for_again(serve, sit_down, kept):
    invisible = "A\u200bB"  # pasted with a space of no width
    server = serve("--top", 2)
    reader = sit_down(server.url, invisible, expected=("status of 422",), begins=False)
    page = reader.page
    page.wait_for_function(
        "() => document.querySelector('#name').validationMessage.includes('printable')"
    )
    assert page.is_visible("#who")
    assert page.evaluate("document.activeElement.id") == "name"
    page.fill("#name", "Anna")
    reader.press("Enter")
    reader.at(1, 2)
    reader.decide("k")
    assert [d.reader for d in kept()] == ["Anna"]


def test_hostile_names_are_text(base, serve, sit_down, found):
    evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    file = base / "findings" / "findings.parquet"
    table = pq.read_table(file)
    rows = table.to_pylist()
    for row in rows:
        row["path"] = row["path"] or ""
        row["sample_id"], row["group"], row["suggested_label"] = evil + row["sample_id"], evil, evil
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), file)
    reader = sit_down(serve("--top", 2).url, evil)
    reader.at(1, 2)
    assert evil in reader.text("#facts h2")
    assert evil in reader.text("#classes")
    reader.press("u")
    reader.at(2, 2)
    reader.press("u")
    reader.ended()
    assert reader.page.title() == "Review of findings"
    assert reader.page.locator("script:not([src]), img[src=x]").count() == 0


def test_nothing_is_called_certain_that_is_not(base, serve, sit_down):
    file = base / "findings" / "findings.parquet"
    table = pq.read_table(file)
    place = table.column_names.index("probability")
    probability = [0.9996, 0.94, 0.001, *[0.0] * (len(table) - 3)]
    pq.write_table(table.set_column(place, "probability", [probability]), file)
    reader = sit_down(serve("--top", 3, "--reader", "A").url)
    for number, said in enumerate(("more than 99%", "94%", "less than 1%"), 1):
        reader.at(number, 3)
        assert f" {said} likely wrong" in reader.text("#facts")
        reader.press("ArrowRight")


def test_no_other_page_can_write(serve, sit_down, kept):
    server = serve("--top", 2, "--reader", "A")
    reader = sit_down(server.url)
    reader.at(1, 2)
    page = reader.page.context.new_page()  # same browser, same cookie, another origin
    page.route(
        "http://evil.test/", lambda route: route.fulfill(body="<p>x", content_type="text/html")
    )
    page.goto("http://evil.test/")
    body = json.dumps({"id": "12345678", "reader": "A", "row": 0, "action": "exclude"})
    address = f"http://127.0.0.1:{server.port}/api/decisions"
    for kind in ("application/json", "text/plain"):
        told = page.evaluate(
            "([url, body, kind]) => fetch(url, {method: 'POST', body, credentials: 'include',"
            " headers: {'Content-Type': kind}}).then(r => r.status, e => 'refused')",
            [address, body, kind],
        )
        assert told == "refused"
    image = page.evaluate(
        "url => new Promise(done => { const i = new Image(); i.onload = () => done('shown');"
        " i.onerror = () => done('refused'); i.src = url; })",
        f"http://127.0.0.1:{server.port}/image/0",
    )
    assert image == "refused"
    assert kept() == ()
