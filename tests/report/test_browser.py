import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, sync_playwright

from bakeoff.report.page import SECTIONS

pytestmark = pytest.mark.browser

WIDTHS = (1280, 768, 360)


@dataclass
class Opened:
    """The report in a page, and what went wrong while it was opened."""

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("Debian's chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(
    scope="module",
    params=[(width, scheme) for width in WIDTHS for scheme in ("light", "dark")],
    ids=lambda view: f"{view[0]}-{view[1]}",
)
def view(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Opened]:
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened = Opened(page)

    def only_files(route: Route) -> None:
        if route.request.url.startswith(("file:", "data:")):
            route.continue_()
        else:
            opened.requests.append(route.request.url)
            route.abort()

    page.route("**/*", only_files)
    page.on("console", lambda message: opened.console.append(message.text))
    page.on("pageerror", lambda error: opened.console.append(str(error)))
    page.goto(report.as_uri())
    page.wait_for_function("document.documentElement.dataset.charts === 'drawn'", timeout=20_000)
    yield opened
    page.close()


def test_the_console_stays_empty(view: Opened):
    assert view.console == []


def test_nothing_is_asked_of_the_network(view: Opened):
    assert view.requests == []


def test_every_section_is_visible(view: Opened):
    for key in SECTIONS:
        assert view.page.locator(f"section#{key} > h2").is_visible(), key


def test_every_chart_is_drawn_with_marks(view: Opened):
    charts = view.page.locator(".chart")
    assert charts.count() == 9
    for chart in charts.all():
        assert chart.get_attribute("data-drawn") == "true"
        assert chart.locator("svg .mark-symbol path, svg .mark-rect path").count() > 0


def test_no_chart_is_wider_than_its_place(view: Opened):
    spill = view.page.evaluate(
        "[...document.querySelectorAll('.chart')].filter(c =>"
        " c.querySelector('svg').getBoundingClientRect().width > c.getBoundingClientRect().width + 1"
        ").map(c => c.id)"
    )
    assert spill == []


def test_the_page_does_not_scroll_sideways(view: Opened):
    assert view.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_it_has_no_accessibility_violation(view: Opened):
    results = Axe().run(view.page)
    assert results.violations_count == 0, results.generate_report()


def test_titles_with_markup_run_no_script(view: Opened):
    assert view.page.locator("li script, li b").count() == 0


def test_a_term_leads_to_its_explanation(view: Opened):
    term = view.page.locator("#accuracy a.term").first
    target = term.get_attribute("href") or ""
    assert view.page.locator(target).inner_text() != ""


def test_paper_shows_light_colours_and_no_navigation(browser: Browser, report: Path):
    page = browser.new_page(color_scheme="dark")
    page.goto(report.as_uri())
    page.emulate_media(media="print")
    assert not page.locator("nav.contents").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf()[:4] == b"%PDF"
    page.close()
