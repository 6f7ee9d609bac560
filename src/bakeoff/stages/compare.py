"""Stage `compare`: read what every model left, write the report for people, reviews and `dvc metrics`."""

from dataclasses import asdict
from shutil import copyfile

from bakeoff.core.files import replaced, write_json, write_text, written
from bakeoff.core.workspace import Workspace
from bakeoff.params import Params
from bakeoff.report.cards import card_markdown
from bakeoff.report.render.page import PICTURE, comparison_markdown, comparison_picture, report_html
from bakeoff.report.report_inputs import read_evidence
from bakeoff.report.summary import metrics, summarize
from bakeoff.report.verdict import verdict_statement


def run(params: Params, workspace: Workspace) -> None:
    """Compare the evaluated models; those that were skipped are named with the reason.

    No other stage writes files that Git keeps, so the reports of validation and split are copied here.

    Args:
        params: all parameters.
        workspace: holds the outputs of the earlier stages.

    Raises:
        BakeoffError: an input is missing or can't be read, or the models can't be compared.
    """
    evidence = read_evidence(params, workspace)
    summary = summarize(evidence, params)
    reports = workspace.reports
    write_json(reports / "metrics.json", metrics(summary, evidence))
    checks = [asdict(check) for check in summary.checks]
    verdict = {"headline": summary.headline, "statement": verdict_statement(summary.result), "checks": checks}
    write_json(reports / "verdict.json", verdict)
    write_text(reports / "comparison.md", comparison_markdown(summary, evidence))
    write_text(reports / PICTURE, comparison_picture(summary))
    write_text(reports / "index.html", report_html(summary, evidence))
    for report in (workspace.validation_report, workspace.split_report):
        with written(reports / report.name) as copy:
            copyfile(report, copy)
    with replaced(reports / "cards") as folder:
        for trained in summary.training:
            write_text(folder / f"{trained.model}.md", card_markdown(trained, summary, evidence))
