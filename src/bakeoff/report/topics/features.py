"""New users: the claim that the DNN serves them better, and how much features add to it."""

from collections.abc import Iterator, Mapping
from itertools import cycle

import numpy as np
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence, NotMeasured, Variant, VariantGroup, asked, paired, resolved
from bakeoff.report.models import MF, PALETTE, SOFTMAX, model_label
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Figure, caption
from bakeoff.report.slices import known_interactions, step_label, steps
from bakeoff.report.topics.base.claims import CLAIMS, Paired, Question
from bakeoff.report.topics.base.judge import of_variants, unknown
from bakeoff.report.topics.base.topic import NEW, Named, Page, Topic, estimate_table, estimates

CLAIM = CLAIMS["new_users"]

WARM = "warm users"


def _ask(evidence: Evidence, params: ReportParams) -> list[Question]:
    """New users by the number of their known interactions, then the effect of features."""
    metric = params.compare.primary_metric
    return [*_new_users(evidence, metric), *of_variants(_features(evidence, params, metric), params)]


def _new_users(evidence: Evidence, metric: str) -> list[Question]:
    label = formats.metric_label(metric)
    questions: list[Question] = []
    for first in steps(evidence.models[MF].new_users):
        softmax, mf = (asked(evidence.models[name].new_users, first) for name in (SOFTMAX, MF))
        falls_back = bool(mf.fallback.any())
        known, answers = known_interactions(first), "its fallback" if falls_back else "fold-in"
        words = CLAIM.wording("told_{first}", first=first, known=known, label=label, answers=answers)
        note = "MF can't be asked about a user without a history." if falls_back else ""
        values = paired(softmax.set_index("user_id")[metric], mf.set_index("user_id")[metric])
        questions.append(Paired(words, *values, note=note))
    return questions or [unknown(CLAIM.wording("told", label=label), "The split holds out no new users.")]


def _features(evidence: Evidence, params: ReportParams, metric: str) -> list[Question]:
    """User features for new users without history and for warm users; item features for warm users.

    Features of items are not features of a user, so that part does not decide.
    """
    group = evidence.part("features")
    if isinstance(group, NotMeasured):
        return [unknown(CLAIM.wording("features"), group.reason)]
    label, questions = formats.metric_label(metric), list[Question]()
    for kind, first in (("user", "0"), ("user", ""), ("item", "")):
        key = f"{kind}_features_{'new' if first else 'warm'}"
        words = CLAIM.wording(key, decides=kind == "user", label=label)
        pair = _with_and_without(group, kind, params)
        if pair is None:
            questions.append(unknown(words, f"The data has no features of {kind}s to leave out."))
            continue
        both = (group.new_values(v["name"], first, metric) if first else group.values(v["name"], metric) for v in pair)
        questions.append(Paired(words, *paired(*both)))
    return questions


def _with_and_without(group: VariantGroup, kind: str, params: ReportParams) -> tuple[Variant, Variant] | None:
    """The shipped softmax DNN and the variant that differs only in the features of `kind`, the one with them first.

    None where there is no such variant.
    """
    name = f"softmax.use_{kind}_features"
    shipped = group.base(SOFTMAX)
    other = next((variant for variant in group.of(SOFTMAX) if set(variant["settings"]) == {name}), None)
    if shipped is None or other is None:
        return None
    return (shipped, other) if resolved(shipped, name, params) else (other, shipped)


def by_known(group: VariantGroup, named: Mapping[str, str], metric: str, statistics: Statistics) -> pd.DataFrame:
    """`estimates` of the named variants by the number of known interactions of new users, and over warm users."""
    columns: list[Named] = [
        (f"{step_label(first)} known", label, group.new_values(name, first, metric).to_numpy(np.float64))
        for first in steps(group.new_users)
        for name, label in named.items()
    ]
    columns += [(WARM, label, group.values(name, metric).to_numpy(np.float64)) for name, label in named.items()]
    return estimates(columns, statistics)


def _charts(group: VariantGroup, params: ReportParams, statistics: Statistics) -> Iterator[Figure]:
    """The shipped DNN compared with its variants by what is known of new users and over warm users; with baselines."""
    metric = params.compare.primary_metric
    label = formats.metric_label(metric)
    variants = {v["name"]: str(v["label"]) for v in sorted(group.of(SOFTMAX), key=lambda variant: not variant["base"])}
    compared = {v["name"]: model_label(v["model"]) for v in group.variants if v["model"] != SOFTMAX}
    frame = by_known(group, variants | compared, metric, statistics)
    styles = dict(zip(dict.fromkeys([*variants.values(), *compared.values()]), cycle(PALETTE), strict=False))
    means = {(row.group, row.series): formats.decimal(row.mean, 3) for row in frame.itertuples()}
    shipped, *others = variants.values()
    parts = []
    for users in (next(iter(frame.group)), WARM):
        rivals = [f"{means[users, each]} ({each})" for each in others if (users, each) in means]
        if rivals and (users, shipped) in means:
            parts.append(f"{users}: {means[users, shipped]} ({shipped}), {', '.join(rivals)}")
    baselines = [f"{each} {means[WARM, each]}" for each in compared.values() if (WARM, each) in means]
    yield Figure(
        "features",
        *caption("features", parts=parts, baselines=baselines, warm=WARM),
        spec=series_charts.series_dots(frame, styles, f"{label}, mean over users"),
        table=estimate_table(f"{label} of the softmax DNN with and without features", "Variant", frame),
    )


TOPIC = Topic("features", 210, Page.EVIDENCE, "features", _charts, NEW, "Side features", CLAIM, _ask, "features")
