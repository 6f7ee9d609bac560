"""Commands about one model."""

from functools import partial
from typing import Annotated

import typer

from bakeoff.cli.arguments import MODEL_HELP, ModelName, add_model_stage, add_stage, known_model, load
from bakeoff.core.workspace import Workspace

app = typer.Typer()

add_model_stage(app, "train", "Train on train and validation, for as many epochs as validation says.")


@app.command()
def export(model: ModelName) -> None:
    """Write the trained model as a TensorFlow SavedModel, from which `serve` and promotion take it."""
    from bakeoff.stages import export as stage

    stage.run(Workspace(), model)


@app.command()
def tune(
    model: Annotated[
        str | None, typer.Argument(parser=known_model, help=f"{MODEL_HELP}; both contenders if there is none.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="For both contenders, half each, instead of a model.")
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Settings to try, in total; earlier runs count. 20, or no limit with --timeout."),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=1, help="Seconds that trials may take, in total; earlier runs count. 3600.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write the best values into params.yaml.")] = False,
) -> None:
    """Search for settings on validation and propose the best as a diff of params.yaml; continue earlier runs."""
    from bakeoff.core.errors import BakeoffError
    from bakeoff.experiments.tuning import tune as stage
    from bakeoff.report.models import CONTENDERS

    if (model is None) == (minutes is None) or (minutes and (trials or timeout)):
        raise BakeoffError("Name a model, or give --minutes alone: `bakeoff tune --minutes 30` tunes both contenders.")
    if minutes:
        timeout = minutes * 60 / len(CONTENDERS)
    for name in [model] if model else CONTENDERS:
        settings = load()
        stage.run(
            Workspace(),
            name,
            settings.section(name),
            seed=settings.seed,
            data=settings.data,
            split=settings.split,
            trials=20 if trials is None and timeout is None else trials,
            timeout=timeout or 3600,
            apply=apply,
        )


add_model_stage(app, "evaluate", "Rank the catalogue for every test and new user; write lists and per-user metrics.")
add_stage(app, "items", "Find each item's nearest items, and lay the item embeddings out in two dimensions.")


@app.command()
def recommend(
    model: Annotated[str, typer.Option(parser=known_model, help=MODEL_HELP)] = "softmax",
    user: Annotated[str | None, typer.Option(help="Id of a user that the model was trained on.")] = None,
    history: Annotated[
        str | None, typer.Option(help='Item ids of someone new, oldest first: "50,181". May be empty: "".')
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(help="A user feature of someone new, as name=value; repeatable.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Number of items.")] = 10,
    why: Annotated[
        bool, typer.Option("--why", help="Say what the items of the history contribute to each score.")
    ] = False,
    allow: Annotated[str | None, typer.Option(help='Item ids that alone may be recommended: "50,181".')] = None,
    exclude_seen: Annotated[
        bool | None,
        typer.Option(
            "--exclude-seen/--include-seen",
            help="Whether items of the history may be recommended. Default: with split.keep_repeats alone.",
        ),
    ] = None,
    filter: Annotated[
        list[str] | None,
        typer.Option(
            help="A condition on a feature of the items: genres=Comedy|Drama, genres!=Horror, year>=1990, year<=1999; "
            "repeatable."
        ),
    ] = None,
    diversity: Annotated[
        float, typer.Option(help="0 to 1: how much less alike the items of the list are than the best by score.")
    ] = 0.0,
    debias: Annotated[float, typer.Option(help="0 or more: how much less popular they are.")] = 0.0,
) -> None:
    """Recommend items to a known user, or to someone new by history and features."""
    from bakeoff.ops import recommend as stage
    from bakeoff.ops.list_options import Filter, ListOptions

    options = ListOptions(None, [Filter.parse(each) for each in filter or ()], diversity, debias)
    who = partial(stage.run, Workspace(), model=model, user=user, history=history, features=feature or [])
    who(k=k, why=why, allow=allow, exclude_seen=exclude_seen, options=options)
