import datetime as dt
import encodings.aliases
import os
import resource
import tempfile
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from csv_bytes import as_csv
from hypothesis import given
from hypothesis import strategies as st
from own_tables import read_directory

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.own_sources import Request
from bakeoff.data.params import ColumnParams, DataParams
from bakeoff.data.validate import csv_reader


def data(user_features=None, item_features=None, encoding="utf-8", **columns):
    return DataParams(
        dataset="shop",
        encoding=encoding,
        columns=ColumnParams(**columns),
        user_features=user_features or {},
        item_features=item_features or {},
    )


@pytest.fixture
def read(tmp_path):
    """Canonical CSVs of a directory with the given files (text, bytes, or columns of a Parquet file)."""

    def run(files, params=None):
        for name, content in files.items():
            if isinstance(content, dict):
                pq.write_table(pa.table(content), tmp_path / name)
            else:
                (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        tables = read_directory(tmp_path, params or data(timestamp=None))
        return {name: as_csv(table) for name, table in tables.items()}

    return run


PAIRS = "user_id,item_id\nu,i\n"


def test_columns_are_renamed_as_mapped_and_others_of_the_interactions_left_out(read):
    files = {"interactions.csv": "device,who,when,what,stars,part\npc,u,7,i,4.5,test\n"}
    names = data(user_id="who", item_id="what", timestamp="when", rating="stars", split="part")
    assert read(files, names)["interactions"] == "user_id,item_id,timestamp,rating,split\nu,i,7,4.5,test\n"


def test_columns_that_do_not_exist_in_the_source_do_not_appear(read):
    assert read({"interactions.csv": PAIRS})["interactions"] == PAIRS


def test_ids_stay_exactly_as_written(read):
    rows = 'user_id,item_id\n007, spaced \n"a,b","say ""hi"""\nÜñï→,1e5\nNA,null\n'
    assert read({"interactions.csv": rows})["interactions"] == rows


def test_rows_are_not_judged(read):
    rows = "user_id,item_id,timestamp,rating\n,i,7,5\nu,i,soon,9\nu,i,,\nu,i,7,bad\nu,i,7,bad\n"
    assert read({"interactions.csv": rows}, data(rating="rating"))["interactions"] == rows


def test_without_files_of_their_own_users_and_items_are_those_of_the_interactions(read):
    tables = read({"interactions.csv": "user_id,item_id\n10,b\n9,a\n10,a\n"})
    assert tables["users"] == "user_id\n9\n10\n"
    assert tables["items"] == "item_id,title\na,a\nb,b\n"


def test_users_and_items_keep_all_their_columns_and_come_in_id_order(read):
    tables = read(
        {
            "interactions.csv": PAIRS,
            "users.csv": "age,user_id,country\n30,10,de\n40,9,\n",
            "items.csv": "item_id,price,name\n2,1.50,Two\n1,2,One\n",
        },
        data(timestamp=None, title="name", item_features={"price": "dense"}),
    )
    assert tables["users"] == "user_id,age,country\n9,40,\n10,30,de\n"
    assert tables["items"] == "item_id,title,price\n1,One,2\n2,Two,1.50\n"


def test_items_without_a_title_column_are_named_by_their_id(read):
    files = {"interactions.csv": PAIRS, "items.csv": "item_id,price\n1,2\n"}
    assert read(files, data(timestamp=None, title=None))["items"] == "item_id,title,price\n1,1,2\n"


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_data(read):
    assert read({"interactions.csv": b"\xef\xbb\xbfuser_id,item_id\r\nu,i\r\n"})["interactions"] == PAIRS


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_the_delimiter_is_the_one_of_the_header(read, delimiter, suffix):
    rows = (("user_id", "a,b", "item_id"), ("u", '"x;y\t|,z"', "i"))
    text = "".join(f"{delimiter.join(row)}\n" for row in rows).replace("a,b", '"a,b"')
    assert read({f"interactions.{suffix}": text})["interactions"] == PAIRS
    text = text.replace("item_id", "age")
    users = read({f"users.{suffix}": text}, data(timestamp=None, user_features={"age": "dense"}))["users"]
    assert users == 'user_id,"a,b",age\nu,"x;y\t|,z",i\n'


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-16-be", "utf-8-sig", "shift_jis", "UTF8"])
@pytest.mark.parametrize("block_bytes", [63, 2**20])  # a character may lie in two blocks
def test_text_in_another_encoding_is_read(read, monkeypatch, tmp_path, encoding, block_bytes):
    (tmp_path / "copies").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "copies"))
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", block_bytes)
    word = "キーボード" if encoding == "shift_jis" else "Žluťoučký" if encoding.startswith("utf") else "Müller"
    text = f'user_id;item_id\r\nu;"{word};\n{word}"\r\n\r\nv;i\r\n'
    files = {"interactions.csv": text.encode(encoding), "users.parquet": {"user_id": ["u"], "name": ["é"]}}
    tables = read(files, data(timestamp=None, encoding=encoding))
    assert tables["interactions"] == f'user_id,item_id\nu,"{word};\n{word}"\nv,i\n'
    assert tables["users"] == "user_id,name\nu,é\n"  # a Parquet file says its encoding itself
    assert list((tmp_path / "copies").iterdir()) == []


