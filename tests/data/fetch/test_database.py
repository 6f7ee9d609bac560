"""Against a real PostgreSQL, and SQLite."""

import sqlite3
from contextlib import closing
from urllib.parse import quote

import pytest
from csv_bytes import as_csv

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch import database as database_module
from bakeoff.data.fetch.database import UnreachableError, read_database, scrubbed
from bakeoff.data.fetch.parts import parts
from bakeoff.data.params import ColumnParams, DataParams


@pytest.fixture(scope="module")
def database(postgres):
    """One for all, since making one is slow: each test has tables of its own."""
    return postgres.url(database=postgres.new_database())


@pytest.fixture
def ask(database, tmp_path):
    """Columns, as lists, of one query."""
    return lambda query, url=database, **names: answer(tmp_path, query, url, **names)


def answer(folder, query, url, **names):
    """Columns, as lists, of a query for the interactions; what columns are called where it is not the default."""
    (folder / "interactions.sql").write_text(query, encoding="utf-8")
    [found] = read_database(folder, url, ColumnParams(**{"timestamp": None, **names})).values()
    return {name: values.to_pylist() for name, values in found.columns.items()}


VALUES = {
    "integer": ("7", "7"),
    "bigint": ("9007199254740993::bigint", "9007199254740993"),
    "numeric": ("12.50::numeric(8,2)", "12.50"),
    "huge numeric": ("123456789012345678901234567890.5", "123456789012345678901234567890.5"),
    "real": ("1.5::real", "1.5"),
    "boolean": ("true", "true"),
    "date": ("DATE '2024-05-31'", "2024-05-31"),
    "text": ("'a,\"b'", 'a,"b'),
    "padded": ("'ab'::char(5)", "ab"),
    "uuid": ("'0a1b2c3d-0000-4000-8000-00000000ffff'::uuid", "0a1b2c3d-0000-4000-8000-00000000ffff"),
    "array": ("ARRAY['Drama','War']", "Drama|War"),
    "array of numbers": ("ARRAY[1,2]", "1|2"),
    "empty array": ("ARRAY[]::text[]", ""),
    "time in the session's zone": ("TIMESTAMPTZ '2024-05-31 18:00+02'::text", "2024-05-31 16:00:00+00"),
}


@pytest.mark.parametrize(("sql", "text"), VALUES.values(), ids=VALUES)
def test_a_value_is_the_text_that_a_csv_would_hold_and_null_is_empty(ask, sql, text):
    assert ask(f"SELECT v FROM (SELECT {sql} AS v, 1 AS n UNION ALL SELECT NULL, 2) t ORDER BY n")["v"] == [text, ""]


REFUSED = {
    "money": "'1.00'::money",
    "json": "'[1]'::json",
    "bytea": "'\\x01'::bytea",
    "interval": "INTERVAL '1 day'",
    "time": "TIME '10:00'",
    "inet": "'10.0.0.1'::inet",
}


@pytest.mark.parametrize(("kind", "sql"), REFUSED.items(), ids=REFUSED)
def test_a_type_without_plain_text_is_refused_with_the_name_of_the_column(ask, kind, sql):
    with pytest.raises(BakeoffError, match=rf"column 'v' of \S+interactions\.sql is of type {kind}.*v::text AS v"):
        ask(f"SELECT {sql} AS v")


@pytest.mark.parametrize("values", ["ARRAY['a', NULL]", "ARRAY['a|b']"])
def test_an_array_that_could_not_be_taken_apart_again_is_refused(ask, values):
    with pytest.raises(BakeoffError, match=r"column 'v' of \S+interactions\.sql holds an array"):
        ask(f"SELECT {values} AS v")


def test_ids_that_come_as_fractions_are_whole_numbers(ask):
    assert ask("SELECT 7::float8 AS v", user_id="v") == {"v": ["7"]}


@pytest.mark.parametrize(
    "query", ["SELECT 1 AS a;", "SELECT 1 AS a\n;\n-- that's all\n", "-- first\nSELECT 1 AS a -- one"]
)
def test_what_stands_around_a_statement_does_no_harm(ask, query):
    assert ask(query) == {"a": ["1"]}


def test_no_rows_are_columns_without_values(ask):
    assert ask("SELECT 1 AS a WHERE false") == {"a": []}


def test_all_queries_see_the_same_moment(database, postgres, tmp_path):
    name = database.rpartition("/")[2]
    postgres.execute("CREATE TABLE moments (n int)", name)
    query = "SELECT count(*) AS n FROM moments"
    seen = []

    def columns(result, *rest, original=database_module._columns):
        found = original(result, *rest)
        if not seen:
            postgres.execute("INSERT INTO moments VALUES (1)", name)
        seen.append(found["n"].to_pylist())
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database_module, "_columns", columns)
        for table in ("interactions", "items"):
            (tmp_path / f"{table}.sql").write_text(query, encoding="utf-8")
        read_database(tmp_path, database, ColumnParams(timestamp=None))
    assert seen == [["0"], ["0"]]


