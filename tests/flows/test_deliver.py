"""What a run delivers, to a real bare repository and a real DVC remote in another directory."""

import shutil
import subprocess
from pathlib import Path

import pytest
from flow_project import call, dvc

import deliver
from child import ChildError
from deliver import DeliveryError


def git(*arguments: str, cwd: Path) -> str:
    return call("git", "-c", "user.name=Dev", "-c", "user.email=dev@localhost", *arguments, cwd=cwd).strip()


def write(workspace: Path, path: str, text: str) -> None:
    (workspace / path).parent.mkdir(exist_ok=True)
    (workspace / path).write_text(text)


class Team:
    """A bare repository, the clone in which runs happen, and the clone of a colleague."""

    def __init__(self, root: Path) -> None:
        self.remote, self.runs, self.colleague = root / "remote.git", root / "runs", root / "colleague"
        git("init", "--quiet", "--bare", "--initial-branch=main", str(self.remote), cwd=root)
        git("clone", "--quiet", str(self.remote), str(self.colleague), cwd=root)
        git("switch", "--quiet", "--create", "main", cwd=self.colleague)
        for path in ("params.yaml", "data.dvc", "dvc.lock", "reports/metrics.json"):
            write(self.colleague, path, "first\n")
        self.push("first")
        git("clone", "--quiet", str(self.remote), str(self.runs), cwd=root)
        self.told: list[str] = []

    def push(self, message: str) -> str:
        git("add", "--all", cwd=self.colleague)
        git("commit", "--quiet", "--message", message, cwd=self.colleague)
        git("push", "--quiet", "origin", "main", cwd=self.colleague)
        return git("rev-parse", "main", cwd=self.colleague)

    def update(self) -> None:
        deliver.update(self.runs, self.told.append)

    def send(self) -> bool:
        return deliver.push_history(self.runs, self.told.append)

    def at_remote(self, name: str = "main") -> str:
        return git("rev-parse", name, cwd=self.remote)


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    # As on a machine where Git was told nothing.
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return Team(tmp_path)


def test_results_are_committed_by_bakeoff_where_git_knows_nobody(team: Team) -> None:
    write(team.runs, "dvc.lock", "second\n")
    write(team.runs, "reports/new.json", "{}")
    made = deliver.commit(team.runs, "Nightly run: held", "brave-owl")
    assert made == git("rev-parse", "--short", "HEAD", cwd=team.runs)
    assert git("log", "-1", "--format=%an|%s|%(trailers:key=Bakeoff-Run,valueonly)", cwd=team.runs) == (
        "Bakeoff|Nightly run: held|brave-owl"
    )
    assert git("show", "--name-only", "--format=", cwd=team.runs).split() == ["dvc.lock", "reports/new.json"]


def test_without_a_change_there_is_no_commit(team: Team) -> None:
    assert deliver.commit(team.runs, "nothing", "run") is None


def test_a_commit_and_its_tags_reach_the_remote_and_are_sent_once(team: Team) -> None:
    write(team.runs, "dvc.lock", "second\n")
    deliver.commit(team.runs, "second", "run")
    git("tag", "softmax@v1.0.0", cwd=team.runs)
    git("tag", "softmax#prod#1", cwd=team.runs)
    git("tag", "private", cwd=team.runs)
    assert team.send()
    assert team.at_remote() == git("rev-parse", "HEAD", cwd=team.runs)
    assert git("tag", cwd=team.remote).split() == ["softmax#prod#1", "softmax@v1.0.0"]
    assert not team.send()


def test_tags_that_did_not_get_out_are_sent_by_the_next_run(team: Team) -> None:
    write(team.runs, "dvc.lock", "second\n")
    deliver.commit(team.runs, "second", "run")
    team.send()
    git("tag", "mf@v1.0.0", cwd=team.runs)  # as if the run had been killed right after
    assert deliver.unsent(team.runs) == ["refs/tags/mf@v1.0.0"]
    assert team.send()


def test_new_commits_are_taken_in(team: Team) -> None:
    write(team.colleague, "params.yaml", "second\n")
    newest = team.push("other settings")
    team.update()
    assert git("rev-parse", "HEAD", cwd=team.runs) == newest
    assert "other settings" in team.told[-1]


def test_what_a_killed_run_left_uncommitted_is_made_again_but_new_data_stay(team: Team) -> None:
    write(team.runs, "dvc.lock", "half a run\n")
    write(team.runs, "data.dvc", "new data\n")
    write(team.colleague, "dvc.lock", "second\n")
    team.push("others ran it too")
    team.update()
    assert (team.runs / "dvc.lock").read_text() == "second\n"
    assert (team.runs / "data.dvc").read_text() == "new data\n"


