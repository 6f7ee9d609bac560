"""What the figures do not show, said where they are shown."""

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


def limits(summary: Summary, evidence: Evidence) -> Sequence[Limit]:
    """The limits of this comparison, those that depend on the data with their figures."""
    return [
        *(Limit(f"{model_label(name)} was left out.", reason) for name, reason in evidence.skipped.items()),
        *_sample(evidence),
        Limit("The models do not see the same.", _what_is_seen(summary, evidence)),
        Limit("The future of others.", str(evidence.split["weakness"])),
        Limit(
            "One seed.",
            "Every model was trained once. The intervals cover the choice of users and not the luck of a "
            "training run: train with other seeds before acting on a small difference.",
        ),
        Limit(
            "One data set.",
            f"What is found on {evidence.dataset['title']} need not hold elsewhere; nor need it hold for "
            f"other settings: how hard each contender was tuned shows in {_where_tuning_shows(summary)}.",
        ),
        Limit(
            "Logged behaviour.",
            "An item counts as a hit only if the user came to it without these lists. What people would "
            "have taken had it been shown to them, no log can say; models close to what was shown then are "
            "favoured.",
        ),
        Limit(
            "Looking twice.",
            "The test part is fair as long as nobody tunes on it. Whoever changes settings after reading "
            "this page should judge by validation, or by new data.",
        ),
        Limit(
            "Cost is measured once.",
            "Seconds and memory are those of one run on one machine; the trainings may have shared its processors.",
        ),
    ]


def _sample(evidence: Evidence) -> list[Limit]:
    """That not all users were looked at, where there were too many."""
    model = evidence.models[MF]
    looked_at, asked = len(model.users), int(model.metrics["test"]["num_users"])
    if looked_at == asked:
        return []
    return [
        Limit(
            "A sample of the users.",
            f"Models were asked about {asked:,} users. The verdict, the table of all metrics and the models beside the "
            "best baseline rest on all of them, and so do lift, coverage and Gini coefficient; every other section "
            f"looks at a seeded sample of {looked_at:,} of them (compare.max_users), and at as many new users at most.",
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
        f"{text} With {share} of the test events within an hour of the last known one, part of a lead may "
        "be the continuation of a session instead of a better idea of taste; the slices by time tell how "
        "much."
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
