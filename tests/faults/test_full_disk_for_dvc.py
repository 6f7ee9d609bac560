"""DVC's cache on a full disk: what a person reads, and that the run completes when there is room."""

from pathlib import Path

import pytest
from small_disk import nearly_full, small_disk
from tiny_project import dvc, new_project

from bakeoff.core.subprocesses import ChildError
from bakeoff.flows.dvc_stages import Outcome, only_run, run_stage


def test_a_stage_whose_output_the_cache_has_no_room_for_is_run_again_when_there_is(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        root = new_project(disk / "project", commit=False)
        (root / "raw").write_text("0123456789" * 100_000)
        dvc("status", cwd=root)  # makes what it needs to work at all
        with nearly_full(disk, free=1_500_000), only_run(root, print), pytest.raises(ChildError) as caught:
            run_stage("first", root, log=print, timeout=60)
        assert caught.value.reason == (
            f"failed: the disk is full. Make room for {root} and DVC's cache (`dvc cache dir` says where that is) and "
            "run again: stages that are done are not repeated"
        )
        assert not (root / "dvc.lock").exists()
        with only_run(root, print):
            assert run_stage("first", root, log=print, timeout=60) is Outcome.RAN
        cached = [path for path in (root / ".dvc/cache/files/md5").glob("??/[!.]*") if path.is_file()]
        assert [path.read_bytes() for path in cached] == [(root / "first").read_bytes()]
        assert "first" not in dvc("status", "first", cwd=root)
