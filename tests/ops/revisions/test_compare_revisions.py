"""`bakeoff compare REV_A [REV_B]` in a small repository of its own: figures in Git, per-user metrics in DVC."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.ops.revisions import command as revisions
from bakeoff.params import Params, parse_params

METRICS = ("ndcg@10", "recall@10", "mrr@10", "hit_rate@10")
NUM_USERS = 30
PARAMS = "seed: 1\nmf:\n  dim: {dim}\n"


def call(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def git(*arguments: str, cwd: Path) -> None:
    call("git", *arguments, cwd=cwd)


def write_version(root: Path, value: float, dim: int) -> None:
    """Every user of both models has the same value of every metric."""
    for model in ("mf", "softmax"):
        folder = root / "artifacts/evaluation" / model
        folder.mkdir(parents=True, exist_ok=True)
        ids = [str(place) for place in range(NUM_USERS)]
        table = pd.DataFrame({"user_id": ids, "num_test": 2} | dict.fromkeys(METRICS, value))
        table.to_parquet(folder / "users.parquet", index=False)
    (root / "reports").mkdir(exist_ok=True)
    figures = dict.fromkeys(METRICS, value)
    (root / "reports/metrics.json").write_text(json.dumps({"mf": figures, "softmax": figures, "new_users": {}}))
    (root / "params.yaml").write_text(PARAMS.format(dim=dim))


def commit(root: Path, message: str, warm: str) -> None:
    call(f"{warm}/dvc", "add", "--quiet", "artifacts/evaluation", cwd=root)
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message", message, cwd=root)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, warm: str) -> Path:
    """Tags: `empty` without figures, `old` with 0.2 for everyone and dim 32, `new` with 0.3 and dim 64."""
    root = tmp_path_factory.mktemp("history")
    git("init", "--quiet", ".", cwd=root)
    git("config", "user.name", "Test", cwd=root)
    git("config", "user.email", "test@localhost", cwd=root)
    call(f"{warm}/dvc", "init", "--quiet", cwd=root)
    git("commit", "--quiet", "--message", "empty", cwd=root)
    git("tag", "empty", cwd=root)
    for tag, value, dim in (("old", 0.2, 32), ("new", 0.3, 64)):
        write_version(root, value, dim)
        commit(root, tag, warm)
        git("tag", tag, cwd=root)
    return root


@pytest.fixture
def root(history: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(history, copy, symlinks=True)
    return copy


@pytest.fixture(scope="module")
def params() -> Params:
    return parse_params({"compare": {"resamples": 200}})


def told(params: Params, root: Path, *versions: str | None) -> str:
    revisions.run(params.compare, params.seed, Workspace(root), *versions)
    assert (root / "reports/revisions.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    return (root / "reports/revisions.md").read_text(encoding="utf-8")


def test_two_revisions_are_paired_on_the_users_of_both(params: Params, root: Path):
    text = told(params, root, "old", "new")
    assert f"| MF | 0.2000 | 0.3000 | +0.1000 (+0.1000 to +0.1000) | 0.010 | {NUM_USERS} / 0 / 0 | **better** |" in text
    assert "| mf.dim | 32 | 64 |" in text


def test_nothing_but_its_two_reports_is_written(params: Params, root: Path):
    told(params, root, "old", "new")
    done = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all"], cwd=root, text=True, capture_output=True, check=True
    )
    assert done.stdout.split() == ["??", "reports/revisions.html", "??", "reports/revisions.md"]


def test_without_a_second_revision_the_workspace_is_compared(params: Params, root: Path):
    write_version(root, 0.25, 48)
    text = told(params, root, "old")
    assert text.startswith("# From old (")
    assert "to workspace\n" in text
    assert "| MF | 0.2000 | 0.2500 |" in text
    assert "| mf.dim | 32 | 48 |" in text


def test_what_the_cache_lacks_is_said_and_means_are_compared(params: Params, root: Path):
    shutil.rmtree(root / ".dvc/cache")
    text = told(params, root, "old", "new")
    assert "neither DVC's cache nor its remote holds its per-user metrics of old" in text
    assert "| MF | 0.2000 | 0.3000 | +0.1000 (of the means) | – | – | not paired |" in text


def test_the_last_version_is_the_last_commit_without_a_tag_of_production(root: Path):
    assert revisions.last_version(root) == "HEAD"


def test_the_last_version_is_the_tag_of_the_model_in_production(root: Path):
    git("tag", "softmax@v1.0.0", "old", "--message", "x", cwd=root)
    git("tag", "softmax#prod#1", "old", "--message", "x", cwd=root)
    git("tag", "softmax#staging#2", "new", "--message", "x", cwd=root)
    assert revisions.last_version(root) == "softmax#prod#1"
    git("tag", "softmax#prod#3", "new", "--message", "x", cwd=root)
    assert revisions.last_version(root) == "softmax#prod#3"


def test_a_model_that_was_taken_out_of_production_is_no_last_version(root: Path):
    git("tag", "softmax#prod#1", "old", "--message", "x", cwd=root)
    git("tag", "softmax#prod!#2", "old", "--message", "x", cwd=root)
    assert revisions.last_version(root) == "HEAD"


def test_without_any_revision_the_version_in_production_is_compared(params: Params, root: Path):
    git("tag", "mf#prod#1", "old", "--message", "x", cwd=root)
    assert told(params, root).startswith(r"# From mf#prod#1 (")


def test_a_revision_whose_parameters_are_not_utf_8_is_compared_all_the_same(params: Params, root: Path):
    (root / "params.yaml").write_bytes(PARAMS.format(dim=64).encode() + "# café\n".encode("latin-1"))
    git("commit", "--quiet", "--all", "--message", "latin", cwd=root)
    assert "+0.1000" in told(params, root, "old", "HEAD")


@pytest.mark.parametrize("revision", ["nowhere", "--output=stolen", ""])
def test_an_unknown_revision_is_refused_by_name(params: Params, root: Path, revision: str):
    with pytest.raises(BakeoffError, match=f"{revision!r} is no revision of this repository"):
        revisions.run(params.compare, params.seed, Workspace(root), revision)
    assert not (root / "stolen").exists()


def test_a_revision_without_figures_is_refused_with_the_way_to_find_others(params: Params, root: Path):
    with pytest.raises(BakeoffError, match=r"no reports/metrics\.json at empty.*git log --oneline"):
        revisions.run(params.compare, params.seed, Workspace(root), "empty")


def test_a_workspace_without_figures_is_refused(params: Params, root: Path):
    (root / "reports/metrics.json").unlink()
    with pytest.raises(BakeoffError, match="nothing was compared yet"):
        revisions.run(params.compare, params.seed, Workspace(root), "old")


def test_a_directory_without_history_is_refused(params: Params, tmp_path: Path):
    with pytest.raises(BakeoffError, match="is in no Git repository"):
        revisions.run(params.compare, params.seed, Workspace(tmp_path), "HEAD")
    git("init", "--quiet", ".", cwd=tmp_path)
    with pytest.raises(BakeoffError, match="has no commit yet"):
        revisions.run(params.compare, params.seed, Workspace(tmp_path), "HEAD")


def test_damaged_figures_are_refused_with_their_place(params: Params, root: Path):
    (root / "reports/metrics.json").write_text("{")
    with pytest.raises(BakeoffError, match=r"reports/metrics\.json of workspace can't be read .*: it must be JSON"):
        revisions.run(params.compare, params.seed, Workspace(root), "old")


STUB = """#!/bin/bash
echo "$(basename "$0") $*" >> called
[[ "$*" == "{fails}" ]] && exit 3
[[ "$*" != "compare --last" ]] || touch reports/revisions.html
"""


class Made:
    """A committed project with the Makefile of this one, whose commands only say that they were called."""

    def __init__(self, root: Path, fails: str = "nothing") -> None:
        """Make it; the command with the arguments `fails` fails."""
        self.root = root
        (root / "reports").mkdir(parents=True)
        (root / ".venv/bin").mkdir(parents=True)
        shutil.copy(Path(__file__).parents[3] / "Makefile", root)
        for name in ("requirements.lock", "bootstrap.lock", "pyproject.toml", "reports/metrics.json", ".venv/.ready"):
            (root / name).write_text("{}")
        for name in ("bakeoff", "dvc", "python"):
            (root / ".venv/bin" / name).write_text(STUB.format(fails=fails))
            (root / ".venv/bin" / name).chmod(0o755)
        (root / ".gitignore").write_text("/.venv\n/called\n/reports/index.html\n/reports/revisions.html\n")
        git("init", "--quiet", ".", cwd=root)
        git("config", "user.name", "Test", cwd=root)
        git("config", "user.email", "test@localhost", cwd=root)
        git("add", "--all", cwd=root)

    def commit(self) -> "Made":
        git("commit", "--quiet", "--allow-empty", "--message", "figures", cwd=self.root)
        return self

    def report(self) -> None:
        (self.root / "reports/index.html").touch()

    def age(self) -> None:
        """What lies there was made an hour ago."""
        for path in self.root.rglob("*"):
            before = path.stat().st_mtime - 3600
            os.utime(path, (before, before))

    def make(self, target: str, status: int = 0) -> list[str]:
        """The calls of `bakeoff` that a target makes, but for fetch."""
        (self.root / "called").unlink(missing_ok=True)
        done = subprocess.run(["make", target], cwd=self.root, text=True, capture_output=True)
        assert bool(done.returncode) == bool(status), done.stdout + done.stderr
        called = (self.root / "called").read_text().splitlines()
        return [call.removeprefix("bakeoff ") for call in called if call.startswith("bakeoff ") and "fetch" not in call]


RUN, REPRO = ["run"], ["verdict"]
"""What a target calls besides `compare --last`; `bakeoff run` prints the verdict itself."""
COMPARED = [*RUN, "compare --last"]


@pytest.mark.parametrize(
    ("target", "compared", "as_it_is"), [("run", COMPARED, RUN), ("repro", ["compare --last", *REPRO], REPRO)]
)
def test_make_writes_the_page_of_changes_where_it_is_missing_and_leaves_one_that_is_new(
    tmp_path: Path, target: str, compared: list[str], as_it_is: list[str]
):
    made = Made(tmp_path / "made").commit()
    made.report()
    made.age()
    assert made.make(target) == compared
    assert made.make(target) == as_it_is


@pytest.mark.parametrize("event", ["commit", "tag", "report"])
def test_make_writes_it_again_after_a_commit_a_tag_or_another_report(tmp_path: Path, event: str):
    made = Made(tmp_path / "made").commit()
    made.report()
    made.age()
    made.make("run")
    made.age()
    if event == "commit":
        made.commit()
    elif event == "tag":
        git("tag", "softmax#prod#1", cwd=made.root)
    else:
        made.report()
    assert made.make("run") == COMPARED


def test_make_goes_on_without_an_earlier_revision_and_ends_where_the_comparison_fails(tmp_path: Path):
    young = Made(tmp_path / "young")
    assert young.make("run") == RUN
    broken = Made(tmp_path / "broken", fails="compare --last").commit()
    assert broken.make("run", status=1) == COMPARED
