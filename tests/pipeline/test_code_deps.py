"""Each stage of every dvc.yaml depends on all code that it can run, or DVC would call a stale result current."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bakeoff.models import specs

ROOT = Path(__file__).parents[2]
FILES = (Path("dvc.yaml"), Path("studies/dvc.yaml"))
SOURCE = Path("src")
PACKAGE = "bakeoff"


PARTS = {"train": ("trainer", "fit"), "evaluate": ("load",), "export": ("load", "graph")}
"""By which of a model's functions a stage reaches the model's code; their modules are named in its spec."""


def entries(command: str) -> list[str]:
    """The modules that `bakeoff SUBCOMMAND …` starts from: the stage's, and what its models' specs name."""
    _, subcommand, *arguments = command.split()
    models = specs.names() if arguments and "${" in arguments[0] else arguments[:1]
    paths = [getattr(specs.spec(model), part) for part in PARTS.get(subcommand, ()) for model in models]
    return [f"{PACKAGE}.stages.{subcommand}", *(path.partition(":")[0] for path in paths if path)]


def file_of(module: str, root: Path) -> Path | None:
    """The file of a module, relative to `root`; None for a name that is no module (a function, say)."""
    stem = SOURCE.joinpath(*module.split("."))
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if (root / path).is_file()), None)


def names_imported(path: Path, module: str) -> Iterator[str]:
    """Dotted names in import statements anywhere in a file, in functions too; relative ones made absolute.

    `from a import b` yields a and a.b, since b may be a module.
    """
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [above, node.module]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def code_of(modules: Sequence[str], root: Path = ROOT) -> set[Path]:
    """Every file of the package that importing these modules and calling their functions can load."""
    found: dict[str, Path] = {}
    waiting = [*modules]
    while waiting:
        name = waiting.pop()
        path = file_of(name, root)
        if name in found or path is None or name.split(".")[0] != PACKAGE:
            continue
        found[name] = path
        waiting += [
            name.rpartition(".")[0],
            *names_imported(root / path, name),
        ]  # a package is run before its modules
    return set(found.values())


def missing(deps: list[str], modules: Sequence[str], root: Path = ROOT) -> set[Path]:
    """The code that no dependency covers, neither the file itself nor a directory above it."""
    listed = {Path(dep) for dep in deps}
    return {path for path in code_of(modules, root) if not listed & {path, *path.parents}}


def stages() -> dict[str, tuple[list[str], list[str]]]:
    """Entry modules and dependencies of each stage; one for all of a matrix, which differ in arguments."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    definition: dict[str, Any]
    for file in FILES:
        for name, definition in YAML(typ="safe").load(ROOT / file)["stages"].items():
            deps = [dep if isinstance(dep, str) else next(iter(dep)) for dep in definition["deps"]]
            found[name] = (entries(definition["cmd"]), deps)
    return found


STAGES = stages()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_code_that_it_imports(stage: str) -> None:
    modules, deps = STAGES[stage]
    for module in modules:
        assert file_of(module, ROOT) is not None, f"{module}, an entry of stage {stage}, does not exist"
    assert sorted(map(str, missing(deps, modules))) == [], f"add these to the deps of stage {stage} in dvc.yaml"


@pytest.mark.parametrize("stage", STAGES)
def test_every_code_dependency_of_a_stage_exists(stage: str) -> None:
    code = [dep for dep in STAGES[stage][1] if Path(dep).parts[0] == SOURCE.name]
    assert [dep for dep in code if not (ROOT / dep).exists()] == []


def test_a_training_has_the_module_of_its_model_and_of_no_other() -> None:
    assert entries("bakeoff train mf") == ["bakeoff.stages.train", "bakeoff.models.mf.trainer"]
    assert "bakeoff.models.ease.graph" in entries("bakeoff export ${item.model}")


@pytest.fixture
def small_package(tmp_path: Path) -> Path:
    """An entry that reaches its code in every way that Python has."""
    files = {
        "__init__.py": "",
        "used.py": "import bakeoff.plain",
        "plain.py": "import json",
        "unused.py": "",
        "sub/__init__.py": "from .relative import value",
        "sub/relative.py": "from .. import above",
        "sub/deep.py": "",
        "above.py": "",
        "lazy.py": "",
        "stages/__init__.py": "",
        "stages/go.py": "from bakeoff import used\nfrom ..sub import deep\ndef f(): import bakeoff.lazy",
    }
    for name, text in files.items():
        path = tmp_path / "src/bakeoff" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_code_is_followed_through_every_kind_of_import(small_package: Path) -> None:
    names = ["__init__", "used", "plain", "sub/__init__", "sub/relative", "sub/deep", "above", "lazy"]
    expected = {Path(f"src/bakeoff/{name}.py") for name in [*names, "stages/__init__", "stages/go"]}
    assert code_of(["bakeoff.stages.go"], small_package) == expected


def test_a_dependency_that_is_not_listed_is_found_missing(small_package: Path) -> None:
    names = ["__init__", "used", "plain", "above", "stages/__init__", "stages/go"]
    deps = ["data", "src/bakeoff/sub", *(f"src/bakeoff/{name}.py" for name in names)]
    assert missing(deps, ["bakeoff.stages.go"], small_package) == {Path("src/bakeoff/lazy.py")}
    assert missing([*deps, "src/bakeoff/lazy.py"], ["bakeoff.stages.go"], small_package) == set()
