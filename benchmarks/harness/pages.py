"""Pages of figures: a JSON file and, beside it, the Markdown that is made from it."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bakeoff.core.files import write_json, write_text

Page = Mapping[str, Any]


def show(page: Page, markdown: Callable[[Page], str], path: Path | None) -> None:
    """Print the page of these figures; where there is a path, keep both.

    Args:
        page: JSON values.
        markdown: makes the page.
        path: of the figures; the page goes next to it, with the suffix .md.
    """
    text = markdown(page)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, page)
        write_text(path.with_suffix(".md"), text)
    sys.stdout.write(text)
