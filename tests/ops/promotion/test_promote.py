import shutil

import pytest
from promotion_repo import commit, decided, git, md5, new_repo, standing, tags, write_models

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.ops.promotion import promote
from bakeoff.params import Params

PARAMS = Params()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Both models committed, nothing decided."""
    workspace = new_repo(tmp_path_factory.mktemp("promote") / "repo")
    write_models(workspace, mf="mf 1", softmax="softmax 1")
    commit(workspace)
    return workspace


@pytest.fixture
def workspace(made, tmp_path):
    shutil.copytree(made.root, tmp_path / "repo", symlinks=True)
    return Workspace(tmp_path / "repo")


def run(workspace: Workspace, *arguments, **options) -> None:
    promote.promote(workspace, *arguments, **options)


def message(workspace: Workspace, tag: str) -> str:
    return git(workspace.root, "tag", "--list", "--format=%(contents)", tag)


def test_what_the_decision_says_goes_into_production_with_its_reasons(workspace, capsys):
    decided(workspace, "softmax")
    run(workspace)
    assert tags(workspace) == {"softmax@v1.0.0", "softmax#prod#1"}
    assert message(workspace, "softmax#prod#1") == (
        "softmax@v1.0.0 goes into production\n\n- It was measured.\n- So it is promote.\n\nAction: promote"
    )
    assert "git push --atomic origin softmax@v1.0.0 'softmax#prod#1'" in capsys.readouterr().out


def test_a_second_call_says_that_it_is_done(workspace, capsys):
    decided(workspace, "softmax")
    run(workspace)
    before = tags(workspace)
    capsys.readouterr()
    run(workspace)
    assert capsys.readouterr().out.startswith("softmax@v1.0.0 is in production already")
    assert tags(workspace) == before


def test_a_later_commit_with_the_same_model_is_in_production_already(workspace, capsys):
    decided(workspace, "softmax")
    run(workspace)
    commit(workspace, "a note")
    decided(workspace, "softmax", "unchanged")
    run(workspace)
    assert tags(workspace) == {"softmax@v1.0.0", "softmax#prod#1"}
    assert "is in production already" in capsys.readouterr().out


def test_another_model_takes_the_place_of_the_first(workspace):
    decided(workspace, "softmax")
    run(workspace)
    decided(workspace, "mf")
    run(workspace)
    assert standing(workspace) == "mf@v1.0.0"
    assert "softmax#prod!#2" in tags(workspace)


def test_a_decision_to_hold_is_printed_and_changes_nothing(workspace, capsys):
    decided(workspace, "softmax", "hold")
    run(workspace)
    assert tags(workspace) == set()
    out = capsys.readouterr().out
    assert "Production stays as it is. The decision says hold:" in out
    assert "  So it is hold." in out


def test_a_reason_puts_it_into_production_all_the_same_and_stays_in_the_tag(workspace):
    decided(workspace, "softmax", "hold")
    run(workspace, despite="a sale\nends tonight")
    assert standing(workspace) == "softmax@v1.0.0"
    assert message(workspace, "softmax#prod#1").endswith("Action: promote\nDespite: a sale ends tonight")


def test_a_model_named_by_hand_needs_a_reason_and_no_decision(workspace):
    with pytest.raises(BakeoffError, match="say why with --despite"):
        run(workspace, "mf")
    run(workspace, "mf", despite="cheaper")
    assert standing(workspace) == "mf@v1.0.0"
    assert "without a decision" in message(workspace, "mf#prod#1")


def test_a_reason_that_is_not_needed_is_refused(workspace):
    decided(workspace, "softmax")
    with pytest.raises(BakeoffError, match="leave --despite out"):
        run(workspace, despite="because")
    with pytest.raises(BakeoffError, match="gives no reason"):
        run(workspace, despite=" ")


def test_without_a_decision_nothing_is_promoted(workspace):
    with pytest.raises(BakeoffError, match="holds no decision: run `bakeoff decide` first"):
        run(workspace)


@pytest.mark.parametrize("content", ["{", "[]", '{"outcome": "promote"}'])
def test_a_decision_that_cannot_be_read_is_refused(workspace, content):
    decided(workspace, "softmax")
    (workspace.decision / "decision.json").write_text(content)
    with pytest.raises(BakeoffError, match=r"decision\.json can't be read"):
        run(workspace)


def test_unknown_models_are_refused(workspace):
    with pytest.raises(BakeoffError, match="'gpt' is not a model"):
        run(workspace, "gpt", despite="x")
    with pytest.raises(BakeoffError, match=r"HEAD \(.*\) records no models/two_tower"):
        run(workspace, "two_tower", despite="x")


def test_a_model_that_is_not_committed_is_refused(workspace):
    write_models(workspace, softmax="softmax 2")
    commit(workspace)
    decided(workspace, "softmax")
    git(workspace.root, "reset", "--quiet", "--soft", "HEAD~1")
    with pytest.raises(BakeoffError, match=rf"with the MD5 {md5(workspace, 'softmax')}, and HEAD records .*: commit"):
        run(workspace)
    assert tags(workspace) == set()


def test_a_decision_beside_what_has_left_production_is_refused(workspace):
    decided(workspace, "softmax")
    run(workspace, "mf", despite="meanwhile")
    with pytest.raises(BakeoffError, match=r"compared with nothing; production has mf@v1\.0\.0"):
        run(workspace)
    assert standing(workspace) == "mf@v1.0.0"


def test_what_a_rollback_left_does_not_come_back_by_the_same_decision(workspace, capsys):
    # a night that is run again after somebody rolled back
    decided(workspace, "mf")
    run(workspace)
    decided(workspace, "softmax")
    run(workspace)
    promote.rollback(workspace)
    capsys.readouterr()
    run(workspace)
    assert standing(workspace) == "mf@v1.0.0"
    assert "A rollback took softmax@v1.0.0" in capsys.readouterr().out
    run(workspace, despite="the outage had another cause")
    assert standing(workspace) == "softmax@v1.0.0"
    run(workspace)  # nobody holds it against the version any more
    assert standing(workspace) == "softmax@v1.0.0"


def test_outside_of_a_repository_nothing_can_be_promoted(tmp_path):
    with pytest.raises(BakeoffError, match="is in no Git repository"):
        run(Workspace(tmp_path))
