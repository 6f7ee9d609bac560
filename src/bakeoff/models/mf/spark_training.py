"""MF trained by Spark's MLlib, where `mf.solver` says so: the session that the training needs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from bakeoff.data.engine.settings import engine_settings, scratch_directory
from bakeoff.data.engine.spark_session import spark_session
from bakeoff.models.mf.params import MFParams


@contextmanager
def training_session(settings: MFParams) -> Iterator[Mapping[str, Any]]:
    """What training with these settings replaces; nothing, unless the solver is `mllib`.

    MLlib shows nothing between its iterations, so all of them count as one epoch, and validation still measures what is
    kept. The cluster is that of `BAKEOFF_SPARK_MASTER`.

    Yields:
        `build`, a function that makes the trainer, and `epochs`, as `ModelSpec.session` has them.

    Raises:
        BakeoffError: Spark is needed and not available.
    """
    if settings.solver != "mllib":
        yield {}
        return
    from bakeoff.models.mf.mllib import MLlibALS
    from bakeoff.models.mf.spark_exchange import observed_pairs
    from bakeoff.models.mf.trainer import build

    engine = engine_settings()
    with scratch_directory(engine) as scratch, spark_session(engine, scratch, "mf.solver", "auto") as session:
        # Each iteration depends on those before it: without checkpoints, some tens of them overflow the stack.
        session.sparkContext.setCheckpointDir(scratch.resolve().as_uri())
        factorise = partial(MLlibALS, pairs=partial(observed_pairs, session=session, scratch=scratch))
        yield {"build": partial(build, factorise=factorise), "epochs": 1}
