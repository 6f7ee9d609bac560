from pathlib import Path

import pytest
from synthetic import write_workspace

from bakeoff.core.workspace import Workspace
from bakeoff.params import Params, parse_params
from bakeoff.report.evidence import Evidence
from bakeoff.report.report_inputs import read_evidence, with_measured
from bakeoff.report.summary import JudgedClaims, Summary, judge_evidence, summarize
from bakeoff.stages import compare
from bakeoff.stages import evidence as evidence_stage


@pytest.fixture(scope="session")
def params() -> Params:
    return parse_params(
        {
            "data": {
                "user_features": {"age": "dense", "gender": "categorical", "occupation": "categorical"},
                "item_features": {"genres": "tags"},
            },
            "compare": {"resamples": 1000},
        }
    )


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Workspace:
    """A compared workspace with every model: every input invented, every report written."""
    workspace = Workspace(write_workspace(tmp_path_factory.mktemp("workspace"), searched=True))
    compare.run(params, workspace)
    evidence_stage.run(params, workspace)
    return workspace


@pytest.fixture(scope="session")
def evidence(workspace: Workspace, params: Params) -> Evidence:
    return with_measured(read_evidence(params, workspace), workspace)


@pytest.fixture(scope="session")
def summary(evidence: Evidence, params: Params) -> Summary:
    return summarize(evidence, params)


@pytest.fixture(scope="session")
def judged(evidence: Evidence, params: Params) -> JudgedClaims:
    return judge_evidence(evidence, params)


@pytest.fixture(scope="session")
def report(workspace: Workspace) -> Path:
    return workspace.reports / "index.html"


@pytest.fixture(scope="session")
def evidence_page(workspace: Workspace) -> Path:
    return workspace.reports / "evidence.html"
