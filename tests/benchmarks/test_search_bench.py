"""Search in large catalogues: each system's times, as ratios of the bare product's, and the bar of one query."""

import pytest
import search
from search import APPROXIMATE, BARE, FLAT, PREFILTERED, PRODUCT, Case, markdown, measure


@pytest.fixture(autouse=True, scope="module")
def without_waiting():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(search, "SETTLING", 0)
        yield


@pytest.fixture(scope="module", params=[True, False], ids=["length one", "lengths differ"])
def rows(request):
    return measure(Case(600, 8, request.param), turns=1)


def test_every_system_answers_one_query_and_several(rows):
    assert [row["system"] for row in rows] == [BARE, PRODUCT, PREFILTERED, FLAT, APPROXIMATE]
    assert all(set(row["ms"]) == {"1", "4", "8"} for row in rows)
    assert search.LIST_LENGTH <= rows[2]["candidates"] < 100
    assert rows[-1]["lists"] == 49  # 2 √600


def test_of_the_answers_of_a_turn_the_first_does_not_count():
    asked = list[int]()
    times = search.answered(lambda queries, _: asked.append(len(queries)), [0, 0], [])
    assert asked == [2] * (search.ASKED + 1)
    assert len(times) == search.ASKED


def test_the_page_has_ratios_to_the_bare_product(rows):
    text = markdown({"command": "c", "cores": 2, "turns": 1, "queries": [1, 8], "rows": rows})
    [bare] = [line for line in text.splitlines() if f"| {BARE} |" in line]
    assert "| 1.00 | 1.00 |" in bare
    assert "The bar" not in text  # it is for a million items


@pytest.mark.parametrize(("ms", "judged"), [(9.9, "met"), (10.1, "not met")])
def test_the_bar_is_that_of_the_slowest_exact_query(ms, judged):
    facts = {"items": 1_000_000, "dim": 128, "build": None}
    rows = [
        facts | {"system": system, "is_unit": is_unit, "ms": {"1": value, "8": 1.0}}
        for is_unit, value in ((True, 5.0), (False, ms))
        for system in (BARE, PREFILTERED)
    ]
    text = markdown({"command": "c", "cores": 2, "turns": 1, "queries": [1, 8], "rows": rows})
    assert f"takes 5.0 and {ms} ms: {judged}." in text


def test_lengths_are_one_or_differ():
    for is_unit in (True, False):
        items, queries = Case(600, 8, is_unit).made()
        lengths = (items**2).sum(axis=1) ** 0.5
        assert lengths == pytest.approx(1, abs=1e-5) if is_unit else lengths.std() > 0.2
        assert len(queries) == search.TUNED_ON
