"""`bakeoff forget USER` in a repository of its own, with DVC."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import made_log
import pyarrow as pa
import pytest
from promotion_repo import git, new_repo

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch.canonical_tables import TABLES, About, text_table
from bakeoff.data.fetch.data_directory import read_about, read_tables, write
from bakeoff.ops import forget


def dvc(root: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def put(root: Path, *users: str) -> None:
    """A data/ in which each of these users has two events."""
    events = {"user_id": [user for user in users for _ in range(2)], "item_id": ["a", "b"] * len(users)}
    items = {"item_id": ["a", "b"], "title": ["A", "B"]}
    columns = ({name: pa.array(texts) for name, texts in each.items()} for each in (events, {"user_id": users}, items))
    tables = dict(zip(TABLES, map(text_table, columns), strict=True))
    (root / "data").mkdir(exist_ok=True)
    write(tables, About("shop", "Shop", taken_sha256={"monday": "12ab"}), root / "data")


def commit(root: Path, tag: str) -> None:
    dvc(root, "add", "--quiet", "data")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", tag)
    git(root, "tag", tag)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tags: `before` without the user `2`, `with` with them."""
    root = new_repo(tmp_path_factory.mktemp("history") / "repo").root
    git(root, "symbolic-ref", "HEAD", "refs/heads/main")
    for tag, users in (("before", "13"), ("with", "123")):
        put(root, *users)
        commit(root, tag)
    return root


@pytest.fixture
def root(history: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(history, tmp_path / "copy", symlinks=True))


def test_a_person_is_removed_and_the_versions_that_hold_them_are_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_about(root / "data")
    forget.run("2", Workspace(root))
    said = capsys.readouterr().out
    assert (
        "Removed user 2 from data/: 2 rows of interactions and 1 row of users. Commit data.dvc and forgotten.json"
        in said
    )
    assert "Versions that hold user 2:\n  2" in said
    assert "HEAD -> main, tag: with" in said
    assert "before" not in said
    tables = read_tables(root / "data")
    assert tables["interactions"]["user_id"].to_pylist() == ["1", "1", "3", "3"]
    assert tables["users"]["user_id"].to_pylist() == ["1", "3"]
    assert len(tables["items"]) == 2
    assert read_about(root / "data") == before
    assert dvc(root, "status", "-q", "data.dvc") == ""
    assert git(root, "status", "--short").split() == ["M", "data.dvc", "??", "forgotten.json", "??", "parents.json"]

    commit(root, "without")
    forget.run("2", Workspace(root))  # once more: the older version still holds them
    said = capsys.readouterr().out
    assert "data/ has no user 2." in said
    assert "tag: with" in said
    assert "tag: without" not in said


def test_a_version_of_a_branch_that_was_merged_without_its_data_and_deleted_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(root, "checkout", "--quiet", "-b", "side")
    put(root, "1", "4")
    dvc(root, "add", "--quiet", "data")
    git(root, "commit", "--quiet", "--all", "--message", "side")
    side = git(root, "rev-parse", "--short", "HEAD")
    git(root, "checkout", "--quiet", "main")
    put(root, "1")
    commit(root, "main-goes-on")
    git(root, "merge", "--quiet", "--strategy", "ours", "--message", "merge", "side")
    git(root, "branch", "--quiet", "-D", "side")
    forget.run("4", Workspace(root))
    assert side in capsys.readouterr().out


