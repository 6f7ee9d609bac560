"""MF trained by Spark's MLlib, where `mf.solver` says so."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from bakeoff.data.engine.scratch import scratch_directory
from bakeoff.data.engine.settings import engine_settings
from bakeoff.data.engine.spark_session import spark_session
from bakeoff.experiments.runner import Experiment


@contextmanager
def on_spark(experiment: Experiment) -> Iterator[Experiment]:
    """The experiment itself; with `solver: mllib`, one that trains on the Spark cluster of `BAKEOFF_SPARK_MASTER`.

    MLlib shows nothing between its iterations, so all of them count as one epoch and validation still measures what is
    kept.

    Raises:
        BakeoffError: Spark is needed and not available.
    """
    if getattr(experiment.settings, "solver", None) != "mllib":
        yield experiment
        return
    from bakeoff.models.mf.mllib import MLlibALS
    from bakeoff.models.mf.spark_exchange import observed_pairs
    from bakeoff.models.mf.trainer import build

    engine = engine_settings()
    with scratch_directory(engine) as scratch, spark_session(engine, scratch, "mf.solver", "auto") as session:
        # Each iteration depends on those before it: without checkpoints, some tens of them overflow the stack.
        session.sparkContext.setCheckpointDir(scratch.resolve().as_uri())

        factorise = partial(MLlibALS, pairs=partial(observed_pairs, session=session, scratch=scratch))
        yield replace(experiment, build=partial(build, factorise=factorise), epochs=1)
