"""Every page of results is the one that is made from the figures beside it."""

import importlib
import json
import re
from pathlib import Path

import pytest
from harness import tables
from harness.datasets import BENCHMARKS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"
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


ROW = re.compile(
    r"^\| \[.*?\]\(\.\./benchmarks/results/([\w-]+)\.md\)[^|]*\| \**([\d.]+)\** \| \**([\d.]+)\** \| (.*) \|$", re.M
)
"""Of the table at the head of docs/benchmarks.md: a page, both contenders' figures, and the best of the others."""


def test_the_table_of_all_data_sets_says_what_their_pages_say():
    rows = ROW.findall((ROOT / "docs/benchmarks.md").read_text(encoding="utf-8"))
    assert {name for name, *_ in rows} == {path.stem for path in RESULTS.glob("*.json") if path.stem in BENCHMARKS}
    for name, softmax, mf, best in rows:
        page = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        metric = next(metric for metric in page["metrics"] if metric.startswith("ndcg"))
        found = {each["name"]: each for each in page["systems"] if each["figures"]}
        means = {each: f"{system['figures'][metric]['mean']:.4f}" for each, system in found.items()}
        others = [means[each] for each, system in found.items() if not system["ours"]]
        assert (softmax, mf) == (means["softmax"], means["mf"])
        assert max(others) in best


@pytest.mark.parametrize("name", ["ml-100k", "ml-1m-global"])
def test_the_readme_quotes_the_lead_of_a_page(name):
    page = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    [lead] = [each["difference"] for each in page["differences"] if (each["of"], each["against"]) == ("softmax", "mf")]
    mean, low, high = (f"{value:+.4f}".replace("-", "−") for value in lead)
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"{mean} ({low} to {high}" in readme