def test_no_training_starts_from_weights_that_have_learned_from_the_person(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(root)
    workspace.parents.mkdir()
    (workspace.parents / "mf.npz").write_bytes(b"weights")
    workspace.parents_record.write_text('{"mf": {"md5": "0b37"}}')
    (root / "parents.dvc").write_text("outs: []\n")
    forget.run("2", workspace)
    assert "The next training fits all models in full" in capsys.readouterr().out
    assert workspace.parents_record.read_text().strip() == "{}"
    assert not workspace.parents.exists()
    assert not (root / "parents.dvc").exists()
    assert len(json.loads(workspace.forgotten.read_text())["removals"]) == 1
    commit(root, "without")
    forget.run("2", workspace)  # data/ has them no more: nothing new to note
    assert len(json.loads(workspace.forgotten.read_text())["removals"]) == 1


def test_a_version_whose_files_are_gone_is_named_as_one_that_can_not_be_read(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(root / ".dvc/cache")
    forget.run("3", Workspace(root))
    holding, unread = capsys.readouterr().out.split("Versions that can't be read here:")
    assert "tag: with" in holding  # whose files are still those of data/
    assert "tag: before" in unread


def test_a_version_whose_data_dvc_is_damaged_is_named_as_one_that_can_not_be_read(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (root / "data.dvc").read_text()
    for text, tag in (("<<<<<<< HEAD\n" + whole, "conflict"), (whole, "resolved")):
        (root / "data.dvc").write_text(text)
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message", tag)
        git(root, "tag", tag)
    forget.run("2", Workspace(root))
    removed, unread = capsys.readouterr().out.split("Versions that can't be read here:")
    assert "Removed user 2 from data/" in removed
    assert "tag: resolved" in removed
    assert "tag: conflict" in unread


def test_a_version_that_is_not_utf_8_is_named_as_one_that_can_not_be_read(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, "1", "2")
    (root / "data/interactions.csv").write_bytes(b"user_id,item_id\ncaf\xe9,a\n")  # in cp1252
    commit(root, "latin")
    put(root, "1", "2")
    commit(root, "resolved-again")
    forget.run("2", Workspace(root))
    holding, unread = capsys.readouterr().out.split("Versions that can't be read here:")
    assert "tag: resolved-again" in holding
    assert "tag: latin" in unread


def test_the_log_of_serve_forgets_the_person_too_even_one_that_is_only_there(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = root / ".bakeoff/online"
    log = made_log.writer(folder)
    for user in ("2", "3", "9", "9"):
        made_log.feedback(log, made_log.impression(log, user))
    log.close()
    forget.run("2", Workspace(root))
    assert f"Removed from the log {folder}: 1 lists of user 2 and 1 events on them." in capsys.readouterr().out
    forget.run("9", Workspace(root))
    said = capsys.readouterr().out
    assert "data/ has no user 9." in said
    assert f"Removed from the log {folder}: 2 lists of user 9 and 2 events on them." in said
    with pytest.raises(BakeoffError, match=r"nor .*online has a user '9'"):
        forget.run("9", Workspace(root))


@pytest.mark.parametrize(
    ("user", "damage", "message"),
    [
        ("4", lambda data: None, "Neither data/ nor a version that can be read nor .*online has a user '4'"),
        ("2", lambda data: (data / "users.csv").write_text("user_id\n7\n"), "data/ is not what data.dvc records"),
    ],
)
def test_what_can_not_be_done_says_why_and_changes_nothing(root: Path, user: str, damage, message: str) -> None:
    damage(root / "data")
    before = {path: path.read_bytes() for path in [*(root / "data").iterdir(), root / "data.dvc"]}
    with pytest.raises(BakeoffError, match=message):
        forget.run(user, Workspace(root))
    assert {path: path.read_bytes() for path in before} == before


def test_a_log_whose_secret_is_missing_is_an_error_before_anything_is_changed(root: Path) -> None:
    folder = root / ".bakeoff/online"
    made_log.interleaved(folder, 1, 0)
    (folder / "secret").unlink()
    paths = [*(root / "data").iterdir(), root / "data.dvc", *folder.glob("*/*.parquet")]
    before = {path: path.read_bytes() for path in paths}
    with pytest.raises(BakeoffError, match=r"secret can't be read \(No such file"):
        forget.run("2", Workspace(root))
    assert {path: path.read_bytes() for path in paths} == before


def test_without_data_it_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match=r"data/ is not there: `bakeoff fetch` makes it"):
        forget.run("2", Workspace(tmp_path))
