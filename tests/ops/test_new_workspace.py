"""The files of a workspace that `bakeoff init` makes, and that it is whole or not there."""

import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from dvc_yaml import stages_of
from ruamel.yaml import YAML

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.ops import new_workspace
from bakeoff.params import load_params

pytestmark = pytest.mark.usefixtures("warm_children")

ROOT = Path(__file__).parents[2]
VALUES = {"data": {"dataset": "shop", "columns": {"rating": None}}, "softmax": {"objective": "reconstruct"}}


def fill(workspace: Workspace) -> None:
    (workspace.data).mkdir()
    (workspace.data / "interactions.csv").write_text("user_id,item_id\nu,i\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, warm_children: None) -> Path:
    directory = tmp_path_factory.mktemp("team") / "shop"
    new_workspace.create(directory, VALUES, fill)
    return directory


def test_its_stages_are_those_of_this_project_with_the_version_instead_of_code(made: Path) -> None:
    def told(name: str, command: str, deps: list[str], outs: list[str]) -> tuple[str, str, set[str], list[str]]:
        kept = {dep for dep in deps if not dep.startswith("src/")}
        return name, command, kept | {new_workspace.VERSION}, outs

    ours = {told(*stage)[0]: told(*stage) for stage in stages_of(ROOT, "dvc.yaml")}
    theirs = {name: (name, command, set(deps), outs) for name, command, deps, outs in stages_of(made, "dvc.yaml")}
    assert theirs.pop("version") == ("version", "bakeoff version --write", set(), [new_workspace.VERSION])
    assert theirs == ours
    assert "src/" not in (made / "dvc.yaml").read_text()


def test_dvc_finds_every_parameter_that_a_stage_reads(made: Path) -> None:
    values = YAML(typ="safe").load(made / "params.yaml")
    stages = YAML(typ="safe").load(made / "dvc.yaml")["stages"]
    named = [name for stage in stages.values() for name in stage.get("do", stage).get("params", []) if "$" not in name]
    read = {name for name in named if isinstance(name, str)}
    assert all((made / file).exists() for file in (file for name in named if isinstance(name, dict) for file in name))
    groups = [stage["foreach"] for stage in stages.values() if "foreach" in stage]
    read |= {name for group in groups for each in group.values() for name in each.values()}
    assert read <= values.keys()
    params = load_params(made / "params.yaml")
    assert (params.data.dataset, params.data.columns.rating, params.softmax.objective) == ("shop", None, "reconstruct")


def test_it_pins_the_version_and_carries_what_git_and_prefect_need(made: Path) -> None:
    assert (made / "requirements.txt").read_text() == f"bakeoff=={new_workspace.version('bakeoff')}\n"
    assert (made / "README.md").read_text().startswith("# shop: ")
    ignored = subprocess.run(["git", "check-ignore", "data", "artifacts/x", ".bakeoff/run.log"], cwd=made)
    assert ignored.returncode == 0
    deployment = YAML(typ="safe").load(made / "prefect.yaml")["deployments"][0]
    assert deployment["entrypoint"] == "bakeoff.flows.pipeline.pipeline"
    assert "schedules" not in deployment


@pytest.mark.parametrize(
    ("file", "options"),
    [
        (".github/workflows/bakeoff.yml", ["vendor.github-workflows"]),
        (".gitlab-ci.yml", ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"]),
    ],
)
def test_its_workflows_fit_their_schemas(made: Path, file: str, options: list[str]) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *options, str(made / file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (made / file).read_text()
    commands = ["bakeoff run --dry", "dvc pull data.dvc", "bakeoff run\n", "cml comment update reports/comparison.md"]
    assert [text.index(command) for command in commands] == sorted(text.index(command) for command in commands)


def test_it_is_not_there_if_it_can_not_be_filled(tmp_path: Path) -> None:
    def fail(_: Workspace) -> None:
        raise BakeoffError("no data")

    with pytest.raises(BakeoffError, match="no data"):
        new_workspace.create(tmp_path / "shop", VALUES, fail)
    assert list(tmp_path.iterdir()) == []


def test_it_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/notes.txt").write_text("mine")
    with pytest.raises(BakeoffError, match="shop is there already and not an empty directory: name another one"):
        new_workspace.create(tmp_path / "shop", VALUES, fill)
    assert [path.name for path in tmp_path.rglob("*")] == ["shop", "notes.txt"]


def test_it_takes_an_empty_directory_in_a_repository(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "shop").mkdir()
    new_workspace.create(tmp_path / "shop", VALUES, fill)
    assert not (tmp_path / "shop/.git").exists()
    assert len(list(stages_of(tmp_path / "shop", "dvc.yaml"))) > 20


def test_a_repository_that_ignores_the_place_says_what_to_do(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text(".*.part\n")
    with pytest.raises(BakeoffError, match=r"add the line `!\.shop\.part/` to the repository's \.gitignore"):
        new_workspace.create(tmp_path / "shop", VALUES, fill)
    (tmp_path / ".gitignore").write_text(".*.part\n!.shop.part/\n")
    new_workspace.create(tmp_path / "shop", VALUES, fill)
    assert (tmp_path / "shop/params.yaml").exists()


def test_without_git_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BakeoffError, match="install Git"):
        new_workspace.create(tmp_path / "shop", VALUES, fill)
    assert not list(tmp_path.iterdir())


def test_it_takes_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    new_workspace.create(Path(), VALUES, fill)
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]
    assert (tmp_path / "shop/README.md").read_text().startswith("# shop: ")


class Installed(Distribution):
    """A package with this RECORD."""

    def __init__(self, record: str) -> None:
        self.record = record

    def read_text(self, filename: str) -> str | None:
        return {"RECORD": self.record, "METADATA": "Name: models\nVersion: 2\n"}.get(filename)

    def locate_file(self, path: str) -> Path:
        raise NotImplementedError


CODE = "models/a.py,sha256=1,1\n"


@pytest.mark.parametrize(
    ("record", "same"),
    [
        (
            CODE + "../../../bin/models,sha256=7,9\nmodels-2.dist-info/RECORD,,\nmodels/__pycache__/a.pyc,sha256=3,3\n",
            True,
        ),
        ("models/a.py,sha256=2,1\n", False),
        (CODE + "models/b.py,sha256=1,1\n", False),
    ],
)
def test_the_version_changes_with_code_alone(record: str, same: bool) -> None:
    hashes = [new_workspace._code_hash(Installed(each)) for each in (CODE, record)]
    assert (hashes[0] == hashes[1]) == same


def test_the_file_of_the_version_is_written_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    new_workspace.refresh_version(workspace)  # no stage depends on it
    assert not (tmp_path / new_workspace.VERSION).exists()
    (tmp_path / "dvc.yaml").write_text(f"stages: {{a: {{cmd: b, deps: [{new_workspace.VERSION}]}}}}")
    new_workspace.refresh_version(workspace)
    before = (tmp_path / new_workspace.VERSION).stat().st_mtime_ns
    new_workspace.refresh_version(workspace)
    assert (tmp_path / new_workspace.VERSION).stat().st_mtime_ns == before
    (tmp_path / new_workspace.VERSION).write_text("{}")
    new_workspace.refresh_version(workspace)
    assert "sha256" in (tmp_path / new_workspace.VERSION).read_text()
