"""The harness is no part of the package: benchmarks/ is put on the path as `python benchmarks/bench.py` does.

What runs in the peers' own environment (implicit, PyTorch) is not tested here, since no test needs that environment:
making it ends with importing both, and `make bench` reports a peer that fails. All that surrounds them is tested with a
peer that is made for it (fake_peer.py), in a process of its own like any other.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture
def runner(monkeypatch):
    """Runs workers that find fake_peer."""
    from harness.processes import Runner

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    return Runner(pythons={"main": Path(sys.executable), "peers": Path(sys.executable)})
