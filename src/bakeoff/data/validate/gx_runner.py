"""Runs checks through Great Expectations and says which rows fail which."""

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.data.validate.checks import Check
from bakeoff.data.validate.gx import Runner, gx

# The query that selects bad rows lists every index as text: megabytes that nobody reads.
RESULT_FORMAT = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
# A data frame of Spark has no index: a column says which rows are bad, and their values stay where they are.
KEYED_FORMAT = RESULT_FORMAT | {"exclude_unexpected_values": True}


@dataclass(frozen=True)
class Outcome:
    """What became of one check.

    Attributes:
        check: the check.
        success: whether it holds for the table.
        rows: int64, ascending: index labels of the rows for which it does not; empty where the check
            is of the whole table.
    """

    check: Check
    success: bool
    rows: NDArray[np.int64]


class Inspector:
    """Keeps its runs for the Data Docs."""

    def __init__(self) -> None:
        self._runner = Runner()

    def run(self, name: str, checks: list[Check], frame: pd.DataFrame) -> list[Outcome]:
        """Judge a table.

        Args:
            name: of the suite; unique within this inspector.
            checks: at least one.
            frame: [n] rows with a unique integer index.

        Returns:
            One outcome per check, in the order of the checks.

        Raises:
            RuntimeError: GX could not compute an expectation: what did not run must not pass for what held.
        """
        return self.judge(name, checks, [frame])

    def judge(self, name: str, checks: list[Check], frames: Iterable[Any]) -> list[Outcome]:
        """Judge a table that comes in pieces: as `run`, and a check holds if it holds for each piece.

        Args:
            name: of the suite; unique within this inspector. From the second piece on it is numbered.
            checks: at least one, of each row by itself or of rows that come in one piece.
            frames: one at least: of pandas, with a unique integer index, or of Spark, whose first column is one.
        """
        found: list[list[Outcome]] = []
        for number, frame in enumerate(frames, start=1):
            # GX binds an expectation to the suite that it is in, so each piece has copies that belong to none.
            expectations = [check.expectation.copy(update={"id": None}) for check in checks]
            shown = name if number == 1 else f"{name}-{number}"
            results = self._runner.run(shown, expectations, frame, result_format=_result_format(frame))
            found.append([_outcome(check, result) for check, result in zip(checks, results, strict=True)])
        return [_merged(outcomes) for outcomes in zip(*found, strict=True)]

    def build_docs(self, directory: Path) -> None:
        """Write the Data Docs site of all runs so far: HTML for people, different from run to run.

        GX 1.24 escapes nothing: ids with markup in them would be markup of the site. So its stores are escaped.
        """
        context = self._runner.context
        for kept in (context.validation_results_store, context.expectations_store):
            backend = kept.store_backend
            for key in backend.list_keys():
                content = backend.get(key)
                if content.startswith("{"):  # and not the id of the store itself
                    backend.set(key, json.dumps(_escaped(json.loads(content))))
        store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(directory.resolve())}
        context.add_data_docs_site(
            "bakeoff",
            {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": store,
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            },
        )
        context.build_data_docs(site_names=["bakeoff"])


def _escaped(value: Any) -> Any:
    """A JSON value whose texts are HTML."""
    if isinstance(value, dict):
        return {key: _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return html.escape(value) if isinstance(value, str) else value


def _result_format(frame: Any) -> dict[str, Any]:
    if isinstance(frame, pd.DataFrame):
        return RESULT_FORMAT
    return KEYED_FORMAT | {"unexpected_index_column_names": [frame.columns[0]]}


def _outcome(check: Check, result: "gx.ExpectationValidationResult") -> Outcome:
    unexpected = result.result.get("unexpected_index_list")
    if not result.success and unexpected is None and check.severity == "warning":
        raise RuntimeError(f"Great Expectations could not check {check.sentence!r}: {result.exception_info}")
    return Outcome(check, bool(result.success), np.sort(np.asarray(_labels(unexpected or []), np.int64)))


def _labels(unexpected: list[Any]) -> list[int]:
    """Labels of bad rows: given one by one with pandas, as a list by the name of the column with Spark."""
    if unexpected and isinstance(unexpected[0], dict):
        return [label for each in unexpected for labels in each.values() for label in labels]
    return unexpected


def _merged(outcomes: Sequence[Outcome]) -> Outcome:
    rows = np.sort(np.concatenate([outcome.rows for outcome in outcomes]))
    return Outcome(outcomes[0].check, all(outcome.success for outcome in outcomes), rows)
