"""What making and using the environment leaves on the machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
REPORT = "import bakeoff, subprocess; subprocess.run(['dvc', 'status', '--quiet'], check=True)"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose home is empty, and whose files are open to everybody."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DVC_SITE_CACHE_DIR", "XDG_CACHE_HOME")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**kept, "HOME": str(tmp_path / "home"), "PATH": path}


def private(folder: Path) -> bool:
    return folder.stat().st_mode & 0o777 == 0o700


def test_dvc_keeps_the_cache_that_it_unpickles_where_only_the_user_may_write(
    tmp_path: Path, home: dict[str, str]
) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"], [sys.executable, "-c", REPORT]):
        subprocess.run(command, cwd=workspace, env=home, umask=0, check=True)
    cache = tmp_path / "home/.cache/bakeoff-dvc"
    assert private(cache)
    assert list(cache.glob("repo/*"))


@pytest.fixture
def made(tmp_path: Path, home: dict[str, str]) -> Path:
    """A clone in which `make` has made its environment anew, with an installer that installs nothing."""
    clone = tmp_path / "clone"
    commands = clone / ".venv/bin"
    commands.mkdir(parents=True)
    for name in ("uv", "python"):
        (commands / name).write_text("#!/bin/sh\n")
        (commands / name).chmod(0o755)
    (commands / "dvc").symlink_to(shutil.which("dvc", path=home["PATH"]) or "dvc")
    for name in ("Makefile", "requirements.lock", "bootstrap.lock", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, clone)
    (clone / ".venv/lib/python3.11/site-packages/pyspark/work/app-1").mkdir(parents=True)
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=clone, env=home, check=True)
    command = ["make", f"PYTHON={sys.executable}", ".venv/.ready"]
    kept = {name: value for name, value in home.items() if not name.startswith("MAKE")}
    subprocess.run(command, cwd=clone, env=kept, umask=0, check=True)
    return clone


def test_where_sparks_workers_wrote_into_its_package_nothing_of_it_is_left(made: Path) -> None:
    assert not list(made.glob(".venv/lib/*/site-packages/pyspark"))


def test_dvc_as_people_call_it_keeps_that_cache_in_the_same_place(
    made: Path, tmp_path: Path, home: dict[str, str]
) -> None:
    done = subprocess.run(["dvc", "doctor"], cwd=made, env=home, capture_output=True, text=True, check=True)
    cache = tmp_path / "home/.cache/bakeoff-dvc"
    assert f"Repo.site_cache_dir: {cache}/repo/" in done.stdout
    assert private(cache)


ON_ALL_CORES = """
import sys
sys.path.insert(0, sys.argv[1])
from test_environment import product
sys.stdout.buffer.write(product())
"""


def product() -> bytes:
    """Of matrices so large that TensorFlow shares the sums out among its threads; tests run with one (forking.py)."""
    from bakeoff.models.base.tensorflow import tf

    rows = tf.random.stateless_normal([64, 100_000], [1, 2])
    return bytes(tf.matmul(rows, rows, transpose_b=True).numpy().tobytes())


def test_tensorflow_computes_the_same_bytes_on_one_core_as_on_all() -> None:
    command = [sys.executable, "-c", ON_ALL_CORES, str(Path(__file__).parent)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_NUM_")}
    found = subprocess.run(command, env=kept, capture_output=True, check=True).stdout
    assert len(found) == 64 * 64 * 4
    assert found == product()
