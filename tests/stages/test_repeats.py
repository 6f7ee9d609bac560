"""Repeated items: the split, what models are asked, and how much of what they hit is a repeat."""

import json
import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_held_out, load_prepared
from bakeoff.evaluation.ranking import rank
from bakeoff.evaluation.ranking.lists import TopLists
from bakeoff.evaluation.ranking.protocol import EvalSet, Evaluated
from bakeoff.experiments.latency import LoadedExport, with_stored_users
from bakeoff.models.base.loading import load_serving
from bakeoff.models.base.storage import load_trained
from bakeoff.ops import recommend
from bakeoff.ops.server.loading import load_served
from bakeoff.ops.server.schemas import Origin, Query
from bakeoff.params import Params
from bakeoff.stages import evaluate, export, split, train

USERS = [f"u{number:02}" for number in range(20)]
ITEMS = [f"i{number:02}" for number in range(30)]


def params(**split_params):
    return Params.model_validate(
        {
            "data": {"user_features": {}, "item_features": {}},
            "split": {"test_share": 0.2, "valid_share": 0.2, "new_user_share": 0.1, "keep_repeats": True}
            | split_params,
            "mf": {"dim": 4, "max_epochs": 2},
            "evaluate": {"cutoffs": [2, 10], "list_length": 10, "first_interactions": [1]},
        }
    )


def write(workspace):
    """Each user has one of three favourites at every other time, 10 events in all; one event is there twice."""
    rows = [
        (user, ITEMS[place % 3] if time % 2 else ITEMS[3 + (place * 7 + time) % 27], 100 + time)
        for place, user in enumerate(USERS)
        for time in range(1, 11)
    ]
    rows.append(rows[0])
    user_ids, item_ids, timestamps = (list(column) for column in zip(*rows, strict=True))
    tables = {
        "interactions": {"user_id": user_ids, "item_id": item_ids, "timestamp": timestamps},
        "users": {"user_id": USERS},
        "items": {"item_id": ITEMS, "title": ITEMS},
    }
    workspace.validated.mkdir(parents=True)
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), workspace.validated / f"{name}.parquet")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("repeats"))
    write(workspace)
    split.run(params(), workspace)
    return workspace


def test_every_event_counts_and_later_ones_of_a_pair_are_told_apart(workspace):
    report = json.loads(workspace.split_report.read_text())
    assert report["dropped"]["repeated"] == 1
    assert report["notes"][0] == "1 events share user, item and time with another: one of them counts."
    assert "lists may hold what users have had" in report["notes"][1]
    assert "No pair of user and item lies in two parts" not in [each["promise"] for each in report["promises"]]
    assert {part: report["sizes"][part] for part in ("train", "valid", "test")} == {
        "train": 108,
        "valid": 36,
        "test": 36,
    }
    prepared = load_prepared(workspace)
    assert prepared.keeps_repeats
    # Of six train events the favourite is the first, third and fifth.
    assert prepared.train.part(0, 1).items.tolist()[::2] == [prepared.train.items[0]] * 3
    for name, repeats in {"train": 36, "valid": 18, "test": 18}.items():
        assert sum(pq.read_table(workspace.split / f"{name}.parquet")["is_repeat"].to_pylist()) >= repeats


@pytest.mark.parametrize("method", ["global-temporal", "leave-last-out", "random"])
def test_every_method_keeps_its_other_promises_and_gives_the_same_bytes_again(tmp_path, method):
    workspace = Workspace(tmp_path)
    write(workspace)
    split.run(params(method=method), workspace)
    first = (workspace.split / "test.parquet").read_bytes()
    events = pq.read_table(workspace.validated / "interactions.parquet").to_pandas().iloc[::-1]
    events.to_parquet(workspace.validated / "interactions.parquet", index=False)
    split.run(params(method=method), workspace)
    assert (workspace.split / "test.parquet").read_bytes() == first


def test_lists_may_hold_what_users_have_had_and_the_figures_say_how_much_of_the_hits_it_is(workspace, capsys):
    train.run(params(), workspace, "mf")
    evaluate.run(params(), workspace, "mf")
    metrics = json.loads((workspace.evaluation("mf") / "metrics.json").read_text())
    prepared = load_prepared(workspace)
    known, test = prepared.known(), load_held_out(workspace, prepared).test
    had = [np.isin(test.part(u, u + 1).items, known.part(u, u + 1).items).mean() for u in np.flatnonzero(test.lengths)]
    assert metrics["test"]["repeats_of_test"] == pytest.approx(np.mean(had))
    # The favourite is had before every test event on it: whoever recommends what was had hits half of the test items.
    assert metrics["test"]["hit_rate@2"] > 0.9
    assert metrics["test"]["repeats_of_hits@2"] > 0.9
    # Someone of whom the model is given one event has had the favourites before all the same.
    assert metrics["new_users"]["1"]["repeats_of_test"] == metrics["new_users"]["all"]["repeats_of_test"] > 0
    assert "repeats_of_hits@2" in metrics["new_users"]["all"]
    assert "of a user's test items" in capsys.readouterr().out