WRITES = ["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1) RETURNING n", "DROP TABLE t", "CREATE TABLE u (n int)"]


@pytest.mark.parametrize("query", WRITES)
def test_a_query_that_writes_is_refused_and_writes_nothing(ask, database, postgres, query):
    name = database.rpartition("/")[2]
    postgres.execute("CREATE TABLE IF NOT EXISTS t (n int)", name)
    with pytest.raises(BakeoffError, match=r"interactions\.sql: the database says .*A query may only read"):
        ask(query)
    assert postgres.execute("SELECT count(*) FROM t", name) == "0"


FAULTS = {
    "missing relation": ("SELECT * FROM nosuch", 'relation "nosuch" does not exist'),
    "syntax": ("SELEC 1", "syntax error"),
    "two statements": ("SELECT 1 AS a; SELECT 2 AS a", "(multiple commands|syntax error)"),
    "no SELECT": ("COMMIT", "syntax error"),
    "one name twice": ("SELECT 1 AS a, 2 AS a", "more than one column 'a'"),
    "fails on the way": ("SELECT 1 / (1000 - g) AS a FROM generate_series(1, 2000) g", "division by zero"),
}


@pytest.mark.parametrize(("query", "message"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_query_is_named(ask, query, message):
    with pytest.raises(BakeoffError, match=rf"(?s)interactions\.sql.*{message}") as caught:
        ask(query)
    assert not isinstance(caught.value, UnreachableError)


def test_a_wrong_password_is_an_error_for_good_that_shows_no_secret(ask, postgres):
    with pytest.raises(BakeoffError, match="password authentication failed") as caught:
        ask("SELECT 1 AS a", url=postgres.url(password="hunter2"))
    assert not isinstance(caught.value, UnreachableError)
    assert "hunter2" not in str(caught.value)
    assert '"bakeoff"' not in str(caught.value)


def test_a_server_that_is_not_there_may_be_there_later(ask, database, postgres):
    with pytest.raises(UnreachableError, match="refused") as caught:
        ask("SELECT 1 AS a", url=database.replace(f":{postgres.port}", ":1"))
    assert postgres.password not in str(caught.value)


def test_a_connection_that_breaks_midway_may_hold_later(ask, database, postgres):
    def broken(values, *rest, original=database_module.text_of):
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        return original(values, *rest)

    name = database.rpartition("/")[2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database_module, "text_of", broken)
        with pytest.raises(UnreachableError, match="try again"):
            ask("SELECT repeat('x', 1000) AS a FROM generate_series(1, 200000) g")


def test_what_is_no_connection_string_is_not_repeated(ask):
    with pytest.raises(BakeoffError, match="postgresql://user:password@host") as caught:
        ask("SELECT 1 AS a", url="nosuch://me:hunter2@there/x")
    assert "hunter2" not in str(caught.value)


def test_user_password_and_address_are_taken_out_of_messages_in_any_spelling():
    url = f"postgresql://me:{quote('s/3@t')}@there:5432/shop?sslpassword=other"
    said = f"failed for me with s/3@t or {quote('s/3@t')} or other at {url}; some kept"
    assert scrubbed(said, url) == "failed for … with … or … or … at …; some kept"


@pytest.fixture
def shop(database, postgres, tmp_path):
    """Canonical tables of a directory of queries."""
    postgres.execute(
        """
        DROP TABLE IF EXISTS sales, people;
        CREATE TABLE sales (who bigint, what text, at timestamptz, stars numeric(2,1));
        INSERT INTO sales VALUES (10, 'b', '2024-05-31 18:00:00.9+02', 4.5), (9, 'a', NULL, NULL);
        CREATE TABLE people (who bigint, age int, since timestamp);
        INSERT INTO people VALUES (10, 30, '2020-01-01 00:00'), (9, NULL, NULL);
        """,
        database.rpartition("/")[2],
    )

    def run(**queries):
        for name, query in queries.items():
            (tmp_path / f"{name}.sql").write_text(query)
        names = ColumnParams(user_id="who", item_id="what", timestamp="at", rating="stars", title=None)
        found = parts(read_database(tmp_path, database, names), DataParams(columns=names))
        return {name: as_csv(table) for name, table in found.items()}

    return run


def test_queries_become_what_files_of_the_same_columns_would(shop):
    found = shop(interactions="SELECT * FROM sales ORDER BY who DESC", users="SELECT * FROM people")
    # 18:00 at +02:00 is 16:00 UTC: 19874 days · 86400 + 57600
    assert found["interactions"] == "user_id,item_id,timestamp,rating\n10,b,1717171200,4.5\n9,a,,\n"
    assert found["users"] == "user_id,age,since\n9,,\n10,30,2020-01-01 00:00:00.000000\n"
    assert "items" not in found


def test_a_time_without_a_zone_is_utc_and_whole_numbers_are_in_the_unit_of_the_params(shop):
    query = "SELECT 1 AS who, 'a' AS what, {} AS at, 5 AS stars"
    assert "1,a,1717171200,5" in shop(interactions=query.format("TIMESTAMP '2024-05-31 16:00:00.9'"))["interactions"]
    assert "1,a,1717171200,5" in shop(interactions=query.format("1717171200"))["interactions"]
    assert "1,a,1717113600,5" in shop(interactions=query.format("DATE '2024-05-31'"))["interactions"]


def test_a_mapped_column_that_a_query_lacks_is_named(shop):
    with pytest.raises(BakeoffError, match=r"interactions\.sql has no column 'stars'"):
        shop(interactions="SELECT who, what, at FROM sales")


def test_without_interactions_there_is_nothing_to_ask(shop):
    with pytest.raises(BakeoffError, match=r"has no interactions\.sql; it has 'users\.sql'"):
        shop(users="SELECT 1 AS who")


@pytest.fixture
def sqlite(tmp_path):
    """URL of a database of a small shop."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript(
            """
            CREATE TABLE sales (who INTEGER, what TEXT, at INTEGER, stars REAL, note TEXT);
            INSERT INTO sales VALUES (10, 'b', 1717171200, 4.5, 'a:b 5%'), (9, 'a', NULL, NULL, NULL);
            """
        )
    return f"sqlite:///{tmp_path / 'shop.db'}"


def test_sqlite_is_read_by_its_url(sqlite, tmp_path):
    query = "SELECT *, 'x:y' AS colon FROM sales WHERE coalesce(note, '5%') LIKE '%5\\%' ESCAPE '\\' ORDER BY who DESC;"
    (tmp_path / "interactions.sql").write_text(query)
    names = ColumnParams(user_id="who", item_id="what", timestamp="at", rating="stars", title=None)
    found = parts(read_database(tmp_path, sqlite, names), DataParams(columns=names))
    rows = as_csv(found["interactions"])
    assert rows == "user_id,item_id,timestamp,rating\n10,b,1717171200,4.5\n9,a,,\n"


def test_queries_of_users_and_items_may_name_their_ids_otherwise(sqlite, tmp_path):
    queries = {
        "interactions": "SELECT who, what FROM sales",
        "users": "SELECT DISTINCT CAST(who AS REAL) AS id, note AS who FROM sales",
        "items": "SELECT DISTINCT what AS sku FROM sales",
    }
    for name, query in queries.items():
        (tmp_path / f"{name}.sql").write_text(query)
    names = {"user_id": "who", "item_id": "what", "user_id_in_users": "id", "item_id_in_items": "sku"}
    columns = ColumnParams(**names, timestamp=None, title=None)
    found = parts(read_database(tmp_path, sqlite, columns), DataParams(columns=columns))
    assert as_csv(found["users"]) == "user_id,who\n9,\n10,a:b 5%\n"
    assert as_csv(found["items"]) == "item_id,title\na,a\nb,b\n"


def test_sqlite_is_not_written_and_a_file_that_is_not_there_is_not_made(sqlite, tmp_path):
    with pytest.raises(BakeoffError, match=r"readonly database.*A query may only read"):
        answer(tmp_path, "INSERT INTO sales (who) VALUES (1)", sqlite)
    assert answer(tmp_path, "SELECT count(*) AS n FROM sales", sqlite) == {"n": ["2"]}
    with pytest.raises(BakeoffError, match=r"SQLite file .*other\.db'?, which is not there"):
        answer(tmp_path, "SELECT 1", f"sqlite:///{tmp_path}/other.db")
    assert not (tmp_path / "other.db").exists()


def test_a_driver_that_is_not_installed_is_named(ask):
    with pytest.raises(BakeoffError, match=r"the package \w+, is not installed: for PostgreSQL `pip install") as caught:
        ask("SELECT 1 AS a", url="mysql://me:hunter2@there/x")
    assert "hunter2" not in str(caught.value)


def test_a_column_of_several_types_is_refused(sqlite, tmp_path):
    with pytest.raises(BakeoffError, match=r"column 'v' of \S+interactions\.sql is of type mixed"):
        answer(tmp_path, "SELECT 1 AS v UNION ALL SELECT 'a'", sqlite)
