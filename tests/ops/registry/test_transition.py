"""Tags in a real repository, and whether GTO reads them as we do."""

import shutil
import time
from itertools import combinations

import pytest
from dvc.repo import Repo
from tag_repo import NOW, commit, git, gto_says, new_repo, promote, roll_back, standing, tags

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.registry.history import assignments, check_current, read_events, way_back


@pytest.fixture
def root(tmp_path):
    return new_repo(tmp_path / "repo")


def test_the_first_promotion_registers_a_version_and_assigns_it(root):
    at = commit(root)
    promote(root, "softmax", at)
    assert tags(root) == {"softmax@v1.0.0", "softmax#prod#1"}
    assert gto_says(root) == {standing(root)} == {"softmax@v1.0.0"}


def test_exactly_one_version_is_in_production_whatever_comes_after_whatever(root):
    first, second = commit(root), commit(root)
    for model, at in (("softmax", first), ("softmax", second), ("mf", second), ("mf", first)):
        promote(root, model, at)
        assert gto_says(root) == {standing(root)}
    roll_back(root, "softmax", first)
    assert gto_says(root) == {standing(root)} == {"softmax@v1.0.0"}
    assert {"softmax@v2.0.0", "mf@v2.0.0", "mf#prod!#3", "softmax#prod!#4"} <= tags(root)


def test_a_version_that_comes_back_keeps_its_number(root):
    first, second = commit(root), commit(root)
    promote(root, "mf", first)
    promote(root, "mf", second)
    assert roll_back(root, "mf", first)[0].name == "mf@v1.0.0"
    assert "mf@v3.0.0" not in tags(root)


def test_what_is_in_production_already_needs_no_tag(root):
    at = commit(root)
    promote(root, "mf", at)
    assert promote(root, "mf", at)[1] == []


def test_every_tag_that_a_cut_off_call_lacks_is_made_by_the_next(root, tmp_path):
    first, second = commit(root), commit(root)
    promote(root, "mf", first)
    promote(root, "softmax", first)
    made = [*promote(root, "softmax", second)[1]]
    assert len(made) == 3
    whole = shutil.copytree(root / ".git/refs/tags", tmp_path / "whole")
    for lost in (lost for count in range(1, 4) for lost in combinations(made, count)):
        git(root, "tag", "--delete", *lost)
        promote(root, "softmax", second)
        assert standing(root) == "softmax@v2.0.0", lost
        assert gto_says(root) == {"softmax@v2.0.0"}, lost
        assert promote(root, "softmax", second)[1] == [], lost
        shutil.rmtree(root / ".git/refs/tags")
        shutil.copytree(whole, root / ".git/refs/tags")


def test_all_tags_are_made_or_none(root):
    at = commit(root)
    blocked = root / ".git/refs/tags/softmax#prod#1.lock"
    blocked.parent.mkdir(exist_ok=True)
    blocked.touch()
    with pytest.raises(
        BakeoffError, match=r"(?s)No tag was made or pushed, and production is as it was.*softmax#prod#1"
    ):
        promote(root, "softmax", at)
    assert tags(root) == set()
    blocked.unlink()
    promote(root, "softmax", at)
    assert standing(root) == "softmax@v1.0.0"


def test_tags_are_annotated_and_hold_the_message(root):
    promote(root, "softmax", commit(root))
    [assignment] = assignments(read_events(root))
    assert assignment.message == "softmax@v1.0.0 goes into production\n\nAction: promote"
    assert assignment.who == "Test"
    assert assignment.note("Action") == "promote"


