"""Pages made of hostile texts, in a real browser: all is shown, nothing runs, nothing is asked of the network."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from chromium import chromium
from hostile_texts import FEATURE, MARKUP
from playwright.sync_api import Browser, Page, Route
from study_files import cost, sampling, unbiasedness
from versions import compared, version

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.versioning import read_data_hash
from bakeoff.data.validate.gx import Runner, check, gxe
from bakeoff.ops.drift import command as drift_command
from bakeoff.ops.drift.distributions import Feature
from bakeoff.ops.drift.expectations import Drift, DriftFinding
from bakeoff.ops.promotion import decide as sheet
from bakeoff.ops.promotion.decision import Decision, DecisionOutcome, DecisionSide, Guardrail, PrimaryComparison
from bakeoff.ops.revisions import command as revision_sheet
from bakeoff.ops.revisions.revisions import Revisions
from bakeoff.report.render.pages import code
from bakeoff.report.render.study_page import study_html
from bakeoff.report.study import read_study
from bakeoff.report.topics.explore import map_spec

pytestmark = pytest.mark.browser

PATIENCE = 60_000
"""Milliseconds: the machine may be busy."""


@dataclass
class Watched:
    """A page and all that it did beyond showing text."""

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def watch(browser: Browser, file: Path) -> Watched:
    # Without the policy of the page: what is escaped needs no second line of defence.
    page = browser.new_context(bypass_csp=True).new_page()
    page.set_default_timeout(PATIENCE)
    watched = Watched(page)

    def only_the_file(route: Route) -> None:
        if route.request.url.startswith("data:") or route.request.url.split("#")[0] == file.as_uri():
            route.continue_()
        else:
            watched.requests.append(route.request.url)
            route.abort()

    page.route("**/*", only_the_file)
    page.on("console", lambda message: watched.console.append(message.text))
    page.on("pageerror", lambda error: watched.console.append(str(error)))
    page.on("dialog", lambda dialog: (watched.dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(file.as_uri())
    return watched


FOREIGN = (
    "img, iframe, object, embed, base, form:not(.vega-bindings), "  # Vega makes a form of its own
    "[onerror], [onload], [onmouseover], [href^='javascript']"
)


def did_nothing(watched: Watched) -> None:
    page = watched.page
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert (watched.dialogs, watched.requests, watched.console) == ([], [], [])
    assert page.locator(FOREIGN).count() == 0


@pytest.fixture(scope="module")
def pages(browser: Browser, hostile_report: Path) -> Iterator[dict[str, Watched]]:
    opened = {name: watch(browser, hostile_report / f"{name}.html") for name in ("index", "evidence")}
    for watched in opened.values():
        watched.page.wait_for_selector("html[data-charts=drawn]", state="attached")
    yield opened
    for watched in opened.values():
        watched.page.context.close()


def test_hostile_texts_in_the_report_are_shown_and_do_not_run(pages: dict[str, Watched]) -> None:
    text = ""
    for name, places in (
        ("index", ("header", "#data", "#examples")),
        ("evidence", ("header", "#map")),
    ):
        page = pages[name].page
        page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
        text += page.locator("body").inner_text()
        for place in places:
            assert "window.hacked=1" in page.locator(place).inner_text(), place
        did_nothing(pages[name])
    assert "<img src=http://evil.example/x onerror=window.hacked=1>" in text
    assert "{{7*7}}" in text


def test_a_hostile_title_can_be_found_chosen_and_pointed_at(pages: dict[str, Watched]) -> None:
    page = pages["evidence"].page
    page.locator("#explore-map[data-drawn=true]").wait_for()
    told = tooltip(page, "#explore-map")
    assert "onerror=window.hacked=1" in told
    page.locator("#explore-query").fill("onerror=window.hacked")
    page.locator("#explore-results button").first.click()
    assert "<img src=http://evil.example/x" in page.locator("#explore-chosen").inner_text()
    did_nothing(pages["evidence"])


def tooltip(page: Page, place: str) -> str:
    """What shows over the first mark that is not covered by another."""
    shown = page.locator("#vg-tooltip-element.visible")
    page.locator(place).scroll_into_view_if_needed()
    for mark in page.locator(f"{place} .mark-symbol path").all():
        box = mark.bounding_box()
        if box is None:
            continue
        page.mouse.move(0, 0)
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=2)
        page.wait_for_timeout(30)
        if shown.count():
            return shown.inner_text()
    return ""


def test_only_scripts_of_the_page_may_run_even_if_one_got_in(hostile_report: Path, browser: Browser, tmp_path: Path):
    html = (hostile_report / "index.html").read_text(encoding="utf-8")
    planted = tmp_path / "planted.html"
    evil = (
        "<script>window.hacked=1</script><svg onload='window.hacked=1'></svg>"
        "<a id=evil href='javascript:window.hacked=1'>x</a>"
    )
    planted.write_text(html.replace("<main>", f"<main>{evil}", 1), encoding="utf-8")
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(planted.as_uri())
    page.wait_for_selector("html[data-charts=drawn]", state="attached")  # the page's own do
    page.evaluate("document.getElementById('evil').click()")
    assert page.evaluate("typeof window.hacked") == "undefined"
    page.close()


@pytest.mark.parametrize("feature", ["image", "title"])
def test_no_feature_is_taken_for_a_picture_in_a_tooltip(feature: str) -> None:
    # vega-tooltip would fetch what the field `image` names.
    names = [field.get("title") for field in map_spec(["a", "other"], feature)["layer"][0]["encoding"]["tooltip"]]
    assert names == [None, f"column {feature}"]


@pytest.fixture(scope="module")
def revisions() -> Revisions:
    before = version(
        "v1<b>x</b>|`y`", {"mf": [0.1, 0.2] * 9}, params={"data": {MARKUP: MARKUP, f"x{MARKUP}": 1}, "mf": {"dim": 32}}
    )
    after = version("workspace", {"mf": [0.2, 0.2] * 9}, params={"data": {MARKUP: [MARKUP]}}, data_hash=MARKUP)
    return compared(before, after)


def test_hostile_versions_are_shown_and_do_not_run(browser: Browser, tmp_path: Path, revisions: Revisions) -> None:
    (tmp_path / "revisions.html").write_text(revision_sheet.pages(revisions)["html"], encoding="utf-8")
    shown_only(browser, tmp_path / "revisions.html")


def test_a_hostile_study_is_shown_and_does_not_run(browser: Browser, tmp_path: Path) -> None:
    told = sampling() | {"sentence": MARKUP}
    told["variants"] = [each | {"label": f"{each['label']} {MARKUP}"} for each in told["variants"]]
    world = unbiasedness() | {"world": {MARKUP: MARKUP}}
    page = study_html(read_study(told, cost(), world, {"title": MARKUP}))
    (tmp_path / "sampling.html").write_text(page, encoding="utf-8")
    shown_only(browser, tmp_path / "sampling.html")


@pytest.fixture(scope="module")
def drift() -> Drift:
    bins = ["<script>hacked=1</script>", "var(--none)", "</svg><img src=x>", "'\"\\", "a&b"]
    moved = DriftFinding("users", FEATURE, f"{FEATURE}: is as before", "warning", False, 0.5, 0.1, MARKUP)
    feature = Feature("users", FEATURE, FEATURE, bins, np.full(5, 0.2), np.array([2, 1, 1, 1, 1]), 5)
    return Drift(MARKUP, "abc", [moved], [(feature, moved)], [MARKUP])


EVENTS = (pd.Series([3, 4], [1, 2]), pd.Series([5, 4], [2, 3]))


def test_hostile_data_that_have_drifted_are_shown_and_do_not_run(
    browser: Browser, tmp_path: Path, drift: Drift
) -> None:
    (tmp_path / "drift.html").write_text(drift_command.pages(drift, EVENTS)["html"], encoding="utf-8")
    shown_only(browser, tmp_path / "drift.html")


def test_markdown_of_drift_holds_no_live_markup(drift: Drift) -> None:
    is_plain(drift_command.pages(drift, EVENTS)["md"])


def test_pictures_of_drift_are_only_pictures(drift: Drift) -> None:
    pictures = re.findall(r'<svg aria-hidden="true" .*?</svg>', drift_command.pages(drift, EVENTS)["html"], re.DOTALL)
    assert len(pictures) == 2
    for picture in pictures:
        is_picture(picture)
    assert "var(--none)" in pictures[1]  # a value that looks like a colour of the page


@pytest.fixture(scope="module")
def decision() -> Decision:
    """A person's reason, a revision's name and hashes are text from elsewhere."""
    rail = Guardrail("new_user_loss", 0.1, 0.2, 0.1, 0.05, False, MARKUP)
    primary = PrimaryComparison("ndcg@10", 0.2, 0.2, 0.0, -0.01, 0.01, 0.5, 90, 0.0, 0.95)
    champion = DecisionSide("mf", MARKUP, MARKUP, MARKUP, MARKUP, 10)
    challenger = DecisionSide("softmax", MARKUP, data_md5=MARKUP)
    return Decision(DecisionOutcome.HOLD, challenger, champion, primary, [rail], [MARKUP, MARKUP])


def test_a_hostile_decision_is_shown_and_does_not_run(browser: Browser, tmp_path: Path, decision: Decision) -> None:
    (tmp_path / "decision.html").write_text(sheet.pages(decision)["html"], encoding="utf-8")
    shown_only(browser, tmp_path / "decision.html")


def test_markdown_of_a_decision_holds_no_live_markup(decision: Decision) -> None:
    is_plain(sheet.pages(decision)["md"])


def shown_only(browser: Browser, file: Path) -> None:
    watched = watch(browser, file)
    if watched.page.locator("#specs").count():
        watched.page.wait_for_selector("html[data-charts=drawn]", state="attached")
    watched.page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    assert "window.hacked=1" in watched.page.locator("main").inner_text()
    did_nothing(watched)
    watched.page.context.close()


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data Docs of a table whose names and values are hostile."""
    hostile = [MARKUP, f"\" onclick='window.hacked=1' {MARKUP}", None]
    frame = pd.DataFrame({"user_id": hostile, FEATURE: hostile, f"unreadable {FEATURE}": hostile})
    found = Runner()
    suite = [
        check(gxe.ExpectColumnValueLengthsToBeBetween, "Ids are short", "long", column="user_id", max_value=9),
        check(gxe.ExpectColumnValuesToNotBeNull, f"The {FEATURE} of every row is given", "empty", column=FEATURE),
        check(gxe.ExpectColumnValuesToBeNull, f"Every {FEATURE} is a number", "none", column=f"unreadable {FEATURE}"),
    ]
    assert [len(outcome.rows) for outcome in found.judge("users", suite, [frame])] == [2, 1, 2]
    directory = tmp_path_factory.mktemp("docs")
    found.build_docs(directory)
    return directory


