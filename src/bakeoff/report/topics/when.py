"""Taste or the session: the claim of taste, on events more than a day after the last known one."""

from functools import partial

from bakeoff.report import formats
from bakeoff.report.accuracy import best
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import MF, SOFTMAX, baselines, model_label
from bakeoff.report.params import ReportParams
from bakeoff.report.slices import LATER, events_by_gap, top_lists, values_on
from bakeoff.report.topics.base.claims import CLAIMS, Paired, Question
from bakeoff.report.topics.base.judge import unknown
from bakeoff.report.topics.base.topic import Page, Topic

CLAIM = CLAIMS["taste"]


def _ask(evidence: Evidence, params: ReportParams) -> list[Question]:
    """A day later, against MF and the best baseline."""
    metric = params.compare.primary_metric
    wording = partial(CLAIM.wording, label=formats.metric_label(metric))
    later = events_by_gap(evidence).get(LATER)
    if later is None:
        return [unknown(wording("later"), "No test event is known to come more than a day after the last known one.")]
    values = values_on(evidence, top_lists(evidence), later, metric)
    baseline = best(baselines(values), values)
    return [
        Paired(wording("later"), values[SOFTMAX], values[MF]),
        Paired(wording("later_baseline", rival=model_label(baseline)), values[SOFTMAX], values[baseline]),
    ]


GROUP, TITLE = "Quality", "Within the session and later"
TOPIC = Topic("when", 120, Page.REPORT, "when", group=GROUP, title=TITLE, claim=CLAIM, ask=_ask)
