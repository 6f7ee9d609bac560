"""Runs checks through Great Expectations and says which rows fail which."""

import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.validation.checks import Check
from bakeoff.validation.gx import Runner, gx

# The query that selects bad rows lists every index as text: megabytes that nobody reads.
RESULT_FORMAT = {"result_format": "COMPLETE", "return_unexpected_index_query": False}


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
        expectations = [check.expectation for check in checks]
        results = self._runner.run(name, expectations, frame, result_format=RESULT_FORMAT)
        return [_outcome(check, result) for check, result in zip(checks, results, strict=True)]

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


def _outcome(check: Check, result: "gx.ExpectationValidationResult") -> Outcome:
    unexpected = result.result.get("unexpected_index_list")
    if not result.success and unexpected is None and check.severity == "warning":
        raise RuntimeError(f"Great Expectations could not check {check.sentence!r}: {result.exception_info}")
    return Outcome(check, bool(result.success), np.sort(np.asarray(unexpected or [], np.int64)))