def test_a_byte_order_mark_of_utf_8_says_more_than_the_encoding_of_the_params(read):
    files = {
        "interactions.csv": "user_id,item_id\nu,é\n".encode("cp1252"),
        "users.csv": "user_id,name\nu,é\n".encode("utf-8-sig"),
    }
    tables = read(files, data(timestamp=None, encoding="cp1252"))
    assert tables["interactions"] == "user_id,item_id\nu,é\n"
    assert tables["users"] == "user_id,name\nu,é\n"


OTHERS = {
    "undefined byte": (
        "cp1252",
        b"user_id,item_id\nu,i\n\x81,i\n",
        r"not CP1252 on line 3 \(byte 0x81\): character maps",
    ),
    "half a character": (
        "utf-16",
        f"{PAIRS}v,".encode("utf-16") + b"\x00\xd8" + "i\n".encode("utf-16-le"),
        r"not UTF-16 on line 3 \(byte 0x00\): illegal UTF-16 surrogate",
    ),
    "cut off": ("utf-16", PAIRS.encode("utf-16")[:-1], "not UTF-16 on line 2 .*: truncated data"),
    "no byte order mark": ("utf-16", PAIRS.encode("utf-16-le"), "not UTF-16 on line 1 .*does not start with BOM"),
    "nothing but a byte order mark": ("utf-16", "".encode("utf-16"), "is empty"),
    "UTF-16 as cp1252": ("cp1252", PAIRS.encode("utf-16"), "is in UTF-16"),
    "Excel": ("cp1252", b"PK\x03\x04rest", "is a zip or Excel file"),
    "binary": ("latin-1", b"user_id,item_id\nu,\x00\n", "NUL byte on line 2"),
    "half a character in UTF-7": ("utf-7", b"user_id,item_id,+2AA-\nu,i\n", "row 2 has 2 fields"),
}


@pytest.mark.parametrize(("encoding", "content", "message"), OTHERS.values(), ids=OTHERS)
def test_text_that_is_not_in_the_encoding_is_refused_with_the_line(read, encoding, content, message):
    with pytest.raises(BakeoffError, match=message):
        read({"interactions.csv": content}, data(timestamp=None, encoding=encoding))


CODECS = sorted({*encodings.aliases.aliases.values(), "idna", "punycode", "unicode_escape", "utf_8_sig"})


@given(st.sampled_from(CODECS), st.binary(max_size=60), st.integers(1, 30))
def test_any_bytes_in_any_encoding_are_read_or_refused(tmp_path_factory, codec, content, block_bytes):
    path = tmp_path_factory.mktemp("any") / "interactions.csv"
    try:
        names = data(timestamp=None, encoding=codec, user_id="a", item_id="b")
    except ValueError:
        return
    path.write_bytes("a,b\n".encode(codec) + content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_reader, "BLOCK_BYTES", 16 + block_bytes)
        with suppress(BakeoffError):
            assert read_directory(path.parent, names)["interactions"].column_names == ["user_id", "item_id"]


def test_each_file_has_a_delimiter_of_its_own(read):
    files = {"interactions.csv": PAIRS, "users.csv": "user_id;age\nu;1,5\n", "items.tsv": "item_id\tname\ni\ta|b\n"}
    tables = read(files, data(timestamp=None, title="name"))
    assert tables["users"] == 'user_id,age\nu,"1,5"\n'
    assert tables["items"] == "item_id,title\ni,a|b\n"


def test_users_and_items_may_name_their_ids_otherwise(read):
    files = {
        "interactions.csv": "customer,sku\nu,i\n",
        "users.csv": "customer,id\nAnn,u\n",
        "items.parquet": {"product": [7.0], "title": ["Seven"]},
    }
    names = {"user_id": "customer", "item_id": "sku", "user_id_in_users": "id", "item_id_in_items": "product"}
    tables = read(files, data(timestamp=None, **names))
    assert tables["interactions"] == PAIRS
    assert tables["users"] == "user_id,customer\nu,Ann\n"
    assert tables["items"] == "item_id,title\n7,Seven\n"


