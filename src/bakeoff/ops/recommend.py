"""`bakeoff recommend`: ask an exported model, with titles for people."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from bakeoff.core.errors import BakeoffError
from bakeoff.core.sanitize import visible
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.experiments.skipped import refuse_skipped
from bakeoff.models import specs

HISTORY_SHOWN = 10
"""Most recent items of a history that are printed."""


def run(
    workspace: Workspace,
    *,
    model: str,
    user: str | None,
    history: str | None,
    features: Sequence[str],
    k: int,
) -> None:
    """Print what a model recommends to a known user, or to someone new, beside the history.

    Args:
        workspace: models/<model> is all that is read.
        model: name of the model.
        user: id of a user that the model was trained on, or None.
        history: item ids of someone new, oldest first, separated by commas, or None.
        features: raw features of someone new, as name=value.
        k: number of items.

    Raises:
        BakeoffError: the model is missing or was skipped, or user, items, features or k are not known to it.
    """
    specs.check_model(model)
    refuse_skipped(workspace, model)
    _check_question(user, history, features)
    items = _titles(workspace, model)
    if not 1 <= k <= len(items):
        raise BakeoffError(f"-k {k} is not possible: it must be between 1 and the {len(items)} items there are.")
    new_history = _parse_history(history or "")
    _check_items(new_history, items)
    dense, categorical = _raw_features(workspace, model, features)
    serving = _load(workspace, model)
    if user is not None:
        answer = serving.recommend_for_users(np.array([user]), k)
        _check_user(bool(answer["known"][0]), user, model)
        shown = _strings(serving.known_history(np.array([user]))["item_ids"])
    else:
        asked = np.array([new_history or [""]])
        times = np.zeros(asked.shape, np.int64)
        answer = serving.recommend_for_histories(asked, times, dense, categorical, k)
        shown = new_history
    recommended = _strings(answer["item_ids"])
    scores = np.asarray(answer["scores"])[0]
    _print(model, user, items, shown, recommended, scores)


def _check_question(user: str | None, history: str | None, features: Sequence[str]) -> None:
    if user is None and history is None and not features:
        raise BakeoffError(
            'Who asks? Give --user ID for a known user, or --history "50,181" and --feature age=30 for someone new.'
        )
    if user is not None and (history is not None or features):
        raise BakeoffError(
            f"--user {user} already says what the model knows of this user: leave --history and features out, or "
            "leave --user out to ask for someone new."
        )


def _titles(workspace: Workspace, model: str) -> pd.Series:
    """Titles by item id."""
    path = workspace.model(model) / "items.parquet"
    if not path.exists():
        raise BakeoffError(f"{path} is missing: run `make run` (or `dvc repro train_{model}`) first.")
    return pd.read_parquet(path).set_index("item_id")["title"]


def _parse_history(history: str) -> list[str]:
    """Item ids, oldest first; an id that is named twice counts once, where it stands last."""
    named = [part.strip() for part in history.split(",") if part.strip()]
    return list(dict.fromkeys(reversed(named)))[::-1]


def _check_items(asked: Sequence[str], items: pd.Series) -> None:
    strangers = [item for item in asked if item not in items.index]
    if strangers:
        example = ", ".join(items.index[:3])
        raise BakeoffError(
            f"--history names {', '.join(map(repr, strangers))}, which the catalogue does not have: give item ids "
            f"as in data/items.csv, such as {example}."
        )


def _check_user(known: bool, user: str, model: str) -> None:
    if not known:
        raise BakeoffError(
            f"User {user!r} is not among those that {model} was trained on: check the id (data/users.csv), or, for "
            "someone new or held out, ask with --history and --feature."
        )


def _raw_features(workspace: Workspace, model: str, features: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Raw values in the order in which the model takes them: float32 [1, D] and text [1, K]."""
    path = workspace.model(model) / "features.json"
    if not path.exists():
        raise BakeoffError(f"{path} is missing: run `dvc checkout --force {path.parent}`, or train {model} again.")
    encoding = FeatureEncoding.model_validate_json(path.read_text(encoding="utf-8"))
    given: dict[str, str] = {}
    for feature in features:
        name, separator, value = feature.partition("=")
        if not separator:
            raise BakeoffError(f"--feature {feature!r} must be name=value, such as age=30.")
        given[name.strip()] = value.strip()
    encoding.encode_user(given)  # refuses unknown names and numbers that are none
    for name, values in encoding.user.categorical.items():
        if given.get(name) and given[name] not in values:
            raise BakeoffError(f"{name}={given[name]!r} is not known: it must be one of {', '.join(values)}.")
    dense = [float(given.get(name) or "nan") for name in encoding.user.dense]
    categorical = [given.get(name, "") for name in encoding.user.categorical]
    return np.array([dense], np.float32), np.array([categorical], np.str_)


def _load(workspace: Workspace, model: str) -> Any:
    from bakeoff.models.base.loading import load_serving

    return load_serving(workspace.model(model))


def _strings(ids: Any) -> list[str]:
    return [item.decode() for item in np.asarray(ids)[0] if item]


def _print(
    model: str,
    user: str | None,
    items: pd.Series,
    history: Sequence[str],
    recommended: Sequence[str],
    scores: np.ndarray,
) -> None:
    # Titles are text: "[REC]" is no style and ":star:" no emoji.
    console = Console(markup=False, emoji=False, highlight=False)
    who = "someone new" if user is None else f"user {user}"
    left = Table(title=f"Last of {len(history)} items in the history", title_justify="left")
    left.add_column("item", justify="right")
    left.add_column("title")
    for item in reversed(history[-HISTORY_SHOWN:]):
        left.add_row(visible(item), visible(str(items[item])))
    right = Table(title=f"{model} recommends to {who}", title_justify="left")
    right.add_column("rank", justify="right")
    right.add_column("item", justify="right")
    right.add_column("title")
    right.add_column("score", justify="right")
    for rank, item in enumerate(recommended):
        right.add_row(str(rank + 1), visible(item), visible(str(items[item])), f"{scores[rank]:.4g}")
    side_by_side = Table.grid(padding=(0, 2))
    side_by_side.add_row(left, right)
    # Measured against the console's own width, the answer would always be that it fits.
    unbounded = console.options.update(max_width=10_000)
    wide_enough = console.measure(side_by_side, options=unbounded).minimum <= console.width
    console.print(side_by_side if wide_enough else left)
    if not wide_enough:
        console.print(right)
