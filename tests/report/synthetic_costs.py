"""Invented costs: training as the data grows, steps as the catalogue grows, answers of exported models."""

from pathlib import Path

from synthetic_reports import write_json


def write_growth(root: Path) -> None:
    sizes = [
        {
            "model": model,
            "share": share,
            "users": int(800 * share),
            "items": 1600,
            "events": int(70_000 * share),
            "fit_seconds": start + slope * share**power,
            "seconds_per_epoch": 0.1,
            "cpu_seconds": 1.1 * (start + slope * share**power),
            "peak_memory_bytes": 6e8,
        }
        for model, start, slope, power in (("mf", 0.05, 0.5, 0.8), ("softmax", 0.5, 20.0, 1.0))
        for share in (0.125, 0.25, 0.5, 1.0)
    ]
    slopes = {"mf": (0.7, 0.6, 0.78), "softmax": (0.95, 0.88, 1.02)}
    exponents = {
        model: {
            "cpu": {"exponent": slope, "low": low, "high": high},
            "memory": None,
        }
        for model, (slope, low, high) in slopes.items()
    }
    catalogues = [
        {
            "items": n,
            "full_step_seconds": n * 1e-6,
            "full_step_seconds_low": 0.9 * n * 1e-6,
            "full_step_seconds_high": 1.2 * n * 1e-6,
            "sampled_step_seconds": 2e-3 + n * 1e-9,
            "sampled_step_seconds_low": 1.9e-3 + n * 1e-9,
            "sampled_step_seconds_high": 2.2e-3 + n * 1e-9,
            "repeats": 20,
        }
        for n in (10_000, 100_000, 1_000_000)
    ]
    measured = {"wall_seconds": 9.0, "cpu_seconds": 9.0, "peak_memory_bytes": 5e8}
    write_json(
        {**measured, "sizes": sizes, "exponents": exponents, "catalogues": catalogues},
        root / "artifacts/cost/growth.json",
    )


ENDS = (("low", 0.9), ("high", 1.1))


def answers(p50: float, p95: float, calls: int) -> dict[str, float]:
    ends = {
        f"{name}_{end}": by * value for name, value in (("p50_seconds", p50), ("p95_seconds", p95)) for end, by in ENDS
    }
    return {"p50_seconds": p50, "p95_seconds": p95, "calls": calls} | ends


def write_serving(root: Path) -> None:
    factor = {"popularity": 0.3, "recent_popularity": 0.3, "ease": 2.0, "mf": 1.0, "softmax": 2.5, "two_tower": 2.6}
    models = {
        model: {
            "batches": {
                "1": answers(8e-4 * f, 1.1e-3 * f, 200),
                "256": answers(7e-3 * f, 9e-3 * f, 80),
            },
            "history": {"1": answers(9e-4 * f, 1.2e-3 * f, 200)},
            "model_bytes": int(1e6 * f),
            "num_items": 1600,
            "dim": 64,
            "precomputed": f"Vectors of known users, for {model}.",
        }
        for model, f in factor.items()
    }
    models["mf"]["stored"] = {"1": answers(6e-4, 8e-4, 200), "256": answers(5e-3, 7e-3, 80)}
    measured = {"wall_seconds": 9.0, "cpu_seconds": 9.0, "peak_memory_bytes": 5e8}
    write_json({**measured, "models": models}, root / "artifacts/cost/serving.json")
