import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from synthetic import NOISE

from bakeoff.report.evidence import Evidence
from bakeoff.report.models import look, model_label
from bakeoff.report.render import page as markdown
from bakeoff.report.render.pages import escape
from bakeoff.report.summary import JudgedClaims, Summary


@pytest.fixture
def text(summary: Summary, evidence: Evidence) -> str:
    return markdown.comparison_markdown(summary, evidence)


@pytest.fixture
def claims_text(judged: JudgedClaims, evidence: Evidence) -> str:
    return markdown.evidence_markdown(judged, evidence)


def test_the_verdict_comes_first(text: str):
    assert text.splitlines()[2].startswith("**The softmax DNN is better than MF on NDCG@10.**")


def test_no_measured_seconds_stand_in_it(text: str, claims_text: str):
    assert not re.search(r"\d (s|min|MB|GB)\b", text + claims_text)


def test_every_row_of_a_table_has_as_many_cells_as_its_head(text: str, claims_text: str):
    tables, claims = (re.findall(r"(?:^\|.*\n)+", found, re.MULTILINE) for found in (text, claims_text))
    assert (len(tables), len(claims)) == (5, 1)
    tables += claims
    for table in tables:
        assert len({row.count(" | ") for row in table.splitlines()}) == 1


def test_nothing_is_bold_in_a_table_but_what_a_test_shows(text: str):
    rows = [row for row in text.splitlines() if row.startswith("|")]
    assert set(re.findall(r"\*\*(.+?)\*\*", "\n".join(rows))) == {"softmax better"}


def test_every_model_has_a_row_among_means_standings_and_new_users(text: str):
    for name in NOISE:
        assert text.count(f"| {model_label(name)} ") >= 3, name


def test_the_record_of_the_search_is_in_it(text: str):
    assert "| MF | 20 (5 pruned, 1 failed) | 600 | 0.1947 |" in text


def test_a_skipped_model_is_named_with_its_reason_once(summary: Summary, evidence: Evidence):
    skipped = replace(evidence, skipped={"ease": "The catalogue is too large."})
    assert markdown.comparison_markdown(summary, skipped).count("EASE was left out. The catalogue is too large.") == 1


def test_the_fallback_is_said(text: str):
    assert "its fallback" in text


def test_markup_in_a_title_is_escaped(text: str):
    assert r"Invented \<i\>shop\</i\>" in text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("Fast &amp; Furious", r"Fast \&amp; Furious"),
        ("~~all~~ that", r"\~\~all\~\~ that"),
        ("$100$ a day", r"\$100\$ a day"),
        ("a | b\n# c", r"a \| b # c"),
        ("ask @somebody in #1", "ask @\N{WORD JOINER}somebody in #\N{WORD JOINER}1"),
        ("see a/b#12 and GH-3", "see a/b#\N{WORD JOINER}12 and GH-\N{WORD JOINER}3"),
        ("NDCG@10 of a@b.example @ C# #", "NDCG@10 of a@b.example @ C# #"),
    ],
)
def test_no_text_is_markup_a_formula_a_mention_or_an_issue(text: str, escaped: str):
    assert escape(text) == escaped


def test_validation_split_and_hashes_are_named(text: str, summary: Summary):
    assert "Validation passed; in quarantine: 3 of" in text
    assert "2 of 2 promises kept" in text
    assert summary.provenance.params_hash[:12] in text
    assert "0123456789abcdef0123456789abcdef.dir" in text


def test_every_claim_has_a_row_with_the_parts_that_held_and_one_seed_is_said(claims_text: str, judged: JudgedClaims):
    assert claims_text.startswith("# The textbook's claims: Invented")
    assert [row.split(" | ")[0].removeprefix("| ") for row in claims_text.splitlines() if row.startswith("| ")][
        -len(judged.claims) :
    ] == [claim.title for claim in judged.claims]
    assert "with one seed" in claims_text


def test_it_names_the_command_that_judges_the_claims(text: str):
    assert "`bakeoff run --evidence`" in text


def test_it_is_short_enough_for_a_pull_request(text: str):
    assert len(text.splitlines()) < 90


def test_it_shows_a_picture_that_needs_no_page_around_it(summary: Summary, text: str):
    assert f"]({markdown.PICTURE})" in text
    picture = ElementTree.fromstring(markdown.comparison_picture(summary))
    drawn = ElementTree.tostring(picture, encoding="unicode")
    assert "var(" not in drawn
    for name in summary.models:
        assert model_label(name) in drawn
        assert look(name).light in drawn
