"""A split of six items and a model whose answers can be told by hand."""

import json
from dataclasses import dataclass, field
from unittest.mock import patch

import numpy as np
import pandas as pd
from hand_made_split import complete

from bakeoff.evaluation.metrics.params import EvaluateParams
from bakeoff.experiments.params import CompareParams
from bakeoff.models.base import storage
from bakeoff.params import Params
from bakeoff.stages import evaluate

# The oracle. The model scores items 10 … 60 with 6 … 1, so someone of whom it knows nothing gets 10 first;
# whoever has a history gets the opposite order, 60 first. Lists have 3 places.
#
#   user  known   test    list        hits at
#   1     10, 20  40      60 50 40    3
#   2     60      50, 10  50 40 30    1          (10 is out of reach)
#   3     10      –       not asked
#   9     60, 50  40      new: 10 20 30 as long as nothing is known, else 40 30 20
#   8     10      –       new, not asked
PARAMS = Params(
    evaluate=EvaluateParams(cutoffs=(1, 3), list_length=3, first_interactions=(0, 1), users_per_block=2),
    compare=CompareParams(primary_metric="ndcg@3"),
)
TRAIN = [("1", "10"), ("2", "60"), ("3", "10")]
VALID = [("1", "20")]
TEST = [("1", "40"), ("2", "50"), ("2", "10")]
NEW = [("9", "60", "history"), ("9", "50", "history"), ("9", "40", "test"), ("8", "10", "history")]
ITEMS = ["10", "20", "30", "40", "50", "60"]


@dataclass
class Contrarian:
    item_embeddings: np.ndarray = field(default_factory=lambda: np.arange(6, 0, -1, dtype=np.float32)[:, None])

    def embed_queries(self, queries):
        return np.where(queries.histories.lengths > 0, -1, 1)[:, None].astype(np.float32)

    def uses_fallback(self, queries):
        return queries.histories.lengths == 0


def events(rows, columns=("user_id", "item_id")):
    table = pd.DataFrame(rows, columns=list(columns), dtype=str)
    in_time = table.assign(timestamp=np.arange(len(rows)), position=np.arange(len(rows), dtype=np.int32))
    return in_time.sort_values("user_id", kind="stable")


def write_split(workspace, train=TRAIN, valid=VALID, test=TEST, new=NEW, items=ITEMS):
    workspace.vocabulary.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", train), ("valid", valid), ("test", test)):
        events(rows).to_parquet(workspace.split / f"{name}.parquet")
    events(new, ("user_id", "item_id", "part")).to_parquet(workspace.split / "new_users.parquet")
    warm, strangers = sorted({row[0] for row in train}), sorted({row[0] for row in new})
    ids = [*warm, *strangers]
    users = pd.DataFrame(
        {
            "user_index": np.arange(len(ids), dtype=np.int32),
            "user_id": ids,
            "is_new": [False] * len(warm) + [True] * len(strangers),
        }
    )
    users.to_parquet(workspace.vocabulary / "users.parquet")
    counts = pd.Series([row[1] for row in train]).value_counts().reindex(items, fill_value=0)
    catalogue = pd.DataFrame({"item_index": range(len(items)), "item_id": items, "title": items})
    catalogue.assign(train_count=counts.to_numpy(np.int64)).to_parquet(workspace.vocabulary / "items.parquet")
    (workspace.vocabulary / "features.json").write_text("{}", encoding="utf-8")
    complete(workspace)


def list_items(workspace, model):
    """Say that a model was trained on the items of the split, unless it says of which it is made."""
    of_split, listed = workspace.vocabulary / "items.parquet", workspace.trained(model) / "items.parquet"
    if of_split.exists() and not listed.exists():
        listed.parent.mkdir(parents=True, exist_ok=True)
        pd.read_parquet(of_split, columns=["item_id"]).to_parquet(listed)


def run(workspace, params=PARAMS, retriever=None):
    list_items(workspace, "mf")
    with patch.object(storage, "load_trained", lambda _: retriever or Contrarian()):
        evaluate.run(params, workspace, "mf")


def asked_in_blocks_of(users):
    """PARAMS with so many users per block."""
    return PARAMS.model_copy(update={"evaluate": PARAMS.evaluate.model_copy(update={"users_per_block": users})})


def table(workspace, name):
    return pd.read_parquet(workspace.evaluation("mf") / f"{name}.parquet")


def metrics(workspace):
    return json.loads((workspace.evaluation("mf") / "metrics.json").read_text(encoding="utf-8"))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
