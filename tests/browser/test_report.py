"""The report in a browser: who can use it, sorted and filtered, and that it asks nobody."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from axe_playwright_python.sync_playwright import Axe

from lossan import analyze
from lossan.testing import planted_log

pytestmark = pytest.mark.browser
SIZES = {"desktop": (1280, 800), "phone": (360, 640)}


@pytest.fixture(scope="module")
def report(analysed, tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / "report.html"
    command = ["report", analysed / "findings", "--images", analysed / "images", "-o", file]
    subprocess.run(
        [sys.executable, "-m", "lossan", *map(str, command)], check=True, capture_output=True
    )
    return file.as_uri()


@pytest.fixture
def read(chromium, report):
    """Return a function that opens the report; whatever it says or asks for fails."""
    contexts, said, asked = [], [], []

    def open_page(**options):
        contexts.append(chromium.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(report)
        page.wait_for_selector("#controls:not([hidden])")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert {url for url in asked if not url.startswith("data:")} == {report}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_accessible_by_axe(size, scheme, read):
    width, height = SIZES[size]
    looks = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
    page = read(bypass_csp=True, **looks)  # axe is put into the page past its policy
    found = Axe().run(page).response["violations"]
    assert [(v["id"], [node["html"] for node in v["nodes"]]) for v in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_sorted_and_filtered(read):
    page = read()
    cards = page.locator("#list > li:not([hidden])")
    total = cards.count()
    flagged = page.locator("#list > li[data-flagged='1']").count()
    assert 0 < flagged < total
    page.select_option("[name=flag]", "1")
    page.wait_for_function(
        f"() => document.querySelector('#count').textContent.startsWith('{flagged} of')"
    )
    assert cards.count() == flagged
    page.select_option("[name=sort]", "loss")
    losses = "all => all.map(card => Number(card.dataset.loss))"
    page.wait_for_function(
        "() => { const l = [...document.querySelectorAll('#list > li')].map(c => +c.dataset.loss);"
        " return l.every((v, i) => i === 0 || l[i - 1] >= v); }"
    )
    found = cards.evaluate_all(losses)
    assert found == sorted(found, reverse=True)
    name = cards.first.get_attribute("data-name")
    page.fill("[name=text]", name)
    page.wait_for_function("() => document.querySelector('#count').textContent.startsWith('1 of')")
    page.click("text=Show all")
    page.wait_for_function(
        f"() => document.querySelector('#count').textContent.startsWith('{total} of')"
    )
    assert cards.evaluate_all("all => all.map(c => Number(c.dataset.rank))") == sorted(
        cards.evaluate_all("all => all.map(c => Number(c.dataset.rank))")
    )


@pytest.fixture(scope="module")
def fundus(tmp_path_factory):
    """Return the report of real findings with everything a report may hold."""
    folder = tmp_path_factory.mktemp("fundus")
    log = Path(__file__).parents[2] / "samples" / "fundus" / "log.parquet"
    for command in (
        ["analyze", log, "-d", "auto", "-o", "findings"],
        ["report", "findings", "-o", "report.html"],
    ):
        call = [sys.executable, "-m", "lossan", *map(str, command)]
        subprocess.run(call, check=True, capture_output=True, cwd=folder)
    return (folder / "report.html").as_uri()


WIDE = """() => [...document.querySelectorAll(".scroll")]
    .filter((place) => place.scrollWidth > place.clientWidth + 1)
    .map((place) => place.getAttribute("aria-label"))"""


@pytest.mark.parametrize(
    ("width", "media"), [(718, "print"), (1024, "screen"), (1280, "screen"), (1920, "screen")]
)
def test_no_table_runs_out_of_its_place(width, media, chromium, fundus):
    page = chromium.new_page(viewport={"width": width, "height": 1000})  # 718: A4 less its margins
    page.goto(fundus)
    page.emulate_media(media=media)
    wide = page.evaluate(WIDE)
    page.close()
    assert wide == []


def test_what_a_table_shows_is_read_without_scrolling_on_a_phone(chromium, fundus):
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto(fundus)
    widths = page.eval_on_selector_all("caption", "all => all.map(c => c.clientWidth)")
    page.close()
    assert max(widths) <= 390


def test_the_legend_of_the_features_covers_no_bars(chromium, fundus):
    page = chromium.new_page()
    page.goto(fundus)
    at = """([words, edge]) => [...document.querySelectorAll(".features svg text")]
        .find((text) => text.textContent === words).getBoundingClientRect()[edge]"""
    legend = page.evaluate(at, ["not flagged", "bottom"])
    panels = page.evaluate(at, ["F1: mean loss", "top"])
    page.close()
    assert legend <= panels


def test_names_of_right_to_left_scripts_stand_in_their_order(chromium, tmp_path):
    log = planted_log(n_samples=120, n_classes=2, rate=0.1)
    arabic = ["\u0633\u0644\u064a\u0645", "\u0634\u062f\u064a\u062f"]
    named = pa.array([f"\u0639\u064a\u0646-{number}" for number in range(120)])
    label = pa.array(arabic).take(log.label.cast(pa.int64()))
    group = pa.array([f"\u0645\u0631\u064a\u0636 {number}" for number in range(120)])
    log = replace(log, sample_id=named, label=label, true_label=None, group=group, predicted=None)
    analyze(log).save(tmp_path / "findings")
    file = tmp_path / "report.html"
    command = [sys.executable, "-m", "lossan", "report", tmp_path / "findings", "-o", file]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    page = chromium.new_page()
    page.goto(file.as_uri())
    across = """([one, other]) =>
        other.getBoundingClientRect().left - one.getBoundingClientRect().right"""
    names = page.eval_on_selector_all("#list > li:first-child h3 bdi", across)
    # An option holds no elements: what stands between marks of isolation has its own direction.
    pairs = page.locator("[name=pair] option").all_text_contents()[1:]
    page.close()
    assert names > 0
    assert pairs
    assert [pair for pair in pairs if "\u2069 \u2192 \u2068" not in pair] == []
