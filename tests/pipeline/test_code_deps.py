"""Each stage of every dvc.yaml depends on all code that it can run, or DVC would call a stale result current."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc_yaml import stages_of

from bakeoff.models.base.specs import specs

ROOT = Path(__file__).parents[2]
FILES = (Path("dvc.yaml"), Path("studies/dvc.yaml"))
SOURCE = Path("src")
PACKAGE = "bakeoff"


SETTINGS = f"{PACKAGE}.params"
"""Combines the sections of all packages. DVC watches the values that a stage names, so no stage depends on its code."""


def entries(command: str) -> list[str]:
    """The modules behind `bakeoff SUBCOMMAND …`: its stage and, for a model, the spec and what the spec names."""
    _, subcommand, *arguments = command.split()
    found = [f"{PACKAGE}.stages.{subcommand}"]
    if subcommand in ("train", "evaluate", "export"):
        each = specs()[arguments[0]]
        paths = (each.trainer, each.fit, each.load, each.session, each.replicated)
        modules = [path.partition(":")[0] for path in paths if path]
        if subcommand == "export":
            modules.append(each.graph.partition(":")[0])
        found += [*modules, *(f"{module.rpartition('.')[0]}.spec" for module in modules[:1])]
    return found


def file_of(module: str, root: Path) -> Path | None:
    """The file of a module, relative to `root`; None for a name that is no module (a function, say)."""
    stem = SOURCE.joinpath(*module.split("."))
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if (root / path).is_file()), None)


def is_type_checking(node: ast.AST) -> bool:
    """Whether it is a block `if TYPE_CHECKING:`, which never runs."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def has_code(path: Path) -> bool:
    """Whether a module does anything: a package's docstring does not."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


def names_imported(path: Path, module: str) -> Iterator[str]:
    """Dotted names in import statements anywhere in a file, in functions too; relative ones made absolute.

    `from a import b` yields a and a.b, since b may be a module.
    """
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {id(inner) for node in ast.walk(tree) if is_type_checking(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [above, node.module]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def code_of(module: str, root: Path = ROOT) -> set[Path]:
    """Every file of the package that importing `module` and calling its functions can load."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = file_of(name, root)
        if name in found or path is None or name.split(".")[0] != PACKAGE or name == SETTINGS:
            continue
        found[name] = path
        waiting += [
            name.rpartition(".")[0],
            *names_imported(root / path, name),
        ]  # a package is run before its modules
    return set(found.values())


def missing(deps: list[str], module: str, root: Path = ROOT) -> set[Path]:
    """The code that no dependency covers, neither the file itself nor a directory above it."""
    listed = {Path(dep) for dep in deps}
    needed = {path for path in code_of(module, root) if path.name != "__init__.py" or has_code(root / path)}
    return {path for path in needed if not listed & {path, *path.parents}}


def stages() -> dict[str, tuple[list[str], list[str]]]:
    """Entry modules and dependencies of each stage."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for file in FILES:
        for name, command, deps, _ in stages_of(ROOT, str(file)):
            found[name] = (entries(command), deps)
    return found


STAGES = stages()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_code_that_it_imports(stage: str) -> None:
    modules, deps = STAGES[stage]
    assert [module for module in modules if file_of(module, ROOT) is None] == []
    lacking = {path for module in modules for path in missing(deps, module)}
    assert sorted(map(str, lacking)) == [], f"add these to the deps of stage {stage} in dvc.yaml"


@pytest.mark.parametrize("stage", STAGES)
def test_every_code_dependency_of_a_stage_exists(stage: str) -> None:
    code = [dep for dep in STAGES[stage][1] if Path(dep).parts[0] == SOURCE.name]
    assert [dep for dep in code if not (ROOT / dep).exists()] == []


@pytest.mark.parametrize("model", specs())
def test_a_change_to_one_model_trains_no_other(model: str) -> None:
    others = {spec.trainer or spec.fit for name, spec in specs().items() if name != model}
    own = (specs()[model].trainer or specs()[model].fit or "").split(".")[2]
    packages = {path.split(".")[2] for path in others if path} - {own}
    assert [
        dep for dep in STAGES[f"train@{model}"][1] if Path(dep).parts[-2:] in {("models", each) for each in packages}
    ] == []


def test_the_modules_that_a_spec_names_are_entries() -> None:
    assert entries("bakeoff train mf") == [
        "bakeoff.stages.train",
        "bakeoff.models.mf.als",
        "bakeoff.models.mf.mf",
        "bakeoff.models.mf.mllib",
        "bakeoff.models.mf.spec",
    ]
    assert entries("bakeoff variants depth") == ["bakeoff.stages.variants"]


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
    assert code_of("bakeoff.stages.go", small_package) == expected


def test_a_dependency_that_is_not_listed_is_found_missing(small_package: Path) -> None:
    names = ["__init__", "used", "plain", "above", "stages/__init__", "stages/go"]
    deps = ["data", "src/bakeoff/sub", *(f"src/bakeoff/{name}.py" for name in names)]
    assert missing(deps, "bakeoff.stages.go", small_package) == {Path("src/bakeoff/lazy.py")}
    assert missing([*deps, "src/bakeoff/lazy.py"], "bakeoff.stages.go", small_package) == set()
