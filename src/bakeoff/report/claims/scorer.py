"""Claim 7: as a scorer of candidates that were filtered before, the DNN is preferred and its folding does no harm."""

from collections.abc import Mapping

from bakeoff.report import formats
from bakeoff.report.claims.claim import Asked, Expected, Form, Paired, Question, Unknown, Words
from bakeoff.report.claims.folding import positives_only
from bakeoff.report.evidence import Evidence
from bakeoff.report.measured import Planted, Rerank, Skipped, Variant, paired
from bakeoff.report.models import MF, SOFTMAX, model_label
from bakeoff.report.params import ReportParams

SPURIOUS = "spurious@10"
_SPURIOUS = "share of the first 10 that are foreign to the user (spurious@10)"


def ask(evidence: Evidence, params: ReportParams) -> Asked:
    """Re-ranked candidates against MF's own order and the DNN alone; spurious items within the set."""
    return Asked(
        key="scorer",
        title="The DNN as a scorer",
        words="As a scorer of candidates that were filtered before, the DNN is preferred, "
        "and its folding does no harm.",
        section="scorer",
        questions=[
            *_questions(evidence.measured.rerank, params.compare.primary_metric),
            *_planted(evidence.measured.planted),
        ],
    )


def _questions(rerank: Rerank | Skipped, metric: str) -> list[Question]:
    words = Words("over_mf", "The DNN orders candidates better than MF does", "re-ranked candidates", "", "")
    if isinstance(rerank, Skipped):
        return [Unknown(words, rerank.reason)]
    by_name = {system["system"]: system for system in rerank.systems}
    found = [system for system in rerank.systems if system.get("candidates")]
    if not found or not {MF, SOFTMAX} <= set(by_name):
        return [Unknown(words, "No candidates were ranked again.")]
    label = formats.metric_label(metric)
    questions: list[Question] = []
    for system in found:
        name, number = system["system"], formats.count(system["candidates"])
        reranked = f"MF's first {number}, re-ranked"
        own = Words(
            f"over_mf_{system['candidates']}",
            f"The DNN orders {number} candidates of MF better than MF does",
            label,
            reranked,
            model_label(MF),
        )
        alone = Words(
            f"beside_alone_{system['candidates']}",
            f"Little is lost by ranking {number} candidates instead of everything",
            label,
            reranked,
            f"{model_label(SOFTMAX)} alone",
        )
        values = rerank.values(name, metric)
        questions += [
            Paired(own, *paired(values, rerank.values(MF, metric)), Expected.LARGER),
            Paired(alone, *paired(values, rerank.values(SOFTMAX, metric)), Expected.NOT_LOWER),
        ]
    smallest = min(found, key=lambda system: int(system["candidates"]))
    return [*questions, *_harm(rerank, smallest, by_name)]


def _harm(rerank: Rerank, smallest: Variant, by_name: Mapping[str, Variant]) -> list[Question]:
    """Foreign items in the re-ranked lists, beside those of the DNN alone and of MF's own order."""
    number = formats.count(smallest["candidates"])
    reranked = f"MF's first {number}, re-ranked"
    says = {
        SOFTMAX: f"Within {number} candidates it shows fewer foreign items than alone",
        MF: "and hardly more of them than MF's own order: folding does no harm",
    }
    expected = {SOFTMAX: Expected.SMALLER, MF: Expected.NOT_HIGHER}
    return [
        _spurious(
            rerank,
            Words(f"spurious_{rival}", says[rival], _SPURIOUS, reranked, f"{model_label(rival)} alone"),
            (smallest, by_name[rival]),
            expected[rival],
        )
        for rival in (SOFTMAX, MF)
    ]


def _planted(planted: Planted | Skipped) -> list[Question]:
    """The DNN that folds, on planted groups: alone, and within what MF retrieves."""
    within = "off_group_filtered@10"
    if isinstance(planted, Skipped):
        return []
    mf = next((variant for variant in planted.of(MF) if variant["base"]), None)
    folded = positives_only(planted.of(SOFTMAX))
    if mf is None or folded is None:
        return []
    reranked = f"MF's first {formats.count(planted.candidates)}, re-ranked by the DNN without negatives"
    values = planted.values(str(folded["name"]), within)
    alone, own = (planted.values(str(each["name"]), "off_group@10") for each in (folded, mf))
    measured = "foreign items among the first 10 on planted groups (off-group@10)"
    return [
        Paired(
            Words("planted_alone", "A DNN that folds shows fewer foreign items so", measured, reranked, "it alone"),
            *paired(values, alone),
            Expected.SMALLER,
            Form.SHARE,
        ),
        Paired(
            Words("planted_own", "and hardly more than MF's own order", measured, reranked, f"{model_label(MF)} alone"),
            *paired(values, own),
            Expected.NOT_HIGHER,
            Form.SHARE,
        ),
    ]


def _spurious(rerank: Rerank, words: Words, pair: tuple[Variant, Variant], expected: Expected) -> Question:
    first, second = (rerank.values(str(system["system"]), SPURIOUS) for system in pair)
    return Paired(words, *paired(first, second), expected, Form.SHARE)
