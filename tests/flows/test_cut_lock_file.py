"""A dvc.lock that a kill cut off: every flow repairs it before it asks DVC for the DAG."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flow_project import Project, dvc

from bakeoff.flows.pipeline import pipeline, study

STAGES = """
stages:
  first: {cmd: python write.py first, deps: [write.py], outs: [first]}
  second: {cmd: python write.py second, deps: [first, write.py], outs: [second]}
"""
STUDY = """
stages:
  sampling: {cmd: python ../write.py sampling, deps: [../write.py], outs: [sampling]}
"""
WRITE = "import sys; open(sys.argv[1], 'w').write(sys.argv[1])"


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("flow", [pipeline, study], ids=lambda flow: flow.name)
@pytest.mark.parametrize("lock", ["dvc.lock", "studies/dvc.lock"])
def test_a_lock_file_that_was_cut_off_stops_no_flow(project: Project, flow: Callable[..., Any], lock: str) -> None:
    root: Path = project(STAGES, write=WRITE)
    (root / "studies").mkdir()
    (root / "studies/dvc.yaml").write_text(STUDY)
    dvc("repro", "--quiet", "--all-pipelines", cwd=root)
    whole = (root / lock).read_text()
    (root / lock).write_text(whole[: whole.rindex("outs") + 4])  # with which DVC reads no YAML, and no DAG
    assert flow(root, return_state=True).is_completed()
    assert flow(root, return_state=True).message.count(" 0 ran") == 1
