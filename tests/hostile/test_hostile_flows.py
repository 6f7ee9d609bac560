"""What people type into flows and what files put into artifacts and into the DAG: text, and nothing else."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hostile_texts import MARKUP, SHELL
from ruamel.yaml import YAML

from bakeoff.core.errors import BakeoffError
from bakeoff.report.render.pages import validation_markdown

ROOT = Path(__file__).parents[2]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    directory = tmp_path / '$(touch x) it\'s "w"'
    directory.mkdir()
    shutil.copy(ROOT / "params.yaml", directory)
    return directory


OVERRIDES = [
    *("mf.dim=128; rm -rf /", "mf.dim=$(touch x)", "mf.dim=`touch x`", "mf.dim=1\nseed=2", "mf.dim=1,2"),
    *("+mf.x=1", "~mf.dim", "++mf.dim=3", "--upload-pack=x", "mf@x.dim=1", "params.yaml:mf.dim=3", "=1", "mf.dim"),
    *("mf.dim=", "mf.dim=choice(1,2)"),
    *("mf.regularization=nan", "mf.regularization=inf", "seed=true", "softmax.normalize=no", "softmax.hidden=[1,[2]]"),
    *("data.dataset=!!python/object:x", 'data.dataset="\x1b[31m"', "data.dataset=a\x00b", "data.dataset=" + "[" * 300),
    *("mf.dim=${oc.env:HOME}", "mf=null"),
]  # fmt: skip


@pytest.mark.parametrize("override", OVERRIDES, ids=ascii)
def test_what_is_no_value_of_a_parameter_is_refused_and_not_run(workspace: Path, override: str) -> None:
    from bakeoff.flows.experiment import check_overrides  # loads Prefect, which few tests need

    with pytest.raises(BakeoffError):
        check_overrides([override], workspace)
    assert [path.name for path in workspace.iterdir()] == ["params.yaml"]
    assert not Path("x").exists()


def test_hostile_words_in_an_artifact_are_no_markup() -> None:
    unmet = {"expectation": MARKUP, "severity": "critical", "success": False, "unexpected": 2}
    table = {"rows": 1, "valid": 0, "quarantined": 1, "share": 1.0, "reasons": {MARKUP: 1}, "expectations": [unmet]}
    text = validation_markdown({"success": False, "messages": [MARKUP, SHELL], "tables": {MARKUP: table}})
    bare = re.sub(r"\\.", "", text)
    assert not re.search(r"[<>`\[\]\r\u2028]|^# Evil|^=1", bare, re.MULTILINE)
    assert bare.count("\n- ") == 2
    assert {line.count("|") for line in bare.split("\n") if line.startswith("|")} == {5, 7}


@pytest.mark.parametrize("name", ["dvc.yaml", "studies/dvc.yaml"])
def test_no_value_of_a_parameter_is_part_of_a_command_or_a_path(name: str) -> None:
    """DVC makes all of params.yaml available to `${…}`: only names that stand in the file itself may be used."""
    definition = YAML(typ="safe").load(ROOT / name)
    assert not {"vars", "params"} & set(definition)
    for stage, entry in definition["stages"].items():
        used = set(re.findall(r"\$\{([^}]*)\}", str(entry)))
        names = entry.get("foreach", [])
        inner = list(names.values()) if isinstance(names, dict) else []
        own = {"key", "item"} | {f"item.{each}" for item in inner for each in item} if names else set()
        assert used <= own, stage
        values = [*names, *(value for item in inner for value in item.values())]
        assert all(re.fullmatch(r"[a-z_-]+(\.[a-z_]+)?", value) for value in values), stage


def test_dvc_takes_text_that_looks_like_its_own_as_text(workspace: Path, warm: str) -> None:
    params = YAML(typ="safe").load(workspace / "params.yaml")
    params["data"]["dataset"] = "${item.model} ${seed} $(touch x) `touch x`"
    YAML().dump(params, workspace / "params.yaml")
    (workspace / "dvc.yaml").write_text(
        "stages:\n  train:\n    matrix:\n      model: [mf, ease]\n    cmd: echo ${item.model}\n    params: [data]\n"
    )
    dvc = f"{warm}/dvc"
    subprocess.run([dvc, "init", "--no-scm", "--quiet"], cwd=workspace, check=True, capture_output=True)
    done = subprocess.run([dvc, "repro"], cwd=workspace, check=True, capture_output=True, text=True)
    assert [line for line in done.stdout.splitlines() if line.startswith("> ")] == ["> echo mf", "> echo ease"]
    lock = YAML(typ="safe").load(workspace / "dvc.lock")
    assert lock["stages"]["train@mf"]["params"]["params.yaml"]["data"]["dataset"] == params["data"]["dataset"]
    assert not (workspace / "x").exists()
