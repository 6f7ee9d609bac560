from functools import cache, partial

import pytest

from bakeoff.models.base.tensorflow import seed_everything
from bakeoff.models.neural.trainer import SoftmaxTrainer


@pytest.fixture(autouse=True)
def _seeded():
    """Deterministic kernels refuse to draw without a seed; every test starts from the same one."""
    seed_everything(0)


@pytest.fixture(autouse=True, scope="module")
def _traced_at_the_first_step():
    """To trace a training step takes a second, and many tests build a trainer that takes none."""
    trace = SoftmaxTrainer._compiled

    def compiled(trainer, signature):
        step = cache(partial(trace, trainer, signature))
        return lambda batch: step()(batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SoftmaxTrainer, "_compiled", compiled)
        yield
