import errno
import json
import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_dvc import fake_dvc, recorded_hash

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch import command as fetch
from bakeoff.data.fetch.own_sources import Request
from bakeoff.data.params import ColumnParams, DataParams
from bakeoff.params import Params

EVENTS = "user_id,item_id,timestamp\n"


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """A DVC repository without DVC, which takes a second a call."""
    (tmp_path / "workspace/.dvc").mkdir(parents=True)
    fake_dvc(monkeypatch)
    return tmp_path / "workspace"


@pytest.fixture
def run(repository, capsys):
    """Runs fetch for the data set `shop`; returns what it prints."""

    def call(dataset="shop", force=False, source=None, **options):
        params = Params(data=DataParams(dataset=dataset, columns=ColumnParams(rating=None)))
        fetch.run(params.data, Workspace(repository), Request(source, **options), force)
        return capsys.readouterr().out

    return call


@pytest.fixture
def files(tmp_path):
    """A directory with the given files."""

    def make(name, **contents):
        directory = tmp_path / name
        directory.mkdir(parents=True, exist_ok=True)
        for table, content in contents.items():
            (directory / f"{table}.csv").write_text(content)
        return directory

    return make


@pytest.fixture
def deliver(files, tmp_path):
    def make(name, **contents):
        files(f"inbox/{name}", **contents)
        (tmp_path / "inbox" / name / "_SUCCESS").touch()
        return tmp_path / "inbox"

    return make


def read(repository, table="interactions"):
    return (repository / f"data/{table}.csv").read_text()


def about(repository):
    return json.loads((repository / "data/dataset.json").read_text())


def test_rows_are_added_and_counted(run, files, repository):
    run(source=files("whole", interactions=f"{EVENTS}1,a,5\n", users="user_id,age\n1,30\n"))
    said = run(source=files("more", interactions=f"{EVENTS}1,a,5\n2,b,6\n", users="user_id,age\n1,31\n"), append=True)
    assert read(repository) == f"{EVENTS}1,a,5\n2,b,6\n"
    assert read(repository, "users") == "user_id,age\n1,31\n2,\n"
    assert "1 → 2 interactions, 1 → 2 users, 1 → 2 items" in said
    assert "1 users and items were replaced; 1 interactions were there before" in said
    assert recorded_hash(repository) == "current"


def test_adding_what_is_there_leaves_data_and_its_record_untouched(run, files, repository):
    whole = files("whole", interactions=f"{EVENTS}1,a,5\n")
    run(source=whole)
    before = [(repository / name).stat().st_mtime_ns for name in ("data.dvc", "data/users.csv")]
    assert run(source=whole, append=True).startswith("data/ is unchanged: ")
    assert run(source=whole).startswith("data/ is unchanged: ")
    assert [(repository / name).stat().st_mtime_ns for name in ("data.dvc", "data/users.csv")] == before


def test_files_of_any_name_fill_data_and_add_to_it(run, tmp_path, repository):
    (tmp_path / "Sales.TXT").write_text("user_id|item_id|timestamp\n1|a|5\n")
    said = run(files={"interactions": tmp_path / "Sales.TXT"})
    assert f"from {tmp_path}/Sales.TXT: 1 interactions" in said
    pq.write_table(pa.table({"user_id": [1], "age": [30]}), tmp_path / "people.pq")
    (tmp_path / "more.tsv").write_text("user_id\titem_id\ttimestamp\n2\tb\t6\n")
    said = run(files={"interactions": tmp_path / "more.tsv", "users": tmp_path / "people.pq"}, append=True)
    assert f"from {tmp_path}/more.tsv, {tmp_path}/people.pq: 1 → 2 interactions" in said
    assert read(repository) == f"{EVENTS}1,a,5\n2,b,6\n"
    assert read(repository, "users") == "user_id,age\n1,30\n2,\n"
    (tmp_path / "catalogue.csv").write_text("item_id;title\na;Apple\n")
    run(files={"items": tmp_path / "catalogue.csv"}, append=True)
    assert read(repository, "items") == "item_id,title\na,Apple\nb,b\n"


def test_users_alone_are_not_all_of_a_data_set(run, tmp_path):
    (tmp_path / "people.csv").write_text("user_id\n1\n")
    with pytest.raises(BakeoffError, match=r"people\.csv has no interactions.*--append"):
        run(files={"users": tmp_path / "people.csv"})


@pytest.mark.parametrize("name", ["sales.xlsx", "sales", "sales.csv.gz"])
def test_a_file_of_another_kind_is_refused_with_those_that_can_be_read(run, tmp_path, name):
    (tmp_path / name).write_text(EVENTS)
    with pytest.raises(BakeoffError, match=rf"{name} can't be read: .*\.csv, \.tsv, \.txt .*\.parquet, \.pq"):
        run(files={"interactions": tmp_path / name})


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo, lambda path: None])
def test_what_is_no_file_is_refused(run, tmp_path, make):
    make(tmp_path / "sales.csv")
    with pytest.raises(BakeoffError, match=r"sales\.csv is not a file: name the one that holds your interactions"):
        run(files={"interactions": tmp_path / "sales.csv"})


