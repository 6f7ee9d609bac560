"""The JSON files of an invented workspace: training, cost, validation, split, data set."""

import json
from pathlib import Path
from typing import Any

import pandas as pd


def write_json(values: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")


def write_training(root: Path, model: str, scale: int) -> None:
    epochs = {"popularity": 0, "mf": 8, "softmax": 15}[model]
    curve = [
        {
            "epoch": e,
            "loss": 5 / e,
            "valid_ndcg@10": {"mf": 0.2, "softmax": 0.25}[model] - 0.15 / e - 0.001 * e,
            "valid_recall@20": 0.3 - 0.1 / e,
        }
        for e in range(1, epochs + 1)
    ]
    fallback = "the most popular items, since it has no vector for someone without a history" if model == "mf" else None
    write_json(
        {
            "model": model,
            "dim": 1 if model == "popularity" else 64,
            "selected_epoch": {"popularity": None, "mf": 6, "softmax": 12}[model],
            "selection_metric": None if model == "popularity" else "ndcg@10",
            "num_parameters": {"popularity": 150, "mf": 13_440, "softmax": 48_123}[model],
            "num_train_events": 1500,
            "fallback": fallback,
            "curve": curve,
            "refit_curve": [{"epoch": point["epoch"], "loss": point["loss"]} for point in curve[:6]],
            "settings": {"dim": 64},
            "notes": {},
        },
        root / "models" / model / "training.json",
    )
    factor = {"popularity": 0.02, "mf": 1.0, "softmax": 4.1}[model]
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
    write_json(cost | training, root / "artifacts/cost" / f"train_{model}.json")
    write_json(
        cost | {"ranking_seconds": 0.2, "ranked_queries": 100},
        root / "artifacts/cost" / f"evaluate_{model}.json",
    )


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
        root / "reports/validation.json",
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
        root / "reports/split.json",
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
    (root / "data.dvc").write_text(
        "outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  size: 4242\n  hash: md5\n  path: data\n"
    )
