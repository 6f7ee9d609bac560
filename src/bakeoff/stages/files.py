"""How stages write: beside, then renamed, so that nothing half-written is ever taken for a result."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with Unix line ends; whoever reads meanwhile sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8", newline="\n")
    beside.replace(path)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write an object as indented JSON.

    Raises:
        ValueError: a value is NaN or infinite, which JSON does not have.
    """
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def replaced(directory: Path) -> Iterator[Path]:
    """A new directory beside `directory` that takes its place if all goes well and vanishes if not.

    Its name is fixed, so that what a killed run left is cleared by the next one.
    """
    new = directory.with_name(f".{directory.name}.part")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
        shutil.rmtree(directory, ignore_errors=True)
        new.rename(directory)
    finally:
        shutil.rmtree(new, ignore_errors=True)
