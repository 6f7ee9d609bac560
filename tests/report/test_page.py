import json
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markupsafe import escape
from synthetic import HOSTILE_TITLE, NOISE

from bakeoff.core.workspace import Workspace
from bakeoff.params import Params
from bakeoff.report.checks import judge_settings
from bakeoff.report.evidence import Evidence
from bakeoff.report.render import gallery, page
from bakeoff.report.render.figure import Figure
from bakeoff.report.render.pages import glossary, keep_units
from bakeoff.report.summary import JudgedClaims, Summary
from bakeoff.report.topics.base.topic import Page
from bakeoff.report.training import searches


class Ids(HTMLParser):
    """Collects ids and the anchors that links point to."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"]] if values.get("id") else []
        if tag == "a" and (values.get("href") or "").startswith("#"):
            self.targets.add((values["href"] or "")[1:])


@pytest.fixture(scope="module")
def html(report: Path) -> str:
    return report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def claims_html(evidence_page: Path) -> str:
    return evidence_page.read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=list(Page))
def each(request: pytest.FixtureRequest) -> Page:
    """Both pages, one after the other."""
    return request.param


@pytest.fixture(scope="module")
def text(workspace: Workspace, each: Page) -> str:
    return (workspace.reports / each).read_text(encoding="utf-8")


def ids_of(text: str) -> Ids:
    parser = Ids()
    parser.feed(text)
    return parser


@pytest.fixture(scope="module")
def ids(text: str) -> Ids:
    return ids_of(text)


def sections(page_of: Page) -> list[str]:
    return [topic.section for topic in page.sections(page_of)]


def test_markup_in_a_title_is_escaped(html: str):
    assert "&lt;script&gt;alert(" in html
    assert HOSTILE_TITLE not in html
    assert "<i>shop</i>" not in html


def test_it_is_smaller_than_three_megabytes(text: str):
    assert len(text.encode()) < 3_000_000


def test_nothing_is_loaded_from_elsewhere(text: str):
    assert not re.search(r"""(?:src|href)\s*=\s*["']https?://[^"']+\.(?:js|css|woff2?)""", text)
    assert "default-src 'none'" in text


def test_each_section_is_on_one_page_and_both_have_a_glossary(ids: Ids):
    listed = [key for each in Page for key in sections(each)]
    assert len(listed) == len(set(listed))
    assert "glossary" in ids.ids


def test_every_section_is_in_the_contents(ids: Ids, each: Page):
    assert set(sections(each)) <= ids.targets
    assert set(sections(each)) <= set(ids.ids)


def test_each_page_leads_to_the_other_and_one_seed_is_said(html: str, claims_html: str, evidence_page: Path):
    assert 'href="evidence.html"' in html
    assert "<code>bakeoff run --evidence</code>" in html
    linked = set(re.findall(r'href="index\.html#([\w-]+)"', claims_html))
    assert {"accuracy", "when", "popularity", "new-users"} == linked
    assert linked <= set(ids_of(html).ids)
    assert all("one seed" in re.sub(r"<[^>]+>", "", page).lower() for page in (html, claims_html))


def test_every_link_within_the_page_has_a_target(ids: Ids):
    assert ids.targets <= set(ids.ids)


def test_no_id_is_given_twice(ids: Ids):
    assert len(ids.ids) == len(set(ids.ids))


def test_every_term_that_is_linked_and_no_other_is_explained(ids: Ids):
    terms, explained = ({key for key in found if key.startswith("term-")} for found in (ids.targets, ids.ids))
    assert terms == explained


def test_every_term_of_the_glossary_is_linked_somewhere(html: str, claims_html: str, summary: Summary):
    assert {f"term-{key}" for key in glossary(summary.models)} <= ids_of(html).targets | ids_of(claims_html).targets


@pytest.mark.parametrize(
    ("section", "terms"),
    [
        ("features", {"fold-in"}),
        ("folding", {"folding", "spurious", "unobserved-weight", "logq", "in-batch"}),
        ("growth", {"exponent", "p95"}),
    ],
)
def test_terms_are_linked_where_they_are_used(claims_html: str, section: str, terms: set[str]):
    shown = claims_html[claims_html.index(f'<section id="{section}"') :].partition("</section>")[0]
    assert terms <= set(re.findall(r'href="#term-([^"]+)"', shown))


def test_headings_of_the_folding_tables_explain_themselves(claims_html: str):
    section = claims_html[claims_html.index('<section id="folding"') :].partition("</section>")[0]
    linked = re.findall(r'<th scope="col"><a [^>]+>([^<]+)</a>', section)
    assert {"Folding", "Foreign items (off-group@10)", "Foreign items (spurious@10)"} <= set(linked)


def test_the_chart_library_is_embedded_once(text: str):
    assert text.count("window.vegaEmbed=") == 1


def test_the_fallback_and_the_weakness_of_the_split_are_said(html: str, evidence: Evidence):
    assert "MF has a fallback:" in html
    assert str(evidence.split["weakness"]) in html


@pytest.fixture(scope="module")
def figures(summary: Summary, judged: JudgedClaims) -> dict[str, Figure]:
    """Of both pages."""
    return gallery.all_figures(summary) | dict(judged.figures)


def test_every_model_is_in_every_chart_that_compares_all(figures: dict[str, Figure]):
    for key in ("accuracy", "slices", "new-users", "profile", "by-item", "by-user", "sampled", "serving"):
        text = json.dumps(figures[key].spec)
        assert all(f"var(--{name})" in text for name in NOISE), key
    for key in ("folding-own", "new-items", "scorer"):
        text = json.dumps(figures[key].spec)
        assert all(f"var(--{name})" in text for name in ("popularity", "ease", "mf", "softmax")), key


def test_the_sentence_on_accuracy_is_about_the_metrics_that_are_drawn(summary: Summary):
    """MF leads in the first 10 that the chart shows, the softmax DNN in all longer lists."""
    found = summary.estimates
    is_drawn = found.metric.str.endswith("@10")
    assert found.metric.nunique() > found.metric[is_drawn].nunique()
    leader = is_drawn.map({True: "mf", False: "softmax"})
    figure = gallery.accuracy_figure(replace(summary, estimates=found.assign(mean=(found.model == leader) * 1.0)))
    assert figure.sentence.startswith("MF has the highest mean on every metric.")


def test_every_chart_has_a_sentence_an_alternative_and_a_table(figures: dict[str, Figure]):
    for key, figure in figures.items():
        assert figure.sentence.endswith("."), key
        assert figure.alt.endswith("."), key
        assert figure.table.rows, key
        assert all(len(row) == len(figure.table.columns) for row in figure.table.rows), key


def test_every_table_has_a_caption_of_its_own(text: str):
    captions = re.findall(r'<caption><span id="[^"]+">([^<]+)</span>', text)
    assert len(captions) == len(set(captions))


def test_every_figure_of_a_section_has_a_section_to_stand_in(figures: dict[str, Figure]):
    assert {figure.section for figure in figures.values()} - {""} <= {key for each in Page for key in sections(each)}


def test_every_specification_has_a_place_of_its_own(figures: dict[str, Figure], html: str, claims_html: str):
    places = [place for figure in figures.values() for place in figure.specs()]
    assert len(places) == len(set(places))
    shown = [place for place in ids_of(html).ids + ids_of(claims_html).ids if place.startswith("chart-")]
    assert sorted(shown) == sorted(f"chart-{place}" for place in places)


def test_every_claim_and_every_part_has_a_row_with_its_outcome(claims_html: str, judged: JudgedClaims):
    section = claims_html[claims_html.index('<section id="claims"') :].partition("</section>")[0]
    outcomes = re.findall(r'class="badge [^"]+">([^<]+)<', section)
    expected = []
    for claim in judged.claims:
        expected += [str(claim.outcome), *(str(part.outcome) for part in claim.parts)]
    assert outcomes == expected


def test_the_map_has_its_items_its_models_and_the_nearest_items_without_script(claims_html: str, judged: JudgedClaims):
    assert judged.explorer is not None
    section = claims_html[claims_html.index('<section id="map"') :].partition("</section>")[0]
    assert section.count('name="explore-model"') == 4
    lists = section[section.index('id="explore-lists"') :]
    assert lists.count("<li>") == 4 * 10
    assert 'id="explore-data"' in claims_html


def test_models_without_a_map_are_named_with_the_reason(claims_html: str):
    section = claims_html[claims_html.index('<section id="map"') :].partition("</section>")[0]
    assert "Not shown: Popularity, Recent popularity. Item embeddings of one dimension" in section


def test_data_of_the_map_can_not_end_its_element(claims_html: str):
    data = claims_html[claims_html.index('id="explore-data">') :].partition("</script>")[0]
    assert "<" not in data.partition(">")[2]


def test_without_embeddings_the_map_says_so(judged: JudgedClaims, evidence: Evidence):
    html = page.evidence_html(replace(judged, explorer=None), evidence)
    assert "No model has item embeddings to show." in html
    assert 'id="explore-data"' not in html


def test_without_records_of_a_search_nothing_is_said_of_tuning(summary: Summary, evidence: Evidence, html: str):
    assert "Best setting so far" in html
    assert "Best setting so far" not in page.report_html(replace(summary, searches=[]), evidence)


def test_lists_that_may_hold_what_the_user_had_are_not_said_to_leave_it_out(
    summary: Summary, evidence: Evidence, html: str
):
    assert "without the items that the user has had" in html
    repeated = page.report_html(replace(summary, keep_repeats=True), evidence)
    assert "without the items that the user has had" not in repeated


def test_what_terms_say_of_the_split_holds_of_one_at_random():
    meanings = [glossary([])[term][1] for term in ("validation", "test", "warm-user")]
    assert not any(word in meaning for word in ("last events", "just before", "earlier") for meaning in meanings)


def test_a_title_reads_in_its_own_direction(html: str, claims_html: str, summary: Summary):
    """A browser would set `שלום (1999)` as `(1999) שלום` among words that read from left to right."""
    for example in summary.examples:
        for title in (*example.history, *(title for shown in example.lists for title, _ in shown.items)):
            assert f"<bdi>{escape(keep_units(title))}</bdi>" in html
    assert "Nearest items of <bdi>" in claims_html


def test_visits_have_a_table_where_they_were_asked(summary: Summary, evidence: Evidence, html: str):
    assert "table-visits" not in html
    asked = page.report_html(replace(summary, visits=summary.slices[:2]), evidence)
    assert "Each visit asked at its own time" in asked
    assert "Test visits" in asked
    assert "No model here reads when it is asked" in asked
    reads = page.report_html(replace(summary, visits=summary.slices[:2], reads_time=True), evidence)
    assert "No model here reads when it is asked" not in reads


def test_what_one_seed_does_not_show_leads_to_where_more_was_measured(summary: Summary, evidence: Evidence):
    alone = page.report_html(replace(summary, links={}), evidence)
    assert "Every model was trained once" in alone
    assert "Measured elsewhere" not in alone
    linked = page.report_html(
        replace(summary, links={"5 seeds": "../bench.md", "<more>": "https://x.org/?a&b"}), evidence
    )
    first, more = (
        '<a href="../bench.md" rel="noreferrer">5 seeds</a>',
        '<a href="https://x.org/?a&amp;b" rel="noreferrer">',
    )
    assert f"Measured elsewhere: {first}; {more}&lt;more&gt;</a>." in linked


def test_without_new_users_and_time_the_page_says_so(summary: Summary, evidence: Evidence):
    html = page.report_html(replace(summary, slices=[], sessions=[], new_users=[]), evidence)
    assert "No users were held out of training." in html
    neither = "Events have no times, or test events precede known ones"  # as in a split at random, of data with times
    assert html.count(neither) == 2
    assert "there are no situations to tell apart" in html
    assert ids_of(html).targets <= set(ids_of(html).ids)


def test_a_skipped_model_is_named_once_with_its_reason(summary: Summary, evidence: Evidence):
    html = page.report_html(summary, replace(evidence, skipped={"ease": "The catalogue is too large."}))
    assert html.count("EASE was left out.") == html.count("The catalogue is too large.") == 1


def test_what_the_mask_caught_is_said_of_the_models_with_sampled_negatives(html: str):
    assert re.findall(r"<strong>([^<]+):</strong> the <a [^>]+>mask[^<]+</a> removed ([\d.]+)", html) == [
        ("Softmax DNN", "1.23"),
        ("Two-tower", "3.45"),
    ]


def test_the_same_evidence_gives_the_same_bytes(
    summary: Summary, judged: JudgedClaims, evidence: Evidence, html: str, claims_html: str
):
    assert page.report_html(summary, evidence) == html
    assert page.evidence_html(judged, evidence) == claims_html


def test_the_time_of_one_fit_is_told_from_that_of_a_stage(judged: JudgedClaims, evidence: Evidence, claims_html: str):
    said = "CPU time by size of the data is that of one fit alone"
    assert claims_html.count(said) == 1
    ungrown = replace(judged, figures={key: each for key, each in judged.figures.items() if key != "growth"})
    assert said not in page.evidence_html(ungrown, evidence)


def test_claims_on_models_whose_settings_were_not_chosen_alike_say_so(
    judged: JudgedClaims, evidence: Evidence, params: Params, claims_html: str
):
    said = "Outcomes on this page can be due to how settings were chosen"
    assert said not in claims_html
    untuned = replace(evidence, tuning={"mf": evidence.tuning["mf"]})
    failed = judge_settings(untuned, params, searches(untuned))
    assert [(check.number, check.state) for check in failed] == [("BK001", "failed"), ("BK002", "failed")]
    warned = replace(judged, failed=failed)
    for text in (page.evidence_html(warned, untuned), page.evidence_markdown(warned, untuned)):
        assert "The softmax DNN was never tuned. " + said in text
        assert text.count(said) == 2


def test_what_changed_since_the_last_version_is_a_page_of_its_own(html: str):
    section = html[html.index('<section id="data"') :].partition("</section>")[0]
    assert re.findall(r'href="([^"#]+)"', section) == ["https://example.org/invented", "revisions.html"]


def test_the_interval_of_the_small_picture_stays_on_its_line(summary: Summary):
    band = {key: float(value.rstrip("%")) for key, value in page.interval_band(summary.result).items()}
    assert 0 < band["zero"] < band["low"] < band["mean"] < band["low"] + band["width"] < 100


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("95 % of users", "95\N{NO-BREAK SPACE}% of users"),
        ("1 min 24 s for", "1\N{NO-BREAK SPACE}min 24\N{NO-BREAK SPACE}s for"),
        ("p < 0.001", "p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.001"),
        ("24 users", "24 users"),
    ],
)
def test_a_number_and_its_unit_stay_on_one_line(text: str, kept: str):
    assert keep_units(text) == kept


WITHOUT_TENSORFLOW = """
import sys
for name in [name for name in sys.modules if name.partition(".")[0] == "bakeoff"]:
    del sys.modules[name]
sys.modules["tensorflow"] = sys.modules["tf_keras"] = sys.modules["tensorflow_recommenders"] = None
import bakeoff.stages.compare, bakeoff.stages.evidence, bakeoff.report.render.terminal
"""
"""Imports Bakeoff anew, in a process that has all else at hand, where TensorFlow can't be imported."""


def test_making_reports_does_not_load_tensorflow(warm: str):
    done = subprocess.run([f"{warm}/warm-python", "-c", WITHOUT_TENSORFLOW], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
