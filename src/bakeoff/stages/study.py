"""Stage `study` (in studies/dvc.yaml): the figures of the study of negative sampling as a page."""

from bakeoff.core.errors import reading
from bakeoff.core.files import write_text
from bakeoff.core.workspace import Workspace
from bakeoff.report.render.study_page import study_html
from bakeoff.report.report_inputs import read_json
from bakeoff.report.study import read_study

MISSING = "run `make study`, or `dvc repro studies/dvc.yaml`, in a checkout of Bakeoff"
AGAIN = "dvc repro studies/dvc.yaml"


def run(workspace: Workspace) -> None:
    """Write reports/sampling.html.

    Args:
        workspace: holds studies/ and data/dataset.json.

    Raises:
        BakeoffError: a file of the study is missing, or another version of Bakeoff wrote it.
    """
    folder = workspace.study
    paths = [folder / f"{name}.json" for name in ("sampling", "sampling_cost", "unbiasedness")]
    files = [read_json(path, MISSING, AGAIN) for path in (*paths, workspace.data / "dataset.json")]
    remedy = "another version may have written it, run `dvc repro --force studies/dvc.yaml`"
    with reading(f"A file in {folder}", remedy, KeyError, IndexError, TypeError):
        shown = read_study(*files)
    write_text(workspace.reports / "sampling.html", study_html(shown))
