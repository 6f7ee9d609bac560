"""The JSON files of an invented workspace: training, cost, validation, split, data set."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from bakeoff.data.params import SplitParams

DATA_HASH = "0123456789abcdef0123456789abcdef.dir"


def write_json(values: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")


EPOCHS = {"mf": (8, 6, 0.2), "softmax": (15, 12, 0.25), "two_tower": (12, 9, 0.23)}
"""Epochs that were tried, the chosen one, and the height of the curve."""
PARAMETERS = {"popularity": 150, "recent_popularity": 150, "ease": 22_500, "mf": 13_440, "softmax": 48_123}
COST = {"popularity": 0.02, "recent_popularity": 0.03, "ease": 0.3, "mf": 1.0, "softmax": 4.1, "two_tower": 4.9}
SAMPLED = {"softmax": 0.0123, "two_tower": 0.0345}
"""Share of candidate pairs that the mask caught."""


def write_training(root: Path, model: str, scale: int) -> None:
    epochs, chosen, height = EPOCHS.get(model, (0, None, 0.0))
    curve = [
        {
            "epoch": e,
            "loss": 5 / e,
            "valid_ndcg@10": height - 0.15 / e - 0.001 * e,
            "valid_recall@20": 0.3 - 0.1 / e,
        }
        for e in range(1, epochs + 1)
    ]
    fallback = "the most popular items, since it has no vector for someone without a history" if model == "mf" else None
    write_json(
        {
            "model": model,
            "dim": 64 if model in EPOCHS else 1,
            "selected_epoch": chosen,
            "selection_metric": "ndcg@10" if epochs else None,
            "num_parameters": PARAMETERS.get(model, 61_000),
            "num_train_events": 1500,
            "fallback": fallback,
            "curve": curve,
            "refit_curve": [{"epoch": point["epoch"], "loss": point["loss"]} for point in curve[:6]],
            "settings": search_record(model)["best"]["params"] if model in EPOCHS else {"recency_scale": 6.0},
            "notes": {"masked_false_negatives_share": SAMPLED[model]} if model in SAMPLED else {},
        },
        root / "artifacts/training" / f"{model}.json",
    )
    factor = COST[model]
    cost = {
        "wall_seconds": 4.7 * factor,
        "cpu_seconds": 8.1 * factor,
        "peak_memory_bytes": 650_000_000 + scale,
    }
    training = {
        "selection_seconds": 2.6 * factor,
        "refit_seconds": 1.4 * factor,
        "seconds_per_epoch": 0.3 * factor,
    }
    write_json(cost | training, root / "artifacts/cost" / f"train/{model}.json")
    write_json(
        cost | {"ranking_seconds": 0.2, "ranked_queries": 100},
        root / "artifacts/cost" / f"evaluate/{model}.json",
    )


def search_record(model: str, *, trials: int = 20, wall_seconds: float = 600.0, dataset: str = "invented") -> Any:
    """A search whose values climb, with every fourth trial pruned and one failed."""
    height = EPOCHS[model][2]
    states = ["failed" if n == 5 else "pruned" if n % 4 == 3 else "complete" for n in range(trials)]
    values = [
        height - 0.1 / (n + 1) - 0.02 * (n % 3) if state == "complete" else None for n, state in enumerate(states)
    ]
    best = max(range(trials), key=lambda n: values[n] or 0.0)
    params = [{"learning_rate": 0.001 * (n + 1), "dim": 32 * (1 + n % 3)} for n in range(trials)]
    return {
        "model": model,
        "trials": trials,
        "pruned": states.count("pruned"),
        "failed": states.count("failed"),
        "wall_seconds": wall_seconds,
        "seed": 42,
        "dataset": dataset,
        "data": DATA_HASH,
        "split": SplitParams().model_dump(mode="json"),
        "metric": "ndcg@10",
        "best": {"value": values[best], "epoch": 7, "params": params[best]},
        "history": [
            {"number": n, "value": values[n], "state": states[n], "seconds": 30.0, "params": params[n]}
            for n in range(trials)
        ],
    }


def write_search(root: Path, model: str) -> None:
    write_json(search_record(model), root / "tuning" / f"{model}.json")


def write_reports(root: Path, events: pd.DataFrame, items: pd.DataFrame) -> None:
    def table(rows: int, reasons: dict[str, int]) -> dict[str, Any]:
        bad = sum(reasons.values())
        expectations = [
            {
                "expectation": f"{reason} must not occur",
                "severity": "warning",
                "success": False,
                "unexpected": n,
            }
            for reason, n in reasons.items()
        ]
        return {
            "rows": rows + bad,
            "valid": rows,
            "quarantined": bad,
            "share": bad / (rows + bad),
            "reasons": reasons,
            "expectations": [
                {"expectation": "ids are not empty", "severity": "warning", "success": True, "unexpected": 0},
                *expectations,
            ],
        }

    write_json(
        {
            "success": True,
            "tables": {
                "interactions": table(len(events), {"rating off the scale": 2, "the same event twice": 1}),
                "users": table(events.user.nunique(), {}),
                "items": table(len(items), {}),
            },
            "messages": [],
        },
        root / "artifacts/checks/validation.json",
    )
    warm = events[~events.is_new]
    write_json(
        {
            "method": "user-temporal",
            "promises": [
                {"promise": "train, validation and test share no event", "success": True, "unexpected": 0},
                {
                    "promise": "no test event is older than a train event of its user",
                    "success": True,
                    "unexpected": 0,
                },
            ],
            "weakness": "A model may see what others did after the moment at which it is asked.",
            "sizes": {
                **{part: int((warm.part == part).sum()) for part in ("train", "valid", "test")},
                "new_users": int(events[events.is_new].user.nunique()),
                "warm_users": int(warm.user.nunique()),
                "items": len(items),
                "new_user_events": int(events.is_new.sum()),
            },
            "success": True,
        },
        root / "artifacts/checks/split.json",
    )
    write_json(
        {
            "name": "invented",
            "title": "Invented <i>shop</i>",
            "terms": "Made up for tests; free of any claim.",
            "citation": "Nobody (2024). Nothing.",
            "url": "https://example.org/invented",
        },
        root / "data/dataset.json",
    )
    (root / "data.dvc").write_text(f"outs:\n- md5: {DATA_HASH}\n  size: 4242\n  hash: md5\n  path: data\n")
