"""Claim 7: as a scorer of candidates that were filtered before, the DNN is preferred and its folding does no harm."""

from collections.abc import Mapping

from bakeoff.params import Params
from bakeoff.report import formats
from bakeoff.report.claims.claim import Asked, Expected, Form, Once, Paired, Question, Unknown, Words
from bakeoff.report.evidence import Evidence
from bakeoff.report.measured import Rerank, Skipped, Variant, figure, paired
from bakeoff.report.models import MF, SOFTMAX, model_label

SPURIOUS = "spurious@10"
_SPURIOUS = "share of the first 10 that are foreign to the user (spurious@10)"


def ask(evidence: Evidence, params: Params) -> Asked:
    """Re-ranked candidates against MF's own order and the DNN alone; spurious items within the set."""
    return Asked(
        key="scorer",
        title="The DNN as a scorer",
        words="As a scorer of candidates that were filtered before, the DNN is preferred, "
        "and its folding does no harm.",
        section="scorer",
        questions=_questions(evidence.measured.rerank, params.compare.primary_metric),
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


def _spurious(rerank: Rerank, words: Words, pair: tuple[Variant, Variant], expected: Expected) -> Question:
    if SPURIOUS in rerank.users:
        first, second = (rerank.values(str(system["system"]), SPURIOUS) for system in pair)
        return Paired(words, *paired(first, second), expected, Form.SHARE)
    one, other = (figure(system, SPURIOUS) for system in pair)
    return Once(words, one, other, expected, Form.SHARE)
