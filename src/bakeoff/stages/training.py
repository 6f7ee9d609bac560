"""What the training stages share: the epoch is chosen on validation, the model refitted, exported, described."""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from bakeoff.errors import BakeoffError
from bakeoff.evaluation.measures import accuracy_per_user, means
from bakeoff.evaluation.ranking import rank
from bakeoff.models.encoder import Encoder, EncoderRetriever
from bakeoff.models.serving import Catalogue, ServingModule, export
from bakeoff.models.training import Selection, Trainer, choose_epoch, refit
from bakeoff.preparation.histories import Histories, Queries
from bakeoff.stages.cost import measure
from bakeoff.stages.files import replaced, write_json
from bakeoff.stages.prepared import Prepared, load_prepared
from bakeoff.workspace import Workspace

SELECTION_METRIC = "ndcg@10"
"""Decides on the epoch."""

SELECTION_LISTS = 20
"""Length of the lists that validation looks at."""

USERS_PER_BLOCK = 1024
"""Users that validation ranks at once; bounds memory."""

MakeTrainer = Callable[[Queries], Trainer]
"""A fresh trainer on the histories of these queries."""


def train_contender(
    workspace: Workspace,
    name: str,
    max_epochs: int,
    make: Callable[[Prepared], MakeTrainer],
) -> None:
    """Choose the epoch on validation, refit on train and validation for that many epochs, export.

    Without validation events the last epoch is taken, and training.json says so.

    Args:
        workspace: where the split is read and models/<name> is written.
        name: of the model.
        max_epochs: epochs that are tried.
        make: given the split, a function that builds fresh trainers.

    Raises:
        BakeoffError: there is no split, or it has no train event.
    """
    with measure(workspace, f"train_{name}") as cost:
        prepared = load_prepared(workspace)
        make_trainer = make(prepared)
        start = time.perf_counter()
        selection = _select(prepared, make_trainer, max_epochs)
        chosen = time.perf_counter()
        trainer = make_trainer(prepared.queries(prepared.known(), warm_users(prepared)))
        refit_curve = refit(trainer, selection.epoch, _progress)
        refitted = time.perf_counter()
        cost.note(
            selection_seconds=chosen - start,
            refit_seconds=refitted - chosen,
            seconds_per_epoch=(refitted - chosen) / selection.epoch,
        )
        encoder = trainer.encoder()
        description = {
            "model": name,
            "dim": int(encoder.item_embeddings.shape[1]),
            "selected_epoch": selection.epoch,
            "selection_metric": SELECTION_METRIC if selection.curve else None,
            "num_parameters": trainer.num_parameters,
            "num_train_events": len(prepared.known().items),
            "fallback": getattr(encoder, "FALLBACK", None),
            "curve": selection.curve,
            "refit_curve": refit_curve,
            "settings": trainer.settings(),
            "notes": trainer.notes(),
        }
        write_model(workspace, name, encoder, prepared, description)
    _print_summary(name, description, refitted - start)


def _select(prepared: Prepared, make_trainer: MakeTrainer, max_epochs: int) -> Selection:
    """The best epoch on validation; the last one, with no curve, where there are no validation events."""
    users, validated = warm_users(prepared), np.flatnonzero(prepared.valid.lengths)
    if len(validated) == 0:
        return Selection(max_epochs)
    trainer = make_trainer(prepared.queries(prepared.train, users))
    return choose_epoch(trainer, validation_scores(prepared, validated), SELECTION_METRIC, max_epochs, _progress)


def warm_users(prepared: Prepared) -> NDArray[np.int64]:
    """Rows of the users that are trained on.

    Raises:
        BakeoffError: there are none.
    """
    users = np.flatnonzero(prepared.train.lengths)
    if len(users) == 0:
        raise BakeoffError("The train part has no event: lower split.test_share or split.new_user_share.")
    return users


def validation_scores(prepared: Prepared, users: NDArray[np.int64]) -> Callable[[Encoder], dict[str, float]]:
    """Metrics of an encoder on the validation part, asked with the train part as history."""
    queries = prepared.queries(prepared.train, users)
    truth: Histories = prepared.valid.take(users)

    def validate(encoder: Encoder) -> dict[str, float]:
        lists = rank(EncoderRetriever(encoder), queries, queries.histories, truth, SELECTION_LISTS, USERS_PER_BLOCK)
        scores = means(accuracy_per_user(lists, truth, (10, SELECTION_LISTS)))
        return {metric: scores[metric] for metric in (SELECTION_METRIC, "recall@20")}

    return validate


def write_model(
    workspace: Workspace, name: str, encoder: Encoder, prepared: Prepared, description: Mapping[str, Any]
) -> None:
    """Write models/<name>: SavedModel, titles, feature encoding and training.json; all appear at once."""
    users = np.flatnonzero(~prepared.users["is_new"])
    queries = prepared.queries(prepared.known(), users)
    catalogue = Catalogue(
        item_ids=prepared.items["item_id"].tolist(),
        user_ids=prepared.users["user_id"].iloc[users].tolist(),
        queries=queries,
        encoding=prepared.encoding,
    )
    with replaced(workspace.model(name)) as folder:
        export(ServingModule(encoder, catalogue), str(folder / "saved_model"))
        prepared.items[["item_id", "title"]].to_parquet(folder / "items.parquet", index=False)
        write_json(folder / "features.json", prepared.encoding.model_dump())
        write_json(folder / "training.json", description)


def _progress(epochs: range, title: str) -> Iterable[int]:
    console = Console(stderr=True)
    return track(epochs, title, console=console, disable=not sys.stderr.isatty(), transient=True)


def _print_summary(name: str, description: Mapping[str, Any], seconds: float) -> None:
    epoch = description["selected_epoch"]
    if description["selection_metric"]:
        best = description["curve"][epoch - 1]
        reason = f"validation {SELECTION_METRIC} {best[f'valid_{SELECTION_METRIC}']:.4f}"
    else:
        reason = "the last one: there are no validation events to choose on"
    print(f"{name}: epoch {epoch} of {max(epoch, len(description['curve']))} ({reason}), in {seconds:.1f} s")
    print(f"  {description['num_parameters']:,} parameters, {description['num_train_events']:,} events")