def test_a_file_in_data_is_no_source(run, files, repository):
    run(source=files("whole", interactions=f"{EVENTS}1,a,5\n"))
    with pytest.raises(BakeoffError, match=r"data/users\.csv is data/ itself or in it.*`--users` takes another"):
        run(files={"users": repository / "data/users.csv"}, append=True)


def test_tables_in_data_are_separated_by_commas_whatever_their_columns_are_called(run, files, repository):
    run(source=files("whole", interactions=f"{EVENTS}1,a,5\n", users='user_id,"a;b;c;d"\n1,x\n'))
    assert read(repository, "users") == "user_id,a;b;c;d\n1,x\n"  # where semicolons give more fields
    run(source=files("more", interactions=f"{EVENTS}2,a,6\n"), append=True)
    assert read(repository, "users") == "user_id,a;b;c;d\n1,x\n2,\n"


def test_an_inbox_is_taken_in_name_order_once(run, deliver, repository):
    deliver("2", interactions=f"{EVENTS}1,a,6\n")
    inbox = deliver("1", interactions=f"{EVENTS}1,a,5\n", items="item_id,title\na,Apple\n")
    assert "from delivery 1, delivery 2: 2 interactions" in run(inbox=inbox)
    assert read(repository) == f"{EVENTS}1,a,5\n1,a,6\n"
    assert list(about(repository)["taken_sha256"]) == ["1", "2"]
    assert run(inbox=inbox) == f"data/ is unchanged: {inbox} has no delivery that was not taken before.\n"
    assert "1 → 1 users" in run(inbox=deliver("3", interactions=f"{EVENTS}1,b,7\n"))
    assert list(about(repository)["taken_sha256"]) == ["1", "2", "3"]


def test_a_delivery_of_nothing_new_is_recorded_as_taken_and_the_data_said_to_be_unchanged(run, deliver, repository):
    run(inbox=deliver("1", interactions=f"{EVENTS}1,a,5\n"))
    said = run(inbox=deliver("2", interactions=f"{EVENTS}1,a,5\n"))
    assert said.startswith("data/ is unchanged: delivery 2 brings nothing new.")
    assert list(about(repository)["taken_sha256"]) == ["1", "2"]
    assert recorded_hash(repository) == "current"


def test_a_delivery_may_hold_users_or_items_alone(run, deliver, repository):
    run(inbox=deliver("1", interactions=f"{EVENTS}1,a,5\n"))
    run(inbox=deliver("2", items="item_id,title\na,Apple\n"))
    assert read(repository, "items") == "item_id,title\na,Apple\n"


def test_a_delivery_that_cannot_be_read_is_left_out_and_named(run, deliver, repository):
    run(inbox=deliver("1", interactions=f"{EVENTS}1,a,5\n"))
    deliver("2", interactions="user_id,item\n1,a\n")
    deliver("3", interactions="user_id,item_id,timestamp\n1,a\n")
    said = run(inbox=deliver("4", interactions=f"{EVENTS}1,b,6\n"))
    assert read(repository) == f"{EVENTS}1,a,5\n1,b,6\n"
    assert list(about(repository)["taken_sha256"]) == ["1", "4"]
    assert said.startswith("data/ holds shop from delivery 4: 1 → 2 interactions")
    assert "NOT TAKEN: Delivery 2 can't be taken in: " in said
    assert "NOT TAKEN: Delivery 3 can't be taken in: " in said
    assert recorded_hash(repository) == "current"


def test_a_mended_delivery_is_taken_later(run, deliver, repository, tmp_path):
    deliver("2", interactions=f"{EVENTS}1,b,6\n")
    inbox = deliver("1", interactions=f"{EVENTS}1,a,5\n", users="user_id\n1,2\n")
    run(inbox=inbox)
    (tmp_path / "inbox/1/users.csv").write_text("user_id\n1\n")
    run(inbox=inbox)
    assert list(about(repository)["taken_sha256"]) == ["2", "1"]
    assert read(repository) == f"{EVENTS}1,b,6\n1,a,5\n"


def test_where_no_delivery_can_be_taken_nothing_changes(run, deliver, repository, tmp_path):
    run(inbox=deliver("1", interactions=f"{EVENTS}1,a,5\n"))
    before = (repository / "data.dvc").read_text(), read(repository)
    with pytest.raises(BakeoffError, match=r"(?s)Delivery 3 can't be taken in: .*no column 'item_id'.*as it was"):
        run(inbox=deliver("3", interactions="user_id,item\n1,a\n"))
    assert ((repository / "data.dvc").read_text(), read(repository)) == before
    assert sorted(path.name for path in repository.iterdir()) == [".dvc", "data", "data.dvc"]
    assert sorted(path.name for path in (tmp_path / "inbox").iterdir()) == ["1", "3"]


