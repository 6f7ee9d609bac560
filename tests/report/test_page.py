import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from synthetic import HOSTILE_TITLE, NOISE

from bakeoff.report.evidence import Evidence
from bakeoff.report.render import gallery, page
from bakeoff.report.render.figure import Figure
from bakeoff.report.render.pages import glossary, keep_units
from bakeoff.report.summary import Summary
from bakeoff.report.topics import explore, growth


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
def ids(html: str) -> Ids:
    parser = Ids()
    parser.feed(html)
    return parser


def test_markup_in_a_title_is_escaped(html: str):
    assert "&lt;script&gt;alert(" in html
    assert HOSTILE_TITLE not in html
    assert "<i>shop</i>" not in html


def test_it_is_smaller_than_three_megabytes(report: Path):
    assert report.stat().st_size < 3_000_000


def test_nothing_is_loaded_from_elsewhere(html: str):
    assert not re.search(r"""(?:src|href)\s*=\s*["']https?://[^"']+\.(?:js|css|woff2?)""", html)
    assert "default-src 'none'" in html


def test_sections_come_in_groups_and_each_once():
    listed = [key for titles in page.CONTENTS.values() for key in titles]
    assert listed == list(page.SECTIONS)
    assert len(listed) == len(set(listed))


def test_every_section_is_in_the_contents(ids: Ids):
    assert set(page.SECTIONS) <= ids.targets
    assert set(page.SECTIONS) <= set(ids.ids)


def test_every_link_within_the_page_has_a_target(ids: Ids):
    assert ids.targets <= set(ids.ids)


def test_no_id_is_given_twice(ids: Ids):
    assert len(ids.ids) == len(set(ids.ids))


def test_every_term_of_the_glossary_is_explained(ids: Ids, summary: Summary):
    assert {f"term-{key}" for key in glossary(summary.models)} <= set(ids.ids)


def test_every_term_of_the_glossary_is_linked_somewhere(ids: Ids, summary: Summary):
    assert {f"term-{key}" for key in glossary(summary.models)} <= ids.targets


@pytest.mark.parametrize(
    ("section", "terms"),
    [
        ("new-users", {"new-user", "fold-in"}),
        ("folding", {"folding", "spurious", "unobserved-weight", "logq", "in-batch"}),
        ("growth", {"exponent", "p95"}),
    ],
)
def test_terms_are_linked_where_they_are_used(html: str, section: str, terms: set[str]):
    shown = html[html.index(f'<section id="{section}"') :].partition("</section>")[0]
    assert terms <= set(re.findall(r'href="#term-([^"]+)"', shown))


def test_headings_of_the_folding_tables_explain_themselves(html: str):
    section = html[html.index('<section id="folding"') :].partition("</section>")[0]
    linked = re.findall(r'<th scope="col"><a [^>]+>([^<]+)</a>', section)
    assert {"Folding", "Foreign items (off-group@10)", "Foreign items (spurious@10)"} <= set(linked)


def test_the_chart_library_is_embedded_once(html: str):
    assert html.count("window.vegaEmbed=") == 1


def test_the_fallback_and_the_weakness_of_the_split_are_said(html: str, evidence: Evidence):
    assert "MF has a fallback:" in html
    assert str(evidence.split["weakness"]) in html


@pytest.fixture(scope="module")
def figures(summary: Summary) -> dict[str, Figure]:
    return gallery.all_figures(summary)


def test_every_model_is_in_every_chart_that_compares_all(figures: dict[str, Figure]):
    for key in ("accuracy", "slices", "new-users", "profile", "order", "by-item", "by-user", "sampled", "serving"):
        text = json.dumps(figures[key].spec)
        assert all(f"var(--{name})" in text for name in NOISE), key
    for key in ("folding-own", "new-items", "scorer"):
        text = json.dumps(figures[key].spec)
        assert all(f"var(--{name})" in text for name in ("popularity", "ease", "mf", "softmax")), key


def test_the_sentence_on_accuracy_is_about_the_metrics_that_are_drawn(summary: Summary):
    """MF leads in the first 10 that the chart shows, the softmax DNN in all longer lists."""
    estimates = [
        replace(e, mean=1.0 if e.model == ("mf" if e.metric.endswith("@10") else "softmax") else 0.0)
        for e in summary.estimates
    ]
    assert len({e.metric for e in estimates}) > len({e.metric for e in estimates if e.metric.endswith("@10")})
    figure = gallery.accuracy_figure(replace(summary, estimates=estimates))
    assert figure.sentence.startswith("MF has the highest mean on every metric.")


