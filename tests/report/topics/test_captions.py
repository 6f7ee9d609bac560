"""Captions, alternative texts and tables agree with what is drawn."""

from dataclasses import replace

import pandas as pd
from topic_parts import figures_of, group_of, rows_of, with_group, with_measured

from bakeoff.params import Params
from bakeoff.report.evidence import Evidence, NotMeasured
from bakeoff.report.formats import count
from bakeoff.report.render.figure import Figure
from bakeoff.report.topics import costs, depth, folding, popularity, quality


def test_captions_of_planted_groups_hold_with_noise_and_with_embeddings_of_any_length(figures: dict[str, Figure]):
    blocks, places = figures["planted-blocks"], figures["planted-map"]
    for figure in (blocks, places):
        assert not any(words in figure.sentence for words in ("have met", "never meet", "one length"))
    assert "a map of items alone can't show the folding of MF" in places.sentence
    assert "matrices of scores above" in places.sentence


def test_on_this_data_foreign_items_are_drawn_and_named_and_the_sentence_names_folding_too(
    evidence: Evidence, params: Params
):
    alone = with_measured(evidence, planted=NotMeasured("Not here."))
    [figure] = figures_of(folding.TOPIC, alone, params)
    assert figure.title == "Foreign items and recall on this data"
    assert figure.sentence.startswith("Share of foreign items among the first 10: MF goes from ")
    assert "; the softmax DNN goes from " in figure.sentence
    # folding 0.2 / (1 + 10 α₀) and foreign items 0.4 / (1 + α₀): both fall
    assert figure.sentence.endswith(
        "From “α₀ = 0” to “α₀ = 10” foreign items in MF's lists go from 40.0 % to 3.6 %; its folding, which the table "
        "has, goes the same way, from 0.200 to 0.002."
    )
    group = group_of(alone, "folding")
    turned = [{**v, "folding": {**v["folding"], "folding": 1 - v["folding"]["folding"]}} for v in group.variants]
    [other] = figures_of(folding.TOPIC, with_group(alone, "folding", replace(group, variants=turned)), params)
    assert "goes the other way, from 0.800 to 0.998." in other.sentence


def test_baselines_are_compared_with_the_towers_in_chart_and_table(evidence: Evidence, params: Params):
    group = group_of(evidence, "depth")
    ease = {**group.variants[0], "name": "ease-shipped", "model": "ease", "num_parameters": 77}
    users = group.users[group.users.variant == group.variants[0]["name"]].assign(variant="ease-shipped")
    users["ndcg@10"] = 0.25
    changed = replace(group, variants=[*group.variants, ease], users=pd.concat([group.users, users]))
    figure, *_ = figures_of(depth.TOPIC, with_group(evidence, "depth", changed), params)
    assert [(row["x"], row["y"]) for row in rows_of(figure) if row["series"] == "EASE"] == [(x, 0.25) for x in range(4)]
    assert "var(--ease)" in str(figure.spec)
    assert [cell.text for cell in figure.table.rows[-1]] == ["EASE", "0.2500 (0.2500 to 0.2500)", "77"]
    assert figure.alt.endswith("a line per width, a level line per baseline.")
    assert figure.sentence.endswith("For comparison, learned from the same events: 0.250 for EASE.")


def test_towers_alone_have_no_baselines_in_their_words(evidence: Evidence, params: Params):
    group = group_of(evidence, "depth")
    towers = replace(group, variants=group.of("softmax"))
    figure, *_ = figures_of(depth.TOPIC, with_group(evidence, "depth", towers), params)
    assert "baseline" not in figure.alt
    assert "For comparison" not in figure.sentence


def test_growth_names_every_model_that_is_drawn(evidence: Evidence, params: Params, figures: dict[str, Figure]):
    measured = evidence.part("growth")
    assert not isinstance(measured, NotMeasured)
    mf = [row for row in measured["sizes"] if row["model"] == "mf"]
    ease = [{**row, "model": "ease", "cpu_seconds": float(place)} for place, row in enumerate(mf, start=1)]
    changed = with_measured(evidence, growth={**measured, "sizes": [*ease, *measured["sizes"]]})
    figure, *_ = figures_of(costs.GROWTH, changed, params)
    assert figure.alt.endswith("a line per model.")
    assert "For comparison, EASE takes 4.00 s." in figure.sentence
    assert "For comparison" not in figures["growth"].sentence


def test_costs_are_said_of_what_was_measured_and_of_nothing_else(evidence: Evidence, params: Params):
    measured = evidence.part("growth")
    assert not isinstance(measured, NotMeasured)
    untimed = dict.fromkeys(("full_step_seconds", "sampled_step_seconds"))
    largest = [row | (untimed if row["items"] == 10**6 else {}) for row in reversed(measured["catalogues"])]
    smaller = [row | {"events": row["events"] // 2} for row in measured["sizes"]]
    events = max(row["events"] for row in smaller)
    changed = with_measured(evidence, growth={**measured, "sizes": smaller, "catalogues": largest})
    by_size, by_catalogue = figures_of(costs.GROWTH, changed, params)
    assert by_size.sentence.startswith(f"On {count(events)} events MF takes")
    assert by_catalogue.sentence.startswith(f"With {count(10**5)} items a step with the full softmax takes")
    none = with_measured(evidence, growth={**measured, "catalogues": [row | untimed for row in largest]})
    *_, figure = figures_of(costs.GROWTH, none, params)
    assert figure.sentence.startswith("No step was timed with both")


def test_new_items_are_found_by_the_two_tower_model_and_not_by_a_table(figures: dict[str, Figure]):
    figure = figures["new-items"]
    assert "The two-tower model has the highest capped recall@100" in figure.sentence
    assert figure.sentence.endswith("The softmax DNN with a table of items alone has 0.000.")


def test_the_most_popular_tenth_is_named_only_where_it_has_test_items(evidence: Evidence, params: Params):
    tenth = evidence.events.item_id.map(popularity.popularity_group(evidence.items))
    rare = replace(evidence, events=evidence.events[(evidence.events.part != "test") | (tenth > 1)])
    [figure] = figures_of(popularity.TOPIC, rare, params)
    assert figure.sentence.startswith("No test item is in the most popular tenth. Of the 9 other tenths the DNN has")


def test_the_leader_of_each_group_of_users_is_named():
    rows = [
        ("1–5\n10 users", "MF", 0.3, 0.25, 0.35),
        ("1–5\n10 users", "Softmax DNN", 0.2, 0.15, 0.24),
        ("6–20\n10 users", "MF", 0.2, 0.15, 0.26),
        ("6–20\n10 users", "Softmax DNN", 0.3, 0.25, 0.35),
    ]
    by_user = pd.DataFrame(rows, columns=["group", "series", "mean", "low", "high"])
    shown = quality.activity_chart(by_user, "ndcg@10", ["mf", "softmax"])
    assert shown.sentence.endswith("that of MF with 1–5 and the softmax DNN with 6–20.")
