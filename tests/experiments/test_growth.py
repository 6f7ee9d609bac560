import json
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import small_split

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments import growth as growth_costs
from bakeoff.experiments.growth import measure_fit, users_of_share
from bakeoff.experiments.training.runner import Experiment, Seconds
from bakeoff.models.base.specs import spec
from bakeoff.stages import growth

PARAMS = small_split.PARAMS.model_copy(
    update={
        "evidence": small_split.PARAMS.evidence.model_copy(
            update={"growth_shares": (0.25, 0.5, 1.0), "growth_catalogues": (200, 400)}
        )
    }
)


def say(workspace, model, **training):
    workspace.training(model).parent.mkdir(parents=True, exist_ok=True)
    workspace.training(model).write_text(json.dumps(training), encoding="utf-8")


def in_this_process(tasks):
    """What `run_alone` does, without the seconds that each process takes to import TensorFlow."""
    return [task() for task in tasks]


@pytest.fixture
def found(workspace, monkeypatch):
    monkeypatch.setattr(growth_costs, "run_alone", in_this_process)
    say(workspace, "mf", selected_epoch=3)
    say(workspace, "softmax", selected_epoch=4)
    growth.run(PARAMS, workspace)
    return json.loads(workspace.cost("growth").read_text(encoding="utf-8"))


def test_every_share_and_catalogue_is_measured(found):
    assert [(size["model"], size["share"]) for size in found["sizes"]] == [
        (model, share) for model in ("popularity", "ease", "mf", "softmax") for share in (0.25, 0.5, 1.0)
    ]
    # of 14 warm users; each has three train events and one valid event
    assert [size["users"] for size in found["sizes"][:3]] == [4, 7, 14]
    assert [size["events"] for size in found["sizes"][:3]] == [16, 28, 56]
    assert {size["items"] for size in found["sizes"]} == {12}
    assert all(size[cost] > 0 for size in found["sizes"] for cost in growth_costs.COSTS.values())
    # as many epochs as validation chose; a model without epochs gets one
    assert [size["epochs"] for size in found["sizes"]] == [1] * 6 + [3] * 3 + [4] * 3
    assert set(found["exponents"]["mf"]) == {"cpu", "memory"}
    assert found["exponents"]["mf"]["cpu"]["low"] < found["exponents"]["mf"]["cpu"]["high"]
    assert [row["items"] for row in found["catalogues"]] == [200, 400]
    assert all(row["full_step_seconds"] > 0 and row["sampled_step_seconds"] > 0 for row in found["catalogues"])
    assert {"wall_seconds", "cpu_seconds", "peak_memory_bytes"} <= set(found)


def test_a_catalogue_that_memory_does_not_hold_is_skipped_with_a_note(workspace, monkeypatch):
    monkeypatch.setattr(growth_costs.psutil, "virtual_memory", lambda: SimpleNamespace(available=1 << 20))
    small, large = growth_costs.measure_catalogues(
        PARAMS.model_copy(
            update={"evidence": PARAMS.evidence.model_copy(update={"growth_catalogues": (100, 1_000_000)})}
        ).experiments
    )
    assert small["full_step_seconds"] > 0
    assert large["full_step_seconds"] is None
    assert large["repeats"] == 0
    assert large["skipped"].startswith("A catalogue of 1,000,000 items needs")


def test_a_skipped_contender_is_left_out(workspace, monkeypatch):
    monkeypatch.setattr(growth_costs, "run_alone", in_this_process)
    say(workspace, "mf", selected_epoch=2)
    say(workspace, "softmax", skipped="Too large.")
    growth.run(PARAMS, workspace)
    found = json.loads(workspace.cost("growth").read_text(encoding="utf-8"))
    assert {size["model"] for size in found["sizes"]} == {"popularity", "ease", "mf"}
    assert found["exponents"]["softmax"] == dict.fromkeys(growth_costs.COSTS)
    assert found["catalogues"] == []


def test_a_share_is_measured_in_a_process_of_its_own(workspace):
    # this process holds TensorFlow and more; one that only trains MF does not
    task = partial(growth_costs.measure_share, workspace.root, PARAMS.experiments, "mf", 1.0, 2)
    [alone] = growth_costs.run_alone([task])
    assert alone["peak_memory_bytes"] < 500 * 2**20
    assert alone["events"] == 56


