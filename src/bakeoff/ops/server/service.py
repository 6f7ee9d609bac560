"""The model that answers now, and how another takes its place."""

import gc
import logging
import time

from bakeoff.ops.server.batching import Batcher
from bakeoff.ops.server.metrics import Metrics
from bakeoff.ops.server.schemas import ModelInfo
from bakeoff.ops.server.served import ServedModel

log = logging.getLogger("bakeoff.serve")


def settle() -> None:
    """Take what is alive now, a model of half a million objects, out of what garbage collection looks through."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class Service:
    """What the routes share.

    Attributes:
        model: answers whatever is asked from now on; one assignment replaces it.
        batcher: computes.
        metrics: counts.
        draining: whether the server is about to end.
        failed: a newer promotion that could not be loaded, and why; None where there is none.
    """

    def __init__(self, model: ServedModel, max_batch: int) -> None:
        """Answer with this model."""
        self.metrics = Metrics()
        self.batcher = Batcher(max_batch, self.metrics.on_batch)
        self.model = model
        self.draining = False
        self.failed: str | None = None
        self.metrics.on_model(model.origin, model.recall, time.time(), swapped=False)

    def swap(self, model: ServedModel) -> None:
        """Answer with another model from now on; what was asked before is answered by the old one."""
        self.model, self.failed = model, None
        self.metrics.on_model(model.origin, model.recall, time.time(), swapped=True)
        log.info("%s answers from now on", model.name)

    def keep(self, name: str, why: str) -> None:
        """Go on with the old model, since the new one can't be loaded."""
        self.failed = f"{name}: {why}"
        self.metrics.on_load_failure()
        log.error("%s can't be loaded, %s goes on answering. %s", name, self.model.name, why)

    def info(self) -> ModelInfo:
        """What answers now."""
        model, origin = self.model, self.model.origin
        return ModelInfo(
            model=origin.model,
            version=origin.version,
            commit=origin.commit,
            promoted=origin.promoted,
            loaded=model.loaded,
            items=len(model.item_ids),
            users=len(model.vocabulary.users.rows),
            dim=model.exact.dim,
            search=model.search.description,
            recall=model.recall,
            user_features=list(model.vocabulary.encoding.names),
            failed=self.failed,
        )
