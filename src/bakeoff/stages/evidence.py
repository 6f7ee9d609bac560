"""Stage `evidence`: judge the textbook's claims, and write the page with the measurements behind them."""

from bakeoff.core.files import write_json, write_text
from bakeoff.core.workspace import Workspace
from bakeoff.params import Params
from bakeoff.report.render.page import evidence_html, evidence_markdown
from bakeoff.report.report_inputs import read_evidence, with_measured
from bakeoff.report.summary import claim_metrics, judge_evidence


def run(params: Params, workspace: Workspace) -> None:
    """Judge the claims by the evaluated models and by what was measured in addition.

    Reads what `compare` reads, artifacts/variants, planted, rerank, items and measured costs; writes evidence.html,
    evidence.md and evidence.json in reports.

    Args:
        params: all parameters.
        workspace: holds the outputs of the earlier stages.

    Raises:
        BakeoffError: an input is missing or can't be read.
    """
    evidence = with_measured(read_evidence(params, workspace), workspace)
    judged = judge_evidence(evidence, params)
    write_json(workspace.reports / "evidence.json", claim_metrics(judged.claims))
    write_text(workspace.reports / "evidence.md", evidence_markdown(judged, evidence))
    write_text(workspace.reports / "evidence.html", evidence_html(judged, evidence))
