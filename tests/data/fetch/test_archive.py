import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.archive import read_members


@pytest.fixture
def archive(tmp_path, zipped):
    def write(members):
        path = tmp_path / "a.zip"
        path.write_bytes(zipped(members))
        return path

    return write


def test_members_are_read_by_their_full_name_and_returned_by_their_last(archive):
    path = archive({"x/one": b"1", "x/two": b"2", "../one": b"no", "/x/one": b"no"})
    assert read_members(path, ["x/one"]) == {"one": b"1"}


def test_nothing_is_unpacked_to_disk(archive, tmp_path):
    path = archive({"x/one": b"1", "../../evil": b"2"})
    read_members(path, ["x/one"])
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_member_is_named(archive):
    with pytest.raises(BakeoffError, match=r"a\.zip has no member x/two"):
        read_members(archive({"x/one": b"1"}), ["x/two"])


def test_a_bomb_is_refused(archive):
    path = archive({"x/one": b"0" * 1_000_001})
    assert path.stat().st_size < 10_000
    with pytest.raises(BakeoffError, match="unpacks to more than 1,000,000 bytes"):
        read_members(path, ["x/one"], max_bytes=1_000_000)


def test_a_bomb_that_lies_about_its_size_is_refused(archive):
    path = archive({"x/one": b"0" * 1_000_001})
    size = (1_000_001).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(BakeoffError, match="damaged"):  # zipfile stops at the stated size; its checksum is wrong
        read_members(path, ["x/one"], max_bytes=1_000_000)


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"<html>")
    with pytest.raises(BakeoffError, match=r"a\.zip is damaged or not a zip"):
        read_members(path, ["x"])


def test_a_damaged_member_is_refused(archive):
    path = archive({"x/one": b"some content that is stored here" * 9})
    content = bytearray(path.read_bytes())
    content[45] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(BakeoffError, match="damaged"):
        read_members(path, ["x/one"])
