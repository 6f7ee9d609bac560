"""Nights of a team: a bare repository, a DVC remote, deliveries in an inbox, the stages that a decision needs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prefect.client.schemas.objects import State
from ruamel.yaml import YAML
from small_project import call, new_workspace, share, shorten

from bakeoff.core.files import file_hash
from bakeoff.flows import nightly, promote

pytestmark = pytest.mark.usefixtures("prefect_server")


class Team:
    """The clone in which the nights happen, and everything around it."""

    def __init__(self, root: Path) -> None:
        self.remote, self.inbox = root / "remote.git", root / "inbox"
        self.workspace = new_workspace(root / "workspace")
        self.clone = self.workspace / ".bakeoff/nightly"
        self.inbox.mkdir()
        shorten(self.workspace)
        start_warm(self.workspace)
        share(self.workspace, self.remote)

    def night(self, **parameters: Any) -> State[Any]:
        return nightly.nightly(self.workspace, inbox=self.inbox, approval=False, return_state=True, **parameters)

    def deliver(self, name: str, events: pd.DataFrame) -> None:
        folder = self.inbox / name
        folder.mkdir()
        events.to_csv(folder / "interactions.csv", index=False)
        (folder / "_SUCCESS").touch()

    def at_remote(self, *arguments: str) -> str:
        return call("git", *arguments, cwd=self.remote).strip()


def start_warm(workspace: Path) -> None:
    """Let nights start from what is in production; of so few people, chance alone decides which fit is better."""
    params = YAML().load(workspace / "params.yaml")
    params["warm_start"] = {"mode": "auto", "margin": 1.0}
    YAML().dump(params, workspace / "params.yaml")


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Somebody agrees to whatever is asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(promote, "is_approved", lambda *_: True)
        yield Team(tmp_path_factory.mktemp("team"))


# The order of these tests is that of the nights.


def test_the_first_night_puts_a_model_into_production_and_delivers_everything(team: Team) -> None:
    state = team.night()
    assert state.is_completed(), state.message
    assert "mf may go into production." in state.message
    assert "mf is in production." in state.message
    assert team.at_remote("tag").split() == ["mf#prod#1", "mf@v1.0.0"]
    assert team.at_remote("log", "-1", "--format=%s").startswith("Nightly run: mf may go into production")
    assert "reports/decision/decision.md" in team.at_remote("ls-tree", "-r", "--name-only", "HEAD")
    assert call("git", "status", "--porcelain", cwd=team.workspace) == ""


def test_somebody_elsewhere_gets_what_is_in_production(team: Team, tmp_path: Path) -> None:
    clone = tmp_path / "elsewhere"
    call("git", "clone", "--quiet", str(team.remote), str(clone), cwd=tmp_path)
    store = team.workspace.parent / "bakeoff-dvc-remote"
    call("dvc", "remote", "modify", "--local", "local", "url", str(store), cwd=clone)
    call("dvc", "pull", "models/mf/saved_model", cwd=clone)
    assert (clone / "models/mf/saved_model/saved_model.pb").exists()


def test_a_night_without_anything_new_says_so_and_does_nothing(team: Team) -> None:
    before = team.at_remote("rev-parse", "HEAD")
    state = team.night()
    assert (state.type, state.name) == ("COMPLETED", "Unchanged")
    assert team.at_remote("rev-parse", "HEAD") == before


def test_new_deliveries_become_a_version_of_the_data_and_a_challenger(team: Team) -> None:
    raw = pd.read_csv(team.clone / "data/interactions.csv")
    last = raw.groupby("user_id").tail(2)
    new = pd.DataFrame({"who": last.user_id, "what": (last.item_id + 1) % 50, "when": last.timestamp + 7, "stars": 4})
    team.deliver("2020-10-01", new)
    state = team.night()
    assert state.is_completed(), state.message
    decision = json.loads((team.clone / "reports/decision/decision.json").read_text())
    assert decision["champion"]["model"] == "mf"
    assert decision["outcome"] in ("promote", "hold")
    tags = team.at_remote("tag").split()
    assert ("mf@v2.0.0" in tags) == (decision["outcome"] == "promote")
    assert "data.dvc" in team.at_remote("show", "--name-only", "--format=", "HEAD").split()
    assert json.loads((team.clone / "reports/drift/drift.json").read_text())["outcome"] == "no drift"


def test_that_night_started_from_the_model_in_production_and_its_commit_says_so(team: Team) -> None:
    training = json.loads((team.clone / "artifacts/training/mf.json").read_text())
    assert training["warm_start"]["fit"] == "warm"
    parent = json.loads(team.at_remote("show", "HEAD:parents.json"))["mf"]
    made = team.at_remote("rev-parse", "mf@v1.0.0^{commit}")
    md5 = file_hash(team.clone / "parents/mf.npz", "md5")
    assert parent == {"version": "mf@v1.0.0", "commit": made, "md5": md5}
    stage = YAML(typ="safe").load(team.at_remote("show", "HEAD:dvc.lock"))["stages"]["train@mf"]
    assert stage["params"]["parents.json"]["mf"] == parent
    # It is the file that the version in production left: its commit and the remote still have it.
    call("git", "checkout", "--quiet", made, cwd=team.clone)
    call("dvc", "checkout", "--quiet", "models/mf/trained", cwd=team.clone)
    assert file_hash(team.clone / "models/mf/trained/start.npz", "md5") == md5
