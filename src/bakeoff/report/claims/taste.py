"""Claim 9: the DNN captures personal taste better. Claimed only where it holds beyond the session."""

import numpy as np
from numpy.typing import NDArray

from bakeoff.report.claims.claim import Asked, Expected, Paired, Question, Unknown, Words
from bakeoff.report.evidence import Evidence
from bakeoff.report.formats import metric_label
from bakeoff.report.models import CONTENDERS, MF, SOFTMAX, baselines, model_label
from bakeoff.report.params import ReportParams
from bakeoff.report.slices import later_events, top_lists, values_on
from bakeoff.report.vs_baseline import best

SESSION = 3600
"""Seconds: a test event later than this after the last known one is beyond the session."""
_SESSION_WORDS = "events more than an hour after the last known one"
Values = dict[str, NDArray[np.float64]]


def ask(evidence: Evidence, params: ReportParams) -> Asked:
    """Beyond the session, against MF and the best baseline; with shuffled histories; both at once."""
    return Asked(
        key="taste",
        title="Taste, not the session",
        words="The DNN captures personal taste better.",
        section="when",
        decided_by=frozenset({"beyond", "beyond_baseline", "beyond_shuffled"}),
        questions=_questions(evidence, params.compare.primary_metric),
    )


def _questions(evidence: Evidence, metric: str) -> list[Question]:
    label = metric_label(metric)
    shuffled = {name: model.shuffled_users[metric].to_numpy(np.float64) for name, model in evidence.models.items()}
    of_order = _against_mf(
        shuffled,
        "shuffled",
        "It is better where the order of histories is taken away",
        f"{label} with shuffled histories",
    )
    later = later_events(evidence, SESSION)
    says = "It is better beyond the session"
    if later is None or later.empty:
        words = Words("beyond", says, f"{label} on {_SESSION_WORDS}", model_label(SOFTMAX), model_label(MF))
        return [Unknown(words, "No test event is known to come more than an hour after the last known one."), of_order]
    lists = top_lists(evidence, {name: model.lists for name, model in evidence.models.items()})
    shuffled_lists = top_lists(evidence, {name: evidence.models[name].shuffled_lists for name in CONTENDERS})
    ordered = values_on(evidence, lists, later, metric)
    both = values_on(evidence, shuffled_lists, later, metric)
    return [
        _against_mf(ordered, "beyond", says, f"{label} on {_SESSION_WORDS}"),
        _against_baseline(ordered, f"{label} on {_SESSION_WORDS}"),
        of_order,
        _against_mf(
            both,
            "beyond_shuffled",
            "It is better beyond the session without the order",
            f"{label} on {_SESSION_WORDS}, shuffled histories",
        ),
    ]


def _against_mf(values: Values, key: str, says: str, measured: str) -> Question:
    words = Words(key, says, measured, model_label(SOFTMAX), model_label(MF))
    return Paired(words, values[SOFTMAX], values[MF], Expected.LARGER)


def _against_baseline(values: Values, measured: str) -> Question:
    baseline = best(baselines(values), values)
    words = Words(
        "beyond_baseline",
        f"Beyond the session it is better than the best baseline there, {model_label(baseline)}",
        measured,
        model_label(SOFTMAX),
        model_label(baseline),
    )
    return Paired(words, values[SOFTMAX], values[baseline], Expected.LARGER)
