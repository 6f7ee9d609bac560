"""Stage `study` (in studies/dvc.yaml): the figures of the study of negative sampling as a page."""

import json
from pathlib import Path
from typing import Any

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import write_text
from bakeoff.core.workspace import Workspace
from bakeoff.report import study
from bakeoff.report.render import study_page as study_sheet


def run(workspace: Workspace) -> None:
    """Write reports/sampling.html.

    Args:
        workspace: holds studies/ and data/dataset.json.

    Raises:
        BakeoffError: a file of the study is missing, or it has another form than this version writes.
    """
    folder = workspace.study
    try:
        shown = study.study(
            _json(folder / "sampling.json"),
            _json(folder / "sampling_cost.json"),
            _json(folder / "unbiasedness.json"),
            _json(workspace.data / "dataset.json"),
        )
    except (KeyError, IndexError, TypeError) as error:
        raise BakeoffError(
            f"A file in {folder} has not the form that this version writes ({type(error).__name__}: {error}). "
            "Run `dvc repro --force studies/dvc.yaml`."
        ) from None
    write_text(workspace.reports / "sampling.html", study_sheet.html(shown))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BakeoffError(f"{path} does not exist: run `make study`, or `dvc repro studies/dvc.yaml`.") from None
    except ValueError as error:
        raise BakeoffError(
            f"{path} can't be read as JSON: {error}. Delete it and run `dvc repro studies/dvc.yaml`."
        ) from None
