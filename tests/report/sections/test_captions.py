"""What captions, alternatives and tables say is what is drawn."""

from dataclasses import replace

import pandas as pd

from bakeoff.params import Params
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence
from bakeoff.report.measured import Planted, VariantGroup
from bakeoff.report.sections import depth, folding, growth, new_items, strata
from bakeoff.report.summary import Summary

STATISTICS = Statistics(confidence=0.95, resamples=100, seed=1)


def test_captions_of_planted_groups_hold_with_noise_and_with_embeddings_of_any_length(evidence: Evidence):
    planted = evidence.measured.planted
    assert isinstance(planted, Planted)
    _, blocks, places = folding.figures(folding.planted_folding(planted), None)
    for figure in (blocks, places):
        assert not any(words in figure.sentence for words in ("have met", "never meet", "one length"))
    assert "of MF a map of items alone can't show folding" in places.sentence
    assert "matrices of scores above" in places.sentence


def test_on_this_data_foreign_items_are_drawn_and_named_and_folding_is_told_beside(evidence: Evidence, params: Params):
    group = evidence.measured.group("folding")
    assert isinstance(group, VariantGroup)
    found = folding.own_folding(group, params)
    [figure] = folding.figures(None, found)
    assert figure.title == "Foreign items and recall on this data"
    # folding 0.2 / (1 + 10 α₀) and foreign items 0.4 / (1 + α₀): both fall
    assert figure.sentence.endswith(
        "From “α₀ = 0” to “α₀ = 10” foreign items in MF's lists go from 40.0 % to 3.6 %; its folding, which the table "
        "has, goes the same way, from 0.200 to 0.002."
    )
    other = replace(found, frame=found.frame.assign(folding=1 - found.frame.folding))
    assert "goes the other way, from 0.800 to 0.998." in folding.figures(None, other)[0].sentence


def test_baselines_stand_beside_the_towers_in_chart_and_table(evidence: Evidence, params: Params):
    group = evidence.measured.group("depth")
    assert isinstance(group, VariantGroup)
    ease = {**group.variants[0], "name": "ease-shipped", "model": "ease", "num_parameters": 77}
    users = group.users[group.users.variant == group.variants[0]["name"]].assign(variant="ease-shipped")
    users["ndcg@10"] = 0.25
    beside = replace(group, variants=[*group.variants, ease], users=pd.concat([group.users, users]))
    found = depth.depth(beside, params, "ndcg@10", STATISTICS)
    assert found is not None
    figure = depth.figures(found)[0]
    [rows] = figure.spec["datasets"].values()
    assert [(row["x"], row["y"]) for row in rows if row["series"] == "EASE"] == [(x, 0.25) for x in range(4)]
    assert "var(--ease)" in str(figure.spec)
    assert [cell.text for cell in figure.table.rows[-1]] == ["EASE", "0.2500 (0.2500 to 0.2500)", "77"]
    assert figure.alt.endswith("a line per width, a level line per baseline.")
    assert figure.sentence.endswith("Beside them, learned from the same events: 0.250 for EASE.")


def test_towers_alone_have_no_baselines_in_their_words(summary: Summary):
    found = summary.findings.depth
    assert found is not None
    figure = depth.figures(replace(found, beside=found.beside.head(0)))[0]
    assert "baseline" not in figure.alt
    assert "Beside them" not in figure.sentence


def test_growth_names_every_model_that_is_drawn(summary: Summary):
    found = summary.findings.growth
    assert found is not None
    ease = found.sizes[found.sizes.model == "mf"].assign(model="ease", wall=[1.0, 2.0, 3.0, 4.0])
    figure = growth.figures(replace(found, sizes=pd.concat([ease, found.sizes])))[0]
    assert figure.alt.endswith("a line per model.")
    assert "Beside them it is 4.00 s for EASE." in figure.sentence
    assert "Beside them" not in growth.exponent_sentence(found)


def test_new_items_are_found_by_the_two_tower_model_and_not_by_a_table(summary: Summary):
    found = summary.findings.new_items
    assert found is not None
    [figure] = new_items.figures(found)
    assert "The two-tower model has the highest recall@100" in figure.sentence.replace("Recall", "recall")
    assert figure.sentence.endswith("The softmax DNN with a table of items alone has 0.000.")


def test_a_leader_by_activity_is_clear_where_its_interval_lies_above_all_others(summary: Summary):
    rows = [
        ("1–5\n10 users", "MF", 0.3, 0.25, 0.35),
        ("1–5\n10 users", "Softmax DNN", 0.2, 0.15, 0.24),
        ("6–20\n10 users", "MF", 0.2, 0.15, 0.26),
        ("6–20\n10 users", "Softmax DNN", 0.3, 0.25, 0.35),
    ]
    by_user = pd.DataFrame(rows, columns=["group", "series", "mean", "low", "high"])
    [_, shown] = strata.figures(replace(summary.findings.strata, by_user=by_user))
    assert "that of MF with 1–5 and the softmax DNN with 6–20; its interval lies above" in shown.sentence
    assert shown.sentence.endswith("in 1 of 2 groups.")
