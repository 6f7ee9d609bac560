"""Data sets with a publisher: what one is, which there are, and how one is downloaded with pooch."""

import importlib
import importlib.util
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import BadZipFile

import pooch
import requests

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import run_command
from bakeoff.data import datasets as package
from bakeoff.data.fetch.canonical_tables import About, Tables

ENTRY_POINTS = "bakeoff.datasets"
"""Group of entry points by which another package brings a `Dataset`."""
PIP = "pip:"
"""Scheme of a source that is a wheel: `pip:name==version`, from the registry that pip is configured for."""
PIP_SECONDS = 300
TIMEOUT = (5.0, 10.0)
"""Seconds for a connection, and of silence within a transfer."""
RETRIES = 2
"""Further attempts after one that failed."""

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
    members: Sequence[str]
    parse: Parse
    folder_variable: str = ""

    @property
    def address(self) -> str:
        """Where the archive is, which an environment variable may change."""
        folder = os.environ.get(self.folder_variable, "") if self.folder_variable else ""
        return f"{folder.rstrip('/')}/{PurePosixPath(self.url).name}" if folder else self.url


@dataclass(frozen=True)
class Dataset:
    """A data set with its addresses, its parsers and its terms.

    Attributes:
        about: name, title, terms of use, citation.
        sources: tried one after the other until one delivers.
        sha256: of each canonical table, from whatever source; empty: not checked.
    """

    about: About
    sources: tuple[Source, ...]
    sha256: Mapping[str, str] = field(default_factory=dict)


Datasets = Mapping[str, Dataset]
"""Data sets by name."""


class SourceError(BakeoffError):
    """A source could not deliver; another one may."""


@cache
def datasets() -> Datasets:
    """All data sets by name: those of `bakeoff.data.datasets`, then those of other packages' entry points."""
    found: list[Dataset] = []
    for module in pkgutil.iter_modules(package.__path__):
        found += importlib.import_module(f"{package.__name__}.{module.name}").DATASETS
    found += (point.load() for point in entry_points(group=ENTRY_POINTS))
    return {dataset.about.name: dataset for dataset in found}


def obtain(dataset: Dataset, say: Callable[[str], None] = lambda _: None, progress: bool = False) -> tuple[Tables, str]:
    """Download and parse a data set.

    Args:
        dataset: what to get.
        say: called with a sentence when a source fails and the next one is tried.
        progress: whether a bar shows the progress.

    Returns:
        the canonical tables, and which source they came from.

    Raises:
        BakeoffError: no source delivered; the message says what each one answered.
    """
    refusals: list[str] = []
    for source in dataset.sources:
        if refusals:
            say(f"{refusals[-1]}\nTaking {dataset.about.title} from {source.name}.")
        try:
            return source.parse(download(source, progress)), f"{source.name} ({_shown(source.address)})"
        except SourceError as error:
            refusals.append(f"{source.name[:1].upper()}{source.name[1:]}: {error}")
    variables = sorted({source.folder_variable for source in dataset.sources} - {""})
    advice = f", or set {' or '.join(variables)} to the address of a folder with the archive" if variables else ""
    lines = "\n  ".join(refusals)
    raise BakeoffError(
        f"{dataset.about.title} could not be fetched.\n  {lines}\nCheck the network and pip's configuration{advice}."
    )


def download(source: Source, progress: bool = False) -> dict[str, bytes]:
    """Download an archive, check its hash and read its members, by the last part of their name.

    Raises:
        SourceError: the server can't be reached or refuses, or the file is not the expected one.
        BakeoffError: the archive has not the members.
    """
    url, shown = source.address, _shown(source.address)
    name = PurePosixPath(url.removeprefix(PIP)).name
    get = _download_wheel if url.startswith(PIP) else pooch.HTTPDownloader(progress, timeout=TIMEOUT)
    pooch.get_logger().setLevel("WARNING")
    try:
        with TemporaryDirectory(prefix="bakeoff-") as folder:
            registry = pooch.create(
                folder, "", registry={name: source.known_hash}, urls={name: url}, retry_if_failed=RETRIES
            )
            unpack = pooch.Unzip(members=list(source.members))
            paths = map(Path, registry.fetch(name, downloader=get, processor=unpack))
            files = {path.name: path.read_bytes() for path in paths}
    except requests.HTTPError as error:
        said = error if error.response is None else f"{error.response.status_code} {error.response.reason}"
        raise SourceError(f"{shown} answered {said}.") from None
    except requests.RequestException as error:
        raise SourceError(f"{shown} cannot be reached: {_shown(str(error))}.") from None
    except ValueError as error:  # another hash
        raise SourceError(
            f"{shown} delivered something else than expected: {_shown(str(error))} The file was replaced, or "
            "a proxy on the way answers."
        ) from None
    except BadZipFile:
        files = {}
    if len(files) < len(source.members):
        raise BakeoffError(f"{name} is not the archive that was expected: it lacks {', '.join(source.members)}.")
    return files


def _shown(url: str) -> str:
    """An address as messages may show it: without a user's name and password."""
    return re.sub(r"//[^/@]*@", "//", url)


def _download_wheel(url: str, output: str, _: Any) -> None:
    """Download a wheel with pip and whatever registry, proxy and certificates it is configured to use."""
    requirement = url.removeprefix(PIP)
    options = ("--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "--quiet")
    with TemporaryDirectory(prefix="bakeoff-") as folder:
        command = [*_pip(Path(folder)), "download", *options, "--disable-pip-version-check", requirement]
        wheels = Path(folder) / "wheels"
        try:
            done = run_command([*command, "--dest", str(wheels)], timeout=PIP_SECONDS)
        except subprocess.TimeoutExpired:
            raise SourceError(f"pip could not download {requirement} within {PIP_SECONDS} s.") from None
        if done.returncode:
            said = "\n".join(f"    {line}" for line in done.stderr.strip().splitlines()[-5:])
            raise SourceError(f"pip could not download {requirement}:\n{said}")
        [wheel] = wheels.glob("*.whl")
        shutil.copyfile(wheel, output)


def _pip(folder: Path) -> list[str]:
    """This environment's pip or, since `uv pip sync` removes it, one in a throwaway environment."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    try:
        venv.create(folder / "pip", with_pip=True)
    except (subprocess.CalledProcessError, OSError) as error:
        raise SourceError(
            f"this environment has no pip, and Python could not make one with it ({error}): "
            f"`{sys.executable} -m ensurepip` or your system's package python3-venv brings it."
        ) from None
    return [str(folder / "pip/bin/python"), "-m", "pip"]
