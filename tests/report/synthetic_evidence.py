"""Invented files of what is measured beside the evaluation: variants, planted groups, costs, re-ranking, items."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from synthetic_costs import write_growth, write_serving
from synthetic_reports import write_json

METRICS = ("ndcg", "recall", "mrr", "hit_rate")
CUTOFFS = (10, 20, 100)
WEIGHTS = (0.0, 0.01, 1.03, 10.0)


def write_evidence(root: Path, users: list[str], new_users: list[str], items: pd.DataFrame) -> None:
    """Everything, for warm users, new users and the catalogue of an invented workspace."""
    write_variants(root, "features", features(), users, new_users)
    write_variants(root, "depth", depth(), users)
    write_variants(root, "folding", folding(), users)
    write_variants(
        root, "new-items", new_items(), users[: len(users) // 2], notes={"new_items": {"items": 15, "events": 44}}
    )
    write_planted(root)
    write_growth(root)
    write_serving(root)
    write_rerank(root, users)
    for model in ("ease", "mf", "softmax", "two_tower"):
        write_items(root, model, items)
    for model in ("popularity", "recent_popularity"):
        write_items(root, model, items.head(0))


def variant(name: str, model: str, label: str, level: float, **more: Any) -> dict[str, Any]:
    """One entry of variants.json; `level` is about what its metrics are."""
    entry = {
        "name": name,
        "model": model,
        "label": label,
        "base": False,
        "settings": {},
        "selected_epoch": 5,
        "num_parameters": 40_000,
        "new_users": {},
        "folding": None,
        "false_negatives_per_query": None,
        "level": level,
    }
    return entry | more


def features() -> list[dict[str, Any]]:
    return [
        variant("shipped", "softmax", "as shipped", 0.30, base=True),
        variant(
            "without-user-features",
            "softmax",
            "without user features",
            0.22,
            settings={"softmax.use_user_features": False},
        ),
        variant(
            "without-item-features",
            "softmax",
            "without item features",
            0.30,
            settings={"softmax.use_item_features": False},
        ),
    ]


def depth() -> list[dict[str, Any]]:
    rows = [variant("none", "softmax", "no hidden layer", 0.25, settings={"softmax.hidden": []})]
    for layers in (1, 2, 3):
        for width in (64, 128):
            settings = {} if (layers, width) == (1, 128) else {"softmax.hidden": [width] * layers}
            name = f"{layers}x{width}"
            level = 0.26 + 0.02 * layers
            rows.append(variant(name, "softmax", f"{layers} × {width}", level, base=not settings, settings=settings))
    return rows


def folding() -> list[dict[str, Any]]:
    rows = [
        variant(
            f"mf-{weight:g}",
            "mf",
            f"α₀ = {weight:g}",
            0.27,
            base=weight == 1.03,
            settings={} if weight == 1.03 else {"mf.unobserved_weight": weight},
            folding={"folding": 0.2 / (1 + 10 * weight), "spurious@10": 0.4 / (1 + weight)},
        )
        for weight in WEIGHTS
    ]
    for name, amount in (("positives-only", 0.3), ("uniform", 0.05), ("in-batch", 0.06), ("hard", 0.09)):
        base = name == "in-batch"
        settings = {} if base else {"softmax.negatives.sampler": name}
        found = {"folding": amount, "spurious@10": 2 * amount}
        rows.append(variant(name, "softmax", name, 0.3, base=base, settings=settings, folding=found))
    for model, mean in (("popularity", 0.12), ("ease", 0.25)):
        found = {"folding": 0.2, "spurious@10": 0.1}
        rows.append(variant(f"{model}-shipped", model, "as shipped", mean, base=True, folding=found))
    return rows


def new_items() -> list[dict[str, Any]]:
    levels = {"popularity": 0.0, "ease": 0.0, "mf": 0.0, "softmax": 0.0, "two_tower": 0.2}
    return [
        variant(
            model, model, "as shipped", level, base=True, among_new={"recall@10": 0.5 if level else 0.1, "ndcg@10": 0.1}
        )
        for model, level in levels.items()
    ] + [variant("softmax-table", "softmax", "a table of items alone", 0.0)]


def _values(level: float, size: int, seed: int) -> np.ndarray:
    """Per-user values about a level: the same luck for every variant, so that differences are clear."""
    luck = np.random.default_rng(seed).normal(0, 0.05, size)
    own = np.random.default_rng(seed + int(1000 * level)).normal(0, 0.01, size)
    return np.clip(level + luck + own, 0, 1) if level > 0 else np.zeros(size)


def _metrics(level: float, size: int) -> dict[str, np.ndarray]:
    return {f"{m}@{k}": _values(level, size, seed=n) for n, m in enumerate(METRICS) for k in CUTOFFS}


def write_variants(
    root: Path,
    group: str,
    entries: list[dict[str, Any]],
    users: list[str],
    new_users: list[str] | None = None,
    notes: dict[str, Any] | None = None,
) -> None:
    folder = root / "artifacts/variants" / group
    warm, new = [], []
    columns = ["variant", "first_interactions", "user_id", "fallback", "num_test", *_metrics(0, 0)]
    for entry in entries:
        level = entry.pop("level")
        metrics = _metrics(level, len(users))
        folds = {name: _spread(value, len(users)) for name, value in (entry["folding"] or {}).items()}
        among = {f"among_new_{name}": _spread(value, len(users)) for name, value in entry.get("among_new", {}).items()}
        asked = {"variant": entry["name"], "user_id": users, "num_test": 3}
        warm.append(pd.DataFrame({**asked, **metrics, **among, **folds}))
        entry["metrics"] = {name: float(values.mean()) for name, values in metrics.items()}
        for first in ("0", "1", "5", "all") if new_users else ():
            told = {"variant": entry["name"], "first_interactions": first, "user_id": new_users, "fallback": False}
            new.append(pd.DataFrame({**told, "num_test": 2, **_metrics(level / 2, len(new_users or []))}))
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat(warm).reset_index(drop=True).to_parquet(folder / "users.parquet", index=False)
    frame = pd.concat(new) if new else pd.DataFrame(columns=columns)
    frame.reset_index(drop=True).to_parquet(folder / "new_users.parquet", index=False)
    content = {"group": group, "sentence": f"Variants of the group {group}, all else as shipped.", "variants": entries}
    write_json(content | (notes or {}), folder / "variants.json")
    cost = {
        entry["name"]: {
            "training_seconds": 3.0 + place,
            "seconds_per_epoch": 0.2 + 0.1 * place,
            "seconds_per_step": 0.004,
            "epoch_cpu_seconds": 0.21 + 0.1 * place,
            "epoch_cpu_seconds_low": 0.20 + 0.1 * place,
            "epoch_cpu_seconds_high": 0.22 + 0.1 * place,
            "queries_per_cpu_second": 9000.0 - 600 * place,
            "queries_per_cpu_second_low": 8500.0 - 600 * place,
            "queries_per_cpu_second_high": 9500.0 - 600 * place,
        }
        for place, entry in enumerate(entries)
    }
    measured = {"wall_seconds": 9.0, "cpu_seconds": 9.0, "peak_memory_bytes": 5e8, "variants": cost}
    write_json(measured, root / f"artifacts/cost/variants/{group}.json")


def planted_variant(name: str, model: str, label: str, folding: float, **more: Any) -> dict[str, Any]:
    entry = {
        "name": name,
        "model": model,
        "label": label,
        "unobserved_weight": None,
        "base": False,
        "recall@10": 0.9 - 0.01 * folding,
        "ndcg@10": 0.8,
        "folding": folding,
        "off_group@10": folding,
        "off_group_filtered@10": folding / 20 if model == "softmax" else None,
        "off_group_by_candidates": {
            str(size): folding * size / 160 if model == "softmax" else None for size in (20, 40, 80, 160)
        },
        "blocks": np.where(np.eye(4, dtype=bool), 0.9, folding).tolist(),
        "selected_epoch": 4,
    }
    return entry | more


def _spread(mean: float, size: int) -> Any:
    """Values around a mean, which is theirs exactly."""
    noise = np.random.default_rng(9).normal(0, 0.02 * mean + 1e-4, size)
    return mean + noise - noise.mean()


def write_planted(root: Path) -> None:
    variants = [
        planted_variant("mf-0", "mf", "α₀ = 0", 0.3, unobserved_weight=0.0),
        planted_variant("mf-1.03", "mf", "α₀ = 1.03", 0.01, unobserved_weight=1.03, base=True),
        planted_variant("positives", "softmax", "positives only", 0.45),
        planted_variant("own-group", "softmax", "negatives of the own group only", 0.45),
        planted_variant("uniform", "softmax", "uniform", 0.02),
        planted_variant("shipped", "softmax", "as shipped", 0.03, base=True),
    ]
    sizes = {"groups": 4, "users": 2000, "items": 240, "noise": 0.0, "candidates": 40}
    words = {"sentence": "Four groups that share nothing.", "calibration": "Scores are mapped to 0 to 1."}
    write_json({**sizes, **words, "variants": variants}, root / "artifacts/planted/planted.json")
    asked = {name: [entry[name] for entry in variants] for name in ("recall@10", "folding", "off_group@10")}
    users = pd.DataFrame({"user_id": [f"u{n}" for n in range(2000)] * len(variants)})
    users["variant"] = np.repeat([entry["name"] for entry in variants], 2000)
    asked["off_group_filtered@10"] = [entry["off_group_filtered@10"] or np.nan for entry in variants]
    for name, values in asked.items():
        users[name] = np.concatenate([_spread(value, 2000) for value in values])
    users.to_parquet(root / "artifacts/planted/users.parquet", index=False)
    rng = np.random.default_rng(3)
    frames = []
    for entry in variants:
        group = np.arange(240) % 4
        angle = np.pi / 2 * group
        apart = 3.0 if entry["folding"] < 0.1 else 0.3
        frames.append(
            pd.DataFrame(
                {
                    "variant": entry["name"],
                    "item_id": [str(i + 1) for i in range(240)],
                    "group": group,
                    "x": (apart * np.cos(angle) + rng.normal(0, 0.5, 240)).astype(np.float32),
                    "y": (apart * np.sin(angle) + rng.normal(0, 0.5, 240)).astype(np.float32),
                }
            )
        )
    pd.concat(frames).reset_index(drop=True).to_parquet(root / "artifacts/planted/items.parquet", index=False)


def write_rerank(root: Path, users: list[str]) -> None:
    levels = {
        "mf": 0.26,
        "softmax": 0.3,
        "popularity": 0.12,
        "ease": 0.25,
        "mf→softmax@100": 0.3,
        "mf→softmax@500": 0.3,
    }
    frames, systems = [], []
    for system, level in levels.items():
        metrics = _metrics(level, len(users))
        spurious = 0.05 if system != "softmax" else 0.12
        asked = {"system": system, "user_id": users, "num_test": 3}
        frames.append(pd.DataFrame({**asked, **metrics, "spurious@10": _spread(spurious, len(users))}))
        candidates = int(system.partition("@")[2]) if "@" in system else None
        systems.append(
            {
                "system": system,
                "candidates": candidates,
                "metrics": {name: float(values.mean()) for name, values in metrics.items()},
                "candidate_recall": 0.7 if candidates else None,
                "spurious@10": spurious,
            }
        )
    folder = root / "artifacts/rerank"
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat(frames).reset_index(drop=True).to_parquet(folder / "users.parquet", index=False)
    write_json({"sentence": "MF retrieves, the softmax DNN ranks.", "systems": systems}, folder / "rerank.json")


def write_items(root: Path, model: str, items: pd.DataFrame) -> None:
    """Nearest items: the next ten of the catalogue; a map on a circle."""
    folder = root / "artifacts/items" / model
    folder.mkdir(parents=True, exist_ok=True)
    ids = items.item_id.to_numpy()
    size = len(ids)
    ranks = np.arange(1, 11)
    frame = pd.DataFrame(
        {
            "item_id": np.repeat(ids, 10) if size else np.array([], dtype=str),
            "rank": np.tile(ranks, size).astype(np.int32),
            "neighbour_id": ids[(np.arange(size)[:, None] + ranks) % size].ravel() if size else np.array([], dtype=str),
            "similarity": np.tile(0.99 - 0.01 * ranks, size).astype(np.float32),
        }
    )
    frame.to_parquet(folder / "neighbours.parquet", index=False)
    known = items[items.fit_count > 0] if size else items
    angle = np.arange(len(known)).astype(np.float32)
    positions = pd.DataFrame({"item_id": known.item_id, "x": np.cos(angle) * angle, "y": np.sin(angle) * angle})
    positions.reset_index(drop=True).to_parquet(folder / "map.parquet", index=False)
