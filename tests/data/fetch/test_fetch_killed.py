"""A fetch that is killed, by SIGKILL to its process, and the one after it."""

import shutil
import signal
from pathlib import Path

import pytest
from fake_dvc import fake_dvc, recorded_hash
from forking import Program

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch import command as fetch
from bakeoff.data.fetch import data_directory
from bakeoff.data.fetch.own_sources import Request
from bakeoff.data.params import ColumnParams, DataParams
from bakeoff.params import Params

OLD = "user_id,item_id,timestamp\n1,a,5\n"
NEW = OLD + "2,b,6\n"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A workspace with the old data; `source` beside it has the new ones."""
    (tmp_path / "workspace/.dvc").mkdir(parents=True)
    (tmp_path / "source").mkdir()
    fake_dvc(monkeypatch)
    (tmp_path / "source/interactions.csv").write_text(OLD)
    fetch_from(tmp_path / "workspace")
    (tmp_path / "source/interactions.csv").write_text(NEW)
    return tmp_path / "workspace"


def fetch_from(root):
    params = Params(data=DataParams(dataset="shop", columns=ColumnParams(rating=None)))
    fetch.run(params.data, Workspace(root), Request(root.parent / "source"))


@pytest.fixture
def killed(warm, root):
    """Fetch in a child that kills itself before or after its first call of a function; or restore, and be cut off."""
    program = Program(Path(__file__).with_name("fetch_program.py"), warm)

    def killed(module=None, name="", before=True, **options):
        where = {} if module is None else {"module": module.__name__, "name": name, "before": before}
        answer = program.attempt({"workspace": str(root), **where, **options})
        assert answer["status"] == -signal.SIGKILL, answer["printed"]

    return killed


def content(root):
    path = root / "data/interactions.csv"
    return path.read_text() if path.exists() else None


POINTS = {
    "before it writes": (data_directory, "save_csv", True, OLD),
    "when all is written": (data_directory, "put_in_place", True, OLD),
    "before the swap": (data_directory, "_swap", True, OLD),
    "after the swap": (data_directory, "_swap", False, NEW),
    "before the record": (data_directory, "add_data", True, NEW),
    "after the record": (data_directory, "add_data", False, NEW),
}


@pytest.mark.parametrize(("module", "name", "before", "there"), POINTS.values(), ids=POINTS)
def test_a_killed_fetch_leaves_all_of_the_old_or_of_the_new_data_and_the_next_one_completes_it(
    root, killed, module, name, before, there
):
    killed(module, name, before)
    assert content(root) == there
    fetch_from(root)
    assert content(root) == NEW
    assert recorded_hash(root) == "current"
    assert sorted(path.name for path in root.iterdir()) == [".dvc", "data", "data.dvc"]


def test_killed_between_the_two_renames_the_old_data_come_back(root, killed):
    killed(data_directory, "_swap")
    (root / "data").rename(root / ".data-old")
    (root.parent / "source/interactions.csv").unlink()
    with pytest.raises(BakeoffError, match="holds neither"):
        fetch_from(root)
    assert content(root) == OLD
    assert recorded_hash(root) == "current"


def test_files_of_ones_own_stay_whatever_they_are_called(root):
    shutil.copytree(root / "data", root / ".data-backup")
    fetch_from(root)
    assert (root / ".data-backup").is_dir()


def test_a_record_that_was_emptied_and_not_written_is_mended(root, killed):
    killed(data_directory, "add_data")
    (root / "data.dvc").write_text("")
    fetch_from(root)
    assert recorded_hash(root) == "current"


def test_a_change_of_ones_own_after_a_killed_fetch_is_not_taken_for_its_result(root, killed):
    killed(data_directory, "add_data")
    (root / "data/users.csv").write_text("user_id\n1\nmine\n")
    with pytest.raises(BakeoffError, match=r"not what data\.dvc records"):
        fetch_from(root)
    assert "mine" in (root / "data/users.csv").read_text()


@pytest.mark.parametrize("held", [True, False], ids=["data", "no data"])
def test_where_dvc_refuses_data_and_record_are_as_they_were(root, monkeypatch, held):
    if not held:
        shutil.rmtree(root / "data")
        shutil.rmtree(root / ".dvc/cache")
    record = (root / "data.dvc").read_text()

    def refuse(*arguments, **options):
        (root / "data.dvc").write_text("half")
        raise BakeoffError("no space")

    monkeypatch.setattr(data_directory, "add_data", refuse)
    with pytest.raises(BakeoffError, match="no space"):
        fetch_from(root)
    assert content(root) == (OLD if held else None)
    assert (root / "data.dvc").read_text() == record
    assert not [path for path in root.iterdir() if path.name.startswith(".data")]


def test_a_restore_that_is_cut_off_leaves_nothing_that_could_be_taken_for_data(root, killed):
    shutil.rmtree(root / "data")
    killed(restore=True)
    assert not (root / "data").exists()
    fetch_from(root)
    assert content(root) == NEW
