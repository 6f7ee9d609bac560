"""Four users, six items; user u has had item u, and is to find items 4 and 5 (users 0 to 2) or nothing (user 3)."""

from pathlib import Path

import numpy as np
import pandas as pd
from harness.datasets import Benchmark, Split
from harness.measuring import Measured
from harness.systems import System
from peers.data import Data

from bakeoff.core.histories import Histories
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import Prepared
from bakeoff.params import Params

BENCHMARK = Benchmark("tiny", "Tiny", "tiny", "by hand", {})
FAKE = System("fake", "Fake", "fake_peer")
STEPWISE = System("steps", "Steps", "fake_peer", stepwise=True)
BEST, WORST = [4, 5, 0, 1, 2, 3], [0, 1, 2, 3, 5, 4]


def histories(rows, items, num_users=4):
    times = np.arange(1, len(rows) + 1)
    return Histories.from_rows(np.asarray(rows), np.asarray(items), times, num_users)


def data(had=None, rows=(0, 1, 2), num_items=6):
    had = histories([0, 1, 2, 3], [0, 1, 2, 3]) if had is None else had
    empty = np.zeros((len(had), 0))
    return Data(
        offsets=had.offsets,
        items=had.items,
        timestamps=had.timestamps,
        rows=np.asarray(rows, np.int64),
        num_items=num_items,
        user_dense=empty.astype(np.float32),
        user_categorical=empty.astype(np.int32),
        item_dense=np.zeros((num_items, 0), np.float32),
        item_tags=np.zeros((num_items, 0), np.float32),
    )


def split(tmp_path: Path):
    truth = histories([0, 0, 1, 1, 2, 2], [4, 5, 4, 5, 4, 5])
    facts = {"users": 4, "items": 6, "train": 4, "valid": 6, "test": 6, "days": ["2000-01-01", "2000-02-01"]}
    phases = ("valid", "test")
    return Split(Workspace(tmp_path), Params(), dict.fromkeys(phases, data()), dict.fromkeys(phases, truth), facts)


def measured(name, ndcg, seconds=1.0, memory=2**20, title=None):
    cost = {
        "fit_seconds": seconds,
        "cpu_seconds": 2 * seconds,
        "peak_memory_bytes": memory,
        "memory_before_bytes": memory // 2,
    }
    scores = {"ndcg@10": np.asarray(ndcg, float), "recall@20": np.asarray(ndcg, float)}
    return Measured(
        System(name, title or name, "fake_peer", contender="mf" if name == "mf" else None), {"dim": 3}, cost, scores
    )


def two_halves():
    """Twenty users of two halves of a catalogue of ten: each has three items of one half and is to find a fourth."""
    users = np.arange(20)
    items = np.stack([(users // 2 + n) % 5 + 5 * (users % 2) for n in range(4)], axis=1)
    train = Histories.from_rows(np.repeat(users, 3), items[:, :3].ravel(), np.tile(np.arange(3), 20), 20)
    valid = Histories.from_rows(users, items[:, 3], np.full(20, 9), 20)
    tables = [
        pd.DataFrame({f"{kind}_id": np.arange(n).astype(str), f"{kind}_index": np.arange(n), "is_new": False})
        for kind, n in (("user", 20), ("item", 10))
    ]
    return Prepared.encoded(*tables, FeatureEncoding.model_validate({"user": {}, "item": {}}), train, valid)


def fifth_items():
    """Test part of `two_halves`: the item of its half that a user has not had."""
    users = np.arange(20)
    items = (users // 2 + 4) % 5 + 5 * (users % 2)
    return Histories.from_rows(users, items, np.full(20, 10), 20)
