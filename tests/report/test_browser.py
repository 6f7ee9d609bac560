"""The pages in Debian's chromium: what sections, charts and links do is asked of whatever the page has."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from chromium import chromium
from playwright.sync_api import Browser, Locator, Page, Route, expect
from study_files import DATASET, cost, sampling, unbiasedness
from versions import compared, version

from bakeoff.core.workspace import Workspace
from bakeoff.ops.revisions import command as revision_sheet
from bakeoff.report.render.study_page import study_html
from bakeoff.report.study import read_study
from bakeoff.report.topics.base.topic import Page as ReportPage
from bakeoff.report.topics.base.topic import topics_of

pytestmark = pytest.mark.browser

VIEWS = [(1280, "light"), (768, "dark"), (360, "light")]
COLOURS = VIEWS[:2]
"""They are the same at all widths, and to judge their contrast takes most of the time that an audit does."""
PATIENCE = 30_000
"""Milliseconds: the machine may be busy."""
MARKS = ".mark-symbol path, .mark-rect path, .mark-line path, .mark-rule line"
WATCH_SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => list.getEntries().forEach((shift) => {
  if (!shift.hadRecentInput) window.shifted += shift.value;
})).observe({ type: "layout-shift", buffered: true });
"""


@dataclass
class Opened:
    """A file in a page, and what went wrong while it was open."""

    page: Page
    view: tuple[int, str]
    name: str
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    shifted: float = 0.0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def open_file(browser: Browser, file: Path, width: int = 1280, scheme: str = "light") -> Opened:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    page.set_default_timeout(PATIENCE)
    opened = Opened(page, (width, scheme), file.name)

    def only_files(route: Route) -> None:
        if route.request.url.startswith(("file:", "data:")):
            route.continue_()
        else:
            opened.requests.append(route.request.url)
            route.abort()

    page.route("**/*", only_files)
    page.on("console", lambda message: opened.console.append(message.text))
    page.on("pageerror", lambda error: opened.console.append(str(error)))
    page.add_init_script(WATCH_SHIFTS)
    page.goto(file.as_uri())
    return opened


def drawn(opened: Opened) -> Opened:
    # No `wait_for_function`: it evaluates a string, which the page's content security policy forbids.
    opened.page.wait_for_selector("html[data-charts=drawn]", state="attached")
    opened.shifted = opened.page.evaluate("window.shifted")  # before a test opens folds, which shifts what is below
    return opened


@pytest.fixture(scope="module", params=VIEWS, ids=lambda view: f"{view[0]}-{view[1]}")
def size(request: pytest.FixtureRequest) -> tuple[int, str]:
    """Width and colour scheme."""
    return request.param


@pytest.fixture(scope="module", params=list(ReportPage))
def view(
    request: pytest.FixtureRequest, browser: Browser, workspace: Workspace, size: tuple[int, str]
) -> Iterator[Opened]:
    """Either page."""
    opened = drawn(open_file(browser, workspace.reports / request.param, *size))
    yield opened
    opened.page.close()


@pytest.fixture(scope="module")
def claims_view(browser: Browser, evidence_page: Path, size: tuple[int, str]) -> Iterator[Opened]:
    opened = drawn(open_file(browser, evidence_page, *size))
    yield opened
    opened.page.close()


def sections(view: Opened) -> list[str]:
    titled = [topic for topic in topics_of(ReportPage(view.name)) if topic.title]
    groups = dict.fromkeys(topic.group for topic in titled)
    return [topic.section for group in groups for topic in titled if topic.group == group]


@contextmanager
def unfolded(page: Page) -> Iterator[None]:
    """Every fold is open, and the charts in it are drawn."""
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    for key in specs(page):
        page.wait_for_selector(f"#chart-{key}[data-drawn=true]")
    yield
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = false; })")


def violations(page: Page, colours: bool = True) -> list[str]:
    """What axe finds with every fold open: each rule with the elements that break it; contrast only if asked for."""
    options = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": colours}}}
    with unfolded(page):
        found = Axe().run(page, options=options).response["violations"]
    return [f"{rule['id']}: {node['target']}" for rule in found for node in rule["nodes"]]


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def cut_words(page: Page) -> list[str]:
    """Words of charts that begin left of or above their chart, or end right of it, with every fold open."""
    with unfolded(page):
        cut: list[str] = page.evaluate(
            "[...document.querySelectorAll('.chart')].flatMap((c) => {"
            " const place = c.querySelector('svg').getBoundingClientRect();"
            " const out = (box) => box.width && (box.left < place.left - 3 || box.right > place.right + 3"
            "   || box.top < place.top - 3);"
            " return [...c.querySelectorAll('svg text')].filter((t) => out(t.getBoundingClientRect()))"
            "   .map((t) => `${c.id}: ${t.textContent}`); })"
        )
    return cut


def specs(page: Page) -> list[str]:
    return list(json.loads(page.locator("#specs").text_content() or ""))


def test_the_console_stays_empty(view: Opened):
    assert view.console == []


def test_nothing_is_asked_of_the_network(view: Opened):
    assert view.requests == []


