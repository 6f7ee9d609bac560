"""Where a training goes that finds RAY_ADDRESS set; tests/services/test_ray_cluster.py trains on a cluster."""

import sys

import pytest
import small_split

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.stages import train


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    small_split.write_split(Workspace(tmp_path))
    return Workspace(tmp_path)


@pytest.mark.parametrize("model", ["softmax", "two_tower"])
def test_networks_go_to_the_cluster_and_without_ray_a_sentence_says_how_to_get_it(workspace, model):
    with pytest.raises(BakeoffError, match=r"Ray is not installed: run `make ray`, or unset RAY_ADDRESS"):
        train.run(small_split.PARAMS, workspace, model)
    assert not workspace.trained(model).exists()


def test_other_models_do_not(workspace):
    train.run(small_split.PARAMS, workspace, "popularity")
    assert workspace.trained("popularity").exists()


def test_an_empty_address_names_no_cluster(workspace, monkeypatch):
    def here(experiment, _):
        raise InterruptedError(f"{experiment.spec.name} is trained by this process")

    monkeypatch.setenv("RAY_ADDRESS", "")
    monkeypatch.setattr(train, "train_shipped", here)
    with pytest.raises(InterruptedError, match="softmax is trained by this process"):
        train.run(small_split.PARAMS, workspace, "softmax")
