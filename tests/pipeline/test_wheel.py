"""The built wheel, where there is no checkout: `bakeoff init --yes` and `bakeoff run` on data of three shapes.

The environment is a new one with the wheel in it; the packages that it needs are those of the tests' environment, since
installing 2.4 GB again would show nothing about this project.
"""

import json
import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bakeoff.experiments.tuning.tune import with_chosen
from bakeoff.params import load_params

ROOT = Path(__file__).parents[2]
NUM_USERS, NUM_ITEMS, NUM_EVENTS = 90, 40, 3_000


class Installed:
    """An environment with the wheel, outside of any checkout."""

    def __init__(self, root: Path) -> None:
        wheels = root / "wheels"
        build = ["uv", "build", "--wheel", "--no-build-isolation", "--quiet", "--out-dir", str(wheels), str(ROOT)]
        subprocess.run(build, check=True, env={**os.environ, "VIRTUAL_ENV": sys.prefix})
        venv.create(root / "env", symlinks=True)
        python = root / "env/bin/python"
        [wheel] = wheels.glob("*.whl")
        install = ["uv", "pip", "install", "--quiet", "--no-deps", "--offline", "--python", str(python), str(wheel)]
        subprocess.run(install, check=True)
        [packages] = (root / "env/lib").glob("python*/site-packages")
        (packages / "needed.pth").write_text("\n".join(site.getsitepackages()))  # without its editable install
        self.record = next(packages.glob("bakeoff-*.dist-info")) / "RECORD"
        for program in ("dvc", "git"):  # as an installation has them
            found = shutil.which(program)
            assert found
            if not (root / "env/bin" / program).exists():
                (root / "env/bin" / program).symlink_to(found)
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PREFECT_", "BAKEOFF_")) and name not in ("PYTHONPATH", "VIRTUAL_ENV")
        }
        self._environment |= {
            "PATH": f"{root}/env/bin:{os.defpath}",
            "PREFECT_HOME": str(root / "prefect"),
            "COLUMNS": "100",
        }

    def run(self, *command: str, cwd: Path, status: int = 0) -> str:
        done = subprocess.run(command, cwd=cwd, env=self._environment, capture_output=True, text=True)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"))


def events() -> pd.DataFrame:
    """Users of three groups who take items of their group."""
    random = np.random.default_rng(1)
    users = random.integers(0, NUM_USERS, NUM_EVENTS)
    items = (users % 3 + 3 * random.integers(0, NUM_ITEMS // 3, NUM_EVENTS)) % NUM_ITEMS
    return pd.DataFrame(
        {"u": users, "i": items, "t": 1_700_000_000 + np.sort(random.integers(0, 9_000_000, NUM_EVENTS))}
    )


def tabs_and_semicolons(directory: Path) -> list[str]:
    """ISO times, no ratings, items with other column names in another encoding."""
    made = events()
    times = pd.to_datetime(made.t, unit="s").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    pd.DataFrame({"visitor": "v" + made.u.astype(str), "sku": made.i, "viewed_at": times}).to_csv(
        directory / "views.tsv", sep="\t", index=False
    )
    numbers = range(NUM_ITEMS)
    products = {"code": numbers, "name": [f"Möbel Nr. {i}" for i in numbers], "colour": [f"c{i % 3}" for i in numbers]}
    pd.DataFrame(products).to_csv(directory / "products.csv", sep=";", index=False, encoding="cp1252")
    return ["--interactions", "views.tsv", "--items", "products.csv"]


def parquet_with_ratings(directory: Path) -> list[str]:
    """Typed times, ratings from 0.5 to 5, features of users."""
    made = events()
    stars = 0.5 + np.arange(NUM_EVENTS) % 10 / 2
    times = pd.to_datetime(made.t, unit="s")
    pd.DataFrame({"userId": made.u, "movieId": made.i, "rating": stars, "timestamp": times}).to_parquet(
        directory / "r.parquet"
    )
    ages = pd.DataFrame(
        {"id": range(NUM_USERS), "age": np.arange(NUM_USERS) % 50 + 18.5, "group": np.arange(NUM_USERS) % 3}
    )
    ages.to_parquet(directory / "people.parquet")
    return ["--interactions", "r.parquet", "--users", "people.parquet"]


def pairs_alone(directory: Path) -> list[str]:
    """Neither times nor ratings nor features."""
    made = events()
    made.rename(columns={"u": "user", "i": "item"})[["user", "item"]].to_csv(directory / "pairs.csv", index=False)
    return ["--interactions", "pairs.csv"]


@pytest.mark.parametrize(
    "shape", [tabs_and_semicolons, parquet_with_ratings, pairs_alone], ids=lambda shape: shape.__name__
)
def test_a_team_gets_a_result_without_a_checkout(installed: Installed, tmp_path: Path, shape) -> None:
    installed.run("bakeoff", "init", "shop", *shape(tmp_path), "--yes", cwd=tmp_path)
    shop = tmp_path / "shop"
    params = load_params(shop / "params.yaml")
    assert params.data.dataset == "shop"
    text = (shop / "params.yaml").read_text()
    for model in ("mf", "softmax", "two_tower"):  # two epochs are enough to see every stage through
        text = with_chosen(text, model, {"max_epochs": 2})
    (shop / "params.yaml").write_text(text)
    printed = installed.run("bakeoff", "run", cwd=shop)
    for stage in ("version", "train@mf", "train@softmax", "compare"):
        assert f"{stage}: ran, " in printed, printed
    assert "16 stages: 16 ran" in printed
    assert "No verdict yet: the contenders were not tuned on this data" in printed
    assert "<html" in (shop / "reports/index.html").read_text()
    log = (shop / ".bakeoff/run.log").read_text()
    assert "Its log: .bakeoff/run.log" in printed
    assert "Task run 'train@mf'" in log
    assert "Flow run" not in printed
    assert json.loads((shop / "reports/metrics.json").read_text())["mf"]["ndcg@10"] > 0

    if shape is tabs_and_semicolons:
        assert (params.data.encoding, params.data.columns.item_id_in_items) == ("cp1252", "code")
        check_repeats(installed, shop)


def check_repeats(installed: Installed, shop: Path) -> None:
    """Nothing runs twice, in Prefect or by DVC alone, until another version is installed."""
    assert "The comparison is up to date." in installed.run("bakeoff", "run", cwd=shop)
    assert "dvc.lock is up to date." in installed.run("bakeoff", "run", "--dry", cwd=shop)
    repeated = installed.run("dvc", "repro", "compare", cwd=shop)
    assert repeated.count("Running stage") == repeated.count("Running stage 'version'") == 1
    before = installed.record.read_text()
    installed.record.write_text(before + "bakeoff/new.py,sha256=1,1\n")
    try:
        refused = installed.run("bakeoff", "run", "--dry", cwd=shop, status=1)
    finally:
        installed.record.write_text(before)
    assert "error: dvc.lock is not up to date: validate" in refused
