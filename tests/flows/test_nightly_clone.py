"""The night's clone: made from a real bare repository, kept to itself, delivered, and bounded."""

import os
import shutil
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import pytest
from flow_project import call, dvc

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import ChildError
from bakeoff.flows import nightly_clone as clones
from bakeoff.flows.dvc_stages import copy_settings
from bakeoff.ops.git import check_identity

STAGES = """
stages:
  train: {cmd: cp raw model, deps: [raw], outs: [model]}
  compare: {cmd: cp model reports/metrics.json, deps: [model], outs: [reports/metrics.json: {cache: false}]}
"""


def git(*arguments: str, cwd: Path) -> str:
    return call("git", *arguments, cwd=cwd).strip()


def write(workspace: Path, path: str, text: str) -> None:
    (workspace / path).parent.mkdir(exist_ok=True)
    (workspace / path).write_text(text)


class Team:
    """A bare repository, a colleague's workspace, and the clone in which nights happen."""

    def __init__(self, root: Path, empty_project: Path) -> None:
        self.remote, self.colleague, self.clone = root / "remote.git", root / "colleague", root / "nights/clone"
        git("init", "--quiet", "--bare", str(self.remote), cwd=root)
        shutil.copytree(empty_project, self.colleague)
        git("remote", "add", "origin", "../remote.git", cwd=self.colleague)
        write(self.colleague, ".gitignore", "/model\n")
        write(self.colleague, "dvc.yaml", STAGES)
        for path in ("raw", "reports/metrics.json"):
            write(self.colleague, path, "first\n")
        write(self.colleague, "params.yaml", "seed: 1\n")
        write(self.colleague, "data.dvc", "outs: []\n")
        self.push("first")
        clones.open_nightly(self.colleague, self.clone)
        self.said: list[str] = []

    def push(self, message: str) -> str:
        git("add", "--all", cwd=self.colleague)
        git("commit", "--quiet", "--message", message, cwd=self.colleague)
        git("push", "--quiet", "origin", "HEAD", cwd=self.colleague)
        return git("rev-parse", "HEAD", cwd=self.colleague)

    def begin(self) -> None:
        """What a night does first."""
        copy_settings(self.colleague, self.clone, share_cache=False)
        clones.check_nightly(self.clone, self.said.append)
        clones.update(self.clone, self.said.append)

    def send(self) -> None:
        clones.push_history(self.clone, self.said.append)

    def at_remote(self) -> str:
        return git("rev-parse", "HEAD", cwd=self.remote)


@pytest.fixture
def team(tmp_path: Path, empty_project: Path) -> Team:
    return Team(tmp_path, empty_project)


def test_the_clone_is_made_once_with_identity_and_the_places_of_remotes(team: Team) -> None:
    dvc("remote", "add", "--default", "store", "../store", cwd=team.colleague)
    dvc("config", "cache.dir", "../shared-cache", cwd=team.colleague)
    team.push("a remote")
    clones.open_nightly(team.colleague, team.clone)
    team.begin()
    assert git("config", "user.name", cwd=team.clone) == "Test"
    assert str(team.colleague.parent / "store") in dvc("remote", "list", cwd=team.clone)
    assert dvc("cache", "dir", cwd=team.clone).strip() == str(team.clone / ".dvc/cache")


def test_settings_stay_as_they_are_until_the_night_has_the_clone_to_itself(team: Team) -> None:
    before = (team.clone / ".dvc/config.local").read_bytes()
    dvc("remote", "add", "--local", "--default", "store", "../store", cwd=team.colleague)
    clones.open_nightly(team.colleague, team.clone)
    assert (team.clone / ".dvc/config.local").read_bytes() == before