def test_hostile_values_in_the_data_docs_are_shown_and_do_not_run(browser: Browser, docs: Path) -> None:
    pages = [page for page in docs.rglob("*.html") if "hacked" in page.read_text(encoding="utf-8")]
    assert len(pages) == 2
    suite, run = sorted((text_of(browser, page) for page in pages), key=len)
    for text in (suite, run):
        assert f"The {FEATURE} of every row is given" in text
    assert "<img src=http://evil.example/x onerror=window.hacked=1>" in run


def text_of(browser: Browser, file: Path) -> str:
    """Text of a page of the Data Docs, which has its styles from elsewhere, after nothing ran."""
    page = browser.new_page()
    asked: list[str] = []
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri(), wait_until="domcontentloaded")
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert not [url for url in asked if "evil" in url]
    assert page.locator("[onerror], [onclick*=hacked], [onmouseover], img[src*=evil]").count() == 0
    text = page.locator("body").text_content() or ""
    page.close()
    return text


MARKDOWN = ["comparison.md", "evidence.md", *(f"cards/{name}.md" for name in ("mf", "softmax", "two_tower", "ease"))]


@pytest.mark.parametrize("name", MARKDOWN)
def test_markdown_holds_no_live_markup(hostile_report: Path, name: str) -> None:
    is_plain((hostile_report / name).read_text(encoding="utf-8"))


