"""Claim 3: training on positives alone folds; MF folds less, and the weight of unobserved pairs tunes it."""

from collections.abc import Sequence

from bakeoff.report.claims.caveats import of_variants
from bakeoff.report.claims.claim import Asked, Expected, Form, Paired, Question, Unknown, Words
from bakeoff.report.evidence import Evidence
from bakeoff.report.formats import metric_label
from bakeoff.report.measured import Planted, Skipped, Variant, VariantGroup, paired
from bakeoff.report.models import MF, SOFTMAX, model_label
from bakeoff.report.params import ReportParams
from bakeoff.report.variants import extremes_by_weight, weight

ZERO = "MF with weight 0"
SHIPPED = "MF as shipped"
DNN = f"{model_label(SOFTMAX)} as shipped"
PLANTED_SHIPPED = "MF with the shipped weight"
PLANTED_DNN = f"{model_label(SOFTMAX)} with the shipped negatives"
"""Of what is shipped planted groups leave no more: the town has its own dimensions, rates and epochs."""
_PLANTED = "on planted groups"
_OWN = "on this data"
_FOREIGN = "foreign items among the first 10 (spurious@10)"
FOLDING, SPURIOUS = "folding", "spurious@10"


def ask(evidence: Evidence, params: ReportParams) -> Asked:
    """On planted groups, where relatedness is known, then on the data itself, where it is estimated."""
    return Asked(
        key="folding",
        title="Folding",
        words="Trained without negatives, groups of items that never meet land on top of each other. MF folds less, "
        "and the weight of unobserved pairs tunes it; sampled negatives repair the DNN.",
        section="folding",
        questions=[*_planted(evidence.measured.planted), *of_variants(_own(evidence, params), params)],
    )


def positives_only(variants: Sequence[Variant]) -> Variant | None:
    """The softmax variant that sees no negatives from other groups."""
    return next((v for v in variants if "positive" in str(v["name"]) or "own" in str(v["name"])), None)


def _planted(planted: Planted | Skipped) -> list[Question]:
    zero_folds = Words("planted_weight", "With weight 0 MF folds", f"folding {_PLANTED}", ZERO, PLANTED_SHIPPED)
    if isinstance(planted, Skipped):
        return [Unknown(zero_folds, planted.reason)]
    mf, softmax = planted.of(MF), planted.of(SOFTMAX)
    ends = extremes_by_weight([(float(v["unobserved_weight"]), v) for v in mf if v["unobserved_weight"] is not None])
    questions: list[Question] = []
    if ends is None:
        questions.append(Unknown(zero_folds, "MF was not trained with weight 0."))
    else:
        measured = f"{metric_label('recall@10')} {_PLANTED}"
        recall = Words("planted_recall", "while its recall hardly falls", measured, ZERO, PLANTED_SHIPPED)
        questions += [
            _asked(planted, zero_folds, *ends, FOLDING, Expected.LARGER),
            _asked(planted, recall, *ends, "recall@10", Expected.NOT_LOWER),
        ]
    base = next((v for v in softmax if v["base"]), None)
    folded = positives_only(softmax)
    repaired = Words(
        "planted_negatives",
        "Negatives repair the DNN",
        f"folding {_PLANTED}",
        PLANTED_DNN,
        str((folded or {}).get("label", "")),
    )
    if base is None or folded is None:
        questions.append(Unknown(repaired, "The DNN was not trained without negatives of other groups."))
    else:
        questions.append(_asked(planted, repaired, base, folded, FOLDING, Expected.SMALLER))
    shipped_mf = next((v for v in mf if v["base"]), None)
    if base is not None and shipped_mf is not None:
        sides = (PLANTED_SHIPPED, PLANTED_DNN)
        less = Words("planted_mf", "MF folds less than the DNN", f"folding {_PLANTED}", *sides)
        questions.append(_asked(planted, less, shipped_mf, base, FOLDING, Expected.SMALLER))
    return questions


def _own(evidence: Evidence, params: ReportParams) -> list[Question]:
    group = evidence.measured.group("folding")
    zero_folds = Words("own_weight", "With weight 0 MF folds", f"folding {_OWN}", ZERO, SHIPPED)
    if isinstance(group, Skipped):
        return [Unknown(zero_folds, group.reason)]
    ends = extremes_by_weight([(weight(variant, params), variant) for variant in group.of(MF)])
    questions: list[Question] = []
    if ends is None:
        questions.append(Unknown(zero_folds, "MF was not trained with weight 0."))
    else:
        shown = Words("own_weight_shown", "and shows foreign items", f"{_FOREIGN} {_OWN}", ZERO, SHIPPED)
        questions += [
            _asked(group, zero_folds, *ends, FOLDING, Expected.LARGER),
            _asked(group, shown, *ends, SPURIOUS, Expected.LARGER),
            _own_recall(group, *ends, params),
        ]
    return [*questions, *_own_dnn(group)]


def _own_dnn(group: VariantGroup) -> list[Question]:
    """The shipped DNN beside one that sees no negatives, and beside MF."""
    mf, softmax = group.base(MF), group.base(SOFTMAX)
    folded = positives_only(group.of(SOFTMAX))
    questions: list[Question] = []
    if softmax is not None and folded is not None:
        repaired = Words("own_negatives", "Negatives repair the DNN", f"{_FOREIGN} {_OWN}", DNN, str(folded["label"]))
        questions.append(_asked(group, repaired, softmax, folded, SPURIOUS, Expected.SMALLER))
    if mf is not None and softmax is not None:
        less = Words("own_mf", "MF folds less than the DNN", f"folding {_OWN}", SHIPPED, DNN)
        shown = Words("own_mf_shown", "and shows fewer foreign items", f"{_FOREIGN} {_OWN}", SHIPPED, DNN)
        questions.append(_asked(group, less, mf, softmax, FOLDING, Expected.SMALLER))
        questions.append(_asked(group, shown, mf, softmax, SPURIOUS, Expected.SMALLER))
    return questions


def _own_recall(group: VariantGroup, zero: Variant, shipped: Variant, params: ReportParams) -> Paired:
    metric = f"recall@{params.evaluate.cutoffs[0]}"
    words = Words("own_recall", "while its recall hardly falls", f"{metric_label(metric)} on warm users", ZERO, SHIPPED)
    return _asked(group, words, zero, shipped, metric, Expected.NOT_LOWER)


def _asked(
    measured: Planted | VariantGroup, words: Words, first: Variant, second: Variant, metric: str, expected: Expected
) -> Paired:
    """Two variants on the users of whom both have the figure."""
    form = {FOLDING: Form.NUMBER, SPURIOUS: Form.SHARE}.get(metric, Form.METRIC)
    values = paired(measured.values(str(first["name"]), metric), measured.values(str(second["name"]), metric))
    return Paired(words, *values, expected, form)