def test_every_section_is_visible(view: Opened):
    hidden = [key for key in sections(view) if not view.page.locator(f"section#{key} > h2").is_visible()]
    assert hidden == []


def test_every_chart_is_drawn_with_marks(view: Opened):
    keys = specs(view.page)
    assert len(keys) >= 9
    with unfolded(view.page):
        empty = [key for key in keys if not view.page.locator(f"#chart-{key} svg").locator(MARKS).count()]
    assert empty == []


def test_every_chart_says_what_it_is_and_is_not_read_out_mark_by_mark(view: Opened):
    charts = view.page.locator(".chart")
    ask = "all => all.map((c) => c.getAttribute('role') === 'img' && c.getAttribute('aria-label'))"
    words = charts.evaluate_all(ask)
    assert all(words)
    assert view.page.locator(".chart svg").count() == view.page.locator(".chart [aria-hidden=true] svg").count()


def test_no_chart_is_wider_than_its_place(view: Opened):
    with unfolded(view.page):
        spill = view.page.evaluate(
            "[...document.querySelectorAll('.chart')].filter(c =>"
            " c.querySelector('svg').getBoundingClientRect().width > c.getBoundingClientRect().width + 1"
            ").map(c => c.id)"
        )
    assert spill == []


def test_no_words_of_a_chart_are_cut(view: Opened):
    assert cut_words(view.page) == []


def test_the_page_does_not_scroll_sideways(view: Opened):
    assert fits(view.page)
    with unfolded(view.page):
        assert fits(view.page)


def test_nothing_shifts_while_charts_are_drawn(view: Opened):
    assert view.shifted < 0.02


def test_it_has_no_accessibility_violation(view: Opened):
    assert violations(view.page, colours=view.view in COLOURS) == []


def test_titles_with_markup_run_no_script(view: Opened):
    assert view.page.locator("li script, li b").count() == 0


def test_a_term_leads_to_its_explanation(view: Opened):
    targets = view.page.locator("a.term").evaluate_all("all => [...new Set(all.map((a) => a.hash.slice(1)))]")
    assert len(targets) > 9
    lost = view.page.evaluate("ids => ids.filter((id) => !document.getElementById(id)?.textContent.trim())", targets)
    assert lost == []


def test_the_contents_follow_the_reader(view: Opened):
    for key in sections(view):
        view.page.evaluate("id => document.getElementById(id).scrollIntoView()", key)
        expect(view.page.locator(".contents a[aria-current]")).to_have_attribute("href", f"#{key}", timeout=PATIENCE)


def test_above_the_first_section_it_is_the_current_one(view: Opened):
    view.page.evaluate("scrollTo(0, 0)")
    first = view.page.locator(f".contents a[href='#{sections(view)[0]}']")
    expect(first).to_have_attribute("aria-current", "true", timeout=PATIENCE)


def test_the_current_entry_of_the_contents_can_be_seen(view: Opened):
    view.page.evaluate("id => document.getElementById(id).scrollIntoView()", sections(view)[-1])
    entry = view.page.locator(f".contents a[href='#{sections(view)[-1]}'][aria-current]")
    expect(entry).to_be_in_viewport()


def test_every_chart_answers_the_pointer(view: Opened):
    with unfolded(view.page):
        silent = [key for key in specs(view.page) if not answer_of(view.page, view.page.locator(f"#chart-{key}"))]
    assert silent == []


def answer_of(page: Page, chart: Locator) -> str:
    """What the tooltip says over the first mark that answers."""
    tooltip = page.locator("#vg-tooltip-element.visible")
    chart.scroll_into_view_if_needed()
    for mark in chart.locator(".mark-symbol path, .mark-rect path").all()[:5]:
        box = mark.bounding_box()
        if box is None:
            continue
        page.mouse.move(0, 0)
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=2)
        page.wait_for_timeout(30)
        if tooltip.count():
            return tooltip.inner_text()
    return ""


def test_a_term_explains_itself_on_hover_and_goes_with_escape(view: Opened):
    term, tip = view.page.locator("section a.term:visible").first, view.page.locator("#tip")
    meaning = term.get_attribute("title") or ""
    assert meaning
    term.hover()
    expect(tip).to_be_visible()
    expect(tip).to_have_text(meaning)
    view.page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_a_term_explains_itself_to_the_keyboard_and_to_a_screen_reader(view: Opened):
    view.page.mouse.move(0, 0)  # a page that scrolls under the pointer explains the term that comes there
    term, tip = view.page.locator("section a.term:visible").first, view.page.locator("#tip")
    term.focus()
    expect(tip).to_be_visible()
    assert term.get_attribute("aria-describedby") == tip.get_attribute("id")
    view.page.locator("section a.term:visible").nth(1).focus()
    assert term.get_attribute("aria-describedby") is None
    view.page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_a_link_opens_the_fold_that_it_leads_into(view: Opened):
    term = view.page.locator("section a.term:visible").first
    meaning = view.page.locator(f"[id='{(term.get_attribute('href') or '').removeprefix('#')}']")
    expect(meaning).to_be_hidden()
    term.click()
    expect(meaning).to_be_in_viewport()
    view.page.evaluate("document.getElementById('glossary').open = false")
    view.page.keyboard.press("Escape")