def test_parquet_gives_what_csv_gives(read):
    when = dt.datetime(2024, 5, 31, 18, 0, 0, 999_999, dt.timezone(dt.timedelta(hours=2)))
    tables = read(
        {
            "interactions.parquet": {
                "user_id": [1.0, None],
                "item_id": pa.array(["007", "x"]).dictionary_encode(),
                "timestamp": [when, None],
                "rating": [4.5, None],
            },
            "items.parquet": {"item_id": [10, 9], "title": ["Ten", "Nine"], "tags": [["a", "b"], []]},
        },
        data(rating="rating", item_features={"tags": "tags"}),
    )
    # 18:00 at +02:00 is 16:00 UTC: 19874 days · 86400 + 57600
    assert tables["interactions"] == "user_id,item_id,timestamp,rating\n1,007,1717171200,4.5\n,x,,\n"
    assert tables["items"] == "item_id,title,tags\n9,Nine,\n10,Ten,a|b\n"


def test_whole_numbers_in_parquet_are_times_in_the_unit_of_the_params(read):
    files = {"interactions.parquet": {"user_id": ["u"], "item_id": ["i"], "timestamp": [1717171200999]}}
    assert read(files, data(timestamp_unit="ms"))["interactions"].endswith("u,i,1717171200\n")


def test_lines_of_user_and_items_become_pairs_with_a_split(read):
    files = {"train.txt": "0 5 3\n1\n\n10 5 \n", "test.txt": "1 7\n10\n", "valid.txt": "0 9\n"}
    tables = read(files, data())  # such data has no times, whatever params say
    assert tables["interactions"] == ("user_id,item_id,split\n0,5,train\n0,3,train\n10,5,train\n0,9,valid\n1,7,test\n")
    assert tables["users"] == "user_id\n0\n1\n10\n"
    assert tables["items"] == "item_id,title\n3,3\n5,5\n7,7\n9,9\n"


FAULTS = {
    "no files": (
        {"notes.txt": "x"},
        r"neither interactions\.csv nor \.tsv nor \.parquet.*'notes.txt'.*--interactions FILE",
    ),
    "two formats": (
        {"interactions.csv": PAIRS, "interactions.parquet": {"a": [1]}},
        "interactions.csv and interactions.parquet",
    ),
    "empty": ({"interactions.csv": ""}, r"interactions\.csv is empty"),
    "header only": ({"interactions.csv": "user_id,item_id\n"}, "holds no event"),
    "CSV and TSV": ({"users.csv": "user_id\n", "users.tsv": "user_id\n"}, "users.csv and users.tsv"),
    "double colons": (
        {"interactions.csv": "user_id::item_id\nu::i\n"},
        "'user_id::item_id'.*separated by double colons: write it with commas",
    ),
    "missing id in users": (
        {"interactions.csv": PAIRS, "users.csv": "id\nu\n"},
        r"users\.csv has no column 'user_id'.*columns\.user_id_in_users",
    ),
    "missing id in items": (
        {"interactions.csv": PAIRS, "items.csv": "id\ni\n"},
        r"items\.csv has no column 'item_id'.*columns\.item_id_in_items",
    ),
    "missing id": (
        {"interactions.csv": "user_id,item\nu,i\n"},
        r"no column 'item_id'.*'item'.*columns\.item_id",
    ),
    "missing title": (
        {"interactions.csv": PAIRS, "items.csv": "item_id\n1\n"},
        r"columns\.title .*null that",
    ),
    "binary": ({"interactions.csv": b"\x00\x01\x02"}, "holds a NUL byte on line 1"),
    "UTF-16 without a mark": (
        {"interactions.csv": PAIRS.encode("utf-16-le")},
        "NUL byte on line 1.*`data.encoding: utf-16-le`",
    ),
    "gzip": ({"interactions.csv": b"\x1f\x8b\x08abc"}, "is a gzip file, not CSV"),
    "UTF-16": ({"interactions.csv": PAIRS.encode("utf-16")}, "is in UTF-16.*`data.encoding: utf-16`"),
    "latin-1": (
        {"interactions.csv": "user_id,item_id\nu,i\né,i\n".encode("latin-1")},
        r"not UTF-8 on line 3 \(byte 0xe9\): invalid continuation byte in 'é,i'.*`data\.encoding: cp1252`.*iconv",
    ),
    "latin-1 header": ({"interactions.csv": "usér,item_id\nu,i\n".encode("latin-1")}, "not UTF-8 on line 1"),
    "ragged with semicolons": (
        {"interactions.csv": "user_id;item_id\nu;i\nu;i;x\n"},
        "row 3 has 3 fields.*that contain semicolons in quotation marks",
    ),
    "ragged": ({"interactions.csv": "user_id,item_id\nu,i\nu,i,x\n"}, "row 3 has 3 fields where the header names 2"),
    "repeated column": (
        {"interactions.csv": "user_id,item_id,item_id\nu,i,j\n"},
        "more than one column 'item_id'",
    ),
    "columns that differ in case": (
        {"interactions.csv": PAIRS, "users.csv": "user_id,age,Age\nu,1,2\n"},
        "columns 'age' and 'Age', which differ in nothing but case",
    ),
    "a delimiter told to Excel": (
        {"interactions.csv": "sep=;\nuser_id;item_id\nu;i\n"},
        "begins with the line 'sep=;', which is meant for Excel alone: delete it",
    ),
    "not Parquet": (
        {"interactions.parquet": PAIRS},
        "not a Parquet file .*a parquet file.\\): export it again",
    ),
    "fractional ids": (
        {"interactions.parquet": {"user_id": [1.5], "item_id": [1]}},
        "'user_id'.*type double",
    ),
    "a feature without a text": (
        {"interactions.csv": PAIRS, "users.parquet": {"user_id": ["u"], "context": [{"page": 1}]}},
        r"column 'context' of .*users\.parquet is of type struct.*: leave the column out, or store it as text",
    ),
    "empty adjacency": ({"train.txt": "1\n", "test.txt": "1\n"}, "holds no pair"),
    "binary adjacency": ({"train.txt": b"1 2\n", "test.txt": b"\x00"}, r"test\.txt .*holds a NUL byte"),
}


