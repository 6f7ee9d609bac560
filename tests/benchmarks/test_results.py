"""Every page of results is the one that is made from the figures beside it."""

import importlib
import json
from pathlib import Path

import pytest
from harness import tables
from harness.datasets import BENCHMARKS

RESULTS = Path(__file__).parents[2] / "benchmarks/results"
SCRIPTS = {
    "significance_portions": ("significance", "markdown_of_portions"),
    "scale_catalogues": ("scale", "markdown_of_catalogues"),
}
"""Script and function of pages that have not the name of their script."""


def pages_of(path: Path) -> set[str]:
    """What may stand on the page of these figures."""
    page, name = json.loads(path.read_text(encoding="utf-8")), path.stem
    if name in BENCHMARKS:
        changed: tuple[tuple[str, ...], ...] = ((), ("ours",), ("peers",), ("ours", "peers"))
        return {tables.markdown(page, page["code"] | dict.fromkeys(whose, "other")) for whose in changed}
    if path.parent.name == "curves":
        name = "curve"
    if name.startswith("sampling-"):
        return {importlib.import_module("sampling").markdown(page, f"{name}.svg")}
    script, function = SCRIPTS.get(name, (name.split("-")[0], "markdown"))
    return {getattr(importlib.import_module(script), function)(page)}


def test_every_page_has_its_figures_beside_it():
    pages, figures = ({path.with_suffix("") for path in RESULTS.rglob(f"*.{kind}")} for kind in ("md", "json"))
    assert figures == pages


@pytest.mark.parametrize("path", sorted(RESULTS.rglob("*.json")), ids=lambda path: path.stem)
def test_a_page_says_what_its_figures_say(path):
    assert path.with_suffix(".md").read_text(encoding="utf-8") in pages_of(path)
