"""A model that can't be trained on this data is skipped with a note; the other models are compared without it."""

import json

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced, write_json
from bakeoff.core.workspace import Workspace


def skip_training(workspace: Workspace, model: str, reason: str) -> None:
    """Leave models/<model> with nothing but a training.json that says why."""
    with replaced(workspace.model(model)) as folder:
        write_json(folder / "training.json", {"model": model, "skipped": reason})
    print(f"{model} is skipped: {reason}")


def skip_evaluation(workspace: Workspace, model: str, reason: str) -> None:
    """Leave artifacts/evaluation/<model> with nothing but a metrics.json that says why."""
    with replaced(workspace.evaluation(model)) as folder:
        write_json(folder / "metrics.json", {"skipped": reason})
    print(f"{model} is skipped: {reason}")


def why_skipped(workspace: Workspace, model: str) -> str | None:
    """Why training skipped this model; None where it did not, or has not run yet."""
    path = workspace.model(model) / "training.json"
    if not path.exists():
        return None
    try:
        reason = json.loads(path.read_text(encoding="utf-8")).get("skipped")
    except ValueError as error:
        raise BakeoffError(f"{path} can't be read as JSON: {error}. Run `dvc repro --force train_{model}`.") from None
    return None if reason is None else str(reason)


def refuse_skipped(workspace: Workspace, model: str) -> None:
    """Refuse to ask a model that was skipped.

    Raises:
        BakeoffError: says why it was, and what can be asked instead.
    """
    reason = why_skipped(workspace, model)
    if reason is not None:
        raise BakeoffError(f"{model} was not trained on this data: {reason} Ask another model with --model.")