@pytest.mark.parametrize(("files", "message"), FAULTS.values(), ids=FAULTS)
def test_structural_faults_say_what_to_do(read, files, message):
    with pytest.raises(BakeoffError, match=message):
        read(files)


def test_a_column_that_would_take_the_name_of_a_mapped_one_is_refused(read):
    files = {"interactions.csv": "who,item_id\nu,i\n", "users.csv": "who,user_id\nu,1\n"}
    with pytest.raises(BakeoffError, match="a column 'user_id' besides"):
        read(files, data(timestamp=None, user_id="who"))


def test_the_index_that_pandas_writes_is_left_out(read):
    files = {"interactions.csv": ",user_id,item_id\n0,u,i\n", "users.csv": ",user_id,age\n0,u,30\n"}
    tables = read(files, data(timestamp=None))
    assert tables["interactions"] == "user_id,item_id\nu,i\n"
    assert tables["users"] == "user_id,age\nu,30\n"


def test_a_feature_that_no_file_has_is_refused(read):
    with pytest.raises(BakeoffError, match=r"data\.user_features.*names 'age'.*only 'user_id'"):
        read({"interactions.csv": PAIRS}, data(timestamp=None, user_features={"age": "dense"}))


def test_a_directory_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(BakeoffError, match="nowhere is not a directory"):
        read_directory(tmp_path / "nowhere", data())


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "interactions.csv")
    with pytest.raises(BakeoffError, match=r"neither interactions.csv"):
        read_directory(tmp_path, data())


