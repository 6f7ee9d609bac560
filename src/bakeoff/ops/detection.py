"""What a team's own tables hold: which column plays which role, in which unit, and which ones can be features.

Names decide first, values check them. What neither settles is left to a person, as an open question.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.table_files import as_numbers, iso_seconds
from bakeoff.data.params import PARTS, Unit, ValidationParams
from bakeoff.ops.feature_kinds import Columns, Kind, feature_kind, filled

ROLES = ("user_id", "item_id", "timestamp", "rating", "split")
"""Of columns of the interactions, in the order in which they are looked for."""
ENTITIES = {"users": ("user_id", "user_id_in_users"), "items": ("item_id", "item_id_in_items")}
"""Table → role of its ids in the interactions, and in the table itself."""

_USER = "user|customer|client|visitor|member|buyer|reviewer|account|person|shopper|reader|viewer|listener"
_ITEM = (
    "item|product|article|movie|film|book|song|track|artist|asin|isbn|sku|listing|content|video|game|business|recipe"
    "|offer|page|course"
)
_ID = "_?(id|no|nr|number|key|code|hash|uuid)"
_NAMES = {
    "user_id": (f"({_USER}|u){_ID}", f"({_USER})"),
    "item_id": (f"({_ITEM}|i|p){_ID}", f"({_ITEM})"),
    "timestamp": (
        "timestamp|ts|when",
        "((event|order|purchase|visit|view|click|created|rated|unix|review)_?)?(date_?time|timestamp|time|date|at)(_utc)?",
        ".*_(time|date|at|ts)|.*time(stamp)?",
    ),
    "rating": ("rating", "stars?|score|overall|grade"),
    "split": ("split", "fold|subset|partition"),
    "title": ("title", "name|titel", f"(({_ITEM})_?)?(title|name|titel|label)"),
    "event": ("(event|action|interaction|behaviou?r|activity)(_?(type|kind|name))?", "type|kind|verb"),
}
"""Patterns of names in lower case with words separated by `_`, the surest first."""

_UNREAD = {
    "timestamp": "not seconds, ms or ISO 8601",
    "rating": "not numbers",
    "split": f"other values than {', '.join(PARTS)}",
}
_SECONDS = (5e7, 5e9)  # 1971 to 2128
_LEAST_SHARE = 0.99
"""Share of the values that must be of a kind."""
_LEAST_KNOWN = 0.5
"""Share of the ids of events that a table must have for its column to be that of the ids."""
_MOST_KINDS = 20
"""Values of a column that are taken for kinds of events, at most."""


@dataclass
class Detected:
    """What was found, and what is open.

    Attributes:
        columns: as in `data.columns` of params.yaml.
        features: by table: column → how it can serve as a feature; None, and why, where it can't.
        rating_range: lowest and highest rating.
        kinds: of events.
        unused_kinds: column whose name suggests the kind of an event → its values; nobody said that it has that role.
        repeated: share of the events with the user, the item and the time of another; the first of them counts.
        open: role → columns that may play it; nobody but a person knows.
        unread: column whose name suggests a role → why its values don't allow it.
    """

    columns: dict[str, str | None] = field(default_factory=dict)
    features: dict[str, dict[str, tuple[Kind | None, str]]] = field(default_factory=lambda: {"users": {}, "items": {}})
    rating_range: tuple[float, float] | None = None
    kinds: list[str] = field(default_factory=list)
    unused_kinds: dict[str, list[str]] = field(default_factory=dict)
    repeated: float = 0.0
    open: dict[str, list[str]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    def id_column(self, table: str) -> str | None:
        """The column with the ids of users or items in their own table."""
        role, own = ENTITIES[table]
        return self.columns[own] or self.columns[role]

    def params(self, name: str, encoding: str) -> dict[str, Any]:
        """Values for params.yaml.

        Args:
            name: of the data set.
            encoding: of files of text.
        """
        low, high = self.rating_range or (None, None)
        usual = ValidationParams().max_quarantine_share
        kinds = {table: {name: kind for name, (kind, _) in of.items() if kind} for table, of in self.features.items()}
        values: dict[str, Any] = {
            "data": {
                "dataset": name,
                **({"encoding": encoding} if encoding != "utf-8" else {}),
                "columns": self.columns,
                "event_weights": dict.fromkeys(self.kinds, 1.0),
                "user_features": kinds["users"],
                "item_features": kinds["items"],
            },
            "validation": {
                "rating_min": low,
                "rating_max": high,
                # Repeated events go to quarantine. They were shown, and must not stop the run.
                "max_quarantine_share": usual if self.repeated <= usual else round(min(self.repeated + usual, 1.0), 2),
            },
        }
        if self.columns["split"]:
            values["split"] = {"method": "predefined"}
        elif not self.columns["timestamp"]:
            values["split"] = {"method": "random"}
        if not self.columns["timestamp"]:  # there is no next event to predict
            values["softmax"] = values["two_tower"] = {"objective": "reconstruct"}
        else:  # without it, the networks alone would read the order; validation can choose another
            values["ease"], values["mf"] = {"recency_scale": 8.0}, {"recency_scale": 6.0}
        return values


def detect(tables: Mapping[str, Columns], given: Mapping[str, str | None]) -> Detected:
    """Read what the tables hold.

    Args:
        tables: interactions and, where there are, users and items.
        given: role → column, or None for none, as a person said; roles are those of `data.columns`.

    Returns:
        all of it; only roles and open questions as long as there are any about the interactions.

    Raises:
        BakeoffError: a given column is not in its table or can't play its role, or a table has no header line.
    """
    _check_headers(tables)
    events, found = tables["interactions"], Detected(dict(given))
    for role in given.keys() - {"timestamp_unit"}:
        _check_given(role, given[role], tables)
    for role in ROLES:
        if role not in given:
            _find_role(role, events, tables, found)
    if not found.open:  # what else there is rests on the answers, and takes a look at every value
        _find_more(tables, given, found)
    return found


def _find_more(tables: Mapping[str, Columns], given: Mapping[str, str | None], found: Detected) -> None:
    """Add the unit of times, repeated events, the range of ratings, ids in other tables, and features."""
    events = tables["interactions"]
    if time := found.columns["timestamp"]:
        found.columns["timestamp_unit"] = given.get("timestamp_unit") or time_unit(events[time]) or "iso"
    found.repeated = _repeated_share(events, [column for role in ROLES[:3] if (column := found.columns[role])])
    if rating := found.columns["rating"]:
        numbers = as_numbers(events[rating])
        if np.isnan(numbers).all():
            raise BakeoffError(
                f"The column {rating!r} holds no number, so that it can't be the rating: name another one, or none "
                "(`--column rating=`)."
            )
        found.rating_range = (float(np.nanmin(numbers)), float(np.nanmax(numbers)))
    if event := found.columns.get("event"):
        found.kinds = _values(events[event])
    elif "event" not in given:
        free = [name for name in events if name not in found.columns.values()]
        named = {name: _values(events[name]) for name in _named("event", free)}
        found.unused_kinds = {name: kinds for name, kinds in named.items() if 1 < len(kinds) <= _MOST_KINDS}
    if "items" in tables:
        found.columns.setdefault("title", next(iter(_named("title", list(tables["items"]))), None))
    for table in [name for name in ENTITIES if name in tables]:
        _find_id(table, tables, found)
        for column, values in tables[table].items():
            if column != found.id_column(table):
                name = "title" if table == "items" and column == found.columns.get("title") else column
                kind = feature_kind(values, is_item=table == "items") if column.strip() else (None, "it has no name")
                found.features[table][name] = kind


def _values(column: Any) -> list[str]:
    """Its different values, but for the empty one."""
    return sorted(filter(None, pc.unique(column).to_pylist()))


def _repeated_share(events: Columns, keys: list[str]) -> float:
    """Share of the rows whose values of the key columns another row before has."""
    table = pa.table({key: events[key] for key in keys})
    return 1 - table.group_by(keys).aggregate([]).num_rows / table.num_rows if table.num_rows else 0.0


def _check_headers(tables: Mapping[str, Columns]) -> None:
    for name, columns in tables.items():
        num_values = sum(bool(re.fullmatch(r"[\d.,:-]*", column)) for column in columns)
        # Users and items may hold a vector's components, named by numbers; a kind of event is a word among values.
        if num_values == len(columns) or (name == "interactions" and 2 * num_values > len(columns)):
            raise BakeoffError(
                f"The first line of the {name} holds values, not names ({', '.join(columns)}): add a header line such "
                "as user_id,item_id,timestamp."
            )


def _check_given(role: str, column: str | None, tables: Mapping[str, Columns]) -> None:
    table = {"title": "items", **{own: name for name, (_, own) in ENTITIES.items()}}.get(role, "interactions")
    if column is None:
        return
    if column not in (names := tables.get(table, {})):
        has = ", ".join(map(repr, names)) or "none"
        raise BakeoffError(f"The {table} have no column {column!r} for {role}; their columns: {has}.")
    if role == "split" and not _can_be(role, names[column]):
        raise BakeoffError(f"The column {column!r} can't be the split, since it holds {_UNREAD[role]}.")


def _find_role(role: str, events: Columns, tables: Mapping[str, Columns], found: Detected) -> None:
    """Add the column that plays a role in the interactions, or the candidates if there is none or more than one."""
    free = [name for name in events if name not in found.columns.values()]
    named = _named(role, free)
    fits = [name for name in named if _can_be(role, events[name])]
    if not fits and role in _UNREAD:
        found.unread |= dict.fromkeys(named, _UNREAD[role])
    table = next((name for name, (in_events, _) in ENTITIES.items() if in_events == role), None)
    if table and not fits and table in tables:  # values that are also those of a unique column of the other table
        shares = {name: max(_known_shares(events[name], tables[table]).values(), default=0.0) for name in free}
        fits = [name for name in free if shares[name] >= _LEAST_SHARE]
    found.columns[role] = fits[0] if fits else None
    if table and len(fits) != 1:
        others = {name for other in ROLES if other != role for name in _named(other, free)}
        found.open[role] = fits or [name for name in free if name not in others and not time_unit(events[name])]
    elif role == "timestamp" and not fits and (times := [name for name in free if time_unit(events[name])]):
        found.columns[role] = times[0]
        found.open[role] = times


def _find_id(table: str, tables: Mapping[str, Columns], found: Detected) -> None:
    """Add the column with the ids of users or items: named as in the events, or with the same values."""
    role, own = ENTITIES[table]
    in_events = found.columns[role]
    if own in found.columns or in_events is None:
        return
    shares = _known_shares(tables["interactions"][in_events], tables[table])
    best = max(shares, key=lambda name: (shares[name], name == in_events), default=None)
    column = best if best is not None and shares[best] >= _LEAST_KNOWN else None
    if column is None:
        found.open[own] = list(tables[table])
    found.columns[own] = None if column == in_events else column


def time_unit(values: Any) -> Unit | None:
    """In which unit a column holds times; None if it holds none that can be read."""
    text = filled(values)
    if not len(text):
        return None
    numbers = as_numbers(text)
    units: dict[Unit, int] = {"s": 1, "ms": 1000}
    for unit, per_second in units.items():
        low, high = _SECONDS[0] * per_second, _SECONDS[1] * per_second
        if np.mean((numbers >= low) & (numbers < high)) >= _LEAST_SHARE:
            return unit
    if np.isfinite(numbers).mean() > 1 - _LEAST_SHARE:
        return None
    return "iso" if np.isfinite(iso_seconds(text)).mean() >= _LEAST_SHARE else None


def _can_be(role: str, values: Any) -> bool:
    """Whether values allow a role that a column's name suggests."""
    if role == "timestamp":
        return time_unit(values) is not None
    if role == "rating":
        numbers = as_numbers(filled(values))
        return len(numbers) > 0 and bool(np.isfinite(numbers).mean() >= _LEAST_SHARE)
    if role == "split":
        return set(pc.unique(values).to_pylist()) <= {*PARTS}
    return True


def _named(role: str, names: Sequence[str]) -> list[str]:
    """Columns whose name suggests the role, by the surest pattern that any name matches."""
    for pattern in _NAMES[role]:
        if fits := [name for name in names if re.fullmatch(pattern, _snake(name))]:
            return fits
    return []


def _snake(name: str) -> str:
    """`userId`, `User ID` and `user-id` as `user_id`; a type after a colon, as RecBole writes it, is dropped."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.partition(":")[0].strip())
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def _known_shares(ids: Any, table: Columns) -> dict[str, float]:
    """Share of the distinct ids that each column of a table has, for columns without repeated values."""
    wanted = pc.unique(filled(ids))
    return {
        name: float(pc.mean(pc.is_in(wanted, value_set=pc.unique(filled(values))).cast(pa.float64())).as_py() or 0.0)
        for name, values in table.items()
        if pc.count_distinct(values).as_py() == len(values)
    }


def examples(values: Any, count: int = 3) -> list[str]:
    """The first values of a column that are not empty."""
    return [str(value) for value in filled(values).slice(0, count).to_pylist()]
