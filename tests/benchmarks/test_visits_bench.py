"""The benchmark of visits: popularity by the day, means over a user's visits, and a page made of figures alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import small_split
import visits
from visits import KINDS, TIMED, UNTIMED, Judge, RecentPopularity, markdown, rows_of

from bakeoff.core.histories import Histories, Queries
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_held_out, load_prepared

DAY = 86_400


class Drawn:
    """Stands in for a network: embeddings that are drawn."""

    def __init__(self, num_items, seed):
        self._rng = np.random.default_rng(seed)
        self.item_embeddings = self.embed_queries(range(num_items))

    def embed_queries(self, queries):
        return self._rng.normal(size=(len(queries), 4)).astype(np.float32)


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("visits"))
    small_split.write_split(workspace)
    prepared = load_prepared(workspace)
    test = load_held_out(workspace, prepared).test
    test = replace(test, timestamps=test.timestamps + DAY * (test.rows % 2))  # every second user comes back
    return Judge.of(prepared, prepared.known(), test)


@pytest.fixture(scope="module")
def rows(judge):
    def fitted(judge, params, name, seed, **changed):
        return plain(judge, params, name, seed) if name == "mf" else Drawn(judge.prepared.num_items, seed)

    plain = visits.fitted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visits, "fitted", fitted)
        return json.loads(json.dumps([*rows_of(judge, small_split.PARAMS, 1, [1, 2])])), judge.facts()


def test_a_network_that_reads_the_time_of_the_query_is_trained_to(judge):
    network = visits.fitted(judge, small_split.PARAMS, "softmax", 1, use_query_time=True)
    asked = judge.visits.queries
    now, later = (network.embed_queries(replace(asked, times=asked.times + hours)) for hours in (0, 5 * 3600))
    assert network.item_embeddings.shape == (judge.prepared.num_items, small_split.PARAMS.softmax.dim)
    assert not np.allclose(now, later, atol=1e-3)


def test_a_row_has_figures_with_intervals_of_each_kind_of_visit(rows):
    found, facts = rows
    assert facts == {"visits": 14, "users": 14, "late": 7, "users_late": 7}
    for row in found:
        mean, low, high = row["figures"]["all"]
        assert low <= mean <= high
        assert mean == pytest.approx(np.mean(row["seeds"]["all"]))
        after, within = row["figures"]["after a pause"][0], row["figures"]["within a visit"][0]
        assert mean == pytest.approx((after + within) / 2)
    [timed] = [row for row in found if row["system"] == TIMED]
    assert timed["timed_less_this"]["all"] == [0, 0, 0]
    assert len(timed["seeds"]["all"]) == 2


def test_the_page_has_a_row_for_each_system(rows):
    found, facts = rows
    data = {"title": "Made", "split": "by hand", "parts": {"test": {"facts": facts, "seeds": [1, 2], "rows": found}}}
    written = markdown({"command": "c", "cores": 2, "data": [data]})
    assert "### Test, 2 seeds" in written
    assert written.count(f"| {UNTIMED} |") == 1
    assert "nan" not in written


def test_means_are_taken_over_the_visits_of_a_user_first():
    class Three:
        num_users = 3

    class Visits:
        users = np.array([0, 0, 2])

    judge = Judge(Three(), None, Visits(), np.array([True, False, True]))
    found = judge.per_user(np.array([0.2, 0.6, 1.0]))
    expected = [[0.4, np.nan, 1.0], [0.2, np.nan, 1.0], [0.6, np.nan, np.nan]]
    np.testing.assert_allclose([found[kind] for kind in KINDS], expected)


def test_recent_popularity_counts_the_days_before_that_of_the_query():
    # Item 0 on days 0 and 1, item 1 on day 2, twice; a window of two days.
    known = Histories(np.array([0, 4]), np.array([0, 0, 1, 1], np.int32), np.array([0, DAY, 2 * DAY, 2 * DAY + 9]))
    retriever = RecentPopularity(known, 2, 2)

    def counts(time):
        histories = Histories(np.array([0, 0]), np.zeros(0, np.int32), np.zeros(0, np.int64))
        asked = Queries(histories, np.zeros((1, 0)), np.zeros((1, 0)), np.array([time]))
        return np.floor(retriever.embed_queries(asked) @ retriever.item_embeddings.T)[0].tolist()

    assert counts(5) == [0, 0]
    assert counts(DAY) == [1, 0]
    assert counts(2 * DAY + 5) == [2, 0]
    assert counts(3 * DAY) == [1, 2]
    assert counts(900 * DAY) == [1, 2]