def test_what_enters_is_dated_after_what_leaves_even_where_another_clock_was_ahead(root, monkeypatch):
    # DVC takes the last tag of a stage by its second, whether something came or went.
    first, second = commit(root), commit(root)
    for at, now in ((first, NOW + 3600), (second, NOW)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        promote(root, "softmax", at)
    dates = {event.tag: event.at for event in read_events(root)}
    assert NOW + 3600 <= dates["softmax#prod#1"] < dates["softmax#prod!#3"] < dates["softmax#prod#2"]
    with Repo.open(str(root), uninitialized=True) as repo:
        assert repo.artifacts.get_rev("softmax", stage="prod") == second
    assert gto_says(root) == {"softmax@v2.0.0"}


def test_the_next_version_is_one_major_number_higher_than_any_of_its_model(root):
    first, second, third = commit(root), commit(root), commit(root)
    git(root, "tag", "mf@v9.4.2", first, "--message", "x")
    git(root, "tag", "mf@v10.0.0", second, "--message", "x")
    assert promote(root, "mf", third)[0].number == "v11.0.0"
    assert promote(root, "softmax", third)[0].number == "v1.0.0"


def test_a_commit_without_a_version_goes_by_its_hash(root):
    at = commit(root)
    git(root, "tag", "mf#prod#1", at, "--message", "x")
    assert standing(root) == f"mf@{at[:7]}"


def test_without_a_name_git_is_told_who_promotes_before_any_tag_is_made(root, monkeypatch):
    at = commit(root)
    git(root, "config", "--unset", "user.name")
    git(root, "config", "--unset", "user.email")
    git(root, "config", "user.useConfigOnly", "true")
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(root))
    for name in ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    with pytest.raises(BakeoffError, match=r"git tag"):
        promote(root, "softmax", at)
    assert tags(root) == set()


def test_what_earlier_releases_promoted_is_in_production_and_can_be_rolled_back_to(root):
    first, second = commit(root), commit(root)
    # They wrote what leaves before what enters, one second earlier.
    for tag, at, date in (
        ("softmax@v1.0.0", first, NOW),
        ("softmax#prod#1", first, NOW + 1),
        ("softmax@v2.0.0", second, NOW + 2),
        ("softmax#prod!#2", first, NOW + 2),
        ("softmax#prod#3", second, NOW + 3),
        ("mf@v1.0.0", second, NOW + 4),
        ("softmax#prod!#4", second, NOW + 4),
        ("mf#prod#1", second, NOW + 5),
    ):
        git(
            root,
            "tag",
            "--annotate",
            "--message",
            "x\n\nAction: promote",
            tag,
            at,
            env={"GIT_COMMITTER_DATE": f"{date} +0000"},
        )
    assert [event.version.name for event in way_back(read_events(root))[0]] == [
        "softmax@v1.0.0",
        "softmax@v2.0.0",
        "mf@v1.0.0",
    ]
    roll_back(root, "softmax", second)
    assert gto_says(root) == {standing(root)} == {"softmax@v2.0.0"}
    assert [event.version.name for event in way_back(read_events(root))[0]] == ["softmax@v1.0.0", "softmax@v2.0.0"]


def test_tags_of_others_are_no_events(root):
    at = commit(root)
    for name in ("v1.0", "ranker#prod#1", "softmax#staging#1", "softmax@deprecated"):
        git(root, "tag", name, at, "--message", "x")
    assert read_events(root) == []


@pytest.fixture
def shared(root, tmp_path):
    """The repository with an empty bare one as its remote."""
    git(tmp_path, "init", "--quiet", "--bare", "shared.git")
    git(root, "remote", "add", "origin", str(tmp_path / "shared.git"))
    commit(root)
    return tmp_path / "shared.git"


def test_pushed_tags_arrive_together(root, shared):
    promote(root, "softmax", git(root, "rev-parse", "HEAD"), push=True)
    assert tags(shared) == {"softmax@v1.0.0", "softmax#prod#1"}
    assert standing(shared) == "softmax@v1.0.0"


def test_what_cannot_be_pushed_is_not_made_here_either(root, shared):
    at = git(root, "rev-parse", "HEAD")
    git(root, "push", "--quiet", "origin", "HEAD:refs/tags/softmax#prod#1")
    with pytest.raises(BakeoffError, match=r"No tag was made or pushed, and production is as it was"):
        promote(root, "softmax", at, push=True)
    assert tags(root) == set()
    assert tags(shared) == {"softmax#prod#1"}


def test_a_later_push_brings_what_an_earlier_call_left_here(root, shared):
    at = git(root, "rev-parse", "HEAD")
    promote(root, "softmax", at)
    assert promote(root, "softmax", at, push=True)[1] == []
    assert standing(shared) == "softmax@v1.0.0"


def test_a_clone_that_lacks_tags_of_the_remote_is_told_to_fetch_them(root, shared, tmp_path):
    promote(root, "softmax", git(root, "rev-parse", "HEAD"), push=True)
    check_current(root)
    git(tmp_path, "clone", "--quiet", "--no-tags", str(shared), "other")
    with pytest.raises(
        BakeoffError, match=r"lacks \(softmax#prod#1, softmax@v1\.0\.0\): run `git fetch --tags origin`"
    ):
        check_current(tmp_path / "other")
