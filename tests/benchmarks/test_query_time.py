"""The benchmark of request options: its figures are those of the evaluation, and its page is made of them alone."""

import json

import pytest
import small_split
from query_time import TRIED, K, markdown, measured

from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("query_time"))
    small_split.write_split(workspace)
    return json.loads(json.dumps(measured(small_split.PARAMS, load_prepared(workspace), ["mf"], 1)))


def test_every_option_is_measured_and_compared_with_plain_lists(page):
    rows = page["models"]["mf"]["quality"]
    assert [row["option"] for row in rows] == [name for name, _ in TRIED]
    assert rows[0]["differences"]["ndcg"] == [0, 0, 0]
    for row in rows:
        mean, low, high = row["differences"]["ndcg"]
        assert low <= mean <= high
        assert mean == pytest.approx(row["figures"]["ndcg"] - rows[0]["figures"]["ndcg"])


def test_a_cost_is_a_multiple_of_that_of_a_plain_request(page):
    found = page["models"]["mf"]["costs"]
    assert found["plain"]["ratio"] == [1, 1, 1]
    assert {"filters: genres and year", "debias", "diversity", "allow: 2 items"} <= set(found)
    assert all(each["microseconds"] > 0 for each in found.values())


def test_the_page_has_a_row_for_each(page):
    written = markdown(page)
    assert written.count("| diversity | 0.") == 5
    assert f"lists of {K}" in written
    assert "| all of these |" in written
