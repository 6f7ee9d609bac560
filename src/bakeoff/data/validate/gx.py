"""Checks run by Great Expectations. It takes seconds to import: import this module only where rows are judged."""

import html
import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

with warnings.catch_warnings():
    # GX 1.24 imports sre_constants, which Python 3.11 deprecates; nobody who runs a pipeline can act on that.
    warnings.simplefilter("ignore")
    import great_expectations as gx
    import great_expectations.expectations as gxe

__all__ = ["Check", "Outcome", "Runner", "check", "gxe"]

ROW = "row"
"""What numbers the rows of a data frame: the name of its index, or of a column where it is one of Spark."""

Severity = Literal["critical", "warning"]
# The query that selects bad rows lists every index as text: megabytes that nobody reads.
_PANDAS_FORMAT = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
# A data frame of Spark has no index: a column says which rows are bad, and their values stay where they are.
_SPARK_FORMAT = _PANDAS_FORMAT | {"exclude_unexpected_values": True, "unexpected_index_column_names": [ROW]}


@dataclass(frozen=True)
class Check:
    """One expectation.

    Severity and sentence are given to each instance rather than as defaults of a subclass: GX 1.24 leaves
    whatever equals a class's default out of its results, and calls all such failures critical.

    Attributes:
        sentence: what must be true.
        reason: what is wrong with a row (or, if critical, with the table) for which it is not.
        severity: `critical` stops the pipeline, `warning` sends rows to quarantine.
        expectation: the same for Great Expectations; None where the header of the file decides.
    """

    sentence: str
    reason: str
    severity: Severity
    expectation: Any


def check(kind: Any, sentence: str, reason: str, **settings: Any) -> Check:
    """A check of rows by the given kind of expectation; `settings` are the expectation's own."""
    return Check(sentence, reason, "warning", kind(description=sentence, severity="warning", **settings))


@dataclass(frozen=True)
class Outcome:
    """The result of one check.

    Attributes:
        check: the check.
        success: whether it holds for the table.
        rows: int64, ascending: index labels of the rows for which it does not hold; empty where the check is of the
            whole table.
    """

    check: Check
    success: bool
    rows: NDArray[np.int64]


class Runner:
    """Runs expectations in an ephemeral context and keeps the runs for the Data Docs.

    Nothing is kept on disk or sent anywhere, and no progress bar is shown.
    """

    def __init__(self, on_spark: bool = False) -> None:
        """Start without runs, for data frames of Spark, or of pandas."""
        self._context = gx.get_context(mode="ephemeral")
        self._context.enable_analytics(False)
        self._context.variables.progress_bars = {"globally": False}
        self._format, sources = _SPARK_FORMAT if on_spark else _PANDAS_FORMAT, self._context.data_sources
        source: Any
        # The engine keeps the frames of Spark in files: they may be too large for memory.
        source = sources.add_spark("bakeoff-spark", persist=False) if on_spark else sources.add_pandas("bakeoff")
        # One batch for all frames: GX writes down all of a source for each that is added, and keeps it.
        self._rows = source.add_dataframe_asset("tables").add_batch_definition_whole_dataframe("rows")

    def run(self, name: str, expectations: Sequence[Any], frame: Any) -> list[Any]:
        """Run a checkpoint with one suite on one data frame: GX's result of each expectation, in their order.

        Args:
            name: of the suite; unique within this runner.
            expectations: at least one.
            frame: the rows to check, a data frame of pandas or of Spark, as this runner was made for.
        """
        return self._prepared(name, expectations, "SUMMARY")(frame)

    def judge(self, name: str, checks: Sequence[Check], frames: Iterable[Any]) -> list[Outcome]:
        """Judge a table that comes in pieces: a check holds if it holds for each piece.

        Args:
            name: of the suite; unique within this runner.
            checks: at least one, of each row by itself or of rows that come in one piece.
            frames: at least one: of pandas, with a unique integer index, or of Spark, whose column ROW is one.

        Returns:
            One outcome per check, in the order of the checks.

        Raises:
            RuntimeError: GX could not compute an expectation, so nothing is known of the rows.
        """
        pieces = map(self._prepared(name, [each.expectation for each in checks], self._format), frames)
        return [_outcome(each, results) for each, results in zip(checks, zip(*pieces, strict=True), strict=True)]

    def _prepared(
        self, name: str, expectations: Sequence[Any], result_format: dict[str, Any] | str
    ) -> Callable[[Any], list[Any]]:
        """What gives GX's results of a frame, in the order of the expectations, which is not GX's own."""
        context = self._context
        for number, expectation in enumerate(expectations):
            expectation.meta = {"number": number}
        suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=list(expectations)))
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=name, data=self._rows, suite=suite)
        )
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(name=name, validation_definitions=[definition], result_format=result_format)
        )

        def results_of(frame: Any) -> list[Any]:
            [result] = checkpoint.run(batch_parameters={"dataframe": frame}).run_results.values()
            return sorted(result.results, key=lambda each: each.expectation_config.meta["number"])

        return results_of

    def build_docs(self, directory: Path) -> None:
        """Write the Data Docs site of all runs so far: HTML for people, different from run to run.

        GX 1.24 escapes nothing: ids with markup in them would be markup of the site. So its stores are escaped.
        """
        for kept in (self._context.validation_results_store, self._context.expectations_store):
            backend = kept.store_backend
            for key in backend.list_keys():
                content = backend.get(key)
                if content.startswith("{"):  # and not the id of the store itself
                    backend.set(key, json.dumps(_escaped(json.loads(content))))
        place = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(directory.resolve())}
        site: Any = {"class_name": "SiteBuilder", "show_how_to_buttons": False, "store_backend": place}
        site["site_index_builder"] = {"class_name": "DefaultSiteIndexBuilder"}
        self._context.add_data_docs_site("bakeoff", site)
        self._context.build_data_docs(site_names=["bakeoff"])


def _escaped(value: Any) -> Any:
    """A JSON value whose texts are HTML."""
    if isinstance(value, dict):
        return {key: _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return html.escape(value) if isinstance(value, str) else value


def _outcome(check: Check, results: Sequence[Any]) -> Outcome:
    """The results of all pieces as one."""
    labels: list[int] = []
    for result in results:
        unexpected = result.result.get("unexpected_index_list")
        if not result.success and unexpected is None:
            raise RuntimeError(f"Great Expectations could not check {check.sentence!r}: {result.exception_info}")
        for label in unexpected or []:  # with Spark a dict of lists, by the name of the column
            labels += chain.from_iterable(label.values()) if isinstance(label, dict) else [label]
    return Outcome(check, all(result.success for result in results), np.sort(np.asarray(labels, np.int64)))
