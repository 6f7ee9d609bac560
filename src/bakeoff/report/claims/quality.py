"""Claim 10: the DNN ranks better."""

import numpy as np

from bakeoff.evaluation.metrics.table import ACCURACY_LABELS
from bakeoff.params import Params
from bakeoff.report.claims.claim import Asked, Expected, Paired, Question, Words
from bakeoff.report.evidence import Evidence
from bakeoff.report.formats import metric_label
from bakeoff.report.measured import paired
from bakeoff.report.models import MF, SOFTMAX, baselines, model_label
from bakeoff.report.vs_baseline import best


def ask(evidence: Evidence, params: Params) -> Asked:
    """Every metric at every cutoff against MF, the primary one against the best baseline too."""
    primary = params.compare.primary_metric
    values = {name: model.users[primary].to_numpy(np.float64) for name, model in evidence.models.items()}
    baseline = best(baselines(values), values)
    return Asked(
        key="quality",
        title="Quality over all",
        words="The DNN captures the relation of users and items better, and so ranks better.",
        section="accuracy",
        questions=[
            *(_question(evidence, metric, MF, f"vs_mf_{metric}") for metric in _metrics(params)),
            _question(evidence, primary, baseline, "vs_best_baseline"),
        ],
    )


def _metrics(params: Params) -> list[str]:
    """All that are measured: the primary one, the others at its cutoff, then those at other cutoffs."""
    primary = params.compare.primary_metric
    at = int(primary.partition("@")[2])
    cutoffs = [at, *(k for k in params.evaluate.cutoffs if k != at)]
    return [primary, *(m for k in cutoffs for name in ACCURACY_LABELS if (m := f"{name}@{k}") != primary)]


def _question(evidence: Evidence, metric: str, rival: str, key: str) -> Question:
    than = "MF" if rival == MF else f"the best baseline, {model_label(rival)}"
    words = Words(
        key=key,
        says=f"It has a better {metric_label(metric)} than {than}",
        measured=f"{metric_label(metric)} on warm users",
        first=model_label(SOFTMAX),
        second=model_label(rival),
    )
    softmax, other = (evidence.models[name].users.set_index("user_id")[metric] for name in (SOFTMAX, rival))
    return Paired(words, *paired(softmax, other), Expected.LARGER)
