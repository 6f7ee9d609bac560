"""A module in the folder of topics is a topic of the report: no list elsewhere names it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bakeoff.params import Params
from bakeoff.report import topics as package
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence
from bakeoff.report.render import page
from bakeoff.report.topics.base.topic import Page, judge_claims, section_notes, topic_figures, topics

STATISTICS = Statistics(confidence=0.95, resamples=100, seed=1)
MODULE = """
from bakeoff.report.render.figure import Figure, Table
from bakeoff.report.topics.base.claims import Claim, Words
from bakeoff.report.topics.base.judge import on_users
from bakeoff.report.topics.base.topic import Page, Topic

TOPIC = Topic(
    id="seasons",
    order=135,
    page=Page.REPORT,
    section="seasons",
    charts=lambda evidence, params, statistics: [
        Figure("seasons", f"{len(evidence.models)} models", "Chart.", "A sentence.", {}, Table("Seasons", [], []))
    ],
    group="Quality",
    title="Seasons",
    claim=Claim(11, "seasons", "Seasons", "words"),
    ask=lambda evidence, params: [
        on_users(evidence, Words("ndcg", "It is better", "NDCG@10"), ("softmax", "mf"), "ndcg@10")
    ],
    notes=lambda evidence: ["A note."],
)
"""


@pytest.fixture
def made_topic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "seasons.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    topics.cache_clear()
    yield
    topics.cache_clear()


@pytest.mark.usefixtures("made_topic")
def test_a_module_with_a_topic_is_taken_up_everywhere(evidence: Evidence, params: Params):
    figures = topic_figures(evidence, params, STATISTICS, Page.REPORT)
    [figure] = [figure for figure in figures.values() if figure.section == "seasons"]
    assert figure.title == f"{len(evidence.models)} models"
    assert section_notes(evidence, Page.REPORT)["seasons"] == ["A note."]
    assert [topic.section for topic in page.sections(Page.REPORT) if topic.group == "Quality"] == [
        "accuracy",
        "when",
        "popularity",
        "seasons",
        "new-users",
        "cost",
    ]
    assert "seasons" not in [topic.section for topic in page.sections(Page.EVIDENCE)]
    claim = judge_claims(evidence, params, STATISTICS)[-1]
    assert (claim.key, claim.link) == ("seasons", "index.html#seasons")


def test_ids_orders_and_numbers_of_claims_are_unique():
    found = topics()
    assert len({topic.id for topic in found}) == len({topic.order for topic in found}) == len(found)
    numbers = sorted(topic.claim.number for topic in found if topic.claim)
    assert numbers == list(range(1, 11))
