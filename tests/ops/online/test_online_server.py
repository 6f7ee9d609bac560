"""A real server with a log: list → feedback → `bakeoff online`, over HTTP."""

import asyncio
import json
import logging
import signal
from contextlib import nullcontext
from dataclasses import replace
from operator import eq
from random import Random

import made_log
import pytest
import small_split
from promotion_repo import commit, decided, new_repo
from running_server import PATIENCE, metric, promote, running, serve_options
from waiting import until

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.online import command, log, serving
from bakeoff.ops.online.evaluate import evaluate
from bakeoff.ops.online.log import Pseudonyms, parts, read_part
from bakeoff.ops.online.serving import Online
from bakeoff.ops.server import serve
from bakeoff.ops.server.schemas import Feedback, Query, RefusedError
from bakeoff.ops.server.service import Service
from bakeoff.stages import export, train


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Popularity in production, MF decided upon."""
    workspace = new_repo(tmp_path_factory.mktemp("online") / "repo", ("popularity", "mf"))
    small_split.write_split(workspace, with_valid=False)
    for name in ("popularity", "mf"):
        train.run(small_split.PARAMS, workspace, name)
        export.run(workspace, name)
    promote(workspace, "popularity", commit(workspace))
    decided(workspace, "mf")
    return workspace


@pytest.fixture(scope="module")
def folder(workspace):
    return workspace.root / ".bakeoff/online"


@pytest.fixture(scope="module")
def server(workspace, folder, tmp_path_factory):
    arguments = ("--log", str(folder), "--interleave", "champion", "challenger", "--explore", "0.5")
    with running(workspace, tmp_path_factory.mktemp("log") / "log", *arguments) as found:
        yield found


@pytest.fixture(scope="module")
def client(server):
    return server[1]


def ask(client, **query):
    response = client.post("/recommend", json={"user_id": "u3", "k": 4} | query)
    assert response.status_code == 200, response.text
    return response.json()


def send(client, **content):
    return client.post("/feedback", json=content)


def impressions(folder):
    return {row["id"]: row for path in parts(folder, "impressions") for row in read_part(path).to_pylist()}


def test_lists_of_two_models_reach_people_the_log_and_the_report(server, client, workspace, folder, capsys):
    answers = [ask(client, user_id=f"u{1 + number % 14}") for number in range(60)]
    assert all(len({item["item_id"] for item in answer["items"]}) == 4 for answer in answers)
    for answer in answers:
        sent = {"impression": answer["impression"], "item_id": answer["items"][0]["item_id"]}
        assert send(client, **sent).json() == {"status": "logged"}
    assert metric(client, "bakeoff_logged_rows_total") == 120
    until(lambda: evaluate(folder, "click").events["click"] == 60)
    logged, names = impressions(folder), Pseudonyms.of(folder)
    for number, answer in enumerate(answers):
        row = logged[answer["impression"]]
        assert row["items"] == [item["item_id"] for item in answer["items"]]
        assert row["scores"] == pytest.approx([item["score"] for item in answer["items"]], abs=1e-6)
        assert row["user"] == names.user(f"u{1 + number % 14}")
        assert (row["champion"][:18], row["challenger"][:13]) == ("popularity@v1.0.0+", "mf@workspace+")
        assert min(row["propensities"]) > 0
        assert row["explore"] == 0.5
    assert {team for row in logged.values() for team in row["teams"]} == {0, 1, 2}
    command.run(workspace, None, "click", 0.0, "ndcg@10", 0.95, as_json=True)
    found = json.loads(capsys.readouterr().out)
    [pair] = [pair for pair in found["pairs"] if pair["challenger"]]
    assert (pair["with_feedback"], found["left_out"]) == (60, {})
    assert 0 < pair["win_rate"]["decided"] < 60
    assert pair["counterfactual"].keys() == {"champion", "challenger", "difference"}


def test_each_list_of_a_batch_is_logged_and_refusals_are_not(client):
    queries = [{"history": ["i1"], "k": 3}, {"user_id": "nobody"}, {"user_id": "u1", "k": 2}]
    first, refused, third = client.post("/recommend/batch", json={"queries": queries}).json()["answers"]
    assert refused["status"] == 404
    assert first["impression"] != third["impression"]
    assert send(client, impression=third["impression"], item_id=third["items"][1]["item_id"], event="buy").is_success


def test_reasons_are_those_of_the_champion_alone(client, folder):
    answer = ask(client, user_id=None, history=["i1", "i2"], why=True)
    assert len(answer["items"][0]["why"]) > 0
    until(lambda: answer["impression"] in impressions(folder))
    row = impressions(folder)[answer["impression"]]
    assert (row["challenger"], row["user"], row["explore"], row["propensities"]) == (None, None, 0, [1.0] * 4)


def test_feedback_that_makes_no_sense_is_refused(client):
    answer = ask(client)
    identity, item = answer["impression"], answer["items"][0]["item_id"]
    for sent, status, words in (
        ({"impression": "0" * 32, "item_id": item}, 404, "is not known: send the `impression` of the answer"),
        ({"impression": identity, "item_id": "nothing"}, 422, "'nothing' was not in the list"),
        ({"impression": identity, "item_id": "\ud800"}, 422, "Invalid JSON"),
        ({"impression": identity, "item_id": item, "event": "a b"}, 422, "event"),
        ({"impression": identity, "item_id": item, "more": 1}, 422, "more"),
        ({"item_id": item}, 422, "impression"),
    ):
        refused = client.post("/feedback", content=json.dumps(sent), headers={"Content-Type": "application/json"})
        assert (refused.status_code, words in refused.json()["error"]) == (status, True), refused.text
    large = client.post("/feedback", content=b" " * (5 << 20), headers={"Content-Type": "application/json"})
    assert large.status_code == 413


def test_another_server_takes_feedback_on_lists_that_it_has_not_shown(workspace, folder, client, tmp_path):
    answer = ask(client)
    item = answer["items"][0]["item_id"]
    with running(workspace, tmp_path / "log", "--model", "mf", "--log", str(folder)) as (second, other):
        assert send(other, impression=answer["impression"], item_id=item).json() == {"status": "logged"}
        assert send(client, impression=answer["impression"], item_id=item).json() == {"status": "logged"}
        alone = ask(other)
        second.send_signal(signal.SIGTERM)
        second.wait(PATIENCE)
    assert impressions(folder)[alone["impression"]]["challenger"] is None  # written at the end
    assert impressions(folder)[alone["impression"]]["propensities"] == [1.0] * 4
    until(lambda: evaluate(folder, "click").left_out["sent twice"] == 1)


def test_feedback_that_is_dropped_is_refused(tmp_path, monkeypatch):
    writer = made_log.writer(tmp_path)
    online = Online(None, writer, None, 0.0, plain_ids=False)
    sent = Feedback(impression=writer.pseudonyms.new_impression(), item_id="i1")
    assert online.feedback(sent).status == "logged"
    monkeypatch.setattr(log, "MOST_WAITING", 0)
    with pytest.raises(RefusedError, match="The log can't be written and too much waits") as refused:
        online.feedback(sent)
    assert refused.value.status_code == 503
    online.close()
    [part] = parts(tmp_path, "feedback")
    assert len(read_part(part)) == 1


@pytest.fixture(scope="module")
def models(workspace):
    """Loaded in this process."""
    return {name: serve.load_named(workspace, name, "off") for name in ("champion", "challenger", "popularity@v1.0.0")}


def test_models_are_named_by_role_version_or_workspace(workspace, models):
    origins = {name: each.origin for name, each in models.items()}
    assert origins["champion"].label == origins["popularity@v1.0.0"].label
    assert (origins["challenger"].model, origins["challenger"].version) == ("mf", "workspace")
    assert origins["challenger"].md5 == decision_md5(workspace)
    for name, message in (("popularity@v9.9.9", "no version of the registry"), ("als", "is not a model")):
        with pytest.raises(BakeoffError, match=message):
            serve.load_named(workspace, name, "off")


def decision_md5(workspace):
    return json.loads((workspace.decision / "decision.json").read_text())["challenger"]["md5"]


@pytest.mark.parametrize(("wins", "is_stopped"), [(10, True), (50, False)])
def test_a_challenger_that_is_shown_to_be_worse_is_shown_no_more(
    models, tmp_path, monkeypatch, caplog, wins, is_stopped
):
    champion, challenger = models["champion"], models["challenger"]
    monkeypatch.setattr(made_log, "CHAMPION", champion.origin.label)
    monkeypatch.setattr(made_log, "CHALLENGER", challenger.origin.label)
    made_log.interleaved(tmp_path, wins, 100 - wins)
    online = Online(Service(champion, 8), made_log.writer(tmp_path), challenger, 0.0, plain_ids=False)
    with caplog.at_level(logging.WARNING, "bakeoff.serve"):
        online.stop_if_worse(challenger)
    online.close()
    assert (online.challenger is None) == is_stopped
    assert (f"{challenger.origin.label} wins 10 of 100 decided lists and is worse" in caplog.text) == is_stopped


def test_the_log_is_looked_at_again_until_the_challenger_is_shown_to_be_worse(models, tmp_path, monkeypatch):
    champion, challenger = models["champion"], models["challenger"]
    monkeypatch.setattr(made_log, "CHAMPION", champion.origin.label)
    monkeypatch.setattr(made_log, "CHALLENGER", challenger.origin.label)
    monkeypatch.setattr(serving, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(serving, "CHECK_SHARE", 1.0)
    made_log.interleaved(tmp_path, 50, 50)
    online = Online(Service(champion, 8), made_log.writer(tmp_path), challenger, 0.0, plain_ids=False)
    looks = []

    def look(model, stop_if_worse=online.stop_if_worse):
        stop_if_worse(model)
        looks.append(online.challenger)
        if len(looks) == 2:
            made_log.interleaved(tmp_path, 0, 100)

    monkeypatch.setattr(online, "stop_if_worse", look)
    asyncio.run(asyncio.wait_for(online.watch(), PATIENCE))
    online.close()
    assert looks == [challenger, challenger, None]


@pytest.mark.parametrize("failure", [RuntimeError("broken"), None])
def test_a_challenger_that_fails_or_does_not_know_a_user_leaves_the_list_to_the_champion(models, tmp_path, failure):
    champion, challenger = models["champion"], models["challenger"]
    nobody = replace(challenger.encoder, users=replace(challenger.encoder.users, rows={}))
    unable = replace(challenger, encoder=nobody) if failure is None else Failing(challenger, failure)

    async def listed():
        service = Service(champion, 8)
        online = Online(service, made_log.writer(tmp_path), unable, 0.0, plain_ids=True)
        answer = await online.submit(champion, Query(user_id="u1", k=3))
        expected = await service.submit(champion, Query(user_id="u1", k=3))
        service.batcher.close()
        online.close()
        return answer, expected

    answer, expected = asyncio.run(listed())
    assert answer.items == expected.items
    row = impressions(tmp_path)[answer.impression]
    assert (row["user"], row["challenger"], row["teams"]) == ("u1", None, [0, 0, 0])


def test_lists_are_remembered_up_to_a_number_of_places(models, tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "REMEMBERED_PLACES", 7)

    async def listed():
        service = Service(models["champion"], 8)
        online = Online(service, made_log.writer(tmp_path), None, 0.0, plain_ids=True)
        shown = [await online.submit(service.model, Query(user_id="u1", k=3)) for _ in range(3)]
        for answer, is_remembered in zip(shown, (False, True, True), strict=True):
            wrong = Feedback(impression=answer.impression, item_id="elsewhere", event="click")
            with pytest.raises(RefusedError, match="was not in the list") if is_remembered else nullcontext():
                online.feedback(wrong)
        service.batcher.close()
        online.close()

    asyncio.run(listed())


class Failing:
    """A model that can't answer."""

    def __init__(self, model, error):
        self.origin, self.encoder, self._error = model.origin, model.encoder, error

    def num_events(self, queries):
        return 0

    def answer(self, queries):
        raise self._error


