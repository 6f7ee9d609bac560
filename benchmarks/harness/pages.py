"""Pages of figures: a JSON file and, beside it, the Markdown that is made from it."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bakeoff.core.files import write_json, write_text

Page = Mapping[str, Any]


def keep_page(page: Page, markdown: Callable[[Page], str], path: Path) -> None:
    """Write figures, JSON values, to a file and the page that is made from them next to it, with the suffix .md."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, page)
    write_text(path.with_suffix(".md"), markdown(page))


def show(page: Page, markdown: Callable[[Page], str], path: Path | None) -> None:
    """Print the page of these figures; where there is a path, keep both."""
    if path is not None:
        keep_page(page, markdown, path)
    sys.stdout.write(markdown(page))