def test_every_chart_has_a_sentence_an_alternative_and_a_table(figures: dict[str, Figure]):
    for key, figure in figures.items():
        assert figure.sentence.endswith("."), key
        assert figure.alt.endswith("."), key
        assert figure.table.rows, key
        assert all(len(row) == len(figure.table.columns) for row in figure.table.rows), key


def test_every_table_has_a_caption_of_its_own(html: str):
    captions = re.findall(r'<caption><span id="[^"]+">([^<]+)</span>', html)
    assert len(captions) == len(set(captions))


def test_every_figure_of_a_section_has_a_section_to_stand_in(figures: dict[str, Figure]):
    assert {figure.section for figure in figures.values()} - {""} <= set(page.SECTIONS)


def test_every_specification_has_a_place_of_its_own(figures: dict[str, Figure], ids: Ids):
    places = [place for figure in figures.values() for place in figure.specs()]
    assert len(places) == len(set(places))
    assert {f"chart-{place}" for place in places} <= set(ids.ids)


def test_every_claim_and_every_part_has_a_row_with_its_outcome(html: str, summary: Summary):
    table = html[html.index('<table class="claims">') :].partition("</table>")[0]
    outcomes = re.findall(r'class="badge [^"]+">([^<]+)<', table)
    expected = []
    for claim in summary.claims:
        expected += [str(claim.outcome), *(str(part.outcome) for part in claim.parts)]
    assert outcomes == expected


def test_the_map_has_its_items_its_models_and_the_nearest_items_without_script(html: str, summary: Summary):
    assert summary.findings.of(explore.TOPIC) is not None
    section = html[html.index('<section id="map"') :].partition("</section>")[0]
    assert section.count('name="explore-model"') == 4
    lists = section[section.index('id="explore-lists"') :]
    assert lists.count("<li>") == 4 * 10
    assert 'id="explore-data"' in html


def test_models_without_a_map_are_named_with_the_reason(html: str):
    section = html[html.index('<section id="map"') :].partition("</section>")[0]
    assert "Not shown: Popularity, Recent popularity. Item embeddings of one dimension" in section


def test_data_of_the_map_can_not_end_its_element(html: str):
    data = html[html.index('id="explore-data">') :].partition("</script>")[0]
    assert "<" not in data.partition(">")[2]


def test_without_embeddings_the_map_says_so(summary: Summary, evidence: Evidence):
    html = page.report_html(replace(summary, findings=summary.findings.without(explore.TOPIC)), evidence)
    assert "No model has item embeddings to show." in html
    assert 'id="explore-data"' not in html


def test_without_records_of_a_search_there_is_no_section_on_tuning(summary: Summary, evidence: Evidence):
    html = page.report_html(replace(summary, searches=[], effort=[]), evidence)
    assert 'id="tuning"' not in html
    assert "#tuning" not in html


def test_a_skipped_model_is_named_once_with_its_reason(summary: Summary, evidence: Evidence):
    html = page.report_html(summary, replace(evidence, skipped={"ease": "The catalogue is too large."}))
    assert html.count("EASE was left out.") == html.count("The catalogue is too large.") == 1


def test_what_the_mask_caught_is_said_of_the_models_with_sampled_negatives(html: str):
    assert re.findall(r"<strong>([^<]+):</strong> the <a [^>]+>mask[^<]+</a> removed ([\d.]+)", html) == [
        ("Softmax DNN", "1.23"),
        ("Two-tower", "3.45"),
    ]


def test_the_same_evidence_gives_the_same_bytes(summary: Summary, evidence: Evidence, html: str):
    assert page.report_html(summary, evidence) == html


def test_the_time_of_one_fit_is_told_from_that_of_a_stage(summary: Summary, evidence: Evidence, html: str):
    said = "Training time by size of the data is that of one fit alone"
    assert html.count(said) == 1
    without = replace(summary, findings=summary.findings.without(growth.TOPIC))
    assert said not in page.report_html(without, evidence)


def test_pages_that_a_run_does_not_write_are_named_and_not_linked(html: str):
    section = html[html.index('<section id="since"') :].partition("</section>")[0]
    assert re.findall(r'href="([^"#]+)"', section) == ["revisions.html"]
    assert "<code>decision/decision.html</code>" in section
    assert "<code>drift/drift.html</code>" in section


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


def test_making_reports_does_not_load_tensorflow():
    code = "import sys, bakeoff.stages.compare, bakeoff.report.render.terminal; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
