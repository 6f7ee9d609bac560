"""Stage `compare`: read what every model left, write the report for people, reviews and `dvc metrics`."""

from collections.abc import Sequence
from shutil import copyfile

from bakeoff.core.files import replaced, write_json, write_text, written
from bakeoff.core.workspace import Workspace
from bakeoff.params import Params
from bakeoff.report.metrics import metrics
from bakeoff.report.render import comparison as markdown
from bakeoff.report.render import page
from bakeoff.report.render.card_page import render_cards
from bakeoff.report.report_inputs import read_evidence
from bakeoff.report.summary import summarize


def run(params: Params, workspace: Workspace, models: Sequence[str] | None = None) -> None:
    """Compare the evaluated models; those that were skipped are named with the reason.

    This stage alone writes what Git keeps, the reports of validation and split too.

    Raises:
        BakeoffError: an input is missing or can't be read, or the models can't be compared.
    """
    evidence = read_evidence(params, workspace, models)
    summary = summarize(evidence, params)
    write_json(workspace.reports / "metrics.json", metrics(summary, evidence))
    write_text(workspace.reports / "comparison.md", markdown.render(summary, evidence))
    write_text(workspace.reports / markdown.PICTURE, markdown.picture(summary))
    write_text(workspace.reports / "index.html", page.render(summary, evidence))
    _publish_checks(workspace)
    with replaced(workspace.reports / "cards") as folder:
        for name, card in render_cards(summary, evidence).items():
            write_text(folder / f"{name}.md", card)


def _publish_checks(workspace: Workspace) -> None:
    """What validation and split found, byte for byte: a commit holds it beside the figures that rest on it."""
    for report in (workspace.validation_report, workspace.split_report):
        with written(workspace.reports / report.name) as beside:
            copyfile(report, beside)
