from dataclasses import replace

import pandas as pd
import results

from bakeoff.report.accuracy import BaselineComparison
from bakeoff.report.cards import card_markdown
from bakeoff.report.evidence import Evidence
from bakeoff.report.render import gallery
from bakeoff.report.summary import Summary
from bakeoff.report.training import training_figures


def estimates(*best: str) -> pd.DataFrame:
    """One row per name: that model has mean 0.3, the others 0.2."""
    models = ("popularity", "mf", "softmax")
    rows = enumerate(best)
    means = [(f"m{row}@10", model, 0.3 if model == name else 0.2) for row, name in rows for model in models]
    return pd.DataFrame(means, columns=["metric", "model", "mean"]).assign(low=0.1, high=0.4)


def test_the_leader_on_most_metrics_is_named(summary: Summary):
    figure = gallery.accuracy_figure(replace(summary, estimates=estimates("mf", "mf", "softmax")))
    assert figure.sentence.startswith("MF has the highest mean on 2 of 3 metrics.")


def test_a_leader_everywhere_is_said_so(summary: Summary):
    figure = gallery.accuracy_figure(replace(summary, estimates=estimates("softmax", "softmax")))
    assert figure.sentence.startswith("The softmax DNN has the highest mean on every metric.")


def test_models_that_are_level_lead_together(summary: Summary):
    level = estimates("mf", "softmax").assign(mean=0.2)
    figure = gallery.accuracy_figure(replace(summary, estimates=level))
    assert figure.sentence.startswith("Popularity, MF and the softmax DNN have the highest mean on every metric.")


def test_a_curve_that_ends_at_its_limit_is_warned_of(summary: Summary):
    cut = [
        replace(figure, selected_epoch=figure.last_epoch) if figure.model == "mf" else figure
        for figure in summary.training
    ]
    assert "MF stopped at the limit of epochs" in gallery.learning_curves_caption(cut, "ndcg@10")
    assert "limit" not in gallery.learning_curves_caption(summary.training, "ndcg@10")


def test_without_validation_events_no_epoch_is_said_to_be_chosen(summary: Summary, evidence: Evidence):
    training = {"curve": [], "selection_metric": None}
    models = {name: replace(model, training={**model.training, **training}) for name, model in evidence.models.items()}
    found = training_figures(replace(evidence, models=models))
    assert gallery.learning_curves_caption(found, "ndcg@10") == (
        "There are no validation events to choose an epoch on: every model with epochs has the last one."
    )
    [mf] = [figure for figure in found if figure.model == "mf"]
    assert mf.last_epoch == mf.selected_epoch
    card = card_markdown(mf, summary, evidence)
    assert f"**Epoch:** {mf.selected_epoch}, the last one: there are no validation events to choose on\n" in card


def test_the_leader_on_new_users_is_named_by_what_is_known(summary: Summary):
    parts = []
    for part in summary.new_users:
        raised = [1.0 if (model, part.name) == ("mf", "all") else 0.5 for model in part.estimates.model]
        parts.append(replace(part, estimates=part.estimates.assign(mean=raised)))
    assert gallery.all_figures(replace(summary, new_users=parts))["new-users"].sentence.startswith(
        "The highest mean is that of popularity with nothing but features, one interaction and 5 interactions; "
        "MF with all interactions known."
    )


def standing(model: str, difference: float, p: float) -> BaselineComparison:
    found = results.difference(difference, difference - 0.01, difference + 0.01, p)
    return results.standing(model, found, baseline_mean=0.1)


def test_models_are_sorted_by_how_they_stand_beside_the_best_baseline():
    rows = [standing("popularity", -0.05, 0.01), standing("mf", 0.0, 0.8), standing("softmax", 0.05, 0.01)]
    assert gallery.standings_caption(rows) == (
        "EASE is the best of the baselines (0.100). Compared with it, the softmax DNN is better; popularity is worse; "
        "no evidence of a difference for MF."
    )
