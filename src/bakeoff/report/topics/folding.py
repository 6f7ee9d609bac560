"""Folding: the claim about it, and recall compared with folding on planted groups and on the data itself."""

from collections.abc import Callable

from bakeoff.report.evidence import Evidence, HasVariants, NotMeasured, Variant, notes_on
from bakeoff.report.formats import metric_label
from bakeoff.report.models import MF, SOFTMAX, model_label
from bakeoff.report.params import ReportParams
from bakeoff.report.topics.base.claims import CLAIMS, RULES, Expected, Form, Question, Words
from bakeoff.report.topics.base.judge import of_variants, on_users, unknown
from bakeoff.report.topics.base.topic import LEARN, Page, Topic
from bakeoff.report.topics.folding_figures import draw_folding, measure_folding, own_weight, planted_weight

CLAIM = CLAIMS["folding"]

FORMS = {"folding": Form.NUMBER, "spurious@10": Form.SHARE}
ZERO, OWN_GROUP = "MF with weight 0", "own group"
"""Names in claims.toml of a variant of MF and of one of the softmax DNN, compared with the shipped ones.

Without any negatives a DNN can only be broken, so that no part rests on that."""


def _ask(evidence: Evidence, params: ReportParams) -> list[Question]:
    """On planted groups, where relatedness is known, then on the data itself, where it is estimated."""
    planted, own = evidence.measured.planted, evidence.measured.group("folding")
    k = params.evaluate.cutoffs[0]
    on_own = _questions(own, "own", k, lambda variant: own_weight(variant, params))
    on_planted = _questions(planted, "planted", 10, planted_weight)
    return [*on_planted, *of_variants(on_own, params)]


def _questions(
    measured: HasVariants | NotMeasured, where: str, k: int, weight: Callable[[Variant], float]
) -> list[Question]:
    """The parts of claims.toml whose variants were trained; the others only where they have a reason."""
    rules = RULES["folding"]
    if isinstance(measured, NotMeasured):
        key, says, what, *_ = rules[where][0]
        return [unknown(Words(key, says, what), measured.reason)]
    variants = {
        ZERO: next((variant for variant in measured.of(MF) if weight(variant) == 0), None),
        OWN_GROUP: measured.own_group_only(),
        **{name: measured.base(name) for name in (MF, SOFTMAX)},
    }
    named = {name: text.format(softmax=model_label(SOFTMAX)) for name, text in rules[f"{where}_sides"].items()}
    named |= {ZERO: ZERO, OWN_GROUP: str((variants[OWN_GROUP] or {}).get("label", ""))}
    questions: list[Question] = []
    for key, says, what, first, second, name, expected, reason in rules[where]:
        metric, measures = name.format(k=k), what.format(recall=metric_label(f"recall@{k}"))
        words = Words(key, says, measures, named[first], named[second])
        pair = [variants[first], variants[second]]
        names = [str(variant["name"]) for variant in pair if variant is not None]
        if len(names) == len(pair):
            form = FORMS.get(metric, Form.METRIC)
            questions.append(on_users(measured, words, (names[0], names[1]), metric, Expected(expected), form))
        elif reason:
            questions.append(unknown(words, reason))
    return questions


def _notes(evidence: Evidence) -> list[str]:
    """How the planted groups were made and scores calibrated, then how the variants were trained."""
    planted = evidence.measured.planted
    on_planted = (
        [planted.reason]
        if isinstance(planted, NotMeasured)
        else [str(planted.notes.get(name) or "") for name in ("sentence", "calibration")]
    )
    return [*on_planted, *notes_on(evidence.measured.group("folding"))]


TOPIC = Topic(
    "folding", 310, Page.EVIDENCE, "folding", measure_folding, draw_folding, LEARN, "Folding", CLAIM, _ask, notes=_notes
)
