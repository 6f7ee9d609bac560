"""A real server, in a process of its own, over a repository in which models are promoted."""

import json
import re
import signal
import threading
import time

import httpx
import numpy as np
import pandas as pd
import pytest
import small_split
from promotion_repo import commit, git, new_repo, write_models
from running_server import PATIENCE, listed, metric, model, promote, running, serve_options
from waiting import until

from bakeoff.models.base.loading import load_serving
from bakeoff.ops.server import loading, schemas, serve
from bakeoff.stages import export, train


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Two models committed, softmax in production."""
    workspace = new_repo(tmp_path_factory.mktemp("serve") / "repo", ("popularity", "softmax"))
    small_split.write_split(workspace, with_valid=False)
    params = small_split.PARAMS
    params = params.model_copy(update={"softmax": params.softmax.model_copy(update={"max_epochs": 1})})
    for name in ("popularity", "softmax"):
        train.run(params, workspace, name)
        export.run(workspace, name)
    promote(workspace, "softmax", commit(workspace))
    return workspace


@pytest.fixture(scope="module")
def server(workspace, tmp_path_factory):
    with running(workspace, tmp_path_factory.mktemp("log") / "log", "--drain", "2") as found:
        yield found


@pytest.fixture(scope="module")
def client(server):
    return server[1]


@pytest.fixture
def replica(workspace, tmp_path):
    """A second process over the same repository."""
    with running(workspace, tmp_path / "log") as (_, client):
        yield client


@pytest.fixture(scope="module")
def exported(workspace):
    return load_serving(workspace.model("softmax"))


def ids(answer):
    return [item.decode() for item in np.asarray(answer["item_ids"])[0] if item]


def test_what_is_in_production_answers(client, workspace):
    found = model(client)
    assert (found["model"], found["version"], found["items"], found["users"]) == ("softmax", "v1.0.0", 12, 14)
    assert found["commit"] == git(workspace.root, "rev-parse", "HEAD")
    assert found["user_features"] == ["age", "job"]
    assert (found["search"], found["recall"]) == ("exact", None)


def test_without_a_log_there_is_no_impression_and_no_feedback(client):
    answer = client.post("/recommend", json={"user_id": "u3"}).json()
    assert answer.keys() == {"items", "model", "version", "fallback", "ignored"}
    assert client.post("/feedback", json={"impression": "0" * 32, "item_id": "i1"}).status_code == 404
    assert model(client)["md5"].endswith(".dir")


def test_a_known_user_gets_the_list_of_the_exported_model(client, exported):
    for user in ("u3", "u9"):
        expected = exported.recommend_for_users(np.array([user]), 5)
        for _ in range(2):  # the second time the embedding is remembered
            answer = client.post("/recommend", json={"user_id": user, "k": 5}).json()
            assert [item["item_id"] for item in answer["items"]] == ids(expected)
            scores = [item["score"] for item in answer["items"]]
            np.testing.assert_allclose(scores, np.asarray(expected["scores"])[0], rtol=1e-5, atol=1e-6)


def test_someone_new_gets_the_list_of_the_exported_model(client, exported):
    raw = (np.array([["i3", "i5"]]), np.array([[1000, 2000]]), np.array([[33.0]], np.float32), np.array([["nurse"]]))
    query = {"history": ["i3", "i5"], "timestamps": [1000, 2000], "features": {"age": 33, "job": "nurse"}, "k": 10}
    assert listed(client, **query) == ids(exported.recommend_for_histories(*raw, 10))
    # named twice: counts once, at its last place
    assert listed(client, **query | {"history": ["i5", "i3", "i5"], "timestamps": [1, 1000, 2000]}) == listed(
        client, **query
    )


def test_reasons_are_given_where_they_are_asked_for(client):
    query = {"user_id": "u3", "k": 4}
    plain, explained = (client.post("/recommend", json=each).json() for each in (query, query | {"why": True}))
    assert "why" not in plain["items"][0]
    assert "explanation" not in plain
    assert [(item["item_id"], item["score"]) for item in explained["items"]] == [
        (item["item_id"], pytest.approx(item["score"], abs=1e-5)) for item in plain["items"]
    ]
    for item in explained["items"]:
        *named, rest = item["why"]
        assert (rest["kind"], rest["title"]) == ("remainder", "user features, activity and bias")
        assert sum(part["contribution"] for part in item["why"]) == pytest.approx(item["score"], abs=1e-6)
        shown = [part for part in named if part["kind"] == "item"]
        assert all(part["title"].startswith(f"Title [of] {part['item_id']} ") for part in shown)
        values = [part["contribution"] for part in shown]
        assert values == sorted(values, reverse=True)
        assert len(shown) == 3 or named[-1]["title"].startswith(f"{3 - len(shown)} other item")  # u3 has three items
    assert "Integrated gradients" in explained["explanation"]


def test_reasons_are_refused_in_a_batch(client):
    queries = [{"history": ["i1"], "why": True}, {"history": ["i1"]}]
    refused, answered = client.post("/recommend/batch", json={"queries": queries}).json()["answers"]
    assert (refused["status"], "why is not answered in a batch" in refused["error"]) == (422, True)
    assert len(answered["items"]) == 10


def test_the_document_says_what_reasons_are(client):
    document = client.get("/openapi.json").json()
    assert document["components"]["schemas"]["Query"]["properties"]["why"]["default"] is False
    assert {"Part", "ExplainedAnswer"} <= document["components"]["schemas"].keys()


def test_features_alone_are_enough_and_reach_the_model(client):
    assert listed(client, features={"age": 20}, k=12) != listed(client, features={"age": "90"}, k=12)
    assert listed(client, features={"age": None}, k=12) == listed(client, history=[], k=12)


def test_nothing_excluded_is_recommended(client):
    everything = listed(client, history=["i1", "i2"], k=12)
    assert len(everything) == 10
    best = everything[:3]
    left = listed(client, history=["i1", "i2"], exclude=[*best, "gone"], k=3)
    assert left == everything[3:6]
    with_seen = listed(client, history=["i1", "i2"], exclude_seen=False, exclude=best, k=12)
    assert sorted(with_seen) == sorted({*small_split.ITEMS} - {*best})
    assert {"i1", "i2"} <= {*with_seen}


def test_allowed_items_alone_are_recommended_in_the_order_of_all(client):
    everything = listed(client, user_id="u3", k=12)
    assert listed(client, user_id="u3", k=12, allow=[everything[4], "gone", everything[1]]) == [
        everything[1],
        everything[4],
    ]
    assert listed(client, user_id="u3", k=3, allow=[]) == []
    assert listed(client, user_id="u3", k=12, allow=small_split.ITEMS) == everything
    assert listed(client, user_id="u3", k=12, allow=everything[:3], exclude=everything[:2]) == everything[2:3]


def test_filters_are_on_the_features_of_items(client, exported, workspace):
    assert model(client)["item_features"] == ["year", "genres"]
    items = pd.read_parquet(workspace.vocabulary / "items.parquet").set_index("item_id")
    everything = listed(client, history=[], k=12)
    year = float(items["year"].median())
    filters = [{"feature": "genres", "any_of": ["Comedy"]}, {"feature": "year", "min": year}]
    expected = [item for item in everything if "Comedy" in items.genres[item] and items.year[item] >= year]
    assert 0 < len(expected) < 12
    assert listed(client, history=[], k=12, filters=filters) == expected
    without = [{"feature": "genres", "none_of": ["Comedy"]}]
    assert listed(client, history=[], k=12, filters=without) == [
        i for i in everything if "Comedy" not in items.genres[i]
    ]
    nothing, plain = np.zeros(0, str), (np.float32(0), np.float32(0))
    written = np.array(["genres=Comedy", f"year>={year}"])
    graph = exported.recommend_for_users_with_options(np.array(["u9"]), 12, nothing, written, *plain)
    assert ids(graph) == listed(client, user_id="u9", k=12, filters=filters)
    assert ids(graph)


@pytest.mark.parametrize("wish", [{"diversity": 0.6}, {"debias": 1.5}, {"diversity": 0.3, "debias": 0.5}], ids=str)
def test_diverse_and_debiased_lists_are_those_of_the_exported_model(client, exported, wish):
    plain = client.post("/recommend", json={"user_id": "u9", "k": 9}).json()["items"]
    found = client.post("/recommend", json={"user_id": "u9", "k": 9} | wish).json()["items"]
    options = (np.float32(wish.get(name, 0)) for name in ("diversity", "debias"))
    expected = exported.recommend_for_users_with_options(
        np.array(["u9"]), 9, np.zeros(0, str), np.zeros(0, str), *options
    )
    assert [item["item_id"] for item in found] == ids(expected)
    assert found != plain
    assert {item["item_id"] for item in found} == {item["item_id"] for item in plain}  # there are no more
    scores = {item["item_id"]: item["score"] for item in plain}
    assert all(item["score"] == pytest.approx(scores[item["item_id"]], abs=1e-6) for item in found)


def test_reasons_are_given_of_other_lists_too(client):
    query = {"user_id": "u3", "k": 4, "diversity": 0.5, "debias": 0.5}
    plain, explained = (client.post("/recommend", json=each).json() for each in (query, query | {"why": True}))
    assert [item["item_id"] for item in explained["items"]] == [item["item_id"] for item in plain["items"]]
    for item in explained["items"]:
        assert sum(part["contribution"] for part in item["why"]) == pytest.approx(item["score"], abs=1e-5)


def test_plain_queries_of_a_batch_are_answered_as_without_the_others(client):
    plain = [{"user_id": "u1", "k": 5}, {"history": ["i2"], "k": 3}]
    alone = client.post("/recommend/batch", json={"queries": plain}).json()["answers"]
    mixed = [plain[0], {"user_id": "u2", "k": 2, "debias": 0.5}, plain[1]]
    first, wish, second = client.post("/recommend/batch", json={"queries": mixed}).json()["answers"]
    assert [first, second] == alone
    assert [item["item_id"] for item in wish["items"]] == listed(client, user_id="u2", k=2, debias=0.5)


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({}, 422, "No user: send user_id"),
        ({"user_id": "u1", "history": ["i1"]}, 422, "user_id 'u1' already says"),
        ({"user_id": "nobody"}, 404, "User 'nobody' is not among those that softmax was trained on"),
        ({"user_id": "n1"}, 404, "send history and features instead"),
        ({"history": ["i1", "x9"]}, 404, "history names 'x9', which the catalogue of softmax does not have"),
        ({"history": ["i1"], "timestamps": []}, 422, "timestamps has 0 entries and history 1"),
        ({"user_id": "u1", "k": 0}, 422, "body.k: Input should be greater than or equal to 1"),
        ({"user_id": "u1", "k": 13}, 422, "k 13 is not possible: it must be between 1 and the 12 items"),
        ({"user_id": "u1", "k": 1001}, 422, "body.k: Input should be less than or equal to 1000"),
        ({"features": {"shoe": 43}}, 422, "'shoe' is not a feature of users of softmax: they have age, job"),
        ({"features": {"age": "old"}}, 422, "age='old' is not a number"),
        ({"features": {"job": "pilot"}}, 422, "job='pilot' is not known: it must be one of cook, nurse"),
        ({"history": "i1"}, 422, "body.history: Input should be a valid array"),
        ({"usr": "u1"}, 422, "body.usr: Extra inputs are not permitted"),
        ({"user_id": "u1", "k": 5, "diversity": 1.1}, 422, "body.diversity: Input should be less than or equal to 1"),
        ({"user_id": "u1", "k": 5, "debias": -1}, 422, "body.debias: Input should be greater than or equal to 0"),
        ({"user_id": "u1", "k": 5, "allow": ["i1"] * 10_001}, 422, "body.allow: List should have at most 10000 items"),
        (
            {"user_id": "u1", "k": 5, "filters": [{"feature": "genre", "any_of": ["Comedy"]}]},
            422,
            "'genre' is not a feature to filter items by: there are year, genres.",
        ),
        (
            {"user_id": "u1", "k": 5, "filters": [{"feature": "genres", "any_of": ["Comdy"]}]},
            422,
            "genres='Comdy' is not known: it must be one of Comedy, Drama.",
        ),
        (
            {"user_id": "u1", "k": 5, "filters": [{"feature": "year"}]},
            422,
            "a filter needs any_of, none_of, min or max",
        ),
        ({"user_id": "u1", "k": 5, "filters": [{"feature": "year", "min": 1}] * 21}, 422, "at most 20 items"),
        ({"user_id": "u1", "k": 5, "filters": [{"feature": "year", "min": "x"}]}, 422, "body.filters.0.min"),
    ],
    ids=str,
)
def test_what_can_not_be_answered_says_what_to_do(client, query, status, said):
    response = client.post("/recommend", json=query)
    assert response.status_code == status
    assert said in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 422, "body: Invalid JSON: EOF while parsing an object"),
        (b"\xff", 422, "body: Invalid JSON"),
        (b"[" * 100_000, 422, "body: Invalid JSON: recursion limit exceeded"),
        ('{"user_id": "u1"}'.encode("utf-16"), 422, "body: Invalid JSON"),
        (
            b'{"history": ["i1"], "timestamps": [1000000000000000000000]}',
            422,
            "body.timestamps.0: Input should be less",
        ),
        (rb'{"user_id": "\ud800"}', 422, "body: Invalid JSON"),
        (b'{"features": {"age": 1e300}}', 200, ""),
        (b'{"features": {"age": NaN}}', 200, ""),
    ],
    ids=str,
)
def test_hostile_bodies_are_refused_or_answered(client, body, status, said):
    response = client.post("/recommend", content=body, headers={"content-type": "application/json"})
    assert response.status_code == status
    assert said in response.json().get("error", "")


@pytest.mark.parametrize("kind", ["application/json", "application/json\t; charset=utf-8", "Application/JSON"])
def test_json_is_read_however_its_type_is_spelled(client, kind):
    query = {"history": ["i3", "i5"], "k": 5}
    answer = client.post("/recommend", content=json.dumps(query), headers={"content-type": kind})
    assert [item["item_id"] for item in answer.json()["items"]] == listed(client, **query)


@pytest.mark.parametrize("kind", ["text/plain", "application/jsonl", ""])
def test_what_is_not_sent_as_json_is_refused(client, kind):
    answer = client.post("/recommend", content=b'{"user_id": "u1"}', headers={"content-type": kind})
    assert answer.status_code == 422
    assert "GET /docs shows what can be sent" in answer.json()["error"]


def test_unknown_items_are_passed_over_where_that_is_asked_for(client):
    answer = client.post("/recommend", json={"history": ["x9", "i1"], "ignore_unknown": True, "k": 12}).json()
    assert answer["ignored"] == ["x9"]
    assert len(answer["items"]) == 11


def test_unknown_items_that_are_named_twice_are_told_once_and_leave_the_order_alone(client):
    query = {"history": ["x", "i5", "y", "i3", "x", "i5"], "timestamps": [1, 2, 3, 1000, 4, 2000], "k": 10}
    answer = client.post("/recommend", json=query | {"ignore_unknown": True}).json()
    assert answer["ignored"] == ["y", "x"]
    same = {"history": ["i3", "i5"], "timestamps": [1000, 2000], "k": 10}
    assert [item["item_id"] for item in answer["items"]] == listed(client, **same)


def test_a_batch_has_an_answer_or_a_refusal_for_each(client):
    queries = [{"user_id": "u1", "k": 2}, {"user_id": "nobody"}, {"history": [], "k": 4}]
    first, second, third = client.post("/recommend/batch", json={"queries": queries}).json()["answers"]
    assert [item["item_id"] for item in first["items"]] == listed(client, user_id="u1", k=2)
    assert second["status"] == 404
    assert len(third["items"]) == 4


def test_an_item_has_a_title_and_neighbours(client):
    assert client.get("/items/i2").json()["title"].startswith("Title [of] i2 ")
    near = client.get("/items/i2/neighbours", params={"k": 3}).json()["neighbours"]
    similarities = [item["similarity"] for item in near]
    assert len(near) == 3
    assert similarities == sorted(similarities, reverse=True)
    assert client.get("/items/x9/neighbours").status_code == 404


def test_the_docs_page_loads_nothing_from_elsewhere(client):
    page = client.get("/docs").text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) == 3
    assert "//" not in page.replace("<!--", "")
    for path in loaded:
        assert client.get(path).status_code == 200
    described = client.get("/openapi.json").json()["paths"]
    assert {"/recommend", "/recommend/batch", "/items/{item_id}/neighbours", "/model", "/metrics"} <= {*described}


def test_what_happens_is_counted(client):
    client.post("/recommend", json={"user_id": "nobody"})
    before = metric(client, 'bakeoff_requests_total{route="/recommend",status="404"}')
    client.post("/recommend", json={"user_id": "nobody"})
    client.get("/nothing/here")
    assert metric(client, 'bakeoff_requests_total{route="/recommend",status="404"}') == before + 1
    assert metric(client, 'bakeoff_requests_total{route="none",status="404"}') >= 1
    assert metric(client, 'bakeoff_request_seconds_count{route="/recommend"}') >= before + 1
    assert metric(client, "bakeoff_batch_size_count") > 0
    assert metric(client, 'bakeoff_model_info{commit="') == 1
    assert client.get("/health").json() == {"status": "alive"}
    assert client.get("/ready").status_code == 200


def test_a_promotion_under_load_fails_no_request_of_any_replica_and_they_answer_alike(client, replica, workspace):
    answers, stop, both = {client: [], replica: []}, threading.Event(), (client, replica)

    def ask(server):
        with httpx.Client(base_url=server.base_url, timeout=PATIENCE) as mine:
            while not stop.is_set():
                response = mine.post("/recommend", json={"user_id": "u1", "k": 3})
                said = response.json()
                items = tuple(item["item_id"] for item in said.get("items", ()))
                answers[server].append((response.status_code, said.get("model"), items))
                time.sleep(0.005)

    threads = [threading.Thread(target=ask, args=(server,)) for server in both * 2]
    for thread in threads:
        thread.start()
    try:
        until(lambda: all(answers.values()))
        promote(workspace, "popularity", git(workspace.root, "rev-parse", "HEAD"))
        until(lambda: all(answers[server][-1][1] == "popularity" for server in both))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for each in answers.values() for status, *_ in each} == {200}
    for server in both:
        assert {name for _, name, _ in answers[server]} == {"softmax", "popularity"}
    assert len({(name, items) for each in answers.values() for _, name, items in each}) == 2  # one list of each model
    assert model(client)["version"] == "v1.0.0"
    assert metric(client, "bakeoff_model_swaps_total") == 1
    assert metric(client, 'bakeoff_model_info{commit="') == 1
    assert client.post("/recommend", json={"user_id": "u1", "k": 3}).json()["model"] == "popularity"


def test_a_broken_promotion_leaves_the_old_one_at_work(client, workspace):
    before = model(client)
    write_models(workspace, softmax="not a model")
    promote(workspace, "softmax", commit(workspace))
    until(lambda: model(client)["failed"] is not None)
    after = model(client)
    assert after["failed"].startswith("softmax@v2.0.0: ")
    assert "can't be loaded" in after["failed"]
    assert (after["model"], after["commit"]) == (before["model"], before["commit"])
    assert metric(client, "bakeoff_model_load_failures_total") == 1
    assert len(listed(client, user_id="u1", k=3)) == 3
    # taken back: nothing is wrong any more
    promote(workspace, before["model"], before["commit"])
    until(lambda: model(client)["failed"] is None)


def test_at_sigterm_it_first_turns_requests_away_and_then_ends_without_an_error(server):
    process, client = server
    client.get("/health")
    process.send_signal(signal.SIGTERM)
    until(lambda: client.get("/ready").status_code == 503)
    assert client.post("/recommend", json={"user_id": "u1", "k": 3}).status_code == 200
    assert process.wait(PATIENCE) == 0


def test_a_model_of_the_workspace_can_be_searched_approximately(workspace):
    service, follow = serve.prepare(workspace, serve_options(model="popularity", approximate="on"))
    assert follow is None
    assert service.info().search.startswith("approximate: recall 1.000 of the best 50")
    assert json.loads(service.info().model_dump_json())["recall"] == 1


def test_a_large_catalogue_is_prefiltered_and_a_small_one_is_not(workspace, monkeypatch):
    service, _ = serve.prepare(workspace, serve_options(model="popularity"))
    assert service.info().search == "exact"
    asked = schemas.Query(user_id="u1", k=3)
    [expected] = service.model.answer([service.model.encoder.encode(asked)])
    monkeypatch.setattr(loading, "PREFILTERED", 1)
    service, _ = serve.prepare(workspace, serve_options(model="popularity"))
    assert service.info().search == "exact, prefiltered by 8-bit embeddings"
    [found] = service.model.answer([service.model.encoder.encode(asked)])
    assert [item.item_id for item in found.items] == [item.item_id for item in expected.items]
