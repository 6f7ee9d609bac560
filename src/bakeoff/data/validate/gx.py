"""Great Expectations, imported quietly. It takes seconds: import this module only where rows are judged."""

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import pandas as pd

with warnings.catch_warnings():
    # GX 1.24 imports sre_constants, which Python 3.11 deprecates; nobody who runs a pipeline can act on that.
    warnings.simplefilter("ignore")
    import great_expectations as gx
    import great_expectations.expectations as gxe

__all__ = ["Runner", "gx", "gxe"]


class Runner:
    """Runs expectations in an ephemeral context: nothing is kept on disk or sent anywhere, and no bar is shown.

    Attributes:
        context: GX's, with all runs so far.
    """

    def __init__(self) -> None:
        self.context = gx.get_context(mode="ephemeral")
        self.context.enable_analytics(False)
        self.context.variables.progress_bars = {"globally": False}

    @cached_property
    def _pandas(self) -> Any:
        return _frames(self.context.data_sources.add_pandas("bakeoff"))

    @cached_property
    def _spark(self) -> Any:
        # The frames are kept by whoever makes them: to be kept in memory, too, they may be too large.
        return _frames(self.context.data_sources.add_spark("bakeoff-spark", persist=False))

    def run(
        self, name: str, expectations: Sequence[Any], frame: Any, result_format: dict[str, Any] | str = "SUMMARY"
    ) -> list[Any]:
        """Run a checkpoint with one suite: GX's result of each expectation, in their order, which is not GX's own.

        Args:
            name: of the suite; unique within this runner.
            expectations: at least one.
            frame: what they are about: of pandas, or of Spark.
            result_format: see GX; how much of each result is kept.
        """
        for number, expectation in enumerate(expectations):
            expectation.meta = {"number": number}
        suite = self.context.suites.add(gx.ExpectationSuite(name=name, expectations=list(expectations)))
        rows = self._pandas if isinstance(frame, pd.DataFrame) else self._spark
        definition = self.context.validation_definitions.add(gx.ValidationDefinition(name=name, data=rows, suite=suite))
        checkpoint = self.context.checkpoints.add(
            gx.Checkpoint(name=name, validation_definitions=[definition], result_format=result_format)
        )
        [result] = checkpoint.run(batch_parameters={"dataframe": frame}).run_results.values()
        by_number = {each.expectation_config.meta["number"]: each for each in result.results}
        return [by_number[number] for number in range(len(expectations))]


def _frames(source: Any) -> Any:
    """One batch for all frames of a source: GX writes down all of the source for each that is added, and keeps it."""
    return source.add_dataframe_asset("tables").add_batch_definition_whole_dataframe("rows")
