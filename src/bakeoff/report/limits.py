"""What the figures do not show."""

from collections.abc import Sequence
from dataclasses import dataclass

from bakeoff.report import formats
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import MF, SOFTMAX, baselines, is_order_blind, model_label, model_noun
from bakeoff.report.slices import share_within_an_hour
from bakeoff.report.summary import Summary


@dataclass(frozen=True)
class Limit:
    """A limit in a few words, and what follows from it."""

    title: str
    text: str


def limits_of(summary: Summary, evidence: Evidence) -> Sequence[Limit]:
    """The limits of this comparison, with figures where they depend on the data."""
    return [
        *(Limit(f"{model_label(name)} was left out.", reason) for name, reason in evidence.skipped.items()),
        *_sample(evidence),
        Limit("The models see different data.", _what_is_seen(summary, evidence)),
        Limit("The future of others.", str(evidence.split["weakness"])),
        Limit(
            "One seed.",
            "Every model was trained once. The intervals cover the choice of users, not the randomness of a training "
            "run: train with other seeds before acting on a small difference.",
        ),
        Limit(
            "One data set.",
            f"Results on {evidence.dataset['title']} need not hold for other data or other settings. How hard each "
            f"contender was tuned is shown in {_where_tuning_shows(summary)}.",
        ),
        Limit(
            "Logged behaviour.",
            "An item counts as a hit only if the user came to it without these lists. No log says what people would "
            "have taken had it been shown to them, so models that resemble what was shown are favoured.",
        ),
        Limit(
            "Looking twice.",
            "The test part is fair as long as nobody tunes on it. If you change settings after reading this page, "
            "judge them by validation or on new data.",
        ),
        Limit(
            "Cost is measured once.",
            "Seconds and memory come from one run on one machine, whose processors several trainings may have shared.",
        ),
    ]


def _sample(evidence: Evidence) -> list[Limit]:
    """That the report looks at a sample of the users, if there are too many."""
    model = evidence.models[MF]
    looked_at, asked = len(model.users), int(model.metrics["test"]["num_users"])
    if looked_at == asked:
        return []
    return [
        Limit(
            "A sample of the users.",
            f"Models were asked about {asked:,} users. The verdict, the table of all metrics and the comparison with "
            "the best baseline rest on all of them, and so do lift, coverage and Gini coefficient; every other section "
            f"uses a seeded sample of {looked_at:,} of them (compare.max_users), and at most as many new users.",
        )
    ]


def _what_is_seen(summary: Summary, evidence: Evidence) -> str:
    settings = {name: model.training["settings"] for name, model in evidence.models.items()}
    mf_scale = settings[MF].get("recency_scale")
    mf = (
        "MF sees a set of items and nothing else."
        if mf_scale is None
        else f"MF sees the items in their order, its fold-in weighs the item at lag l by exp(−l/{mf_scale:g}), and "
        "has no place for features."
    )
    tables = [table for table in ("user", "item") if settings[SOFTMAX].get(f"use_{table}_features", True)]
    features = f" and the features of {' and '.join(f'{table}s' for table in tables)}" if tables else ""
    order = "a history as a set" if is_order_blind(SOFTMAX, settings[SOFTMAX]) else "the order of a history, its timing"
    text = f"The softmax DNN reads {order}{features}; {mf}{_what_baselines_see(summary)}"
    if not summary.slices:
        return text
    share = formats.percent(share_within_an_hour(summary.slices), 0)
    return (
        f"{text} Since {share} of the test events come within an hour of the last known one, part of a lead may be the "
        "continuation of a session instead of a better model of taste; the slices by time show how much."
    )


def _what_baselines_see(summary: Summary) -> str:
    shown = baselines(summary.models)
    blind = [model_noun(name) for name in shown if name in summary.order_blind]
    reading = [model_noun(name) for name in shown if name not in summary.order_blind]
    text = (
        f" Of the baselines {formats.listing(blind)} {'is' if len(blind) == 1 else 'are'} blind to order"
        if blind
        else ""
    )
    if reading:
        weighs = "weighs" if len(reading) == 1 else "weigh"
        text += (
            f"{', while' if text else ' Of the baselines'} {formats.listing(reading)} {weighs} the latest items most"
        )
    return f"{text}." if text else ""


def _where_tuning_shows(summary: Summary) -> str:
    return "the section on tuning" if summary.searches else "the parameters below"
