"""A few real users: what they had, what each contender recommends, what they had next."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bakeoff.report.evidence import Evidence
from bakeoff.report.formats import plain
from bakeoff.report.models import CONTENDERS, MF, SOFTMAX

LIST_LENGTH = 10
RECENT = 8
"""Items of the history that are shown."""


@dataclass(frozen=True)
class Later:
    """A test item, its place among the user's test items (from 1), and the contenders whose shown lists hold it."""

    title: str
    place: int
    found_by: tuple[str, ...]


@dataclass(frozen=True)
class ShownList:
    """A contender's list for the user.

    Attributes:
        model: name of the contender.
        value: the user's value of the metric that chose the user.
        items: title of each, and whether it is among the user's test items; best first.
    """

    model: str
    value: float
    items: Sequence[tuple[str, bool]]


@dataclass(frozen=True)
class Example:
    """One user.

    Attributes:
        user_id: as in the data.
        name: what the report calls the user: the id, or a pseudonym.
        reason: why this user is shown.
        about: the user's features in words; empty if there are none.
        history: titles of the most recent items that the models were given, latest first.
        num_history: number of items that they were given.
        later: test items in their order: those that a list holds, and the earliest of the others.
        num_later: number of test items.
        lists: one per contender.
        others: each other model, with the number of hits in the first places of its list.
    """

    user_id: str
    name: str
    reason: str
    about: str
    history: tuple[str, ...]
    num_history: int
    later: tuple[Later, ...]
    num_later: int
    lists: tuple[ShownList, ...]
    others: Mapping[str, int]


def choose_examples(evidence: Evidence, metric: str, count: int, show_ids: bool = False) -> list[Example]:
    """Up to `count` users, chosen by their figures alone: the largest wins, a typical user, a new one.

    Ties go to the user with most test items, then to the first, so the choice never changes.

    Args:
        evidence: of the report.
        metric: by which users are chosen.
        count: most users that are shown.
        show_ids: whether users are shown by their ids; by pseudonyms if not.
    """
    warm = _warm_choices(evidence, metric)
    chosen = [*warm[:3], *_new_user(evidence, metric), *warm[3:]][:count]
    return [_example(evidence, metric, show_ids, *each) for each in chosen]


def pseudonym(user_id: str) -> str:
    """`user 3f9a1c`: the same for the same id. It hides ids from readers, not from someone who has a list of ids."""
    return f"user {hashlib.sha256(user_id.encode()).hexdigest()[:6]}"


def _warm_choices(evidence: Evidence, metric: str) -> list[tuple[str, str]]:
    """(user id, reason) without repeats; the first three are those that a reader needs most."""
    values = _paired({name: evidence.models[name].users for name in CONTENDERS}, metric)
    gain, away = values[SOFTMAX] - values[MF], _distance_from_means(values)
    rules = [
        (-gain, gain > 0, "where the softmax DNN gains most on MF"),
        (gain, gain < 0, "where MF gains most on the softmax DNN"),
        (away, away >= 0, "a typical user: the one for whom both models come closest to their averages"),
        (-gain, gain > 0, "where the softmax DNN gains second most on MF"),
        (gain, gain < 0, "where MF gains second most on the softmax DNN"),
    ]
    chosen: dict[str, str] = {}
    for key, applies, reason in rules:
        others = values[applies & ~values.index.isin(chosen)]
        if len(others):
            chosen[_smallest(others, key)] = reason
    return list(chosen.items())


def _new_user(evidence: Evidence, metric: str) -> list[tuple[str, str, str]]:
    """The new user whose lists after a few interactions are closest to the average, the reason, and how many these are.

    None where there is no such user.
    """
    tables = {name: evidence.models[name].new_users for name in CONTENDERS}
    asked = [int(m) for m in tables[MF].first_interactions.unique() if m != "all" and int(m) > 0]
    first = str(max(asked, default=0))
    values = _paired({name: table[table.first_interactions == first] for name, table in tables.items()}, metric)
    if not asked or values.empty:
        return []
    known = "interaction is" if first == "1" else f"{first} interactions are"
    reason = f"a new user, of whom only the first {known} known"
    return [(_smallest(values, _distance_from_means(values)), reason, first)]