def test_the_users_of_a_share_are_trained_on_what_they_dislike_themselves(workspace, monkeypatch):
    prepared = load_prepared(workspace)
    # User u dislikes item 11, which nobody has had, with the weight −u − 1.
    users = np.arange(prepared.num_users)
    weights = -1 - users.astype(np.float32)
    dislikes = Histories.from_rows(users, np.full(len(users), 11), 0 * users, len(users), weights)
    monkeypatch.setattr(growth_costs, "load_prepared", lambda workspace: replace(prepared, dislikes=dislikes))
    trained = []

    def fit(experiment, queries, epochs, pace=iter):
        trained.append((experiment.prepared.trained_dislikes, queries))
        return [Seconds(1.0, 1.0)]

    monkeypatch.setattr(growth_costs, "timed_fit", fit)
    growth_costs.measure_share(workspace.root, PARAMS.experiments, "mf", 0.5, 2)
    ages = prepared.user_features.dense[:, 0]  # tell who a query is of
    assert len(trained) == 2  # the first for imports
    for found, queries in trained:
        assert [ages[int(-1 - weight)] for weight in found.weights] == queries.dense[:, 0].tolist()
    assert len(queries) == 7


def test_a_larger_share_holds_the_smaller_one(workspace):
    prepared = load_prepared(workspace)
    half, all_of_them = (users_of_share(prepared, share, seed=1) for share in (0.5, 1.0))
    assert len(half) == 7
    assert set(half) < set(all_of_them)
    assert all_of_them.tolist() == list(range(14))
    assert users_of_share(prepared, 0.5, seed=2).tolist() != half.tolist()


def test_the_smallest_share_has_a_user(workspace):
    assert len(users_of_share(load_prepared(workspace), 0.001, seed=1)) == 1


class Sleeper:
    """Its first epoch takes long, as one in which code is traced does."""

    def __init__(self):
        self.epochs = 0

    def run_epoch(self):
        self.epochs += 1
        time.sleep(0.3 if self.epochs == 1 else 0.01)
        return 0.0


def sleeping():
    """An experiment whose trainer sleeps; nothing is looked at but how long it takes."""
    return Experiment(spec("mf"), PARAMS.mf, None, 0, build=lambda *arguments: Sleeper())


def test_the_first_epoch_counts_for_the_fit_and_not_for_an_epoch():
    found = measure_fit(sleeping(), None, epochs=4, seconds=60)
    assert found["epochs_run"] == 4
    assert found["fit_seconds"] >= 0.33
    assert 0.01 <= found["seconds_per_epoch"] < 0.3


def test_epochs_that_are_not_run_cost_as_much_as_the_others():
    found = measure_fit(sleeping(), None, epochs=102, seconds=0)
    assert found["epochs_run"] == 2
    assert found["fit_seconds"] >= 0.3 + 101 * 0.01
    assert found["fit_seconds"] == pytest.approx(0.31 + 100 * found["seconds_per_epoch"], rel=0.5)


def test_one_epoch_is_all_that_is_run_where_one_was_chosen():
    assert measure_fit(sleeping(), None, epochs=1, seconds=60)["seconds_per_epoch"] >= 0.3


def test_a_training_that_does_not_say_its_epoch_is_refused(workspace):
    say(workspace, "mf", dim=3)
    with pytest.raises(
        BakeoffError, match=r"The epoch in .* can't be read \('selected_epoch' is missing\).*bakeoff train mf"
    ):
        growth.run(PARAMS, workspace)


def test_after_a_warm_start_a_fit_is_one_of_all_epochs(workspace):
    for fit, epochs in (("warm", PARAMS.mf.max_epochs), ("full", 1)):
        say(workspace, "mf", selected_epoch=1, warm_start={"fit": fit})
        assert growth._epochs(workspace, "mf", PARAMS) == epochs


def test_a_missing_split_is_told_before_anything_is_measured(tmp_path):
    with pytest.raises(BakeoffError, match="bakeoff split"):
        growth.run(PARAMS, Workspace(tmp_path))
    assert not Workspace(tmp_path).cost("growth").exists()
