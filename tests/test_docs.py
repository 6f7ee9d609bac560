"""The site of docs/ builds offline and loads nothing from elsewhere; links lead somewhere; the reference is current."""

import json
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
OTHERS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")]
REFERENCE = runpy.run_path(str(ROOT / "docs/make_reference.py"))
LOADED = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}
"""Tag → its attribute with the address of something that a browser loads."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built by a process whose sockets reach nothing."""
    built = tmp_path_factory.mktemp("site")
    offline = "import socket; socket.socket.connect = None; from mkdocs.__main__ import cli; cli()"
    command = [sys.executable, "-c", offline, "build", "--strict", "--quiet", "--site-dir", str(built)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return built


class Addresses(HTMLParser):
    """Collects what a page loads, and the targets and anchors of its links."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.classes: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.classes |= set(values.get("class", "").split())
        if tag in LOADED and values.get("rel") not in {"canonical", "next", "prev"}:
            self.loaded += [values[LOADED[tag]]] if LOADED[tag] in values else []


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        found = Addresses(page)
        assert found.loaded
        assert [address for address in found.loaded if urlsplit(address).netloc] == [], page
        assert "mermaid" not in found.classes  # Material would load its program from a CDN


def test_no_style_loads_anything_from_another_host(site: Path) -> None:
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert styles
    assert [style for style in styles if re.search(r"@import|url\(\s*[\"']?(https?:)?//", style)] == []


@pytest.mark.parametrize("page", PAGES + OTHERS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    """On GitHub and, since the site lies beside docs/, in the site; MkDocs checks the anchors."""
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    paths = [urlsplit(link).path for link in links if not urlsplit(link).scheme]
    assert [path for path in paths if not (page.parent / path).exists()] == []


@pytest.mark.parametrize(("name", "metric"), [("NDCG@10", "ndcg@10"), ("capped recall@20 ¹", "recall@20")])
def test_the_readme_has_the_figures_of_the_report(name: str, metric: str) -> None:
    """The report that is committed: a run on another processor gives the networks other weights."""
    committed = ["git", "show", "HEAD:./reports/metrics.json"]
    metrics = json.loads(subprocess.run(committed, cwd=ROOT, capture_output=True, check=True).stdout)
    rows = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    [cells] = [row.strip("| ").split(" | ") for row in rows if row.startswith(f"| {name} |")]
    assert cells[1:6] == [f"{metrics[m][metric]:.4f}" for m in ("popularity", "ease", "mf", "softmax", "two_tower")]
    found = metrics["difference"]["softmax_vs_mf"][metric]
    assert cells[6] == f"{found['mean']:+.4f} ({found['low']:+.4f} to {found['high']:+.4f})"


@pytest.mark.parametrize("name", REFERENCE["PAGE_MAKERS"])
def test_the_reference_is_current(name: str) -> None:
    written = (ROOT / "docs/reference" / name).read_text(encoding="utf-8")
    assert written == REFERENCE["PAGE_MAKERS"][name](), "python docs/make_reference.py writes it again"


def test_the_reference_names_every_option_of_a_command() -> None:
    page = REFERENCE["commands_page"]()
    section = page.partition("## bakeoff tune\n")[2].partition("\n## ")[0]
    for option in ("`--minutes` `NUMBER`", "`--trials` `INTEGER`", "`--apply`", "[MODEL]"):
        assert option in section


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    shown = REFERENCE["_table"](("a", "b"), [("`x|y`", "s | ms")])
    assert shown.splitlines()[2] == "| <code>x&#124;y</code> | s &#124; ms |"