def test_markdown_of_revisions_holds_no_live_markup(revisions: Revisions) -> None:
    is_plain(revision_sheet.pages(revisions)["md"])


def is_plain(text: str) -> None:
    """Whether Markdown that shows hostile text is made of nothing but what its template has."""
    fences = text.split("\n```")
    assert len(fences) % 2 == 1, "a block of code is ended by what it holds"
    bare = re.sub(r"`[^`\n]*`", "", re.sub(r"\\.", "", "\n".join(fences[::2])))
    assert not re.search(r"<[a-z/!]", bare, re.IGNORECASE)
    assert not re.search(r"\]\((?!comparison\.svg)", bare)
    assert not re.search(r"[\r\u2028\x1b]|^\s*# Evil|^=1", text, re.MULTILINE)
    tables = [block.strip().split("\n") for block in bare.split("\n\n") if block.startswith("|")]
    assert tables
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)


def test_code_in_markdown_is_ended_by_nothing_in_it() -> None:
    assert code("a`b``c\n# d\u2028e") == "`a'b''c # d e`"


@pytest.mark.parametrize("text", ["[" * 5000, "!!python/name:os.system x", "a: 2001-99-99", "- \x00"])
def test_a_record_of_data_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BakeoffError, match=r"data\.dvc"):
        read_data_hash(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "[]",
        "&a [*a]",
        "outs: 1",
        "outs: &a [*a]",
        "outs: [1, null, [md5]]",
        "outs: {md5: 1}",
        "outs:\n- md5x: 1",
    ],
)
def test_a_record_without_a_hash_has_none(text: str) -> None:
    assert read_data_hash(text) is None


def test_pictures_are_only_pictures(hostile_report: Path) -> None:
    is_picture((hostile_report / "comparison.svg").read_text(encoding="utf-8"))


DRAWN = {"svg", "g", "path", "text", "tspan", "line", "rect", "defs", "clipPath"}


def is_picture(svg: str) -> None:
    """Whether SVG is well-formed and holds nothing that runs or is fetched."""
    for element in ElementTree.fromstring(svg).iter():
        assert element.tag.rpartition("}")[2] in {
            "svg",
            "g",
            "path",
            "text",
            "tspan",
            "line",
            "rect",
            "defs",
            "clipPath",
        }
        assert not [name for name in element.attrib if name.startswith("on") or name.endswith("href")]


@pytest.mark.parametrize(("name", "data"), [("index", {"specs"}), ("evidence", {"specs", "explore-data"})])
def test_data_in_the_page_is_data(hostile_report: Path, name: str, data: set[str]) -> None:
    html = (hostile_report / f"{name}.html").read_text(encoding="utf-8")
    blocks = re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', html, re.DOTALL)
    assert {name for name, _ in blocks} == data
    assert all(json.loads(content) for _, content in blocks)
    assert not any(set("<>&'") & set(content) for _, content in blocks)