def test_a_nul_byte_far_into_a_file_is_refused_before_anything_is_recorded(run, deliver, repository):
    rows = "".join(f"1,i{n},5\n" for n in range(20_000))
    assert len(rows) > 2**16
    inbox = deliver("1", interactions=f"{EVENTS}{rows}1,x\0,5\n")
    with pytest.raises(BakeoffError, match=r"interactions\.csv .*holds a NUL byte on line 20002"):
        run(inbox=inbox)
    assert not (repository / "data.dvc").exists()
    assert not (repository / "data").exists()


def test_a_read_only_workspace_is_explained(run, files, repository, monkeypatch):
    source = files("whole", interactions=f"{EVENTS}1,a,5\n")

    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(fetch, "data_state", refuse)
    with pytest.raises(BakeoffError, match=r"workspace can't be read or written \(Read-only file system\)"):
        run(source=source)


def test_nothing_is_added_to_another_data_set(run, files):
    run(source=files("whole", interactions=f"{EVENTS}1,a,5\n"))
    with pytest.raises(BakeoffError, match=r"data/ holds shop, params.yaml names mart"):
        run("mart", source=files("more", interactions=f"{EVENTS}1,a,6\n"), append=True)


def test_rows_are_added_to_what_dvc_brings_back(run, files, repository):
    run(source=files("whole", interactions=f"{EVENTS}1,a,5\n"))
    shutil.rmtree(repository / "data")
    run(source=files("more", interactions=f"{EVENTS}1,a,6\n"), append=True)
    assert read(repository) == f"{EVENTS}1,a,5\n1,a,6\n"


def test_nothing_is_added_where_recorded_data_cannot_be_had(run, files, repository):
    run(source=files("whole", interactions=f"{EVENTS}1,a,5\n"))
    shutil.rmtree(repository / "data")
    shutil.rmtree(repository / ".dvc/cache")
    with pytest.raises(BakeoffError, match=r"neither DVC's cache nor its remote"):
        run(source=files("more", interactions=f"{EVENTS}1,a,6\n"), append=True)
    assert not (repository / "data").exists()


def test_data_that_dvc_does_not_record_are_not_added_to(run, files, repository):
    run(source=files("whole", interactions=f"{EVENTS}1,a,5\n"))
    (repository / "data/users.csv").write_text("user_id\n1\n2\n")
    with pytest.raises(BakeoffError, match=r"not what data.dvc records"):
        run(source=files("more", interactions=f"{EVENTS}1,a,6\n"), append=True)


WRONG = {
    "two sources": ({"source": ".", "inbox": "."}, "--from and --inbox name different sources"),
    "directory and file": ({"source": ".", "files": {"users": "u.csv"}}, "--from and --users name different sources"),
    "query and files": ({"query": ".", "files": {"interactions": "i", "items": "x"}}, "--query and --interactions and"),
    "inbox and file": ({"inbox": ".", "files": {"interactions": "i.csv"}}, "--inbox and --interactions name"),
    "append alone": ({"append": True}, "--append adds what"),
    "append to an inbox": ({"append": True, "inbox": "."}, "always adds"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_options_that_do_not_fit_are_refused(run, tmp_path, options, message):
    paths = {name: tmp_path if value == "." else value for name, value in options.items()}
    if "files" in paths:
        paths["files"] = {table: tmp_path / name for table, name in paths["files"].items()}
    with pytest.raises(BakeoffError, match=message):
        run(**paths)


def test_without_a_connection_string_the_variable_is_named(run, tmp_path, monkeypatch):
    monkeypatch.delenv("BAKEOFF_DATABASE_URL", raising=False)
    with pytest.raises(BakeoffError, match="BAKEOFF_DATABASE_URL is not set"):
        run(query=tmp_path)


def test_a_database_fills_data_and_adds_to_it(run, database, postgres, tmp_path, repository, monkeypatch):
    name = database.rpartition("/")[2]
    postgres.execute("CREATE TABLE sales AS SELECT 1 AS user_id, 'a' AS item_id, 5 AS timestamp", name)
    (tmp_path / "interactions.sql").write_text("SELECT * FROM sales")
    monkeypatch.setenv("BAKEOFF_DATABASE_URL", database)
    assert "1 interactions" in run(query=tmp_path)
    postgres.execute("DELETE FROM sales; INSERT INTO sales VALUES (2, 'a', 6)", name)
    said = run(query=tmp_path, append=True)
    assert "1 → 2 interactions" in said
    assert read(repository) == f"{EVENTS}1,a,5\n2,a,6\n"
    assert postgres.password not in said
    postgres.execute("DELETE FROM sales", name)
    assert run(query=tmp_path, append=True).startswith("data/ is unchanged")
    with pytest.raises(BakeoffError, match="holds no event"):
        run(query=tmp_path)
    assert read(repository) == f"{EVENTS}1,a,5\n2,a,6\n"