def test_two_nights_that_start_at_once_make_one_clone(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, usual, second = [], clones.make_clone, tmp_path / "second"

    def make_slowly(project: Path, directory: Path) -> None:
        begun.append(directory)
        usual(project, directory)
        sleep(1)

    monkeypatch.setattr(clones, "make_clone", make_slowly)
    with ThreadPoolExecutor(2) as nights:
        for night in [nights.submit(clones.open_nightly, team.colleague, second) for _ in range(2)]:
            night.result()
    assert len(begun) == 1


def test_outputs_of_the_project_are_there_in_a_new_clone(team: Team, tmp_path: Path) -> None:
    dvc("repro", "--quiet", cwd=team.colleague)
    team.push("results")
    clones.open_nightly(team.colleague, tmp_path / "second")
    clones.restore(tmp_path / "second", print, 60)
    assert (tmp_path / "second/model").read_text() == "first\n"


def test_a_directory_that_the_night_did_not_make_is_refused_and_left_alone(team: Team) -> None:
    write(team.colleague, "params.yaml", "seed: 2\n")
    with pytest.raises(BakeoffError, match="not a clone that the nightly run made"):
        clones.open_nightly(team.colleague, team.colleague)
    assert (team.colleague / "params.yaml").read_text() == "seed: 2\n"


def edit(clone: Path) -> None:
    write(clone, "reports/metrics.json", "edited by hand\n")


def keep_private(clone: Path) -> None:
    write(clone, "private.txt", "private\n")


def commit_by_hand(clone: Path) -> None:
    edit(clone)
    git("commit", "--quiet", "--all", "--message", "private", cwd=clone)


@pytest.mark.parametrize(
    ("work", "named"),
    [(edit, r"reports/metrics\.json"), (keep_private, r"private\.txt"), (commit_by_hand, "commit [0-9a-f]{7}")],
)
def test_a_clone_in_which_somebody_worked_is_refused_and_nothing_of_it_is_sent(
    team: Team, work: Callable[[Path], None], named: str
) -> None:
    before = team.at_remote()
    work(team.clone)
    state = git("status", "--porcelain", cwd=team.clone), git("rev-parse", "HEAD", cwd=team.clone)
    with pytest.raises(BakeoffError, match=rf"Somebody worked in .*{named}"):
        team.begin()
    assert (git("status", "--porcelain", cwd=team.clone), git("rev-parse", "HEAD", cwd=team.clone)) == state
    assert team.at_remote() == before


def test_a_file_whose_name_is_not_text_is_named_in_a_message_that_can_be_sent(team: Team) -> None:
    Path(os.fsdecode(os.fsencode(team.clone) + b"/caf\xe9.txt")).touch()
    with pytest.raises(BakeoffError, match=r"Somebody worked in .*caf\\udce9\.txt") as caught:
        team.begin()
    str(caught.value).encode()


def test_edits_are_refused_after_a_night_that_was_cut_off_too(team: Team) -> None:
    team.begin()
    write(team.clone, "reports/metrics.json", "half a night\n")
    team.begin()
    write(team.clone, "params.yaml", "seed: 2\n")
    with pytest.raises(BakeoffError, match=r"params\.yaml"):
        team.begin()


def test_what_the_run_made_is_committed_by_name(team: Team) -> None:
    team.begin()
    write(team.clone, "dvc.lock", "schema: '2.0'\n")
    (team.clone / "reports/drift").mkdir()
    write(team.clone, "reports/drift/drift.json", "{}")
    write(team.clone, "private.txt", "private\n")
    made = clones.commit(team.clone, "Nightly run: held", "brave-owl")
    assert made == git("rev-parse", "--short", "HEAD", cwd=team.clone)
    assert git("log", "-1", "--format=%an|%s|%(trailers:key=Bakeoff-Run,valueonly)", cwd=team.clone) == (
        "Test|Nightly run: held|brave-owl"
    )
    committed = git("show", "--name-only", "--format=", cwd=team.clone).split()
    assert committed == ["dvc.lock", "reports/drift/drift.json"]
    assert clones.commit(team.clone, "nothing", "run") is None
    team.send()
    assert team.at_remote() == git("rev-parse", "HEAD", cwd=team.clone)
    assert "private.txt" not in git("ls-tree", "-r", "--name-only", "HEAD", cwd=team.remote)


def test_what_a_killed_run_left_gives_way_to_new_commits_but_new_data_stay(team: Team) -> None:
    team.begin()
    write(team.clone, "reports/metrics.json", "half a run\n")
    write(team.clone, "data.dvc", "outs: [] # new\n")
    write(team.colleague, "reports/metrics.json", "second\n")
    team.push("others ran it too")
    team.begin()
    assert (team.clone / "reports/metrics.json").read_text() == "second\n"
    assert (team.clone / "data.dvc").read_text() == "outs: [] # new\n"
    assert "others ran it too" in team.said[-1]


def test_new_data_on_both_sides_are_a_case_for_a_person(team: Team) -> None:
    team.begin()
    write(team.clone, "data.dvc", "outs: [] # ours\n")
    write(team.colleague, "data.dvc", "outs: [] # theirs\n")
    team.push("new data")
    with pytest.raises(BakeoffError, match=r"other new data.*dvc checkout data\.dvc"):
        team.begin()
    assert (team.clone / "data.dvc").read_text() == "outs: [] # ours\n"


def test_a_push_that_comes_too_late_sends_nothing_and_the_next_run_joins_both(team: Team) -> None:
    team.begin()
    write(team.clone, "reports/metrics.json", "second\n")
    clones.commit(team.clone, "results", "run")
    write(team.colleague, "params.yaml", "seed: 2\n")
    theirs = team.push("other settings")
    with pytest.raises(BakeoffError, match="has taken in something else since this run began"):
        team.send()
    assert team.at_remote() == theirs
    team.begin()
    assert git("log", "--format=%s", cwd=team.clone).split("\n")[:2] == ["results", "other settings"]
    team.send()
    assert team.at_remote() == git("rev-parse", "HEAD", cwd=team.clone)


def test_results_that_clash_with_new_commits_are_left_as_they_are(team: Team) -> None:
    team.begin()
    write(team.clone, "reports/metrics.json", "ours\n")
    clones.commit(team.clone, "results", "run")
    ours = git("rev-parse", "HEAD", cwd=team.clone)
    write(team.colleague, "reports/metrics.json", "theirs\n")
    team.push("their results")
    with pytest.raises(BakeoffError, match=r"git reset --keep origin/"):
        team.begin()
    assert git("rev-parse", "HEAD", cwd=team.clone) == ours
    assert git("status", "--porcelain", cwd=team.clone) == ""


def test_a_remote_that_is_gone_is_an_error_that_another_try_may_help(team: Team) -> None:
    shutil.rmtree(team.remote)
    with pytest.raises(ChildError, match="fetch"):
        team.begin()


def test_a_remote_that_says_nothing_is_given_up(team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clones, "NETWORK_SECONDS", 0.5)
    team.begin()
    write(team.clone, "reports/metrics.json", "second\n")
    clones.commit(team.clone, "results", "run")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/repo.git"
        for root in (team.colleague, team.clone):
            git("remote", "set-url", "origin", url, cwd=root)
        with pytest.raises(ChildError, match=r"`git fetch` failed in .*\n  took longer than 0.5 s and was ended"):
            clones.update(team.clone, team.said.append)
        with pytest.raises(ChildError, match=r"`git push` failed in .*\n  took longer than 0.5 s and was ended"):
            team.send()
        with pytest.raises(ChildError, match=r"`git clone` failed in .*\n  took longer than 0.5 s and was ended"):
            clones.open_nightly(team.colleague, tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_a_project_without_a_remote_is_refused_with_the_fix(empty_project: Path, tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match=r"no Git remote `origin`.*git init --bare"):
        clones.open_nightly(empty_project, tmp_path / "clone")


def test_git_without_an_identity_is_refused_with_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    git("init", "--quiet", ".", cwd=tmp_path)
    git("config", "user.useConfigOnly", "true", cwd=tmp_path)
    with pytest.raises(BakeoffError, match=r"git config --global user\.name"):
        check_identity(tmp_path)


def test_old_versions_go_and_the_last_and_promoted_ones_stay(team: Team) -> None:
    team.begin()
    clone, sizes = team.clone, []
    dvc("remote", "add", "--local", "--default", "store", str(team.remote.parent / "store"), cwd=clone)
    for number in range(5):
        write(clone, "raw", f"version {number}\n")
        dvc("repro", "--quiet", cwd=clone)
        git("add", "--all", cwd=clone)
        git("commit", "--quiet", "--message", f"version {number}", cwd=clone)
        git("commit", "--quiet", "--allow-empty", "--message", "a commit that is no version", cwd=clone)
        if number == 1:
            git("tag", "mf@v1.0.0", cwd=clone)
        clones.push_data(clone, team.said.append, 60)
        told = clones.remove_old_versions(clone, 2, team.said.append, 60)
        sizes.append(len([path for path in (clone / ".dvc/cache/files").rglob("*") if path.is_file()]))
    assert sizes == [1, 2, 2, 3, 3]
    assert told.startswith("Older than the last 2 versions and not promoted: 1 files")
    for revision in ("HEAD", "HEAD~2", "mf@v1.0.0"):
        assert dvc("get", "--force", "--quiet", ".", "model", "--rev", revision, "-o", "there", cwd=clone) == ""


def test_without_a_dvc_remote_every_version_stays(team: Team) -> None:
    team.begin()
    for number in range(2):
        write(team.clone, "raw", f"version {number}\n")
        dvc("repro", "--quiet", cwd=team.clone)
        git("add", "--all", cwd=team.clone)
        git("commit", "--quiet", "--message", f"version {number}", cwd=team.clone)
    told = clones.remove_old_versions(team.clone, 1, team.said.append, 60)
    assert told == "No DVC remote, so that no older version was removed."
    assert dvc("get", "--quiet", ".", "model", "--rev", "HEAD~", "-o", "there", cwd=team.clone) == ""
    assert (team.clone / "there").read_text() == "version 0\n"
