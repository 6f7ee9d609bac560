"""A served model that reads when a list is asked for: now, unless the request says when."""

import time

import numpy as np
import pytest
import small_split

from bakeoff.core.workspace import Workspace
from bakeoff.ops.server import serve
from bakeoff.ops.server.schemas import Query
from bakeoff.stages import export, train

PARAMS = small_split.PARAMS.model_copy(
    update={"softmax": small_split.PARAMS.softmax.model_copy(update={"use_query_time": True, "max_epochs": 1})}
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("asked"))
    small_split.write_split(workspace, with_valid=False)
    for name in ("softmax", "popularity"):
        train.run(PARAMS, workspace, name)
        export.run(workspace, name)
    return workspace


@pytest.fixture(scope="module")
def served(workspace):
    return serve.load_named(workspace, "softmax", "off")


def scores(model, *queries):
    return [[item.score for item in each.items] for each in model.answer([model.encoder.encode(q) for q in queries])]


def test_a_request_without_a_time_is_asked_now(served, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1_000_000.7)
    assert served.encoder.encode(Query(user_id="u3")).query.times.tolist() == [1_000_000]
    assert served.encoder.encode(Query(user_id="u3", time=77)).query.times.tolist() == [77]


def test_lists_of_known_users_follow_the_time_and_are_not_remembered(served):
    soon, later = Query(user_id="u3", time=1_200), Query(user_id="u3", time=1_000_000)
    first, second = scores(served, soon, later)
    assert first != second
    assert scores(served, later, soon) == [second, first]


def test_someone_new_is_asked_about_at_a_time_too(served):
    query = {"history": ["i1", "i2"], "timestamps": [1_000, 1_060]}
    soon, later = scores(served, Query(**query, time=1_100), Query(**query, time=1_000_000))
    assert soon != later
    np.testing.assert_allclose(scores(served, Query(**query, time=1_100), Query(history=[]))[0], soon, rtol=1e-5)


def test_other_models_take_a_time_and_remember_their_users(workspace):
    model = serve.load_named(workspace, "popularity", "off")
    assert model.encoder.encode(Query(user_id="u3", time=77)).query.times is None
    assert model.embedder._known.all()
