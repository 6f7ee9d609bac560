"""Nothing half-written is ever taken for a result."""

import json
import math
from pathlib import Path

import pytest

from bakeoff.stages.files import replaced, write_json, write_text


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
