"""`bakeoff recommend`: ask a trained model, with titles for people."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from bakeoff.core.errors import BakeoffError, visible
from bakeoff.core.histories import Histories, Queries
from bakeoff.core.workspace import Workspace
from bakeoff.models.base import specs, storage
from bakeoff.models.base.list_options import standard_log_popularity
from bakeoff.ops.catalogue import ExtendedRetriever, additions_path, embeddings_of, read_additions
from bakeoff.ops.list_options import PLAIN, ItemFeatures, ListOptions, find
from bakeoff.ops.server.search import ExactSearch

if TYPE_CHECKING:
    from bakeoff.ops.reasons import Part

HISTORY_SHOWN = 10
"""Most recent items of a history that are printed."""

NEGLIGIBLE = 5e-4
"""Share of a score below which a part is not printed: nothing, or rounding."""


def run(
    workspace: Workspace,
    *,
    model: str,
    user: str | None,
    history: str | None,
    features: Sequence[str],
    k: int,
    why: bool,
    allow: str | None = None,
    exclude_seen: bool | None = None,
    options: ListOptions = PLAIN,
) -> None:
    """Print what a model recommends to a known user, or to someone new, with the history.

    Args:
        workspace: models/<model>/trained is all that is read.
        model: name of the model.
        user: id of a user that the model was trained on, or None.
        history: item ids of someone new, oldest first, separated by commas, or None.
        features: raw features of someone new, as name=value.
        k: number of items.
        why: print what the items of the history contribute to each score, in place of the history.
        allow: ids of the items that may be recommended, separated by commas; None: any.
        exclude_seen: whether items of the history are left out; None: as the model was evaluated.
        options: filters, diversity and debias.

    Raises:
        BakeoffError: the model is missing, was skipped or can't say why; or user, items, features or k are not known
            to it.
    """
    specs.check_model(model)
    storage.refuse_skipped(workspace, model)
    _check_question(user, history, features)
    folder = workspace.trained(model)
    catalogue, trained = storage.read_items(folder), storage.load_trained(folder)
    embeddings = np.asarray(trained.item_embeddings)
    added = read_additions(additions_path(workspace.root, model, catalogue["item_id"].astype(str).tolist(), embeddings))
    if len(added):
        catalogue = pd.concat([catalogue, added.reindex(columns=catalogue.columns)], ignore_index=True)
    items = pd.Series(catalogue["title"].to_numpy(), index=catalogue["item_id"].astype(str))
    if not 1 <= k <= len(items):
        raise BakeoffError(f"-k {k} is not possible: it must be between 1 and the {len(items)} items there are.")
    users = storage.read_known_users(folder)
    if user is not None:
        query = _known_user(users, user, model)
    else:
        query = _someone_new(folder, history or "", features, items)
    if allow is not None:
        options = replace(options, allow=_places(allow, "--allow", items))
    seen = users.left_out(query.histories, exclude_seen).items
    query = replace(query, times=np.array([int(time.time())]))
    embedded = ExtendedRetriever(trained, len(embeddings)).embed_queries(query)
    search = ExactSearch(embeddings) if added.empty else ExactSearch(embeddings).joined(embeddings_of(added))
    if options.is_plain:  # features of a million items take seconds to encode
        [found] = search.find(embedded, [seen], k)
    else:
        of_items = ItemFeatures(catalogue, storage.read_encoding(folder).item, model)
        options.check(k, of_items)
        popularity = standard_log_popularity(users.queries.histories.item_counts(len(items)))
        [found] = find(search, embedded, [seen], [k], [options], of_items, popularity)
    best, scores = found.items, found.scores
    parts: list[list[Part]] = []
    if why:
        from bakeoff.models.base.encoder import EncoderRetriever  # loads TensorFlow
        from bakeoff.ops.reasons import reasons

        explained = EncoderRetriever(specs.resolve(specs.spec(model).graph)(trained))
        asked = ExtendedRetriever(explained, len(embeddings))
        parts = reasons(asked, model, query, best.tolist(), scores.tolist(), (items.index, items.tolist()))
    title = f"{model} recommends to {'someone new' if user is None else f'user {user}'}{', and why' if why else ''}"
    _print(title, items.iloc[query.histories.items], items.iloc[best], scores, parts, specs.spec(model).explanation)


def _known_user(users: storage.KnownUsers, user: str, model: str) -> Queries:
    """The query of a user that the model was trained on."""
    if user not in users.rows:
        raise BakeoffError(
            f"User {user!r} is not among those that {model} was trained on: check the id (data/users.csv), or, for "
            "someone new or held out, ask with --history and --feature."
        )
    return users.queries.take(np.array([users.rows[user]]))


def _someone_new(folder: Path, history: str, features: Sequence[str], items: pd.Series) -> Queries:
    """The query of someone with this history, whose events have no time, and these features."""
    places = _places(history, "--history", items)
    histories = Histories(np.array([0, len(places)]), places, np.zeros(len(places), np.int64))
    given = dict[str, str]()
    for feature in features:
        name, separator, value = feature.partition("=")
        if not separator:
            raise BakeoffError(f"--feature {feature!r} must be name=value, such as age=30.")
        given[name.strip()] = value.strip()
    return Queries(histories, *storage.read_encoding(folder).user.encode_user(given))


def _places(ids: str, option: str, items: pd.Series) -> NDArray[np.int32]:
    """Indices of items that an option names."""
    named = _parse_ids(ids)
    if strangers := [item for item in named if item not in items.index]:
        example = ", ".join(items.index[:3])
        raise BakeoffError(
            f"{option} names {', '.join(map(repr, strangers))}, which the catalogue does not have: give item ids "
            f"as in data/items.csv, such as {example}."
        )
    return np.asarray(items.index.get_indexer(named), np.int32)


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


def _parse_ids(ids: str) -> list[str]:
    """Item ids, those of a history oldest first; an id that is named twice counts once, at its last place."""
    named = [part.strip() for part in ids.split(",") if part.strip()]
    return list(dict.fromkeys(reversed(named)))[::-1]


def _print(
    title: str, history: pd.Series, listed: pd.Series, scores: NDArray[np.float32], parts: "list[list[Part]]", how: str
) -> None:
    """The history and the list side by side; or the list alone with the parts of each score, and how they were made.

    History and list are titles by item id.
    """
    # Titles are text: "[REC]" is no style and ":star:" no emoji.
    console = Console(markup=False, emoji=False, highlight=False)
    number = partial(Column, justify="right")
    left = Table(number("item"), "title", title=f"Last of {len(history)} items in the history", title_justify="left")
    for item, name in history.iloc[: -HISTORY_SHOWN - 1 : -1].items():
        left.add_row(visible(item), visible(str(name)))
    columns = number("rank"), number("item"), "title", number("score")
    right = Table(*columns, *map(number, ["share"] if parts else []), title=title, title_justify="left")
    for place, ((item, name), score) in enumerate(zip(listed.items(), scores.tolist(), strict=True)):
        right.add_row(str(place + 1), visible(item), visible(str(name)), f"{score:.4g}")
        for part in parts[place] if parts else ():
            if abs(part.contribution) > NEGLIGIBLE * abs(score):
                reason = Padding(Text(visible(part.title)), (0, 0, 0, 2))
                share = f"{part.contribution / score:.0%}" if score > 0 else ""
                right.add_row("", visible(part.item_id or ""), reason, f"{part.contribution:+.4g}", share)
        if parts:
            right.add_section()
    if parts:
        console.print(right, how, sep="")
        return
    side_by_side = Table.grid(padding=(0, 2))
    side_by_side.add_row(left, right)
    # Measured against the console's own width, the answer would always be that it fits.
    unbounded = console.options.update(max_width=10_000)
    wide_enough = console.measure(side_by_side, options=unbounded).minimum <= console.width
    console.print(side_by_side if wide_enough else left)
    if not wide_enough:
        console.print(right)
