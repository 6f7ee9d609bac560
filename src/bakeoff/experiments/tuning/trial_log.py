"""What is kept of a study: the trials, the best of them, and what they cost."""

from typing import Any

from bakeoff.experiments.tuning.study import Study


def record(study: Study, *, model: str, metric: str, dataset: str, seed: int, timeout: float) -> dict[str, Any]:
    """All that a reader needs to judge the effort, as JSON values.

    `trials` counts those that ran to their end, were pruned or failed; `timeout` is the limit of `wall_seconds`.
    """
    history = study.tried()
    best = study.best()
    states = [trial.state for trial in history]
    return {
        "model": model,
        "dataset": dataset,
        "metric": metric,
        "seed": seed,
        "trials": len(history),
        "pruned": states.count("pruned"),
        "failed": states.count("failed"),
        "wall_seconds": round(study.seconds, 1),
        "timeout": timeout,
        "jobs": study.jobs,
        "best": None if best is None else {"value": best.value, "epoch": best.epoch, "params": best.values},
        "history": [
            {
                "number": trial.number,
                "value": trial.value,
                "state": trial.state,
                "seconds": round(trial.seconds, 2),
                "params": trial.values,
            }
            for trial in history
        ],
    }
