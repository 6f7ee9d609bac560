import pytest

from bakeoff.models.base.tensorflow import seed_everything


@pytest.fixture(autouse=True)
def _seeded():
    """Deterministic kernels refuse to draw without a seed; every test starts from the same one."""
    seed_everything(0)
