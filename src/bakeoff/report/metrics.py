"""The figures as numbers in nested dicts, for `dvc metrics`."""

import math
from collections.abc import Sequence
from typing import Any

from bakeoff.report.checks import SCORES
from bakeoff.report.evidence import Evidence
from bakeoff.report.slices import spans
from bakeoff.report.summary import Summary
from bakeoff.report.topics.base.claims import Claim, ClaimOutcome

DIGITS = 6
"""Significant digits that are written; further digits differ from machine to machine."""


def metrics(summary: Summary, evidence: Evidence) -> dict[str, Any]:
    """A block per model, differences, standings, new users, the verdict and its checks; only finite numbers."""
    tree: dict[str, Any] = {name: dict(model.metrics["test"]) for name, model in evidence.models.items()}
    for estimate in summary.estimates:
        tree[estimate.model][estimate.metric] = estimate.mean
    for part in summary.slices:
        for estimate in part.estimates:
            tree[estimate.model].setdefault("time_since_last_event", {})[part.name] = {estimate.metric: estimate.mean}
    names = ("mean", "low", "high", "p", "p_holm")
    differences = {d.metric: {name: getattr(d, name) for name in names} for d in summary.differences}
    tree["difference"] = {"softmax_vs_mf": differences}
    tree["best_baseline"] = {}
    for standing in summary.standings:
        tree["best_baseline"].setdefault(standing.baseline, {})[standing.model] = standing.to_metrics()
    tree["new_users"] = {}
    for figure in summary.new_users:
        means = {estimate.metric: estimate.mean for estimate in figure.estimates}
        tree["new_users"].setdefault(figure.model, {})[figure.first] = means
    if summary.slices:
        tree["time_since_last_event"] = {span.name: span.to_metrics() for span in spans(summary.slices)}
    for name, model in evidence.models.items():
        tree[name] |= {way: dict(model.metrics[way]) for way in ("shuffled", "sampled") if way in model.metrics}
    tree["verdict"] = summary.result.to_metrics()
    tree["checks"] = {check.number: SCORES[check.state] for check in summary.checks}
    return _numbers(tree)


OUTCOMES = {ClaimOutcome.HELD: 1, ClaimOutcome.NONE: 0, ClaimOutcome.IN_PART: 0, ClaimOutcome.NOT: -1}
"""Outcome of a part → number: held, no evidence, did not hold."""


def claim_metrics(claims: Sequence[Claim]) -> dict[str, Any]:
    """`claims` → claim → part → its figures and its outcome; without measured costs, which differ from run to run."""
    found = {
        claim.key: {
            part.words.key: {
                **{name: getattr(part, name) for name in ("first", "second", "difference", "low", "high")},
                "p_holm": part.p,
                "outcome": OUTCOMES[part.outcome],
            }
            for part in claim.parts
            if not part.is_cost
        }
        for claim in claims
        if not all(part.is_cost for part in claim.parts)
    }
    return _numbers({"claims": found})


def _numbers(tree: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            kept[key] = _numbers(value)
        elif isinstance(value, int):
            kept[key] = value
        elif value is not None and math.isfinite(value):
            kept[key] = float(f"{value:.{DIGITS}g}")
    return kept
