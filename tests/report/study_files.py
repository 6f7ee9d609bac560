"""The files of an invented study: uniform negatives need no correction, popular ones do."""

from typing import Any

QUALITY = {
    ("uniform", True): 0.20,
    ("uniform", False): 0.20,
    ("popularity", True): 0.21,
    ("popularity", False): 0.12,
    ("in-batch", True): 0.22,
    ("in-batch", False): 0.15,
}
BASE = ("in-batch", True)


def variant(sampler: str, corrected: bool, selection: str = "none") -> dict[str, Any]:
    mean = QUALITY[sampler, corrected]
    gap = mean - QUALITY[BASE]
    return {
        "name": f"{sampler}-{corrected}",
        "model": "softmax",
        "label": f"{sampler}, {'corrected' if corrected else 'uncorrected'}",
        "base": (sampler, corrected) == BASE,
        "settings": {
            "softmax.negatives.sampler": sampler,
            "softmax.negatives.selection": selection,
            "softmax.negatives.logq_correction": corrected,
        },
        "selected_epoch": 5,
        "num_parameters": 1000,
        "metrics": {
            "ndcg@10": mean,
            "popularity_lift@10": 0.5 if corrected else -0.2,
            "long_tail_share@10": 0.1,
            "coverage@10": 0.3,
        },
        "new_users": {},
        "folding": {"folding": 0.1 if sampler == "uniform" else 0.3, "spurious@10": 0.25},
        "false_negatives_per_query": None if sampler == "uniform" else 3.5,
        "false_negatives_per_batch": None if sampler == "uniform" else 112.0,
        "metric": "ndcg@10",
        "interval": {"mean": mean, "low": mean - 0.01, "high": mean + 0.01},
        "difference_to_base": {"mean": gap, "low": gap - 0.005 * (gap != 0), "high": gap + 0.005 * (gap != 0)},
    }


def sampling() -> dict[str, Any]:
    variants = [variant(*key) for key in QUALITY]
    full = variant("uniform", True) | {"name": "full", "label": "full softmax"}
    full |= {"false_negatives_per_query": None, "false_negatives_per_batch": None}
    full["settings"] = {"softmax.negatives.sampler": "full", "softmax.negatives.selection": "none"}
    return {
        "group": "sampling",
        "sentence": "Networks with <b>all</b> samplers.",
        "left_out": {"ease": "Too many items."},
        "variants": [*variants, full, other("mf", 0.205), other("popularity", 0.1)],
    }


def other(model: str, mean: float) -> dict[str, Any]:
    """A model that stands beside the softmax DNN."""
    quality = {"mean": mean, "low": mean - 0.01, "high": mean + 0.01}
    named = {"name": f"{model}-shipped", "model": model, "label": "as shipped", "base": True, "settings": {}}
    return variant("uniform", True) | named | {"interval": quality, "false_negatives_per_batch": None}


def cost() -> dict[str, Any]:
    softmax = [each["name"] for each in sampling()["variants"] if each["model"] == "softmax"]
    seconds = {name: {"seconds_per_step": 0.002} for name in softmax}
    return {"wall_seconds": 100.0, "variants": seconds | {"full": {"seconds_per_step": 0.008}}}


def unbiasedness() -> dict[str, Any]:
    kl = {("uniform", True): 0.0005, ("uniform", False): 0.0006, ("in-batch", True): 0.005, ("in-batch", False): 0.8}
    rows = [
        {
            "sampler": sampler,
            "corrected": corrected,
            "kl": value,
            "gradient_error": 2 * value,
            "gradient_cosine": 1 - value / 2,
            "exact_targets": {"kl": value / 10} if corrected else None,
            "reference": 0.0001,
        }
        for (sampler, corrected), value in kl.items()
    ]
    full = rows[0] | {"sampler": "full", "corrected": False, "kl": 0.0, "exact_targets": None, "reference": None}
    return {"world": {"items": 50, "queries": 10}, "samplers": [full, *rows]}


DATASET = {"name": "invented", "title": "Invented <i>shop</i>", "terms": "", "citation": "", "url": ""}
