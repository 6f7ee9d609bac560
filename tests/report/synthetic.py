"""A small invented workspace in the formats of the earlier stages: planted tastes, a known winner."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from synthetic_evidence import write_evidence
from synthetic_reports import write_json, write_reports, write_search, write_training

GENRES = ("Comedy", "Drama", "Thriller", "Western")
CUTOFFS = (10, 20, 100)
NOISE = {"popularity": 0.0, "recent_popularity": 0.0, "ease": 0.9, "mf": 1.2, "softmax": 0.7, "two_tower": 0.8}
"""Every model that a report may show, and how much noise blurs its view of tastes."""
POPULARITIES = ("popularity", "recent_popularity")
HOSTILE_TITLE = "<script>alert('title')</script> & <b>Sons</b> (1999)"


@dataclass(frozen=True)
class World:
    """Who likes what: every user and every item belongs to one of four tastes."""

    num_warm: int
    num_new: int
    num_items: int
    rng: np.random.Generator

    @property
    def num_users(self) -> int:
        return self.num_warm + self.num_new


def write_workspace(
    root: Path,
    *,
    num_warm: int = 60,
    num_new: int = 12,
    num_items: int = 150,
    seed: int = 7,
    tie: bool = False,
    searched: bool = False,
) -> Path:
    """Write every input of the comparison below `root`; with `tie`, both contenders make the same lists.

    With `searched` there are records of tuning too.
    """
    world = World(num_warm, num_new, num_items, np.random.default_rng(seed))
    popularity, affinity = _tastes(world)
    events = _events(world, popularity, affinity)
    items = _write_split(root, world, events)
    for model, noise in NOISE.items():
        noisy = np.random.default_rng(0 if tie else int(noise * 100)).normal(0, 1, affinity.shape)
        amount = 1.0 if tie else noise
        scores = np.log(popularity) + (0 if model in POPULARITIES else 1) * (affinity + amount * noisy)
        if model == "recent_popularity":
            scores = scores + np.random.default_rng(5).normal(0, 0.6, world.num_items)
        _write_evaluation(root / "artifacts/evaluation" / model, model, events, items, scores)
        write_training(root, model, 50)
    write_evidence(
        root,
        [str(user + 1) for user in range(num_warm)],
        [str(user + 1) for user in range(num_warm, num_warm + num_new)],
        items,
    )
    for model in ("mf", "softmax", "two_tower") if searched else ():
        write_search(root, model)
    write_reports(root, events, items)
    return root


def _tastes(world: World) -> tuple[np.ndarray, np.ndarray]:
    popularity = 1 / (np.arange(world.num_items) + 3.0)
    item_taste = np.arange(world.num_items) % len(GENRES)
    user_taste = np.arange(world.num_users) % len(GENRES)
    return popularity, 1.8 * (user_taste[:, None] == item_taste[None, :])


def _events(world: World, popularity: np.ndarray, affinity: np.ndarray) -> pd.DataFrame:
    """Every user draws 12 to 40 distinct items by popularity and taste (Gumbel top-k)."""
    rng = world.rng
    keys = np.log(popularity) + affinity + rng.gumbel(size=affinity.shape)
    lengths = rng.integers(12, 41, world.num_users)
    frames = []
    for user, length in enumerate(lengths):
        chosen = rng.permutation(np.argsort(-keys[user])[:length])
        num_test = max(1, length // 5)
        parts = np.repeat(["train", "valid", "test"], [length - num_test - length // 10, length // 10, num_test])
        position = np.arange(length, dtype=np.int32)
        frames.append(
            pd.DataFrame(
                {
                    "user_id": str(user + 1),
                    "item_id": [str(item + 1) for item in chosen],
                    "timestamp": 880_000_000 + np.cumsum(rng.choice([0, 20, 900, 20_000, 400_000], length)),
                    "position": position,
                    "part": parts,
                    "user": user,
                    "item": chosen,
                    "is_new": user >= world.num_warm,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _parquet(frame: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.reset_index(drop=True).to_parquet(path, index=False)


def _write_split(root: Path, world: World, events: pd.DataFrame) -> pd.DataFrame:
    split = root / "artifacts/split"
    columns = ["user_id", "item_id", "timestamp", "position"]
    warm = events[~events.is_new]
    for part in ("train", "valid", "test"):
        _parquet(warm.loc[warm.part == part, columns], split / f"{part}.parquet")
    new = events[events.is_new].assign(part=lambda f: np.where(f.part == "test", "test", "history"))
    _parquet(new[[*columns, "part"]], split / "new_users.parquet")
    index = np.arange(world.num_items)
    count = {
        part: np.bincount(warm.loc[warm.part.isin(parts), "item"], minlength=world.num_items)
        for part, parts in {"train": ["train"], "fit": ["train", "valid"]}.items()
    }
    items = pd.DataFrame(
        {
            "item_index": index.astype(np.int32),
            "item_id": [str(i + 1) for i in index],
            "title": [HOSTILE_TITLE if i == 0 else f"{GENRES[i % 4]} no. {i + 1} (1990)" for i in index],
            "year": 1990.0,
            "genres": [GENRES[i % 4] for i in index],
            "train_count": count["train"].astype(np.int64),
            "fit_count": count["fit"].astype(np.int64),
        }
    )
    _parquet(items, split / "vocabulary/items.parquet")
    users = np.arange(world.num_users)
    _parquet(
        pd.DataFrame(
            {
                "user_index": users.astype(np.int32),
                "user_id": [str(u + 1) for u in users],
                "is_new": users >= world.num_warm,
                "age": 20.0 + users % 50,
                "gender": np.where(users % 2, "F", "M"),
                "occupation": "writer",
            }
        ),
        split / "vocabulary/users.parquet",
    )
    return items


def _top(scores: np.ndarray, history: pd.DataFrame, rows: np.ndarray, k: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """[n, k] best items of each row and their scores, without those in `history`."""
    scores = scores.copy()
    scores[history.user, history.item] = -np.inf
    scores = scores[rows]
    top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return top, np.take_along_axis(scores, top, axis=1)


def _accuracy(top: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics per row; truth [n, num_items] says which items are test items."""
    hits = np.take_along_axis(truth, top, axis=1)
    num_test = truth.sum(axis=1)
    discount = 1 / np.log2(np.arange(top.shape[1]) + 2)
    values = {}
    for k in CUTOFFS:
        hit = hits[:, :k]
        first = np.where(hit.any(axis=1), hit.argmax(axis=1), np.iinfo(np.int64).max - 1)
        values[f"recall@{k}"] = hit.sum(axis=1) / np.minimum(k, num_test)
        values[f"ndcg@{k}"] = (hit * discount[:k]).sum(axis=1) / np.cumsum(discount)[np.minimum(k, num_test) - 1]
        values[f"mrr@{k}"] = np.where(hit.any(axis=1), 1 / (first + 1), 0.0)
        values[f"hit_rate@{k}"] = hit.any(axis=1).astype(float)
    return values


