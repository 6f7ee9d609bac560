"""Evaluation by several processes: the same files as by one, and the same errors."""

import json
import os

import numpy as np
import pytest
from contrarian import PARAMS, Contrarian, asked_in_blocks_of, contents, write_split

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine.settings import EngineSettings
from bakeoff.data.prepared.tables import load_held_out, load_prepared
from bakeoff.evaluation import parallel
from bakeoff.evaluation.ranking import protocol
from bakeoff.evaluation.ranking.protocol import EvalQueries
from bakeoff.stages import evaluate

NUM_USERS = 30


def load(_workspace, _model, _items):
    """A model that reads the order; a process of its own imports this function by its name."""
    return Ordered(np.arange(40, 0, -1, dtype=np.float32)[:, None])


def load_diverged(_workspace, _model, _items):
    return Contrarian(np.full((40, 1), np.nan, np.float32))


def load_and_die(_workspace, _model, _items):
    os._exit(9)


class Ordered(Contrarian):
    """Answers by what came last."""

    def embed_queries(self, queries):
        last = np.array([row[-1] if len(row) else 0 for row in np.split(queries.histories.items, self.ends(queries))])
        return np.where(last % 2, 1, -1)[:, None].astype(np.float32)

    def ends(self, queries):
        return queries.histories.offsets[1:-1]


@pytest.fixture
def workspace(tmp_path):
    """Thirty users with ten known events and five test items, and two new ones with a history of three."""
    workspace = Workspace(tmp_path / "project")
    rng = np.random.default_rng(0)
    items = [str(item) for item in range(1, 41)]
    parts = {"train": [], "valid": [], "test": [], "new": []}
    for user in range(1, NUM_USERS + 1):
        chosen = rng.permutation(items)[:15]
        for part, events in (("train", chosen[:8]), ("valid", chosen[8:10]), ("test", chosen[10:])):
            parts[part] += [(str(user), item) for item in events]
    for user in ("x", "y"):
        chosen = rng.permutation(items)[:5]
        parts["new"] += [(user, item, "history" if place < 3 else "test") for place, item in enumerate(chosen)]
    write_split(workspace, **parts, items=items)
    return workspace


def by(count, monkeypatch, scratch="", **evidence):
    """Settings with so many processes."""
    params = asked_in_blocks_of(4)
    monkeypatch.setenv("BAKEOFF_PROCESSES", str(count or ""))
    monkeypatch.setenv("BAKEOFF_SCRATCH", scratch)
    return params.model_copy(
        update={
            "evidence": params.evidence.model_copy(update={"sampled_candidates": 3, **evidence}),
        }
    )


def run(workspace, monkeypatch, count, loads=load, scratch=""):
    monkeypatch.setattr(evaluate, "load_fitting", loads)
    evaluate.run(by(count, monkeypatch, scratch), workspace, "mf")


def queries_of(workspace, params):
    prepared = load_prepared(workspace)
    held_out = load_held_out(workspace, prepared)
    return EvalQueries(prepared, held_out, params.evaluate, params.seed, params.evidence.sampled_candidates)


def test_two_processes_write_the_files_of_one(workspace, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = []
    for count in (1, 2):
        run(workspace, monkeypatch, count, scratch=str(scratch))
        found.append(contents(workspace.evaluation("mf")))
    assert found[0] == found[1]
    assert len(found[0]) == 7
    assert os.listdir(scratch) == []
    cost = json.loads(workspace.cost("evaluate/mf").read_text(encoding="utf-8"))
    assert 0 < cost["ranking_seconds"] <= cost["wall_seconds"]


def test_what_is_wrong_with_a_model_is_told_as_by_one_process(workspace, monkeypatch):
    run(workspace, monkeypatch, 1)
    before = contents(workspace.evaluation("mf"))
    with pytest.raises(BakeoffError, match=r"NaN or infinity.*Lower the learning rate"):
        run(workspace, monkeypatch, 2, load_diverged)
    assert contents(workspace.evaluation("mf")) == before
    assert [path.name for path in workspace.evaluation("mf").parent.iterdir()] == ["mf"]


def test_a_process_that_dies_is_told(workspace, monkeypatch):
    with pytest.raises(BakeoffError, match=r"A process that ranks with mf was ended: .*BAKEOFF_PROCESSES"):
        run(workspace, monkeypatch, 2, load_and_die)
    assert not workspace.evaluation("mf").exists()


@pytest.mark.parametrize(
    ("asked", "cores", "users_per_batch", "expected"),
    [
        (None, 8, 1 << 16, 1),
        (None, 8, 10, 3),
        (None, 2, 10, 2),
        (None, 1, 10, 1),
        (None, 64, 1, 8),
        (5, 2, 1 << 16, 5),
        (1, 8, 10, 1),
    ],
    ids=[
        "few users",
        "a process per batch",
        "a process per core",
        "a single core",
        "many of both",
        "as configured",
        "as configured, one",
    ],
)
def test_there_are_as_many_processes_as_have_something_to_do(
    workspace, monkeypatch, asked, cores, users_per_batch, expected
):
    monkeypatch.setattr(parallel, "num_cores", lambda: cores)
    monkeypatch.setattr(parallel, "USERS_PER_BATCH", users_per_batch)
    assert parallel.num_processes(queries_of(workspace, PARAMS), EngineSettings(processes=asked)) == expected


def test_batches_have_whole_blocks_so_that_their_number_changes_nothing(workspace, monkeypatch):
    asked = queries_of(workspace, asked_in_blocks_of(4))
    sizes = {least: [len(users) for users in asked.batches("test", least)] for least in (1, 3, 6, 99)}
    assert sizes == {1: [28, 2], 3: [8, 8, 8, 6], 6: [4] * 7 + [2], 99: [4] * 7 + [2]}
    monkeypatch.setattr(protocol, "USERS_PER_BATCH", 9)
    assert [len(users) for users in asked.batches("test")] == [8, 8, 8, 6]
    monkeypatch.setattr(protocol, "USERS_PER_BATCH", 3)
    assert [len(users) for users in asked.batches("test")] == [4] * 7 + [2]
    assert [len(users) for users in asked.batches("0")] == [2]


def test_a_question_about_nobody_is_one_batch(tmp_path):
    workspace = Workspace(tmp_path)
    write_split(workspace, new=[])
    asked = queries_of(workspace, PARAMS)
    assert [len(users) for users in asked.batches("all", 6)] == [0]
