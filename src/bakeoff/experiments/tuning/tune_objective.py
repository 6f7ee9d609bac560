"""A trial of `bakeoff tune`: a model trained with some settings on the train part and judged on validation."""

from collections.abc import Mapping
from typing import Any

from bakeoff.core.errors import BakeoffError
from bakeoff.core.parameters import Frozen
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.runner import Experiment, Row, best_row, run_epochs, warm_users
from bakeoff.experiments.settings import with_values
from bakeoff.experiments.tuning.study import Objective, Report
from bakeoff.experiments.validation import SELECTION_METRIC, Validate, validated_users, validation_scores
from bakeoff.models.base.specs import spec


def make_objective(workspace: Workspace, model: str, section: Frozen, seed: int) -> Objective:
    """A function that tries values of a model's section; it reads the split once, and never its test part.

    Args:
        workspace: holds the split.
        model: whose settings are tried.
        section: values of the settings that are not tried.
        seed: of every trial.

    Raises:
        BakeoffError: there is no split, it has no train or no validation event, or the model can't be trained on it.
    """
    prepared = load_prepared(workspace)
    warm_users(prepared)  # raises where there are none
    validate = validation_scores(prepared, validated_users(prepared.valid.lengths, seed))
    if validate is None:
        raise BakeoffError("The validation part has no event to choose on: raise split.valid_share.")
    shipped = Experiment(spec(model), section, prepared, seed)
    if (reason := shipped.why_not) is not None:
        raise BakeoffError(f"{model} can't be tuned on this data: {reason}")

    def objective(values: Mapping[str, Any], report: Report) -> tuple[float, int | None]:
        settings = with_values(section, values, f"Trial of {model}", model)
        return _score(Experiment(shipped.spec, settings, prepared, seed), validate, report)

    return objective


def _score(experiment: Experiment, validate: Validate, report: Report) -> tuple[float, int | None]:
    """Score and number of the best epoch, each of which is reported; a model without epochs has one score."""
    metric = f"valid_{SELECTION_METRIC}"

    def after_epoch(curve: list[Row]) -> None:
        report(int(curve[-1]["epoch"]), curve[-1][metric])

    queries = experiment.queries(experiment.prepared.train)
    try:
        if not experiment.spec.has_epochs:
            return validate(experiment.fitted(queries).retriever)[SELECTION_METRIC], None
        trainer = experiment.trainer(queries)
        curve = run_epochs(trainer, experiment.max_epochs, validate=validate, after_epoch=after_epoch).curve
    except Exception as error:
        if _is_tensorflow_error(error):  # too large for the memory, singular: other values may do
            raise BakeoffError(str(error).splitlines()[0]) from None
        raise
    best = best_row(curve)
    return best[metric], int(best["epoch"])


def _is_tensorflow_error(error: Exception) -> bool:
    """Whether TensorFlow raised it, without importing it: not every model needs it."""
    return any(each.__module__.startswith("tensorflow.") for each in type(error).__mro__)
