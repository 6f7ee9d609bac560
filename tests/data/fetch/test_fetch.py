import hashlib
import io
import os
import re
import shutil
import subprocess
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pyarrow as pa
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch import command as fetch
from bakeoff.data.fetch import versioning
from bakeoff.data.fetch.canonical_tables import About, text_table
from bakeoff.data.fetch.own_sources import Request
from bakeoff.data.fetch.publishers import Dataset, Source
from bakeoff.data.params import ColumnParams, DataParams
from bakeoff.params import Params

URL_VARIABLE = "BAKEOFF_TOY_URL"
INTERACTIONS = "user_id,item_id,timestamp\n1,7,100\n2,7,200\n"


def parse(files):
    """The toy archive's single member lists users, one a line; each has seen item 7."""
    users = pa.array(files["users"].decode().split())
    times = pa.array([f"{100 * row}" for row in range(1, len(users) + 1)])
    sevens = pa.array(["7"] * len(users))
    return {
        "interactions": text_table({"user_id": users, "item_id": sevens, "timestamp": times}),
        "users": text_table({"user_id": users}),
        "items": text_table({"item_id": pa.array(["7"]), "title": pa.array(["Seven"])}),
    }


def archive():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        opened.writestr(zipfile.ZipInfo("toy/users"), "1 2")
    return stream.getvalue()


def known(**changes):
    """Two data sets of the same content, `toy` and `twin`."""
    sha256 = changes.pop("sha256", {"interactions": hashlib.sha256(INTERACTIONS.encode()).hexdigest()})
    source = Source(
        **{
            "name": "the publisher",
            "url": "http://127.0.0.1:1/toy.zip",
            "known_hash": f"md5:{hashlib.md5(archive()).hexdigest()}",
            "members": ("toy/users",),
            "parse": parse,
            "folder_variable": URL_VARIABLE,
            **changes,
        }
    )
    return {
        name: Dataset(
            About(name, name.title(), f"Terms of {name}.", "Cite it.", "https://example.org"), (source,), sha256
        )
        for name in ("toy", "twin")
    }


@pytest.fixture(scope="module", autouse=True)
def _warm_dvc(warm):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versioning, "DVC", f"{warm}/dvc")
        yield


@pytest.fixture(scope="module")
def publisher(tmp_path_factory):
    """Base URL of a server that has toy.zip."""
    directory = tmp_path_factory.mktemp("publisher")
    (directory / "toy.zip").write_bytes(archive())

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(directory))

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def run(publisher, tmp_path, monkeypatch, capsys):
    """Runs fetch in an empty workspace; returns what it prints."""
    monkeypatch.setenv(URL_VARIABLE, publisher)

    def call(dataset="toy", source=None, force=False, catalogue=None):
        params = Params(data=DataParams(dataset=dataset, columns=ColumnParams(rating=None)))
        fetch.run(params.data, Workspace(tmp_path), Request(source), force, known=catalogue or known())
        return capsys.readouterr().out

    return call


@pytest.fixture
def own(tmp_path):
    """A directory with a team's own interactions."""
    directory = tmp_path / "own"
    directory.mkdir()
    (directory / "interactions.csv").write_text("user_id,item_id,timestamp\nx,y,5\n")
    return directory


