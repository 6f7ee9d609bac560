"""What making and using the environment leaves on the machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
REPORT = "import bakeoff, subprocess; subprocess.run(['dvc', 'status', '--quiet'], check=True)"


def at_home(folder: Path) -> dict[str, str]:
    """The environment of a user whose home is `home` in this folder, still empty."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DVC_SITE_CACHE_DIR", "XDG_CACHE_HOME")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**kept, "HOME": str(folder / "home"), "PATH": path}


def private(folder: Path) -> bool:
    return folder.stat().st_mode & 0o777 == 0o700


def test_dvc_keeps_the_cache_that_it_unpickles_where_only_the_user_may_write(tmp_path: Path, warm: str) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    for command in (["git", "init", "--quiet"], [f"{warm}/dvc", "init", "--quiet"], [sys.executable, "-c", REPORT]):
        subprocess.run(command, cwd=workspace, env=at_home(tmp_path), umask=0, check=True)
    cache = tmp_path / "home/.cache/bakeoff-dvc"
    assert private(cache)
    assert list(cache.glob("repo/*"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, warm: str) -> Path:
    """A clone in which `make` has made its environment anew, with an installer that installs nothing."""
    clone = tmp_path_factory.mktemp("made") / "clone"
    home = at_home(clone.parent)
    commands = clone / ".venv/bin"
    commands.mkdir(parents=True)
    for name in ("uv", "python"):
        (commands / name).write_text("#!/bin/sh\n")
        (commands / name).chmod(0o755)
    (commands / "dvc").symlink_to(shutil.which("dvc", path=home["PATH"]) or "dvc")
    for name in ("Makefile", "requirements.lock", "bootstrap.lock", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, clone)
    (clone / ".venv/lib/python3.11/site-packages/pyspark/work/app-1").mkdir(parents=True)
    for command in (["git", "init", "--quiet"], [f"{warm}/dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=clone, env=home, check=True)
    command = ["make", f"PYTHON={sys.executable}", ".venv/.ready"]
    kept = {name: value for name, value in home.items() if not name.startswith("MAKE")}
    subprocess.run(command, cwd=clone, env=kept, umask=0, check=True)
    return clone


def test_where_sparks_workers_wrote_into_its_package_nothing_of_it_is_left(made: Path) -> None:
    assert not list(made.glob(".venv/lib/*/site-packages/pyspark"))


def test_dvc_as_people_call_it_keeps_that_cache_in_the_same_place(made: Path, warm: str) -> None:
    done = subprocess.run(
        [f"{warm}/dvc", "doctor"], cwd=made, env=at_home(made.parent), capture_output=True, text=True, check=True
    )
    cache = made.parent / "home/.cache/bakeoff-dvc"
    assert f"Repo.site_cache_dir: {cache}/repo/" in done.stdout
    assert private(cache)


AS_IMPORTED = """
import importlib, sys
import bakeoff
importlib.reload(bakeoff)  # into an environment that says nothing of threads
sys.path.insert(0, sys.argv[1])
from test_environment import product
sys.stdout.buffer.write(product())
"""


def product() -> bytes:
    """Of matrices so large that TensorFlow shares the sums out among its threads; tests run with one (forking.py)."""
    from bakeoff.models.base.tensorflow import tf

    rows = tf.random.stateless_normal([64, 100_000], [1, 2])
    return bytes(tf.matmul(rows, rows, transpose_b=True).numpy().tobytes())


def test_tensorflow_computes_the_same_bytes_on_one_core_as_on_all(warm: str) -> None:
    command = [f"{warm}/warm-python", "-c", AS_IMPORTED, str(Path(__file__).parent)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_NUM_")}
    found = subprocess.run(command, env=kept, capture_output=True, check=True).stdout
    assert len(found) == 64 * 64 * 4
    assert found == product()
