"""A trial of `bakeoff tune`: a model trained with some settings on the train part and judged on validation."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.selection import SELECTION_METRIC, validated_users
from bakeoff.experiments.tuning.space import with_values
from bakeoff.experiments.tuning.workers import Objective, Report
from bakeoff.params import Params

if TYPE_CHECKING:  # the process that only hands out trials does without TensorFlow
    from bakeoff.core.histories import Histories
    from bakeoff.models.base.encoder import Encoder
    from bakeoff.models.base.epochs import Row

Validate = Callable[["Encoder"], Mapping[str, float]]


def make_objective(workspace: Workspace, params: Params, model: str) -> Objective:
    """A function that tries values of a model's section; it reads the split once, and never its test part.

    Raises:
        BakeoffError: there is no split, it has no train or no validation event, or the model can't be trained on it.
    """
    from bakeoff.experiments.training import validation_scores, warm_users
    from bakeoff.models.base.epochs import seed_everything

    prepared = load_prepared(workspace)
    users, validated = warm_users(prepared), validated_users(prepared.valid.lengths, params.seed)
    if len(validated) == 0:
        raise BakeoffError("The validation part has no event to choose on: raise split.valid_share.")
    validate = validation_scores(prepared, validated)
    fit = _FITTED_ONCE.get(model)
    # The first to import a model's stage are the trials: TensorFlow comes with it.
    stage: Any = import_module(f"bakeoff.stages.train_{model}")
    if hasattr(stage, "why_not") and (reason := stage.why_not(prepared, params)) is not None:
        raise BakeoffError(f"{model} can't be tuned on this data: {reason}")

    def objective(values: Mapping[str, Any], report: Report) -> tuple[float, int | None]:
        from bakeoff.models.base.tensorflow import tf

        try:
            return attempt(values, report)
        except tf.errors.OpError as error:  # too large for the memory, singular: other values may do
            raise BakeoffError(str(error).splitlines()[0]) from None

    def attempt(values: Mapping[str, Any], report: Report) -> tuple[float, int | None]:
        tried = with_values(params, model, values)
        seed_everything(params.seed)
        if fit:
            encoder = fit(prepared.train.take(users), prepared.num_items, tried)
            return validate(encoder)[SELECTION_METRIC], None
        trainer = stage.build(prepared, prepared.queries(prepared.train, users), tried)
        return _best_epoch(trainer, validate, getattr(tried, model).max_epochs, report)

    return objective


def _best_epoch(trainer: Any, validate: Validate, max_epochs: int, report: Report) -> tuple[float, int]:
    """Score and number of the best epoch; each is reported."""
    from bakeoff.models.base.epochs import choose_epoch, silent

    metric = f"valid_{SELECTION_METRIC}"

    def after_epoch(curve: "list[Row]") -> None:
        report(int(curve[-1]["epoch"]), curve[-1][metric])

    chosen = choose_epoch(trainer, validate, SELECTION_METRIC, max_epochs, silent, after_epoch=after_epoch)
    return chosen.curve[chosen.epoch - 1][metric], chosen.epoch


def _fit_ease(histories: "Histories", num_items: int, params: Params) -> "Encoder":
    from bakeoff.models.ease import ease

    return ease.fit(histories, num_items, params.ease)


def _fit_recent_popularity(histories: "Histories", num_items: int, params: Params) -> "Encoder":
    from bakeoff.models.popularity.popularity import PopularityEncoder, recent_frequencies

    return PopularityEncoder(recent_frequencies(histories, num_items, params.recent_popularity.window_days))


_FITTED_ONCE = {"ease": _fit_ease, "recent_popularity": _fit_recent_popularity}
"""Models without epochs."""