@pytest.fixture(scope="module")
def recorded_once(publisher, tmp_path_factory):
    """A DVC repository into which the toy data set was fetched."""
    root = tmp_path_factory.mktemp("recorded")
    (root / ".dvc").mkdir()
    (root / ".dvc/config").write_text("[core]\n    analytics = false\n    no_scm = true\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(URL_VARIABLE, publisher)
        params = Params(data=DataParams(dataset="toy"))
        fetch.run(params.data, Workspace(root), known=known())
    return root


@pytest.fixture
def recorded(recorded_once, tmp_path):
    """The workspace, as a copy of that repository."""
    shutil.copytree(recorded_once, tmp_path, dirs_exist_ok=True)
    return tmp_path


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_the_first_fetch_fills_data_and_names_source_and_terms(run, publisher, tmp_path):
    said = run()
    assert (tmp_path / "data/interactions.csv").read_text() == INTERACTIONS
    assert (tmp_path / "data/items.csv").read_text() == "item_id,title\n7,Seven\n"
    assert names(tmp_path / "data") == ["dataset.json", "interactions.csv", "items.csv", "users.csv"]
    assert f"Toy from the publisher ({publisher}/toy.zip): 2 interactions, 2 users, 1 items" in said
    assert "Terms of toy." in said
    assert "Cite it." in said


def test_nothing_but_data_is_left(run, tmp_path):
    run()
    assert names(tmp_path) == ["data"]


def test_a_second_fetch_changes_nothing_and_shows_no_terms(run, tmp_path):
    run()
    before = (tmp_path / "data/interactions.csv").stat().st_mtime_ns
    said = run()
    assert said == "data/ is up to date (Toy).\n"
    assert (tmp_path / "data/interactions.csv").stat().st_mtime_ns == before


def test_a_directory_without_dvc_is_said_not_to_be_versioned(run):
    assert "not versioned" in run()


def test_tables_other_than_expected_are_an_error_that_explains_itself(run, tmp_path):
    got = hashlib.sha256(INTERACTIONS.encode()).hexdigest()
    with pytest.raises(
        BakeoffError, match=r"(?s)interactions\.csv of Toy.*expected 123\n.*got .*data/datasets"
    ) as caught:
        run(catalogue=known(sha256={"interactions": "123"}))
    assert got in str(caught.value)
    assert names(tmp_path) == []


def test_a_failing_source_leaves_data_as_it_was(run, tmp_path):
    run()
    with pytest.raises(BakeoffError, match=r"toy.zip delivered something else"):
        run(force=True, catalogue=known(known_hash="md5:" + "0" * 32))
    assert (tmp_path / "data/interactions.csv").read_text() == INTERACTIONS
    assert names(tmp_path) == ["data"]


def test_own_data_becomes_canonical_tables(run, own, tmp_path):
    said = run("shop", own)
    assert (tmp_path / "data/interactions.csv").read_text() == "user_id,item_id,timestamp\nx,y,5\n"
    assert '"name": "shop"' in (tmp_path / "data/dataset.json").read_text()
    assert "1 interactions" in said


def test_own_data_needs_a_name_of_its_own(run, own):
    with pytest.raises(BakeoffError, match="a name of its own"):
        run("toy", own)


def test_data_itself_is_no_source(run, own, tmp_path):
    run("shop", own)
    with pytest.raises(BakeoffError, match="is data/ itself"):
        run("shop", tmp_path / "data")


def test_a_name_that_is_not_known_asks_for_a_directory(run):
    with pytest.raises(BakeoffError, match=r"'shop'.*toy, twin.*--from DIR"):
        run("shop")


def test_files_that_nothing_records_are_not_replaced(run, own, tmp_path):
    run("shop", own)
    with pytest.raises(BakeoffError, match="--force"):
        run("toy")
    assert "x,y,5" in (tmp_path / "data/interactions.csv").read_text()
    run("toy", force=True)
    assert (tmp_path / "data/interactions.csv").read_text() == INTERACTIONS


def test_a_data_folder_that_fetch_did_not_make_is_not_replaced(run, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine.txt").write_text("precious")
    with pytest.raises(BakeoffError, match="fetch did not make"):
        run()
    assert names(tmp_path / "data") == ["mine.txt"]


def test_dvc_records_what_was_fetched(recorded, run):
    record = (recorded / "data.dvc").read_text()
    assert "nfiles: 4" in record
    run(force=True)
    assert (recorded / "data.dvc").read_text() == record


def test_data_that_was_deleted_comes_back_from_the_cache(recorded, run, monkeypatch):
    monkeypatch.setenv(URL_VARIABLE, "http://127.0.0.1:1")
    shutil.rmtree(recorded / "data")
    said = run()
    assert "restored by DVC" in said
    assert "Terms of toy." in said
    assert (recorded / "data/interactions.csv").read_text() == INTERACTIONS


def test_data_that_dvc_cannot_restore_is_fetched_and_matches_the_record(recorded, run):
    record = (recorded / "data.dvc").read_text()
    shutil.rmtree(recorded / "data")
    shutil.rmtree(recorded / ".dvc/cache")
    assert "from the publisher" in run()
    assert (recorded / "data.dvc").read_text() == record


def test_changed_data_is_never_replaced_without_force(recorded, run):
    (recorded / "data/items.csv").write_text("item_id,title\n7,Mine\n")
    with pytest.raises(BakeoffError, match=r"`dvc add data` keeps your version.*--force"):
        run()
    assert "Mine" in (recorded / "data/items.csv").read_text()
    run(force=True)
    assert "Seven" in (recorded / "data/items.csv").read_text()


def test_with_an_emptied_cache_changed_data_is_still_told_from_unchanged(recorded, run):
    record = (recorded / "data.dvc").read_text()
    shutil.rmtree(recorded / ".dvc/cache")
    assert run() == "data/ is up to date (Toy).\n"
    shutil.rmtree(recorded / ".dvc/cache")
    (recorded / "data/items.csv").write_text("item_id,title\n7,Mine\n")
    with pytest.raises(BakeoffError, match=r"not what data.dvc records"):
        run()
    assert (recorded / "data.dvc").read_text() == record


def test_another_data_set_replaces_recorded_data_and_says_so(recorded, run):
    said = run("twin")
    assert "data/ holds toy, params.yaml names twin" in said
    assert '"name": "twin"' in (recorded / "data/dataset.json").read_text()


def test_dvc_is_found_although_it_is_not_on_the_path(recorded, run, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    assert run() == "data/ is up to date (Toy).\n"


def test_the_command_prints_an_error_for_people(tmp_path, warm):
    (tmp_path / "params.yaml").write_text("data: {dataset: shop}\n")
    command = [f"{warm}/bakeoff", "fetch", "--from", "nowhere"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.match("error: nowhere is not a directory", done.stderr)
