import json

import numpy as np
import pytest
import small_split
from hand_made_split import complete

from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.models.base.storage import load_trained
from bakeoff.models.neural.spec import NO_FEATURES
from bakeoff.models.neural.trainer import build
from bakeoff.params import Params
from bakeoff.stages import train

SETTINGS = small_split.PARAMS.softmax.model_dump(mode="json", exclude={"negatives"}) | {
    "item_hidden": [4],
    "item_id_dropout": 0.5,
}
PARAMS = Params.model_validate(small_split.PARAMS.model_dump(mode="json") | {"two_tower": SETTINGS})
NEW_ITEM = len(small_split.ITEMS) - 1
"""The last item of the split has no event."""


def written(root, item=None):
    """A split, with another encoding of items if one is given."""
    workspace = Workspace(root)
    small_split.write_split(workspace)
    if item is not None:
        encoding = json.dumps(small_split.FEATURES | {"item": item})
        (workspace.vocabulary / "features.json").write_text(encoding, encoding="utf-8")
        complete(workspace)
    return workspace


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace in which the model was trained, with titles as a text feature beside the year and genres."""
    words = {"text": {"title": ["film", "i1", "title"]}}
    workspace = written(tmp_path_factory.mktemp("two_tower"), small_split.FEATURES["item"] | words)
    train.run(PARAMS, workspace, "two_tower")
    return workspace


def training(workspace):
    return json.loads(workspace.training("two_tower").read_text(encoding="utf-8"))


def test_training_json_describes_the_model(trained):
    found = training(trained)
    assert (found["model"], found["dim"], found["selection_metric"]) == ("two_tower", 4, "ndcg@10")
    assert found["settings"] == PARAMS.two_tower.model_dump(mode="json")
    assert found["settings"]["item_id_dropout"] == 0.5
    assert len(found["curve"]) == PARAMS.two_tower.max_epochs
    assert found["fallback"] is None


def test_the_item_tower_is_part_of_the_model(trained):
    prepared = load_prepared(trained)
    queries = prepared.queries(prepared.train, np.arange(4))
    trainer = build(prepared, queries, PARAMS.two_tower, PARAMS.seed)
    tower = trainer._model.item_tower
    # year and its square, two genres, three words
    assert tower.feature_embeddings.shape == (2 + 2 + 3, 4)
    assert len(tower._hidden) == 1


def test_an_item_without_events_is_exported_with_an_embedding(trained):
    exported = load_trained(trained.trained("two_tower")).item_embeddings
    assert np.linalg.norm(exported[NEW_ITEM]) == pytest.approx(1, abs=1e-5)


def test_training_again_gives_the_same_weights_and_description(trained, tmp_path):
    again = written(tmp_path, load_prepared(trained).encoding.model_dump()["item"])
    train.run(PARAMS, again, "two_tower")
    assert again.training("two_tower").read_bytes() == trained.training("two_tower").read_bytes()
    for path in (trained.trained("two_tower") / "arrays").iterdir():
        assert (again.trained("two_tower") / "arrays" / path.name).read_bytes() == path.read_bytes()


def test_a_catalogue_without_features_is_skipped_with_a_note(tmp_path, capsys):
    workspace = written(tmp_path, item={})
    train.run(PARAMS, workspace, "two_tower")
    assert training(workspace) == {"model": "two_tower", "skipped": NO_FEATURES}
    assert [path.name for path in workspace.trained("two_tower").iterdir()] == ["model.json"]
    assert "two_tower is skipped: Items have no features" in capsys.readouterr().out
    cost = json.loads(workspace.cost("train/two_tower").read_text(encoding="utf-8"))
    assert (cost["selection_seconds"], cost["refit_seconds"]) == (0, 0)
