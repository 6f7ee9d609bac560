"""Claim 1: features and new users are easy for the DNN and not for MF."""

from bakeoff.report import formats
from bakeoff.report.claims.caveats import of_variants
from bakeoff.report.claims.claim import Asked, Expected, Paired, Question, Unknown, Words
from bakeoff.report.evidence import Evidence
from bakeoff.report.measured import Skipped, paired
from bakeoff.report.models import MF, SOFTMAX, model_label
from bakeoff.report.new_users import asked, steps, told
from bakeoff.report.params import ReportParams
from bakeoff.report.variants import with_and_without_features

NEW, WARM = "new users, told nothing else", "warm users, whose history it knows"


def ask(evidence: Evidence, params: ReportParams) -> Asked:
    """New users by what is told of them, then what features add."""
    metric = params.compare.primary_metric
    questions = [*_new_users(evidence, metric), *of_variants(_features(evidence, params, metric), params)]
    return Asked(
        key="new_users",
        title="Side features and new users",
        words="Features of the user have a natural place in the DNN and none in MF, so new users are easy for the DNN "
        "and hard for MF.",
        section="new-users",
        questions=questions,
        # What items are is no feature of a user.
        decided_by=frozenset(each.words.key for each in questions) - {"item_features_warm"},
    )


def _new_users(evidence: Evidence, metric: str) -> list[Question]:
    label = formats.metric_label(metric)
    questions: list[Question] = []
    for first in steps(evidence):
        words = Words(
            key=f"told_{first}",
            says=f"Told {told(first)}, the DNN serves new users better",
            measured=f"{label} on users held out whole",
            first=model_label(SOFTMAX),
            second=f"{model_label(MF)}, {'its fallback' if _falls_back(evidence, first) else 'fold-in'}",
        )
        softmax, mf = (asked(evidence.models[name].new_users, first) for name in (SOFTMAX, MF))
        note = "MF can't be asked about a user without a history." if _falls_back(evidence, first) else ""
        values = paired(softmax.set_index("user_id")[metric], mf.set_index("user_id")[metric])
        questions.append(Paired(words, *values, Expected.LARGER, note=note))
    if questions:
        return questions
    words = Words("told", "The DNN serves new users better", f"{label} on new users", "", "")
    return [Unknown(words, "The split holds out no new users.")]


def _features(evidence: Evidence, params: ReportParams, metric: str) -> list[Question]:
    """User features where nothing else is known and where a history is; item features with a history."""
    group = evidence.measured.group("features")
    asked_for = [("user", "0", NEW), ("user", "", WARM), ("item", "", WARM)]
    if isinstance(group, Skipped):
        return [Unknown(Words("features", "Features help the DNN", "", "", ""), group.reason)]
    questions: list[Question] = []
    for kind, first, users in asked_for:
        words = Words(
            key=f"{kind}_features_{'new' if first else 'warm'}",
            says=f"Features of {kind}s help the DNN with {users}",
            measured=f"{formats.metric_label(metric)} on {users}",
            first=f"with {kind} features",
            second="without",
        )
        pair = with_and_without_features(group, kind, params)
        if pair is None:
            questions.append(Unknown(words, f"The data has no features of {kind}s to leave out."))
            continue
        with_them, without = (
            group.new_values(v["name"], first, metric) if first else group.values(v["name"], metric) for v in pair
        )
        questions.append(Paired(words, *paired(with_them, without), Expected.LARGER))
    return questions


def _falls_back(evidence: Evidence, first: str) -> bool:
    return bool(asked(evidence.models[MF].new_users, first).fallback.any())
