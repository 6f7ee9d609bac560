"""Claim 4: the DNN is less drawn to popular items."""

from bakeoff.params import Params
from bakeoff.report.claims.claim import Asked, Expected, Form, Once, Paired, Question, Words
from bakeoff.report.evidence import Evidence
from bakeoff.report.measured import figure, paired
from bakeoff.report.models import MF, SOFTMAX, model_label


def ask(evidence: Evidence, params: Params) -> Asked:
    """How popular the lists are, and how much of the catalogue they reach."""
    k = int(params.compare.primary_metric.partition("@")[2])
    return Asked(
        key="popularity",
        title="Popularity",
        words="Popular items tend to win the dot product of MF; the DNN is less drawn to them.",
        section="popularity",
        questions=[
            _per_user(evidence, _words("arp", "The DNN recommends less popular items", _ARP.format(k=k)), f"arp@{k}"),
            _per_user(
                evidence,
                _words("long_tail", "It recommends more of the long tail", f"share of lists of {k} in the long tail"),
                f"long_tail_share@{k}",
                Expected.LARGER,
                Form.SHARE,
            ),
            _lists(
                evidence, _words("coverage", "Its lists reach more of the catalogue", f"Coverage@{k}"), f"coverage@{k}"
            ),
            _lists(
                evidence,
                _words("gini", "Its places are shared more evenly among items", f"Gini@{k} of the places in lists"),
                f"gini@{k}",
                Expected.SMALLER,
                Form.NUMBER,
            ),
        ],
    )


_ARP = "interactions in training of the items in lists of {k} (the numerator of popularity lift)"


def _words(key: str, says: str, measured: str) -> Words:
    return Words(key, says, measured, model_label(SOFTMAX), model_label(MF))


def _per_user(
    evidence: Evidence,
    words: Words,
    column: str,
    expected: Expected = Expected.SMALLER,
    form: Form = Form.COUNT,
) -> Question:
    softmax, mf = (evidence.models[name].users.set_index("user_id")[column] for name in (SOFTMAX, MF))
    return Paired(words, *paired(softmax, mf), expected, form)


def _lists(
    evidence: Evidence,
    words: Words,
    name: str,
    expected: Expected = Expected.LARGER,
    form: Form = Form.SHARE,
) -> Question:
    softmax, mf = (figure(evidence.models[model].metrics["test"], name) for model in (SOFTMAX, MF))
    return Once(words, softmax, mf, expected, form, repeats="of all lists together")
