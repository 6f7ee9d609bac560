import json

import numpy as np
import small_split
from hand_made_split import complete

from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.models.neural.spec import NO_FEATURES
from bakeoff.models.neural.trainer import build
from bakeoff.stages import train

PARAMS = small_split.PARAMS


def written(root, item):
    """A split with this encoding of items."""
    workspace = Workspace(root)
    small_split.write_split(workspace)
    encoding = json.dumps(small_split.FEATURES | {"item": item})
    (workspace.vocabulary / "features.json").write_text(encoding, encoding="utf-8")
    complete(workspace)
    return workspace


def test_the_item_tower_reads_features_titles_among_them(tmp_path):
    words = {"text": {"title": ["film", "i1", "title"]}}
    prepared = load_prepared(written(tmp_path, small_split.FEATURES["item"] | words))
    queries = prepared.queries(prepared.train, np.arange(4))
    trainer = build(prepared, queries, PARAMS.two_tower, PARAMS.seed)
    tower = trainer._model.item_tower
    # year and its square, two genres, three words
    assert tower.feature_embeddings.shape == (2 + 2 + 3, 4)
    assert len(tower._hidden) == 1


def test_a_catalogue_without_features_is_skipped_with_a_note(tmp_path, capsys):
    workspace = written(tmp_path, item={})
    train.run(PARAMS, workspace, "two_tower")
    described = json.loads(workspace.training("two_tower").read_text(encoding="utf-8"))
    assert described == {"model": "two_tower", "skipped": NO_FEATURES}
    assert [path.name for path in workspace.trained("two_tower").iterdir()] == ["model.json"]
    assert "two_tower is skipped: Items have no features" in capsys.readouterr().out
    cost = json.loads(workspace.cost("train/two_tower").read_text(encoding="utf-8"))
    assert (cost["selection_seconds"], cost["refit_seconds"]) == (0, 0)