def test_without_repeats_nothing_changes_in_files_and_lists(tmp_path):
    workspace = Workspace(tmp_path)
    write(workspace)
    split.run(params(keep_repeats=False), workspace)
    prepared = load_prepared(workspace)
    assert not prepared.keeps_repeats
    assert "is_repeat" not in pq.read_schema(workspace.split / "train.parquet").names
    assert prepared.left_out(prepared.known()) is prepared.known()


def test_shares_of_repeats_by_hand(workspace):
    prepared = load_prepared(workspace)
    known = prepared.train.take(np.array([0, 0]))
    favourite = int(known.items[0])
    others = [item for item in range(len(ITEMS)) if item not in known.items]
    # The truth has the favourite twice, which counts once, and two new items; user 1 hits nothing.
    truth = known.first(0).from_rows(
        np.array([0, 0, 0, 0, 1]), np.array([favourite, favourite, *others[:3]]), np.zeros(5, np.int64), 2
    )
    # Of what user 0 had, the model is given nothing.
    given = known.keep(known.rows == 1)
    people = EvalSet.of_rows(prepared, np.array([0, 0]), given, truth, known)
    assert not len(people.exclude.items)
    lists = TopLists(
        np.array([[others[0], favourite, others[5]], [others[5], others[6], favourite]], np.int32),
        np.array([[3, 2, 1]] * 2, np.float32),
    )
    shares = Evaluated(people, lists, (1, 3)).repeats()
    assert shares["repeats_of_test"].tolist() == [pytest.approx(1 / 3), 0]
    assert shares["repeats_of_hits@1"][0] == 0
    assert shares["repeats_of_hits@3"][0] == 0.5
    assert math.isnan(shares["repeats_of_hits@3"][1])


@pytest.fixture(scope="module", params=["popularity", "mf"])
def served(workspace, request):
    """A model of the split with repeats, exported, and the scores of the lists that are evaluated, by user."""
    model = request.param
    train.run(params(), workspace, model)
    export.run(workspace, model)
    prepared = load_prepared(workspace)
    queries = prepared.queries(prepared.known(), prepared.warm_users)
    nothing = queries.histories.first(0)
    lists = rank(load_trained(workspace.trained(model)), queries, nothing, nothing, 5, 1)
    return model, dict(zip(prepared.user_ids(prepared.warm_users).to_pylist(), lists.scores.tolist(), strict=True))


def test_the_exported_model_and_the_server_answer_as_the_model_was_evaluated(workspace, served):
    """By scores: which of two items with nearly the same one comes first is a matter of rounding."""
    model, expected = served
    users, scores = list(expected), np.array(list(expected.values()))
    module = load_serving(workspace.saved_model(model))
    found = module.recommend_for_users(tf.constant(users), tf.constant(5))
    assert found["scores"].numpy() == pytest.approx(scores, abs=1e-5)
    of_server = load_served(workspace.saved_model(model), Origin(model=model, version="v1.0.0", commit=None), "off")

    def answered(**query):
        [answer] = of_server.answer([of_server.encoder.encode(Query(k=5, **query))])
        return answer.items

    assert [[item.score for item in answered(user_id=user)] for user in users] == pytest.approx(scores, abs=1e-5)
    known = load_prepared(workspace).known()
    had = {ITEMS[item] for item in known.items[: known.offsets[1]].tolist()}
    assert had & {item.item_id for item in answered(user_id=users[0])}
    assert not had & {item.item_id for item in answered(user_id=users[0], exclude_seen=True)}


def test_a_model_whose_stored_users_are_timed_gives_the_same_lists(workspace, served):
    model, expected = served
    stored = with_stored_users(LoadedExport.load(workspace.saved_model(model)), load_prepared(workspace))
    found = stored.module.recommend_for_users(tf.constant(list(expected)), tf.constant(5))
    assert found["scores"].numpy() == pytest.approx(np.array(list(expected.values())), abs=1e-5)


def test_recommend_does_too_unless_it_is_told_otherwise(workspace, served, capsys):
    model, expected = served
    user, scores = next(iter(expected.items()))
    asked = {"model": model, "user": user, "history": None, "features": (), "k": 5, "why": False}
    columns = r"│ +\d+ │ +(i\d+) │.*│ +([-\d.]+) │"
    recommend.run(workspace, **asked)
    listed = re.findall(columns, capsys.readouterr().out)
    assert [float(score) for _, score in listed] == pytest.approx(scores, abs=1e-3)
    recommend.run(workspace, **asked, exclude_seen=True)
    without = re.findall(columns, capsys.readouterr().out)
    assert len(without) == 5
    assert {item for item, _ in without} != {item for item, _ in listed}
