"""MovieLens 100K and 1M: the publisher's files, and the package mirror's, as the same canonical tables."""

import io
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.canonical_tables import About, Tables, joined, sorted_by_id, text_column, text_table
from bakeoff.data.fetch.publishers import Dataset, Parse, Source

Files = Mapping[str, bytes]
"""Content by file name."""

_FACTS: Mapping[str, Any] = tomllib.loads(
    files("bakeoff.data.datasets").joinpath("movielens.toml").read_text(encoding="utf-8")
)
GENRES_100K, OCCUPATIONS_1M = _FACTS["genres_100k"], _FACTS["occupations_1m"]

_INTERACTIONS = ("user_id", "item_id", "rating", "timestamp")
_USERS = ("user_id", "age", "gender", "occupation", "zip_code")

_TITLE_THEN_YEAR = r"^(?P<title>.*?)\s*\((?P<year>\d{4})\)\s*$"
_LAST_YEAR = r"^.*\((?P<year>\d{4})\)"


def from_publisher_100k(files: Files) -> Tables:
    """`u.data`, `u.user` and `u.item` (latin-1) of the publisher's archive.

    Args:
        files: content by file name.

    Raises:
        BakeoffError: a file does not have the columns that it is known for.
    """
    item_columns = ("item_id", "published", "release", "video_release", "imdb_url", *GENRES_100K)
    items = _read(files, "u.item", "|", item_columns, "latin-1")
    # "unknown" is the publisher's word for no genre
    named = [pc.if_else(pc.equal(items[genre], "1"), f"{genre}|", "") for genre in GENRES_100K[1:]]
    items["genres"] = pc.utf8_rtrim(joined(*named), "|")
    interactions = _read(files, "u.data", "\t", _INTERACTIONS)
    return _tables(interactions, _read(files, "u.user", "|", _USERS), items)


def from_mirror_100k(files: Files) -> Tables:
    """`ml-100k.inter`, `ml-100k.user` and `ml-100k.item` (UTF-8, with a header line) of the package mirror.

    The mirror cut the last parenthesis off every title and calls it the year, which is wrong for two items:
    267, whose title the publisher gives as `unknown` (misspelt there, and repeated as its year), and 1412,
    whose title goes on after its year: `… (1995) (V)`. Both are put together again as published.

    Args:
        files: content by file name.

    Raises:
        BakeoffError: a file does not have the columns that it is known for.
    """
    columns = ("item_id", "title", "year", "genres")
    items = _read(files, "ml-100k.item", "\t", columns, header=True)
    rejoined = joined(items["title"], " (", items["year"], ")")
    items["published"] = pc.if_else(pc.equal(items["year"], "unkonwn"), "unknown", rejoined)
    known = pc.if_else(pc.equal(items["genres"], "unknown"), "", items["genres"])
    items["genres"] = pc.replace_substring(known, " ", "|")
    interactions = _read(files, "ml-100k.inter", "\t", _INTERACTIONS, header=True)
    return _tables(interactions, _read(files, "ml-100k.user", "\t", _USERS, header=True), items)


def from_publisher_1m(files: Files) -> Tables:
    """`ratings.dat`, `users.dat` and `movies.dat` (latin-1, fields between `::`).

    Ages stay the publisher's numbers, each the lower bound of its bracket (1: under 18); occupations become
    words.

    Args:
        files: content by file name.

    Raises:
        BakeoffError: a file does not have the columns that it is known for, or an occupation has no name.
    """
    tabbed = {name: content.replace(b"::", b"\t") for name, content in files.items()}
    users = _read(tabbed, "users.dat", "\t", ("user_id", "gender", "age", "occupation", "zip_code"), "latin-1")
    items = _read(tabbed, "movies.dat", "\t", ("item_id", "published", "genres"), "latin-1")
    codes = pa.array([str(code) for code in range(len(OCCUPATIONS_1M))], pa.large_string())
    code = pc.index_in(users["occupation"], value_set=codes)
    if code.null_count:
        unknown = pc.unique(users["occupation"].filter(pc.is_null(code))).to_pylist()
        raise BakeoffError(f"users.dat holds occupation codes without a name: {unknown}. Is it MovieLens 1M?")
    users["occupation"] = pa.array(OCCUPATIONS_1M).take(code)
    return _tables(_read(tabbed, "ratings.dat", "\t", _INTERACTIONS, "latin-1"), users, items)


def split_title(published: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Separate `Toy Story (1995)` into title and year.

    A title that does not end with its year stays as published; its year is then the last one in parentheses
    (`… (1995) (V)`), or empty.

    Args:
        published: [n] titles as the publisher gives them.

    Returns:
        titles and years, both [n] strings.
    """
    parts = pc.extract_regex(published, _TITLE_THEN_YEAR)
    last_year = pc.struct_field(pc.extract_regex(published, _LAST_YEAR), "year")
    title = pc.coalesce(pc.struct_field(parts, "title"), published)
    return title, pc.coalesce(pc.struct_field(parts, "year"), last_year, pa.scalar("", pa.large_string()))


def _tables(interactions: dict[str, Any], users: dict[str, Any], items: dict[str, Any]) -> Tables:
    """The canonical tables; items have item_id, published (title and year) and genres."""
    title, year = split_title(items["published"])
    events = {name: interactions[name] for name in ("user_id", "item_id", "timestamp", "rating")}
    described = {"item_id": items["item_id"], "title": title, "year": year, "genres": items["genres"]}
    return {
        "interactions": text_table(events),
        "users": sorted_by_id(text_table({name: users[name] for name in _USERS})),
        "items": sorted_by_id(text_table(described)),
    }


def _read(
    files: Files, name: str, delimiter: str, columns: Sequence[str], encoding: str = "utf-8", header: bool = False
) -> dict[str, Any]:
    """Columns of a delimited file without quotes, as strings."""
    try:
        table = pacsv.read_csv(
            io.BytesIO(files[name]),
            pacsv.ReadOptions(column_names=list(columns), skip_rows=int(header), use_threads=False, encoding=encoding),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, quote_char=False),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.large_string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise BakeoffError(
            f"{name} is not the file that was expected, with {len(columns)} columns separated by "
            f"{delimiter!r}: {error}. The source has changed, or its address points to something else."
        ) from None
    return {column: text_column(table[column]) for column in columns}


def _dataset(name: str, *parsers: Parse) -> Dataset:
    """What movielens.toml says of a data set, with a parser for each of its sources."""
    found = _FACTS[name]
    about = About(name, found["title"], _FACTS["terms"], _FACTS["citation"], found["url"])
    sources = (Source(**each, parse=parse) for each, parse in zip(found["sources"], parsers, strict=True))
    return Dataset(about, tuple(sources), found["sha256"])


ML_100K = _dataset("ml-100k", from_publisher_100k, from_mirror_100k)
ML_1M = _dataset("ml-1m", from_publisher_1m)
DATASETS = (ML_100K, ML_1M)
