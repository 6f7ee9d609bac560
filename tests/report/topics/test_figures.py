"""The figures of each topic, on invented evidence."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic import NOISE
from topic_parts import STATISTICS, figures_of, group_of, rows_of, with_group, with_measured

from bakeoff.params import Params
from bakeoff.report.evidence import Evidence, NotMeasured, VariantGroup
from bakeoff.report.render.figure import Figure
from bakeoff.report.series_charts import label_sides
from bakeoff.report.summary import Summary
from bakeoff.report.topics import candidates, cold_start, costs, depth, folding, quality
from bakeoff.report.topics.base.topic import Page, section_notes


def test_recall_by_tenth_of_the_catalogue_counts_the_hits_there(figures: dict[str, Figure]):
    """Popularity recommends the most popular items alone: it finds nothing of the least popular tenth."""
    recalls = {row["x"]: row["y"] for row in rows_of(figures["by-item"]) if row["series"] == "Popularity"}
    assert recalls["10"] == 0
    assert recalls["1"] > 0.5


def test_every_user_is_in_one_bucket_of_activity(figures: dict[str, Figure], summary: Summary):
    labels = {row["group"] for row in rows_of(figures["by-user"])}
    assert sum(int(label.split("\n")[1].split()[0]) for label in labels) == summary.result.num_users


@pytest.mark.parametrize(("known", "bucket"), [(1, "1–5"), (5, "1–5"), (6, "6–20"), (20, "6–20"), (101, "> 100")])
def test_a_user_falls_into_the_bucket_of_what_is_known(evidence: Evidence, known: int, bucket: str):
    models = {
        name: replace(model, users=model.users.assign(num_history=known)) for name, model in evidence.models.items()
    }
    frame = quality.by_activity(replace(evidence, models=models), "ndcg@10", STATISTICS)
    assert {label.split("\n")[0] for label in frame.group} == {bucket}


def test_features_are_shown_per_step_and_for_warm_users(figures: dict[str, Figure]):
    rows = rows_of(figures["features"])
    groups = list(dict.fromkeys(row["group"] for row in rows))
    assert groups == ["none known", "1 known", "5 known", "all known", cold_start.WARM]
    assert rows[0]["series"] == "as shipped"


def test_planted_variants_keep_groups_and_order_mf_by_weight(figures: dict[str, Figure], evidence: Evidence):
    planted = evidence.part("planted")
    assert isinstance(planted, VariantGroup)
    variants = [row[1].text for row in figures["folding-planted"].table.rows]
    assert variants[:2] == ["α₀ = 0", "α₀ = 1.03 (shipped)"]
    assert len(figures["planted-map"].panels) == len(planted.variants)
    for panel in figures["planted-map"].panels.values():
        [rows] = panel["datasets"].values()
        assert {row["group"] for row in rows} == {"group 1", "group 2", "group 3", "group 4"}


def test_groups_that_are_apart_have_a_ratio_above_one(figures: dict[str, Figure]):
    table = figures["planted-map"].table
    ratios = {row[0].text: float(row[3].text) for row in table.rows}
    assert ratios["MF, α₀ = 0"] < 1 < ratios["MF, α₀ = 1.03"]


def test_scores_of_users_of_a_planted_group_are_shown_by_group_of_items(figures: dict[str, Figure], evidence: Evidence):
    planted = evidence.part("planted")
    assert isinstance(planted, VariantGroup)
    figure = figures["planted-blocks"]
    assert len(figure.panels) == len(planted.variants)
    rows = {row[0].text: (row[1].text, row[2].text) for row in figure.table.rows}
    assert rows["MF, α₀ = 0"] == ("0.900", "0.300")
    assert "Softmax DNN, positives only scores items of other groups highest: 0.450 on average" in figure.sentence


def test_own_folding_leaves_out_what_was_not_measured(evidence: Evidence, params: Params):
    group = group_of(evidence, "folding")
    without = replace(group, variants=[{**group.variants[0], "folding": None}, *group.variants[1:]])
    *_, own = figures_of(folding.TOPIC, with_group(evidence, "folding", without), params)
    assert own.key == "folding-own"
    assert len(own.table.rows) == len(group.variants) - 1


def test_a_tower_without_hidden_layers_starts_the_line_of_every_width(figures: dict[str, Figure]):
    rows = rows_of(figures["depth"])
    towers = [row for row in rows if "units" in row["series"]]
    starts = [row["series"] for row in towers if row["x"] == 0]
    assert starts == list(dict.fromkeys(starts))
    assert set(starts) == {row["series"] for row in towers}
    assert len(figures["depth"].table.rows) == 7


def test_unmeasured_costs_of_towers_leave_no_chart_of_them(evidence: Evidence, params: Params):
    unmeasured = replace(group_of(evidence, "depth"), cost={})
    found = figures_of(depth.TOPIC, with_group(evidence, "depth", unmeasured), params)
    assert [figure.key for figure in found] == ["depth"]


def test_systems_are_named_by_what_they_do(figures: dict[str, Figure]):
    assert [row[0].text for row in figures["scorer"].table.rows] == [
        "MF alone",
        "Softmax DNN alone",
        "Popularity alone",
        "EASE alone",
        "MF's first 100, re-ranked",
        "MF's first 500, re-ranked",
    ]


def test_growth_names_the_exponent_and_the_factor(figures: dict[str, Figure]):
    by_size, by_catalogue = figures["growth"], figures["catalogues"]
    assert "to the power of 0.70 (0.60 to 0.78)" in by_size.sentence
    assert "of CPU time, growing as" in by_size.sentence
    assert "333 times as long" in by_catalogue.sentence


def test_growth_without_exponents_or_catalogues_still_says_what_was_measured(evidence: Evidence, params: Params):
    measured = evidence.part("growth")
    assert not isinstance(measured, NotMeasured)
    alone = with_measured(evidence, growth={**measured, "exponents": {}, "catalogues": []})
    [figure] = figures_of(costs.GROWTH, alone, params)
    assert "xponent" not in figure.sentence.replace("An exponent of 1 is growth in step", "")


def test_serving_shows_users_batches_and_histories(figures: dict[str, Figure]):
    figure = figures["serving"]
    rows = rows_of(figure)
    assert list(dict.fromkeys(row["group"] for row in rows)) == [
        "1 known user",
        "256 known users",
        "1 stored user",
        "256 stored users",
        "1 history",
    ]
    assert {row["model"] for row in rows if row["group"] == "1 stored user"} == {"mf"}
    assert "1.1 ms against 2.8 ms for 1 known user" in figure.sentence
    assert "computed beforehand MF takes 800 µs for 1 stored user and 7.0 ms for 256 stored users." in figure.sentence


def test_flips_are_pairs_that_both_ways_order_strictly_and_differently():
    frame = pd.DataFrame(
        {"model": list("abc"), "full": [0.3, 0.2, 0.1], "sampled": [0.5, 0.6, 0.5], "full_rank": [1, 2, 3]}
    )
    # b passes a among samples; a and c are level there, which is no flip
    assert candidates.flipped(frame) == [("a", "b")]


def with_values(evidence: Evidence, name: str, full: float, among: float, spread: float) -> Evidence:
    """The model with these means on the whole catalogue and among samples."""
    model = evidence.models[name]
    noise = np.random.default_rng(8).normal(0, spread, len(model.sampled))
    noise -= noise.mean()
    figures = {"full_ndcg@10": full + noise, "ndcg@10": among - noise}
    changed = replace(model, sampled=model.sampled.assign(**figures))
    return replace(evidence, models={**evidence.models, name: changed})


@pytest.mark.parametrize(("spread", "is_sure"), [(0.001, True), (5.0, False)])
def test_a_flip_is_told_with_both_differences_and_whether_they_are_beyond_chance(
    evidence: Evidence, params: Params, spread: float, is_sure: bool
):
    changed = with_values(with_values(evidence, "mf", 0.9, 0.7, spread), "softmax", 0.8, 0.8, 0.0)
    only = replace(changed, models={name: changed.models[name] for name in ("mf", "softmax")})
    ranking = candidates.sampled_ranking(only, "ndcg@10", STATISTICS)
    assert ranking is not None
    [flip] = ranking[1]
    assert (flip.first, flip.second) == ("mf", "softmax")
    assert flip.full.mean == pytest.approx(0.1)
    assert flip.sampled.mean == pytest.approx(-0.1)
    [figure] = figures_of(candidates.SAMPLED, only, params)
    told = figure.sentence
    assert "puts MF before the softmax DNN (+0.1000, " in told
    assert ("not beyond chance" in told) != is_sure


def test_users_without_a_figure_of_one_ranking_are_left_out_of_both(evidence: Evidence):
    model = evidence.models["mf"]
    full = np.where(np.arange(len(model.sampled)) == 0, np.nan, 0.25)
    changed = replace(model, sampled=model.sampled.assign(**{"full_ndcg@10": full}))
    models = {**evidence.models, "mf": changed}
    ranking = candidates.sampled_ranking(replace(evidence, models=models), "ndcg@10", STATISTICS)
    assert ranking is not None
    rows = ranking[0].set_index("model")
    assert rows.full["mf"] == 0.25
    other = evidence.models["softmax"].sampled.iloc[1:]
    assert rows.sampled["softmax"] == pytest.approx(other["ndcg@10"].mean())


def test_a_primary_metric_that_is_not_sampled_has_no_chart(evidence: Evidence, params: Params):
    """Sampled metrics are NDCG, MRR and hit rate in the first 10, whatever the verdict rests on."""
    longer = params.model_copy(update={"compare": params.compare.model_copy(update={"primary_metric": "ndcg@20"})})
    assert figures_of(candidates.SAMPLED, evidence, longer) == []


def test_no_flip_is_said_so(evidence: Evidence, params: Params):
    level = with_values(with_values(evidence, "mf", 0.9, 0.9, 0.0), "softmax", 0.8, 0.8, 0.0)
    only = replace(level, models={name: level.models[name] for name in ("mf", "softmax")})
    [figure] = figures_of(candidates.SAMPLED, only, params)
    assert figure.sentence.startswith("Both ways give the same order")


def test_overlap_is_the_share_of_a_list_that_another_holds(evidence: Evidence):
    shares = quality.overlap(evidence, 10)
    assert np.diag(shares) == pytest.approx(np.ones(len(NOISE)))
    first = evidence.models["mf"].lists.query("rank <= 10").groupby("user_id").item_id.agg(set)
    second = evidence.models["softmax"].lists.query("rank <= 10").groupby("user_id").item_id.agg(set)
    expected = np.mean([len(first[user] & second[user]) / 10 for user in first.index])
    names = list(evidence.models)
    assert shares[names.index("mf"), names.index("softmax")] == pytest.approx(expected)


def test_sections_say_why_they_have_nothing(evidence: Evidence):
    groups = dict.fromkeys(("features", "new-items", "folding", "depth"), NotMeasured("No features."))
    skipped = with_measured(evidence, **groups, growth=NotMeasured("Growth was not measured."))
    assert section_notes(skipped, Page.EVIDENCE)["depth"] == ["No features."]
    assert section_notes(skipped, Page.EVIDENCE)["growth"] == ["Growth was not measured."]


def test_models_that_were_not_asked_about_new_items_are_named(evidence: Evidence):
    group = group_of(evidence, "new-items")
    left_out = replace(group, notes={**group.notes, "left_out": {"ease": "Too many items."}})
    assert (
        section_notes(with_group(evidence, "new-items", left_out), Page.EVIDENCE)["new-items"][-1]
        == "Not asked: EASE. Too many items."
    )


def test_labels_never_cover_one_another_and_large_marks_choose_first():
    crowd = pd.DataFrame(
        {"label": ["a", "b", "c", "d"], "x": [0.1] * 4, "y": [0.5] * 4, "emphasis": [False] * 3 + [True]}
    )
    assert label_sides(crowd) == ["below", "", "", "above"]


def test_labels_leave_large_marks_free_and_need_more_room_on_a_phone():
    side_by_side = pd.DataFrame(
        {"label": ["shipped", "other"], "x": [0.5, 1.0], "y": [0.5, 0.47], "emphasis": [True, False]}
    )
    assert label_sides(side_by_side.assign(x=[1.0, 1.0])) == ["above", "below"]
    assert label_sides(side_by_side) == ["above", "above"]
    assert label_sides(side_by_side, 60) == ["above", "below"]


def test_labels_with_room_all_stand_above():
    apart = pd.DataFrame({"label": ["a", "b"], "x": [0.01, 0.9], "y": [0.5, 0.5], "emphasis": [False, False]})
    assert label_sides(apart) == ["above", "above"]
