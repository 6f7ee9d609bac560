"""A data set from the first of its sources that delivers: archives by pooch, which checks their hashes and retries."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import pooch
import requests

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.dataset import PIP, Dataset, Source
from bakeoff.data.fetch.tables import Tables

PIP_SECONDS = 300


class SourceError(BakeoffError):
    """A source could not deliver; another one may."""


@dataclass(frozen=True)
class Transfer:
    """Limits of a download."""

    connect_seconds: float = 5.0
    """Longest wait for a connection."""
    read_seconds: float = 10.0
    """Longest silence within a transfer."""
    retries: int = 2
    """Further attempts after one that failed."""
    progress: bool = False
    """Whether a bar shows the progress."""


def obtain(
    dataset: Dataset, downloads: Path, transfer: Transfer | None = None, say: Callable[[str], None] = lambda _: None
) -> tuple[Tables, str]:
    """Download and parse a data set.

    Args:
        dataset: what to get.
        downloads: directory for the archive, which is not kept.
        transfer: limits of the download; None for the usual ones.
        say: called with a sentence when a source fails and the next one is asked.

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
            archive = download(source, downloads, transfer or Transfer())
        except SourceError as error:
            refusals.append(f"{source.name[:1].upper()}{source.name[1:]}: {error}")
            continue
        try:
            return source.parse(read_members(archive, source.members)), f"{source.name} ({shown(address(source))})"
        finally:
            archive.unlink()
    variables = sorted({source.folder_variable for source in dataset.sources} - {""})
    advice = f", or set {' or '.join(variables)} to the address of a folder with the archive" if variables else ""
    lines = "\n  ".join(refusals)
    raise BakeoffError(
        f"{dataset.about.title} could not be fetched.\n  {lines}\nCheck the network and pip's configuration{advice}."
    )


def download(source: Source, folder: Path, transfer: Transfer) -> Path:
    """Download an archive and check its hash.

    Returns:
        Path of the archive below `folder`.

    Raises:
        SourceError: the server can't be reached or refuses, or the file is not the expected one.
        BakeoffError: `folder` can't be written.
    """
    url = address(source)
    name = PurePosixPath(url.removeprefix(PIP)).name
    keeper = pooch.create(
        folder, "", registry={name: source.known_hash}, urls={name: url}, retry_if_failed=transfer.retries
    )
    pooch.get_logger().setLevel("WARNING")
    timeout = (transfer.connect_seconds, transfer.read_seconds)
    get = _download_wheel if url.startswith(PIP) else pooch.HTTPDownloader(transfer.progress, timeout=timeout)
    try:
        return Path(keeper.fetch(name, downloader=get))
    except requests.HTTPError as error:
        answer = error.response
        said = error if answer is None else f"{answer.status_code} {answer.reason}"
        raise SourceError(f"{shown(url)} answered {said}.") from None
    except requests.RequestException as error:
        raise SourceError(f"{shown(url)} cannot be reached: {shown(str(error))}.") from None
    except ValueError as error:  # another hash
        raise SourceError(
            f"{shown(url)} delivered something else than expected: {shown(str(error))} The file was replaced, or "
            "a proxy on the way answers."
        ) from None
    except OSError as error:
        raise BakeoffError(f"{name} cannot be written to {folder}: {error.strerror}.") from None


def address(source: Source) -> str:
    """Where the archive is, which an environment variable may change."""
    folder = os.environ.get(source.folder_variable, "") if source.folder_variable else ""
    return f"{folder.rstrip('/')}/{PurePosixPath(source.url).name}" if folder else source.url


def shown(url: str) -> str:
    """An address as messages may show it: without a user's name and password."""
    return re.sub(r"//[^/@]*@", "//", url)


def read_members(archive: Path, members: tuple[str, ...]) -> dict[str, bytes]:
    """Read the named members of a zip archive whose hash was checked, by the last part of their name.

    Raises:
        BakeoffError: it is not a zip archive, or a member is missing.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return {PurePosixPath(name).name: opened.read(name) for name in members}
    except (zipfile.BadZipFile, KeyError) as error:
        raise BakeoffError(f"{archive.name} is not the archive that was expected ({error}).") from None


def _download_wheel(url: str, output: str, _: Any) -> None:
    """Have pip download a wheel, with whatever registry, proxy and certificates it is configured to use."""
    requirement = url.removeprefix(PIP)
    options = ("--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "--quiet")
    with TemporaryDirectory(prefix="bakeoff-") as folder:
        command = [*_pip(Path(folder)), "download", *options, "--disable-pip-version-check", requirement]
        wheels = Path(folder) / "wheels"
        try:
            done = subprocess.run(
                [*command, "--dest", str(wheels)], capture_output=True, text=True, timeout=PIP_SECONDS, check=False
            )
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
        venv.EnvBuilder(with_pip=True).create(folder / "pip")
    except (subprocess.CalledProcessError, OSError) as error:
        raise SourceError(
            f"this environment has no pip, and Python could not make one with it ({error}): "
            f"`{sys.executable} -m ensurepip` or your system's package python3-venv brings it."
        ) from None
    return [str(folder / "pip/bin/python"), "-m", "pip"]
