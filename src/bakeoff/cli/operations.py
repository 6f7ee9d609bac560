"""Commands of production: drift, decide, promote, rollback, status, serve, online, catalogue."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bakeoff.cli.arguments import PRODUCTION, STAGES, LogFolder, load
from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace

app = typer.Typer()
catalogue = typer.Typer(no_args_is_help=True)
Target = Annotated[str | None, typer.Option(help="One of models/ of this workspace; none: what is in production.")]
app.add_typer(
    catalogue,
    name="catalogue",
    help="Rank new items without training again. See docs/new_items.md.",
    rich_help_panel=PRODUCTION,
)


@app.command(rich_help_panel=PRODUCTION)
def drift(
    since: Annotated[
        str | None, typer.Option(metavar="REV", help="A Git revision; none: the version in production, or the last.")
    ] = None,
) -> None:
    """Compare the validated data with those of the version in production; write reports/drift."""
    from bakeoff.ops.drift import command as stage

    params = load()
    stage.run(Workspace(), params.data, params.drift, since)


@app.command(rich_help_panel=STAGES)
def parents() -> None:
    """Copy the models in production to parents/, for training to start from; without warm_start.mode: auto, nothing.

    DVC keeps the copies (parents.dvc); parents.json, a parameter of the training stages, names version and hash.
    """
    from bakeoff.ops.registry.files import copy_parents

    if load().warm_start.mode == "auto":
        copy_parents(Workspace())


@app.command(rich_help_panel=PRODUCTION)
def decide(model: Annotated[str | None, typer.Option(help="The challenger; none: as in params.yaml.")] = None) -> None:
    """Compare the challenger with the model in production and decide; write reports/decision. Changes nothing else."""
    from bakeoff.ops.promotion import decide as stage

    stage.run(load(), Workspace(), model)


@app.command(rich_help_panel=PRODUCTION)
def promote(
    despite: Annotated[
        str | None, typer.Option(metavar="REASON", help="Promote although the decision says no; the tag says why.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="With --despite: this model instead of the challenger.")] = None,
    push: Annotated[bool, typer.Option("--push", help="Push the tags to the remote `origin` as well.")] = False,
) -> None:
    """Put the challenger of the last decision into production, if it says so: tags of GTO on the commit HEAD.

    All tags or none; a second call says that it is done. If the decision says hold, prints why and changes nothing.
    """
    from bakeoff.ops.promotion import promote as stage

    stage.promote(Workspace(), model, despite=despite, push=push)


@app.command(rich_help_panel=PRODUCTION)
def rollback(
    to: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Such as softmax@v2.0.0; none: what was there before.")
    ] = None,
    push: Annotated[bool, typer.Option("--push", help="Push the tags to the remote `origin` as well.")] = False,
) -> None:
    """Put back what was in production before, at once: tags only, nothing is trained.

    Run again, it goes further back and never returns to what was just left; `--to VERSION` names one, and takes a
    rollback back. Refuses if the files of that version are in neither cache nor remote. If you don't know whether the
    last call went through, look at `bakeoff status` and use `--to`.
    """
    from bakeoff.ops.promotion import promote as stage

    stage.rollback(Workspace(), to, push=push)


@app.command(rich_help_panel=PRODUCTION)
def status(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Show what is in production, since when, from which data, and how the workspace compares."""
    from bakeoff.ops.promotion import promote as stage

    stage.show_status(Workspace(), as_json=as_json)


@app.command(rich_help_panel=PRODUCTION)
def serve(
    model: Annotated[
        str | None, typer.Option(help="One of models/, or a version such as mf@v1.0.0; none: what is in production.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    approximate: Annotated[
        Literal["auto", "on", "off"], typer.Option(help="Approximate search; auto: where the catalogue is large.")
    ] = "auto",
    max_batch: Annotated[int, typer.Option(min=1, max=1024, help="Queries computed together, at most.")] = 64,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two reads of the registry.")] = 5.0,
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch Git's tags from `origin` before each read.")] = False,
    drain: Annotated[
        float, typer.Option(min=0, help="Seconds for which requests are still taken after SIGTERM; /ready is 503.")
    ] = 0.0,
    log: Annotated[
        Path | None,
        typer.Option(metavar="DIR", envvar="BAKEOFF_ONLINE_LOG", help="Log lists and feedback: docs/online.md."),
    ] = None,
    log_days: Annotated[
        float, typer.Option(min=0.01, max=36_500, help="Age in days at which files of the log are removed.")
    ] = 90,
    plain_ids: Annotated[bool, typer.Option("--log-plain-ids", help="Log ids of users, not keyed hashes.")] = False,
    interleave: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B",
            help="Show lists of two models in one, by team draft, and log whose items are clicked: `champion` (in "
            "production), `challenger` (of the last decision), a version such as mf@v1.0.0, or one of models/. "
            "Neither is followed.",
        ),
    ] = None,
    explore: Annotated[float, typer.Option(min=0, max=1, help="Share of lists that are drawn at random.")] = 0.0,
) -> None:
    """Answer HTTP with the model in production: lists by user, history or features. See docs/serving.md.

    A new promotion is taken up while requests go on; one that can't be loaded is reported, and the old model stays.
    """
    try:
        from bakeoff.ops.server import serve as stage
    except ModuleNotFoundError as error:
        raise BakeoffError(
            f"`bakeoff serve` needs the package {error.name}, which is not installed. It is in the extra `serve`: "
            "`pip install '.[serve]'` in a checkout."
        ) from None

    options = stage.Options(
        model=model,
        host=host,
        port=port,
        approximate=approximate,
        max_batch=max_batch,
        interval=interval,
        fetch=fetch,
        drain=drain,
        log=log,
        log_days=log_days,
        plain_ids=plain_ids,
        interleave=interleave,
        explore=explore,
    )
    stage.run(Workspace(), options)


@app.command(rich_help_panel=PRODUCTION)
def online(
    log: LogFolder = None,
    event: Annotated[str, typer.Option(help="Kind of feedback that counts.")] = "click",
    clip: Annotated[float, typer.Option(min=0, max=1, help="Least propensity: less variance, some bias.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what the log of `serve` says: who wins interleaved lists, and what sampled lists say of each model.

    It adds what the offline comparison had found of the same models. See docs/online.md.
    """
    from bakeoff.ops.online import command as stage

    compare = load().compare
    stage.run(Workspace(), log, event, clip, compare.primary_metric, compare.confidence, as_json=as_json)


@catalogue.command()
def add(
    items: Annotated[Path, typer.Argument(help="A table with the columns of items.csv: .csv, .tsv or .parquet.")],
    model: Target = None,
    ignore_unknown: Annotated[
        bool, typer.Option("--ignore-unknown", help="Leave out categories and tags that training did not see.")
    ] = False,
) -> None:
    """Embed items that a model was trained without, for `serve` and `recommend` to rank them at once.

    The two-tower model embeds them by its item tower, MF and the softmax DNN by the nearest items. Nothing is trained,
    and the model's files stay as they are; another version of the model needs the items added again.
    """
    from bakeoff.ops import catalogue as stage

    stage.add(Workspace(), load().data, items, model, ignore_unknown=ignore_unknown)


@catalogue.command()
def remove(item_ids: Annotated[list[str], typer.Argument(help="Ids of added items.")], model: Target = None) -> None:
    """Take added items out again."""
    from bakeoff.ops import catalogue as stage

    stage.remove(Workspace(), item_ids, model)


@catalogue.command("list")
def show(model: Target = None) -> None:
    """Show what was added."""
    from bakeoff.ops import catalogue as stage

    stage.show(Workspace(), model)
