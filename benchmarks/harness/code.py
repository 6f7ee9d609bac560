"""Hashes of the code that figures rest on: of what it does, so that a comment or a docstring changes nothing."""

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import bakeoff

PACKAGE, BENCHMARKS = Path(bakeoff.__file__).parent, Path(__file__).parents[1]
SPLIT_CODE = tuple(map(PACKAGE.joinpath, ("core", "data", "stages/split.py", "stages/validate.py")))
"""What determines the content of a split, as in `dvc.yaml`."""
OUR_CODE = (
    *map(PACKAGE.joinpath, ("core", "data", "evaluation", "experiments/training", "models")),
    *map(BENCHMARKS.joinpath, ("harness/ours.py", "harness/score.py")),
)
"""What determines what the project's own systems reach, and how lists are judged."""


def peers_code(modules: Iterable[str]) -> tuple[Path, ...]:
    """Files of the package `peers` that these modules rest on, such as `peers.ease`, and the worker that runs them."""
    found, waiting = set[Path](), ["peers.worker", *modules]
    while waiting:
        path = BENCHMARKS.joinpath(*waiting.pop().split(".")).with_suffix(".py")
        if path.parent != BENCHMARKS / "peers" or path in found or not path.exists():
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
    return tuple(sorted(found))


@cache
def code_hash(places: Iterable[Path]) -> str:
    """A hash of the Python files in these places, without comments and docstrings: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(path for place in places for path in (place.rglob("*.py") if place.is_dir() else [place])):
        digest.update(f"{path.parent.name}/{path.name} {meaning(path.read_text(encoding='utf-8'))}".encode())
    return digest.hexdigest()[:16]


def today(modules: Iterable[str]) -> dict[str, str]:
    """By whose systems they are, hashes of the code that the figures of a page rest on.

    Args:
        modules: of the systems that have figures on it.
    """
    return {"ours": code_hash(OUR_CODE), "peers": code_hash(peers_code(modules))}


def made_with(settings: Mapping[str, Any]) -> str:
    """A hash of our code and of these settings, JSON values: the name of a folder of fits that rest on both."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(f"{code_hash(OUR_CODE)} {text}".encode()).hexdigest()[:16]


def meaning(text: str) -> str:
    """The syntax tree of a module without docstrings, as text."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not _is_text(each)]
    return ast.dump(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