def test_a_model_alone_is_explored_among_twice_as_many_of_its_best_items(models, tmp_path):
    champion = models["challenger"]

    async def listed():
        service = Service(champion, 8)
        online = Online(service, made_log.writer(tmp_path), None, 0.5, plain_ids=False)
        online._rng = Random(1)
        best = await service.submit(champion, Query(user_id="u1", k=6))
        for options in [{}] * 30 + [{"diversity": 0.5}] * 10:
            await online.submit(champion, Query(user_id="u1", k=3, **options))
        service.batcher.close()
        online.close()
        return [item.item_id for item in best.items]

    best, rows = asyncio.run(listed()), [*impressions(tmp_path).values()]
    for row in rows[:30]:
        expected = [(0.5 if item == own else 0) + 0.5 / 6 for item, own in zip(row["items"], best[:3], strict=True)]
        assert row["propensities"] == pytest.approx(expected)
        assert row["as_champion"] == [*map(eq, row["items"], best[:3])]
    assert 8 <= sum(row["items"] == best[:3] for row in rows[:30]) < 30
    assert {item for row in rows[:30] for item in row["items"]} == {*best}
    assert len({frozenset(row["items"]) for row in rows[30:]}) == 1  # a diverse list is shown in another order


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (serve_options(interleave=("ease", "mf")), "--interleave is of no use without a log: add --log DIR"),
        (serve_options(explore=0.1), "--explore is of no use without a log"),
        (serve_options(plain_ids=True), "--log-plain-ids is of no use without a log"),
    ],
)
def test_options_that_need_a_log_say_so(workspace, options, message):
    with pytest.raises(BakeoffError, match=message):
        serve.prepare(workspace, options)


def test_options_that_contradict_each_other_say_so(workspace, tmp_path):
    options = serve_options(log=tmp_path, interleave=("champion", "popularity"))
    service, follow = serve.prepare(workspace, options)
    assert follow is None
    with pytest.raises(BakeoffError, match="is the champion, byte for byte"):
        serve.with_log(workspace, service, options, tmp_path)
    with pytest.raises(BakeoffError, match="leave --model mf out"):
        serve.prepare(workspace, serve_options(log=tmp_path, model="mf", interleave=("ease", "mf")))