def bomb(path, rows, length):
    """A small file of many rows, each the same text of this length."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * length]))
    ids = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["u"]))
    pq.write_table(pa.table({"user_id": ids, "item_id": texts}), path, compression="zstd", store_schema=False)


def test_a_parquet_file_that_unpacks_to_gigabytes_is_refused(tmp_path):
    bomb(tmp_path / "interactions.parquet", rows=4_000, length=1_000_000)
    assert (tmp_path / "interactions.parquet").stat().st_size < 155_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BakeoffError, match=r"interactions\.parquet unpacks to more than 268,435,456 bytes"):
        read_directory(tmp_path, data(timestamp=None))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 * 2**10  # KiB


def test_a_parquet_file_of_a_billion_rows_without_content_is_refused(tmp_path):
    schema = pa.schema({"user_id": pa.int64(), "item_id": pa.int64()})
    with pq.ParquetWriter(tmp_path / "interactions.parquet", schema, compression="zstd") as writer:
        block = pa.table({name: pa.repeat(pa.scalar(7), 5_000_000) for name in schema.names})
        for _ in range(6):
            writer.write_table(block)
    with pytest.raises(BakeoffError, match="unpacks to more than"):
        read_directory(tmp_path, data(timestamp=None))


def test_a_parquet_file_of_lists_that_unpack_to_gigabytes_is_refused(tmp_path):
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()), pa.array(["x" * 1_000_000]))
    lists = pa.ListArray.from_arrays(pa.array(range(4001), pa.int32()), words)
    (tmp_path / "interactions.csv").write_text(PAIRS)
    table = pa.table({"item_id": ["i"] * 4000, "tags": lists})
    pq.write_table(table, tmp_path / "items.parquet", compression="zstd", store_schema=False)
    with pytest.raises(BakeoffError, match="unpacks to more than"):
        read_directory(tmp_path, data(timestamp=None))


def test_tags_of_a_parquet_file_are_joined(read):
    tags = pa.array([["Drama", "War"], [], None], pa.list_(pa.string()))
    files = {"interactions.csv": PAIRS, "items.parquet": {"item_id": ["i", "j", "k"], "tags": tags}}
    assert read(files, data(timestamp=None, title=None))["items"] == "item_id,title,tags\ni,i,Drama|War\nj,j,\nk,k,\n"


@pytest.mark.parametrize("tags", [["Drama", None, "War"], ["Drama|War"]])
def test_a_null_among_tags_and_a_bar_in_one_are_refused(read, tags):
    files = {"interactions.csv": PAIRS, "items.parquet": {"item_id": ["i"], "tags": pa.array([tags])}}
    with pytest.raises(
        BakeoffError, match=r"column 'tags' of .*items\.parquet holds an array with a NULL or a value with \|"
    ):
        read(files)


TIMES_OF_DAY = [pa.array([5], pa.duration("s")), pa.array([5], pa.time64("us")), pa.array([5], pa.time32("s"))]


@pytest.mark.parametrize("values", TIMES_OF_DAY, ids=lambda values: str(values.type))
def test_a_duration_and_a_time_of_day_are_no_times_of_events(read, values):
    with pytest.raises(BakeoffError, match=r"column timestamp of .* holds (duration|time).* values: a time must be"):
        read({"interactions.parquet": {"user_id": ["u"], "item_id": ["i"], "timestamp": values}}, data())


def test_a_duration_is_no_feature_and_a_time_of_day_is_text(read):
    files = {"interactions.csv": PAIRS, "users.parquet": {"user_id": ["u"], "visit": TIMES_OF_DAY[1]}}
    assert read(files)["users"] == "user_id,visit\nu,00:00:00.000005\n"
    with pytest.raises(BakeoffError, match=r"column 'visit' of .* is of type duration\[s\], which has no plain text"):
        read({"users.parquet": {"user_id": ["u"], "visit": TIMES_OF_DAY[0]}})


def test_other_columns_of_an_event_log_in_parquet_may_be_of_any_type(read):
    others = {
        "context": [{"page": 1}],
        "tags": pa.array([["a", None]]),
        "stay": TIMES_OF_DAY[0],
        "raw": [b"\xff"],
        "s": [{"unit": 1}],
    }
    files = {"interactions.parquet": {"user_id": ["u"], **others, "item_id": ["i"]}}
    assert read(files)["interactions"] == "user_id,item_id\nu,i\n"
    with pytest.raises(BakeoffError, match=r"has no column 'when'; its columns are .*'context'"):
        read(files, data(timestamp="when"))


def test_columns_without_a_name_are_left_out_however_many(read):
    files = {"interactions.csv": "user_id,item_id,,\nu,i,,\n", "users.csv": "user_id,,\nu,1,2\n"}
    assert read(files)["users"] == "user_id\nu\n"


def test_an_event_without_an_id_names_no_user_and_no_item(read):
    tables = read({"interactions.csv": "user_id,item_id\nu,i\n,i\nu, \n"})
    assert (tables["users"], tables["items"]) == ("user_id\nu\n", "item_id,title\ni,i\n")
    assert tables["interactions"].count("\n") == 4  # validation puts these rows aside, with the reason


def test_a_nul_character_in_parquet_is_refused(read):
    with pytest.raises(
        BakeoffError, match=r"Column 'item_id' of .*interactions\.parquet holds a NUL character in row 2"
    ):
        read({"interactions.parquet": {"user_id": ["u", "v"], "item_id": ["i", "\0"]}})


def test_a_directory_that_is_a_link_to_itself_is_none(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    Request(tmp_path / "loop").check("shop", tmp_path / "data", ())  # leaves it to the reader
    with pytest.raises(BakeoffError, match="loop is not a directory"):
        read_directory(tmp_path / "loop", data())