def _lists(ids: list[str], top: np.ndarray, scores: np.ndarray, items: pd.DataFrame) -> pd.DataFrame:
    n, k = top.shape
    frame = pd.DataFrame(
        {
            "user_id": np.repeat(ids, k),
            "rank": np.tile(np.arange(1, k + 1, dtype=np.int32), n),
            "item_id": items.item_id.to_numpy()[top.ravel()],
            "score": scores.ravel().astype(np.float32),
        }
    )
    return frame[np.isfinite(frame.score)]


def _write_evaluation(folder: Path, model: str, events: pd.DataFrame, items: pd.DataFrame, scores: np.ndarray) -> None:
    truth = np.zeros(scores.shape, bool)
    test = events[events.part == "test"]
    truth[test.user, test.item] = True
    history = events[events.part != "test"]
    lengths = history.groupby("user").size().to_numpy()
    warm = np.flatnonzero(~events.groupby("user").is_new.first().to_numpy())
    new = np.flatnonzero(events.groupby("user").is_new.first().to_numpy())
    top, values = _top(scores, history, warm)
    ids = [str(u + 1) for u in warm]
    _parquet(_lists(ids, top, values, items), folder / "recommendations.parquet")
    counts = items.fit_count.to_numpy()
    users = pd.DataFrame({"user_id": ids, "num_history": lengths[warm], "num_test": truth[warm].sum(axis=1)})
    users = users.assign(**_accuracy(top, truth[warm]))
    own = np.bincount(history.user, counts[history.item])[warm] / lengths[warm]
    summary = {}
    for k in CUTOFFS:
        users[f"arp@{k}"] = counts[top[:, :k]].mean(axis=1)
        users[f"novelty@{k}"] = -np.log2((counts[top[:, :k]] + 1) / len(warm)).mean(axis=1)
        users[f"long_tail_share@{k}"] = (top[:, :k] > 40).mean(axis=1)
        users[f"debiased_ndcg@{k}"], users[f"diversity@{k}"] = 0.5 * users[f"ndcg@{k}"], 0.625
        slots = np.sort(np.bincount(top[:, :k].ravel(), minlength=len(items)) / top[:, :k].size)
        n = len(items)
        summary[f"coverage@{k}"] = float((slots > 0).mean())
        summary[f"gini@{k}"] = float(((2 * np.arange(1, n + 1) - n - 1) * slots).sum() / (n - 1))
        summary[f"popularity_lift@{k}"] = float(users[f"arp@{k}"].mean() / own.mean() - 1)
    _parquet(users, folder / "users.parquet")
    sampled = _write_sampled(folder, users)
    cold, cold_lists = [], []
    for first in ("0", "1", "5", "all"):
        fallback = model in POPULARITIES or (model == "mf" and first == "0")
        known = {"0": 0.0, "1": 0.3, "5": 0.7, "all": 1.0}[first] if model not in POPULARITIES else 0.0
        base = np.log(np.maximum(counts, 0.5))
        asked = np.where(fallback, base, base + known * (scores - np.log(1 / (np.arange(len(items)) + 3.0))))
        top, values = _top(np.broadcast_to(asked, scores.shape), history, new)
        new_ids = [str(u + 1) for u in new]
        frame = pd.DataFrame({"user_id": new_ids, "first_interactions": first})
        frame["num_history"] = lengths[new] if first == "all" else np.minimum(int(first), lengths[new])
        frame["num_test"] = truth[new].sum(axis=1)
        frame["fallback"] = fallback and model not in POPULARITIES
        cold.append(frame.assign(**_accuracy(top, truth[new])))
        cold_lists.append(_lists(new_ids, top, values, items).assign(first_interactions=first))
    _parquet(pd.concat(cold), folder / "new_users.parquet")
    order = ["user_id", "first_interactions", "rank", "item_id", "score"]
    _parquet(pd.concat(cold_lists)[order], folder / "new_user_recommendations.parquet")
    metrics = users.drop(columns=["user_id", "num_history", "num_test"]).mean().to_dict() | summary
    new_means = pd.concat(cold).groupby("first_interactions").mean(numeric_only=True)
    write_json(
        {
            "test": metrics | {"num_users": len(users)},
            "new_users": new_means.to_dict("index"),
            "sampled": sampled,
        },
        folder / "metrics.json",
    )


def _write_sampled(folder: Path, users: pd.DataFrame) -> dict[str, float]:
    """Easier than the whole catalogue, and flattering what is weak."""
    names = ("ndcg@10", "hit_rate@10", "mrr@10")
    sampled = users[["user_id", "num_test"]].assign(
        **{name: users[name] ** 0.3 for name in names}, **{f"full_{name}": users[name] for name in names}
    )
    _parquet(sampled, folder / "sampled.parquet")
    return sampled.drop(columns=["user_id", "num_test"]).mean().to_dict()