def test_new_data_on_both_sides_are_a_case_for_a_person(team: Team) -> None:
    write(team.runs, "data.dvc", "ours\n")
    write(team.colleague, "data.dvc", "theirs\n")
    team.push("new data")
    with pytest.raises(DeliveryError, match=r"other new data.*dvc checkout data\.dvc"):
        team.update()
    assert (team.runs / "data.dvc").read_text() == "ours\n"


def test_work_that_is_not_committed_is_refused_by_name(team: Team) -> None:
    write(team.runs, "params.yaml", "tried out\n")
    with pytest.raises(DeliveryError, match=r"params\.yaml.*commit it, or `git stash` it"):
        team.update()
    assert (team.runs / "params.yaml").read_text() == "tried out\n"


def test_a_push_that_comes_too_late_sends_nothing_and_the_next_run_joins_both(team: Team) -> None:
    write(team.runs, "dvc.lock", "second\n")
    deliver.commit(team.runs, "results", "run")
    git("tag", "softmax#prod#1", cwd=team.runs)
    write(team.colleague, "params.yaml", "second\n")
    theirs = team.push("other settings")
    with pytest.raises(DeliveryError, match="has taken in something else since this run began"):
        team.send()
    assert (team.at_remote(), git("tag", cwd=team.remote)) == (theirs, "")
    team.update()
    assert git("log", "--format=%s", cwd=team.runs).split("\n")[:2] == ["results", "other settings"]
    assert git("tag", cwd=team.runs) == ""  # it named a commit that nobody will ever see
    assert team.send()


def test_results_that_clash_with_new_commits_are_left_as_they_are(team: Team) -> None:
    write(team.runs, "dvc.lock", "ours\n")
    deliver.commit(team.runs, "results", "run")
    ours = git("rev-parse", "HEAD", cwd=team.runs)
    write(team.colleague, "dvc.lock", "theirs\n")
    team.push("their results")
    with pytest.raises(DeliveryError, match="git reset --keep origin/main"):
        team.update()
    assert git("rev-parse", "HEAD", cwd=team.runs) == ours
    assert git("status", "--porcelain", cwd=team.runs) == ""


def test_a_run_that_was_killed_while_it_joined_histories_is_taken_up_again(team: Team) -> None:
    write(team.runs, "dvc.lock", "ours\n")
    deliver.commit(team.runs, "results", "run")
    write(team.colleague, "dvc.lock", "theirs\n")
    team.push("their results")
    git("fetch", "--quiet", cwd=team.runs)
    with pytest.raises(subprocess.CalledProcessError):
        git("rebase", "--quiet", "origin/main", cwd=team.runs)  # stops at the conflict, as a killed one at any place
    with pytest.raises(DeliveryError, match="git reset --keep origin/main"):
        team.update()
    assert git("log", "-1", "--format=%s", cwd=team.runs) == "results"


def test_commits_of_a_person_are_not_moved(team: Team) -> None:
    write(team.runs, "params.yaml", "mine\n")
    git("commit", "--quiet", "--all", "--message", "by hand", cwd=team.runs)
    write(team.colleague, "dvc.lock", "theirs\n")
    team.push("their results")
    with pytest.raises(DeliveryError, match="no run made"):
        team.update()


def test_a_remote_that_is_gone_is_an_error_that_another_try_may_help(team: Team) -> None:
    shutil.rmtree(team.remote)
    with pytest.raises(ChildError, match="fetch") as caught:
        team.update()
    assert not isinstance(caught.value, DeliveryError)


def test_a_clone_without_a_remote_keeps_its_results(team: Team) -> None:
    git("remote", "remove", "origin", cwd=team.runs)
    team.update()
    assert "results will stay here" in team.told[-1]
    assert not team.send()


def test_a_commit_that_belongs_to_no_branch_is_refused(team: Team) -> None:
    git("checkout", "--quiet", "--detach", cwd=team.runs)
    with pytest.raises(DeliveryError, match="git switch main"):
        team.update()


def test_a_directory_without_history_says_so(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="no Git repository"):
        deliver.update(tmp_path, print)


def test_data_go_to_the_remote_of_dvc(empty_project: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    shutil.copytree(empty_project, workspace)
    told: list[str] = []
    deliver.push_data(workspace, told.append, 60)
    assert "No DVC remote" in told[0]
    write(workspace, "big", "big file")
    dvc("add", "--quiet", "big", cwd=workspace)
    dvc("remote", "add", "--default", "store", str(tmp_path / "store"), cwd=workspace)
    deliver.push_data(workspace, told.append, 60)
    (stored,) = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert stored.read_text() == "big file"