def _paired(tables: Mapping[str, pd.DataFrame], metric: str) -> pd.DataFrame:
    """Indexed by user id, in the order of the tables: value per contender, num_test."""
    users = {name: table.set_index("user_id") for name, table in tables.items()}
    values = {name: table[metric] for name, table in users.items()}
    return pd.DataFrame(values | {"num_test": users[MF].num_test}).dropna()


def _distance_from_means(values: pd.DataFrame) -> pd.Series:
    """How far a user's values are from the mean of each contender."""
    figures = values[list(CONTENDERS)]
    return (figures - figures.mean()).abs().sum(axis=1)


def _smallest(values: pd.DataFrame, key: pd.Series) -> str:
    """The user with the smallest key; of several the one with most test items, then the first."""
    order = values.assign(key=key).sort_values(["key", "num_test"], ascending=[True, False], kind="stable")
    return str(order.index[0])


def _example(
    evidence: Evidence, metric: str, show_ids: bool, user_id: str, reason: str, first: str | None = None
) -> Example:
    """A warm user; a new one, with that many first interactions, if `first` is given."""
    events = _rows(evidence.events if first is None else evidence.new_events, user_id).sort_values("position")
    later = list(events.loc[events.part == "test", "item_id"])
    history = events.loc[events.part != "test", "item_id"].head(len(events) if first is None else int(first))
    titles = item_titles(evidence.items)
    tops = {}
    for name, model in evidence.models.items():
        lists = _rows(model.lists if first is None else model.new_lists, user_id, first)
        tops[name] = list(lists.sort_values("rank").item_id.head(LIST_LENGTH))
    found = {item: tuple(name for name in CONTENDERS if item in tops[name]) for item in later}
    # Found items before others, then the earliest; shown in the order in which they came.
    places = sorted(range(len(later)), key=lambda place: (not found[later[place]], place))[:LIST_LENGTH]
    shown = []
    for name in CONTENDERS:
        model = evidence.models[name]
        figures = _rows(model.users if first is None else model.new_users, user_id, first).iloc[0]
        items = [(titles[item], item in found) for item in tops[name]]
        shown.append(ShownList(name, float(figures[metric]), items))
    return Example(
        user_id=user_id,
        name=f"user {user_id}" if show_ids else pseudonym(user_id),
        reason=reason,
        about=_about(evidence.users, user_id),
        history=tuple(titles[item] for item in history[::-1].head(RECENT)),
        num_history=len(history),
        later=tuple(Later(titles[later[at]], at + 1, found[later[at]]) for at in sorted(places)),
        num_later=len(later),
        lists=tuple(shown),
        others={name: len(found.keys() & top) for name, top in tops.items() if name not in CONTENDERS},
    )


def _rows(table: pd.DataFrame, user_id: str, first: str | None = None) -> pd.DataFrame:
    """Rows of one user, of a new one those with that many first interactions."""
    rows = table[table.user_id == user_id]
    return rows if first is None else rows[rows.first_interactions == first]


def item_titles(items: pd.DataFrame) -> dict[str, str]:
    """Item id → title; the id where the title is missing."""
    titles = items.title.where(items.title.fillna("") != "", "item " + items.item_id)
    return dict(zip(items.item_id, titles, strict=True))


def _about(users: pd.DataFrame, user_id: str) -> str:
    """`age 24, gender M`, from the columns of the vocabulary that are features."""
    known = users.set_index("user_id").loc[user_id].replace("", None).dropna()
    return ", ".join(f"{name.replace('_', ' ')} {plain(value)}" for name, value in known.items())