def test_the_report_is_read_to_the_end(browser: Browser, report: Path):
    """Eight screens of 1,600 pixels, and ten minutes of reading; depth is in closed folds."""
    page = drawn(open_file(browser, report)).page
    assert page.evaluate("document.documentElement.scrollHeight") <= 12_800
    assert len(page.locator("body").inner_text().split()) <= 1_500
    assert page.locator("details[open]").count() == 0
    page.close()


def test_a_claim_takes_at_most_one_screen(browser: Browser, evidence_page: Path):
    page = drawn(open_file(browser, evidence_page)).page
    for key in sections(Opened(page, (1280, "light"), evidence_page.name)):
        claims = 2 if key == "growth" else 1  # what training costs, and what serving costs
        height = page.locator(f"#{key}").evaluate("part => part.offsetHeight")
        assert height <= claims * 1_600, key
    page.close()


def test_the_axes_of_the_pareto_chart_can_be_chosen_by_keyboard(browser: Browser, report: Path):
    page = drawn(open_file(browser, report)).page
    marks = page.locator("#chart-pareto .mark-symbol path")
    before = [mark.get_attribute("transform") for mark in marks.all()]
    page.get_by_label("Horizontal axis").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Horizontal axis")).to_have_value("Coverage@10 in %")
    expect(marks.first).not_to_have_attribute("transform", before[0] or "")
    assert len(before) == marks.count()
    assert answer_of(page, page.locator("#chart-pareto"))
    page.close()


def test_the_first_stop_of_the_keyboard_skips_the_contents_and_is_seen(browser: Browser, report: Path):
    page = open_file(browser, report).page
    page.keyboard.press("Tab")
    skip = page.locator(":focus")
    assert "skip" in (skip.get_attribute("class") or "")
    expect(skip).to_be_in_viewport()
    page.close()


def test_the_page_has_its_landmarks(view: Opened):
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert view.page.get_by_role(role).count() >= 1, role
    assert view.page.locator("main h1, header h1").count() == 1


def test_search_finds_a_title_and_a_choice_shows_its_neighbours(claims_view: Opened):
    view = claims_view
    view.page.locator("#explore-query").fill("drama no. 6")
    found = view.page.locator("#explore-results button").first
    expect(found).to_contain_text("Drama no. 6")
    title = found.inner_text()
    found.click()
    expect(view.page.locator("#explore-chosen")).to_contain_text(title)


def test_a_click_on_the_map_shows_the_neighbours_of_that_item(claims_view: Opened):
    view = claims_view
    marks = view.page.locator("#explore-map svg .mark-symbol path")
    mark = marks.nth(9)  # none of those that are chosen, which come last
    mark.scroll_into_view_if_needed()
    lists = view.page.locator("#explore-lists").inner_text()
    box = mark.bounding_box()
    view.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(view.page.locator("#explore-status")).to_contain_text("is chosen; its nearest items stand below the map")
    assert view.page.locator("#explore-lists").inner_text() != lists


def test_the_map_names_the_item_under_the_pointer(claims_view: Opened):
    view = claims_view
    assert " no. " in answer_of(view.page, view.page.locator("#explore-map"))


def test_paper_shows_light_colours_and_no_navigation(browser: Browser, report: Path):
    page = open_file(browser, report, scheme="dark").page
    page.emulate_media(media="print")
    assert not page.locator("nav.contents").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf()[:4] == b"%PDF"
    page.close()


@pytest.fixture(scope="module")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages beside the report."""
    folder = tmp_path_factory.mktemp("sheets")
    before = version("HEAD", {"mf": [0.1, 0.2] * 9}, params={"mf": {"dim": 32}})
    after = version("workspace", {"mf": [0.2, 0.2] * 9}, params={"mf": {"dim": 64}}, split={"sizes": {"train": 9}})
    pages = {
        "revisions": revision_sheet.pages(compared(before, after))["html"],
        "study": study_html(read_study(sampling(), cost(), unbiasedness(), DATASET)),
    }
    files = {name: folder / f"{name}.html" for name in pages}
    for name, html in pages.items():
        files[name].write_text(html, encoding="utf-8")
    return files


@pytest.mark.parametrize("name", ["revisions", "study"])
@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_a_sheet_answers_the_pointer_is_accessible_silent_and_fits(
    browser: Browser, sheets: dict[str, Path], name: str, width: int, scheme: str
):
    opened = drawn(open_file(browser, sheets[name], width, scheme))
    page = opened.page
    assert [key for key in specs(page) if not answer_of(page, page.locator(f"#chart-{key}"))] == []
    term, tip = page.locator("main a.term").first, page.locator("#tip")
    meaning = term.get_attribute("title") or ""
    term.hover()
    expect(tip).to_have_text(meaning)
    page.keyboard.press("Escape")
    assert violations(page) == []
    assert (opened.console, opened.requests) == ([], [])
    assert fits(page)
    assert cut_words(page) == []
    assert page.evaluate("window.shifted") < 0.02
    page.close()
