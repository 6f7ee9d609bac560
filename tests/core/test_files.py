"""Nothing half-written is ever taken for a result."""

import errno
import json
import math
import shutil
from pathlib import Path

import pytest

from bakeoff.core import files
from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import discard, full_disk, replaced, write_json, write_text, written

FULL = OSError(errno.ENOSPC, "No space left on device")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_with_its_folder(tmp_path: Path) -> None:
    write_text(tmp_path / "a/b.txt", "ü\n")
    assert (tmp_path / "a/b.txt").read_bytes() == "ü\n".encode()
    assert names(tmp_path / "a") == ["b.txt"]


def test_json_refuses_what_it_does_not_have_and_keeps_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": math.nan})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}


def test_a_directory_takes_the_place_of_the_old_one_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/stale").touch()
    with replaced(tmp_path / "out") as new:
        (new / "fresh").touch()
        assert names(tmp_path / "out") == ["stale"]
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["fresh"]


def test_after_an_error_the_old_directory_stays_and_the_new_one_vanishes(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    def break_off() -> None:
        with replaced(tmp_path / "out") as new:
            (new / "half").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == []


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part/half").touch()
    with replaced(tmp_path / "out") as new:
        (new / "whole").touch()
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["whole"]


def test_the_old_directory_goes_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    seen: list[list[str]] = []
    remove = shutil.rmtree

    def look(path: Path, ignore_errors: bool) -> None:
        seen.append(names(tmp_path))
        remove(path, ignore_errors=ignore_errors)

    with replaced(tmp_path / "out") as new:
        (new / "fresh").touch()
        monkeypatch.setattr(shutil, "rmtree", look)
    assert seen == [[".out.old.part", "out"]]  # emptied under its hidden name, when the new one was in its place
    assert names(tmp_path) == ["out"]


def test_a_file_where_the_directory_belongs_gives_way(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with replaced(tmp_path / "out") as new:
        (new / "fresh").touch()
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["fresh"]


def test_what_is_discarded_is_gone_with_what_a_kill_left_of_it(tmp_path: Path) -> None:
    (tmp_path / "out/inner").mkdir(parents=True)
    (tmp_path / ".out.old.part").mkdir()
    discard(tmp_path / "out")
    discard(tmp_path / "never")
    assert names(tmp_path) == []


def test_a_file_that_could_not_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def break_off() -> None:
        with written(tmp_path / "a") as beside:
            beside.write_text("ha")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_full_disk_is_told_with_the_path_and_the_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(2**30, 2**30, 3 * 2**20))

    def write() -> None:
        with replaced(tmp_path / "new/out"):
            raise FULL

    with pytest.raises(
        BakeoffError, match=r"^The disk is full: .*/new/out could not be written\. 3 of the 1,024 MiB of"
    ):
        write()
    assert names(tmp_path / "new") == []


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"),
        OSError("4096 requested and 512 written"),
        RuntimeError("IO Error: Could not write file: No space left on device"),
    ],
)
def test_every_library_has_its_way_to_say_that_the_disk_is_full(error: Exception, tmp_path: Path) -> None:
    outer = ValueError("the export failed")
    outer.__cause__ = error
    assert full_disk(error, tmp_path) is not None
    assert full_disk(outer, tmp_path) is not None


def test_other_errors_are_left_as_they_are(tmp_path: Path) -> None:
    assert full_disk(OSError(errno.EACCES, "Permission denied"), tmp_path) is None
    assert full_disk(ValueError("space"), tmp_path) is None
