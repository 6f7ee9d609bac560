"""What can be expected of a table: a sentence for people, an expectation for Great Expectations."""

from dataclasses import dataclass
from typing import Any, Literal

from bakeoff.data.params import ValidationParams
from bakeoff.data.validate.gx import gxe

MAX_ID_LENGTH = 256
"""Longest id in characters; what is longer is a broken row rather than an id."""

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Check:
    """One expectation.

    Severity and sentence are given to each instance rather than as defaults of a subclass: GX 1.24 leaves
    whatever equals a class's default out of its results, and calls all such failures critical.

    Attributes:
        sentence: what must be true.
        reason: what is wrong with a row (or, if critical, with the table) for which it is not.
        severity: `critical` stops the pipeline, `warning` sends rows to quarantine.
        expectation: the same for Great Expectations.
    """

    sentence: str
    reason: str
    severity: Severity
    expectation: Any


def check(kind: Any, sentence: str, reason: str, severity: Severity = "warning", **settings: Any) -> Check:
    """A check of the given kind of expectation; `settings` are the expectation's own."""
    return Check(sentence, reason, severity, kind(description=sentence, severity=severity, **settings))


def column_exists(column: str, reason: str) -> Check:
    """The table has a column; without it nothing can go on."""
    sentence = f"There is a column {column}"
    return check(gxe.ExpectColumnToExist, sentence, reason, "critical", column=column)


def table_has_rows(reason: str) -> Check:
    """The table has at least one row; without any nothing can go on."""
    return check(gxe.ExpectTableRowCountToBeBetween, "There are rows", reason, "critical", min_value=1)


def id_is_given(column: str) -> Check:
    """The id is not blank (the column is null where it is)."""
    return check(
        gxe.ExpectColumnValuesToNotBeNull,
        f"The {column} of every row is given",
        f"{column} is empty",
        column=column,
    )


def id_is_short(column: str) -> Check:
    """The id has at most MAX_ID_LENGTH characters."""
    return check(
        gxe.ExpectColumnValueLengthsToBeBetween,
        f"No {column} is longer than {MAX_ID_LENGTH} characters",
        f"{column} is longer than {MAX_ID_LENGTH} characters",
        column=column,
        max_value=MAX_ID_LENGTH,
    )


def id_is_known(column: str, unknown: str, table: str) -> Check:
    """The id is that of a valid row of another table (column `unknown` holds those that are not)."""
    return check(
        gxe.ExpectColumnValuesToBeNull,
        f"Every {column} is that of a valid row of {table}",
        f"{column} is not among the valid {table}",
        column=unknown,
    )


def is_readable(column: str, unreadable: str, what: str) -> Check:
    """The value is what it should be (column `unreadable` holds those that are not)."""
    return check(
        gxe.ExpectColumnValuesToBeNull,
        f"Every {column} is {what}",
        f"{column} is not {what}",
        column=unreadable,
    )


def rating_is_on_scale(params: ValidationParams) -> Check:
    """The rating lies in [rating_min, rating_max]; null on either side is no limit."""
    low = "-∞" if params.rating_min is None else f"{params.rating_min:g}"
    high = "∞" if params.rating_max is None else f"{params.rating_max:g}"
    return check(
        gxe.ExpectColumnValuesToBeBetween,
        f"Ratings are on the scale from {low} to {high}",
        f"rating is off the scale from {low} to {high}",
        column="rating",
        min_value=params.rating_min,
        max_value=params.rating_max,
    )


def timestamp_is_possible(params: ValidationParams) -> Check:
    """The timestamp lies in [earliest, latest)."""
    return check(
        gxe.ExpectColumnValuesToBeBetween,
        f"Events lie on or after {params.earliest} and before {params.latest} (UTC)",
        f"timestamp is not between {params.earliest} and {params.latest}",
        column="timestamp",
        min_value=params.earliest_second,
        max_value=params.latest_second,
        strict_max=True,
    )


def split_is_named(labels: tuple[str, ...]) -> Check:
    """The ready-made split names one of the parts."""
    return check(
        gxe.ExpectColumnValuesToBeInSet,
        f"Every split is one of {', '.join(labels)}",
        f"split is not one of {', '.join(labels)}",
        column="split",
        value_set=list(labels),
    )


def rows_are_unique(columns: list[str], sentence: str, reason: str) -> Check:
    """No two rows agree in all the columns. GX names every copy, the first one too."""
    if len(columns) == 1:
        return check(gxe.ExpectColumnValuesToBeUnique, sentence, reason, column=columns[0])
    return check(gxe.ExpectCompoundColumnsToBeUnique, sentence, reason, column_list=columns)
