"""What Spark makes on a cluster of two executors: every table as DuckDB, row for row; embeddings as our ALS.

One module, since all of it shares the cluster.
"""

import gc
import json
import os
import shutil
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dirty_rows import BAD_EVENTS, BAD_ITEMS, BAD_USERS, FEATURES_OF_ALL, files_of_all
from hostile_texts import NAMES
from small_cluster import SPARK, files, use

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import file_hash
from bakeoff.core.histories import Histories
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine.engine import Engine, opened
from bakeoff.data.engine.settings import EngineSettings
from bakeoff.data.params import DataParams, SplitParams
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.data.split.methods import find_cuts
from bakeoff.data.split.split import assign_parts, positives, weighted
from bakeoff.experiments.training.params import WarmStartParams
from bakeoff.models.mf.als import ImplicitALS, ridge
from bakeoff.models.mf.mllib import MLlibALS
from bakeoff.models.mf.spec import MFParams
from bakeoff.ops.drift.distributions import Snapshot
from bakeoff.params import Params, parse_params
from bakeoff.report.accuracy import Statistics
from bakeoff.stages import evaluate, split, train, validate

# Py4J leaves its sockets to the collector of garbage. An engine ignores the rest, but only in the test that opens it.
pytestmark = [
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java 17 or 21"),
    pytest.mark.filterwarnings("ignore:The 'future.infer_string' option"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def spark(tmp_path_factory) -> Iterator[Engine]:
    scratch = str(tmp_path_factory.mktemp("scratch"))
    with opened(SPARK.model_copy(update={"scratch": scratch})) as engine:
        yield engine
    gc.collect()
    assert os.listdir(scratch) == []


@pytest.mark.parametrize("ties", ["chance", "file"])
@pytest.mark.parametrize("method", ["global-temporal", "leave-last-out", "random", "predefined"])
def test_each_way_to_split_sends_an_event_to_the_same_part(spark, tmp_path, method, ties):
    rng = np.random.default_rng(4)
    events = {
        "user_id": rng.integers(0, 12, 90).astype(str),
        "item_id": np.arange(90).astype(str),
        "timestamp": rng.integers(1, 9, 90),
        "split": rng.choice(["train", "valid", "test"], 90),
        "row": rng.permutation(90),
    }
    pq.write_table(pa.table(events), tmp_path / "events.parquet")
    asked = SplitParams(method=method, new_user_share=0.25, ties=ties)
    found = []
    with opened(EngineSettings(scratch=str(tmp_path))) as duckdb:
        for engine in (duckdb, spark):
            chosen = positives(engine.read(tmp_path / "events.parquet"), None)
            parts = assign_parts(chosen, asked, 42, find_cuts(chosen, chosen.select("user_id").distinct(), asked, 42))
            found.append(pa.concat_tables(engine.blocks(parts.order_by("item_id"))))
    assert found[0].equals(found[1])
    assert {"train", "valid", "test"} <= set(found[0]["part"].to_pylist())


def test_events_count_the_same_by_their_kind_and_when_they_repeat(spark, tmp_path):
    rng = np.random.default_rng(4)
    events = {
        "user_id": rng.integers(0, 12, 200).astype(str),
        "item_id": rng.integers(0, 6, 200).astype(str),
        "timestamp": rng.integers(1, 30, 200),
        "event": rng.choice(["view", "buy", "refund"], 200),
        "weight": rng.uniform(0.1, 3, 200),
    }
    pq.write_table(pa.table(events), tmp_path / "events.parquet")
    data = DataParams.model_validate(
        {"columns": {"event": "event", "weight": "weight"}, "event_weights": {"view": 0.3, "buy": 7, "refund": 0}}
    )
    asked, found = SplitParams(keep_repeats=True), []
    with opened(EngineSettings(scratch=str(tmp_path))) as duckdb:
        for engine in (duckdb, spark):
            chosen = positives(weighted(engine.read(tmp_path / "events.parquet"), data), None, keep_repeats=True)
            parts = assign_parts(chosen, asked, 42, find_cuts(chosen, chosen.select("user_id").distinct(), asked, 42))
            found.append(pa.concat_tables(engine.blocks(parts.order_by("user_id", "position"))))
    assert found[0].equals(found[1])
    assert found[0].schema.field("weight").type == pa.float32()
    assert set(found[0]["is_repeat"].to_pylist()) == {True, False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Workspace, Params]:
    """Popularity of a small split, with ties, and new users; lists of five."""
    workspace = Workspace(tmp_path_factory.mktemp("trained"))
    rng = np.random.default_rng(2)
    users, items = np.repeat(np.arange(40), 12), rng.integers(0, 30, 480)
    events = {"user_id": users.astype(str), "item_id": items.astype(str), "timestamp": 1_000 + np.arange(480)}
    workspace.validated.mkdir(parents=True)
    for name, table in {
        "interactions": events | {"rating": np.full(480, 5.0)},
        "users": {"user_id": np.arange(40).astype(str)},
        "items": {"item_id": np.arange(30).astype(str), "title": [f"Item {item}" for item in range(30)]},
    }.items():
        pq.write_table(pa.table(table), workspace.validated / f"{name}.parquet")
    params = parse_params(
        {
            "data": {"user_features": {}, "item_features": {}},
            "split": {"method": "user-temporal", "new_user_share": 0.2},
            "mf": {"dim": 4, "max_epochs": 2},
            "compare": {"primary_metric": "ndcg@5"},
            "evaluate": {"cutoffs": [5], "list_length": 5, "first_interactions": [0, 2]},
        }
    )
    split.run(params, workspace)
    train.run(params, workspace, "mf")
    return workspace, params


@pytest.mark.usefixtures("spark")
def test_executors_rank_as_this_process_does(trained, tmp_path, monkeypatch):
    workspace, params = trained
    evaluate.run(params, workspace, "mf")
    folder = workspace.evaluation("mf")
    ours = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    scratch = str(tmp_path)
    use(monkeypatch, SPARK.model_copy(update={"scratch": scratch}))
    evaluate.run(params, workspace, "mf")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == ours
    assert pq.read_metadata(folder / "recommendations.parquet").num_rows > 100
    assert os.listdir(scratch) == []


@pytest.mark.usefixtures("spark")
def test_what_is_wrong_with_a_model_is_told_as_it_is_on_an_executor(trained, tmp_path, monkeypatch):
    workspace, params = trained
    broken = Workspace(tmp_path / "broken")
    shutil.copytree(workspace.root, broken.root, ignore=shutil.ignore_patterns("evaluation", "trained"))
    use(monkeypatch, SPARK)
    with pytest.raises(BakeoffError, match="holds no trained model"):
        evaluate.run(params, broken, "mf")
    assert not broken.evaluation("mf").exists()


def drift_counts(engine: Engine, workspace: Workspace) -> list[list[object]]:
    """What the drift of the validated data is judged by, of each kind."""
    snapshot = Snapshot(lambda table, columns: engine.read(workspace.validated / f"{table}.parquet", columns))
    features = [
        (f"{table}s", *each) for table in ("user", "item") for each in FEATURES_OF_ALL[f"{table}_features"].items()
    ]
    features = [each for each in features if each[2] != "vector"]  # not compared
    counted = [snapshot.counts_per("user_id")]
    counted += [snapshot.counts(table, column, kind) for table, column, kind in features]
    return [
        *([each.index.fillna("missing").tolist(), each.tolist()] for each in counted),
        list(snapshot.days.items()),
        [
            snapshot.num_rows("interactions"),
            *("title" in snapshot.read(table, [f"{table[:-1]}_id", "title"]).columns for table in ("items", "users")),
        ],
    ]


def with_sound_users(content: dict[str, bytes], users: int = 60, events: int = 12) -> dict[str, bytes]:
    """The files with users added who have so many events each that every part of a split gets some."""
    names = [f"sound {user}" for user in range(users)]
    rng = np.random.default_rng(5)
    genders = np.resize(["F", "M", ""], users)
    rest = "," * len(NAMES)
    added = {
        "users": [f"{name},{20 + n},{genders[n]}{rest}" for n, name in enumerate(names)],
        "items": [
            f"{name},Title {n} of {n % 7},{1950 + n},Drama|Genre {n % 5},{n % 3}|0.5" for n, name in enumerate(names)
        ],
        "interactions": [
            f"{name},{item},{880_000_000 + int(second)},{rating}"
            for name in names
            for item, second, rating in zip(
                rng.choice(names, events, replace=False),
                rng.integers(0, 10**6, events),
                rng.integers(1, 6, events),
                strict=True,
            )
        ],
    }
    return {name: content[name] + "\n".join([*lines, ""]).encode() for name, lines in added.items()}


def test_dirty_data_give_the_same_rows_quarantine_verdict_split_and_drift(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(validate, "_write_docs", lambda *_: None)
    monkeypatch.setattr("bakeoff.data.engine.engine.BLOCK_ROWS", 200)  # parts of a table
    params = parse_params(
        {
            "data": FEATURES_OF_ALL,
            "validation": {"max_quarantine_share": 0.9},
            "split": {"method": "user-temporal", "new_user_share": 0.2},
        }
    )
    for engine in (EngineSettings(), SPARK):
        workspace = Workspace(tmp_path / engine.engine)
        use(monkeypatch, engine)
        workspace.data.mkdir(parents=True)
        for name, content in with_sound_users(files_of_all()).items():
            (workspace.data / f"{name}.csv").write_bytes(content)
        for stage in (validate, split):
            stage.run(params, workspace)
    ours, theirs = (Workspace(tmp_path / name) for name in ("duckdb", "spark"))
    assert files(theirs.validated) == files(ours.validated)
    assert files(theirs.quarantine) == files(ours.quarantine)
    assert files(theirs.split) == files(ours.split)
    assert len(list((theirs.split / "train.parquet").iterdir())) > 1
    assert all(table.num_rows > 0 for name, table in files(ours.split).items() if "/" not in name)
    assert len(load_prepared(theirs).train.items) == len(load_prepared(ours).train.items)
    for name in ("split_report", "validation_report"):
        assert getattr(theirs, name).read_bytes() == getattr(ours, name).read_bytes()
    assert (theirs.vocabulary / "features.json").read_bytes() == (ours.vocabulary / "features.json").read_bytes()
    assert {name: table.num_rows for name, table in files(ours.quarantine).items()} == {
        "users.parquet": len(BAD_USERS) + 1,
        "items.parquet": len(BAD_ITEMS) + 1,
        "interactions.parquet": len(BAD_EVENTS) + 2,
    }
    with opened(EngineSettings()) as duckdb:
        expected = drift_counts(duckdb, ours)
    assert drift_counts(spark, theirs) == expected
    assert sum(expected[0][1]) > 1
    assert expected[-1][1:] == [True, False]


@pytest.fixture(scope="module")
def grouped(tmp_path_factory) -> Workspace:
    """A split of users who like eight of the ten items of their own group."""
    workspace = Workspace(tmp_path_factory.mktemp("grouped"))
    rng = np.random.default_rng(3)
    users = np.repeat(np.arange(120), 8)
    items = np.concatenate([10 * (user % 4) + rng.permutation(10)[:8] for user in range(120)])
    events = {"user_id": users.astype(str), "item_id": items.astype(str), "timestamp": 1_000 + np.arange(len(users))}
    workspace.validated.mkdir(parents=True)
    for name, table in {
        "interactions": events | {"rating": np.full(len(users), 5.0)},
        "users": {"user_id": np.arange(120).astype(str)},
        "items": {"item_id": np.arange(40).astype(str), "title": [f"Item {item}" for item in range(40)]},
    }.items():
        pq.write_table(pa.table(table), workspace.validated / f"{name}.parquet")
    split.run(GROUPED, workspace)
    return workspace


GROUPED = parse_params(
    {
        "data": {"user_features": {}, "item_features": {}},
        "mf": {"dim": 4, "max_epochs": 3, "recency_scale": None},
        "compare": {"primary_metric": "ndcg@5"},
        "evaluate": {"cutoffs": [5], "list_length": 5, "first_interactions": [0, 2]},
    }
)


@pytest.mark.usefixtures("spark")
def test_mf_of_mllib_is_a_retriever_as_good_as_our_own_within_the_interval(grouped, tmp_path, monkeypatch):
    use(monkeypatch, SPARK.model_copy(update={"engine": "duckdb", "scratch": str(tmp_path)}))
    mllib = {"mf": GROUPED.mf.model_copy(update={"solver": "mllib"})}
    found = []
    for params in (GROUPED, GROUPED.model_copy(update=mllib)):
        train.run(params, grouped, "mf")
        evaluate.run(GROUPED, grouped, "mf")  # as exported, by the contract of all models
        users, new = (pq.read_table(grouped.evaluation("mf") / f"{name}.parquet") for name in ("users", "new_users"))
        assert new.num_rows > 0
        found.append(users["ndcg@5"].to_numpy())
    [difference] = Statistics(0.95, 2000, 1).differences((found[0] - found[1])[:, np.newaxis], ["ndcg@5"])
    assert difference.low <= 0 <= difference.high
    assert difference.high - difference.low < 0.1
    assert min(each.mean() for each in found) > 0.5  # by chance some 0.06
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("spark")
def test_mllib_is_fitted_in_full_every_night(grouped, tmp_path, monkeypatch):
    use(monkeypatch, SPARK.model_copy(update={"engine": "duckdb", "scratch": str(tmp_path)}))
    section = {"mf": GROUPED.mf.model_copy(update={"solver": "mllib"}), "warm_start": WarmStartParams(mode="auto")}
    reasons = []
    for _ in range(2):
        train.run(GROUPED.model_copy(update=section), grouped, "mf")
        reasons.append(json.loads(grouped.training("mf").read_text())["warm_start"]["reason"])
        grouped.parents.mkdir(exist_ok=True)
        left = shutil.copy(grouped.start("mf"), grouped.parents / "mf.npz")
        named = {"version": "mf@v1.0.0", "commit": "0" * 40, "md5": file_hash(left, "md5")}
        grouped.parents_record.write_text(json.dumps({"mf": named}))
    assert "no model to start from" in reasons[0]
    assert "mllib" in reasons[1]


def test_mllib_minimises_what_our_als_does(spark, monkeypatch):
    """λ_u is a multiple of |S_u| (ν = 1, α₀ small), as in MLlib, so that both have the same optimum."""
    monkeypatch.setattr("bakeoff.models.mf.mllib.ROWS_PER_PART", 200)  # parts of the pairs,
    monkeypatch.setattr("bakeoff.models.mf.mllib._PAIRS_PER_BLOCK", 150)  # and blocks of the loss
    rng = np.random.default_rng(0)
    likes = rng.random((60, 40)) < np.where(np.arange(60)[:, None] % 4 == np.arange(40) % 4, 0.7, 0.05)
    likes[:, 39] = False  # an item that nobody has met
    histories = Histories.from_rows(*np.nonzero(likes), np.zeros(likes.sum(), np.int64), 60)
    params = MFParams(
        dim=4, max_epochs=10, unobserved_weight=0.005, regularization=0.02, regularization_exponent=1, init_scale=1.0
    )
    ours, theirs = (
        ImplicitALS(histories, 40, params, 1),
        MLlibALS(histories, 40, params, 1, spark.session, spark.scratch),
    )
    for _ in range(40):
        loss = ours.run_epoch()
    spark.session.sparkContext.setCheckpointDir((spark.scratch / "checkpoints").as_uri())
    assert theirs.run_epoch() == pytest.approx(loss, rel=0.02)
    found, expected = (als.user_embeddings @ als.item_embeddings.T for als in (theirs, ours))
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95
    # Fold-in goes on from the items' embeddings, and so must find their users, whose λ is all but the same.
    items = theirs.item_embeddings
    shared = params.unobserved_weight * items.T @ items
    for user, weight in enumerate(ridge(likes.sum(axis=1), 40, params)):
        liked = items[likes[user]]
        folded_in = np.linalg.solve(shared + liked.T @ liked + weight * np.eye(4), liked.sum(axis=0))
        np.testing.assert_allclose(theirs.user_embeddings[user], folded_in, atol=0.05)
    gramian = theirs.item_embeddings.T @ theirs.item_embeddings
    np.testing.assert_allclose(gramian, np.diag(theirs.item_spectrum), atol=1e-4)
    assert not theirs.item_embeddings[39].any()
