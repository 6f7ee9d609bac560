import json
import re
from math import nan
from typing import Any

import pytest
from study_files import BASE, DATASET, cost, sampling, unbiasedness

from bakeoff.report.render.pages import glossary
from bakeoff.report.render.study_page import study_charts, study_html
from bakeoff.report.study import CORRECTED, NEITHER, OTHER_MODEL, UNCORRECTED, SamplingStudy, read_study


@pytest.fixture(scope="module")
def shown() -> SamplingStudy:
    return read_study(sampling(), cost(), unbiasedness(), DATASET)


@pytest.fixture(scope="module")
def html(shown: SamplingStudy) -> str:
    return study_html(shown)


def said(shown: SamplingStudy, key: str) -> str:
    """What the page says of one of its charts."""
    return next(figure.sentence for figure in study_charts(shown) if figure.key == key)


def test_each_variant_is_in_the_series_of_its_correction(shown: SamplingStudy):
    assert {(row.pool, row.series) for row in shown.trained.itertuples()} >= {
        ("uniform", CORRECTED),
        ("uniform", UNCORRECTED),
        ("full softmax", NEITHER),
    }


def test_a_selection_is_part_of_the_name_of_the_pool():
    hard = sampling()
    hard["variants"][0]["settings"]["softmax.negatives.selection"] = "hard"
    assert read_study(hard, cost(), unbiasedness(), DATASET).trained.pool[0] == "hard among uniform"


def test_the_best_variant_and_the_differences_to_the_shipped_one_are_counted(shown: SamplingStudy):
    assert BASE == ("in-batch", True)
    assert said(shown, "quality").startswith(
        "In-batch, with logQ correction, has the highest mean of the softmax DNN (0.2200; these are the shipped"
    )
    # every other variant lies below the shipped one, with an interval that leaves out 0
    assert "0 of 6 variants are better and 6 worse" in said(shown, "quality")


def test_what_seeds_do_not_show_is_neither_better_nor_worse():
    several = sampling()
    for each in several["variants"]:
        gap = each["difference_to_base"]["mean"]
        each["seeds"] = [each["interval"]["mean"] + change for change in (-0.01, 0.0, 0.01)]
        # By its users every other variant is worse; by seeds only those that are far behind.
        reach = 0.05
        each["difference_over_seeds"] = {"low": gap - reach, "high": gap + reach}
    found = read_study(several, cost(), unbiasedness(), DATASET)
    assert found.trained.spread.tolist() == pytest.approx([0.01] * 7)
    assert (found.trained.seeds == 3).all()
    # 0.12 and 0.15 of 0.22
    wanted = "over users and over 3 seeds, each taken by itself, 0 of 6 variants are better and 2 worse"
    assert wanted in said(found, "quality")
    assert study_html(found).count("0.0100") >= 7


def test_other_models_are_shown_and_not_counted_as_variants(shown: SamplingStudy, html: str):
    assert [(row.pool, row.series, row.base) for row in shown.others.itertuples()] == [
        ("model: MF", OTHER_MODEL, False),
        ("model: popularity", OTHER_MODEL, False),
    ]
    # 0.20 twice, 0.12, 0.15 and the full softmax's 0.20 lie below MF
    assert (
        "For comparison: MF (0.2050, above 5 of the DNN's 7 means) and "
        "popularity (0.1000, above 0 of the DNN's 7 means). The "
    ) in said(shown, "quality")
    assert (
        html.count('"group": "model: MF"') == html.count(">model: MF</") == 3
    )  # charts of quality, lift, folding; tables


def test_a_study_of_the_softmax_dnn_alone_has_nothing_beside_it():
    alone = sampling()
    alone["variants"] = [each for each in alone["variants"] if each["model"] == "softmax"]
    found = read_study(alone, cost(), unbiasedness(), DATASET)
    assert "For comparison" not in said(found, "quality")
    assert "other model" not in study_html(found)


def test_a_model_that_was_left_out_is_named_with_the_reason(html: str):
    assert "Not asked: EASE. Too many items." in html


def test_what_the_correction_gains_is_told_of_the_pools_tried_both_ways(shown: SamplingStudy):
    # popularity +0.09, in-batch +0.07, uniform 0
    assert said(shown, "quality").endswith(
        ". The correction raises the mean NDCG@10 for 2 of 3 pools; it matters most for popularity (+0.0900)."
    )


def test_each_chart_is_told_what_the_correction_does_to_what_it_shows(shown: SamplingStudy, html: str):
    below = dict(re.findall(r'<h3 id="(quality|lift)-title">.*?<figcaption>(.*?)</figcaption>', html, re.DOTALL))
    assert "raises the mean NDCG@10" in below["quality"]
    assert "NDCG" not in below["lift"]
    # 50 % with the correction and −20 % without, of every sampler; other models have 50 %
    assert said(shown, "lift") == (
        "The correction raises the popularity lift for 3 of 3 pools; the largest change is that of uniform, from −20 % "
        "to +50 %. Without it, items that a sampler draws often are pushed down. For comparison: MF (+50 %) and "
        "popularity (+50 %)."
    )


def test_without_measured_lift_nothing_is_said_of_it():
    unmeasured = sampling()
    for each in unmeasured["variants"]:
        each["metrics"] = {}
    assert said(read_study(unmeasured, cost(), unbiasedness(), DATASET), "lift").endswith("was not measured.")


def test_who_folds_most_and_least_is_told_with_their_accuracy(shown: SamplingStudy):
    assert "folds most, 0.300, and uniform (with logQ correction) least, 0.100" in said(shown, "folding")


def test_the_time_of_a_step_is_compared(shown: SamplingStudy):
    assert said(shown, "steps").startswith(
        "A step takes from 2.0 ms (uniform) to 8.0 ms (full softmax), 4.0 times as long"
    )


def test_without_measured_cost_there_is_still_a_page():
    unmeasured = read_study(sampling(), {}, unbiasedness(), DATASET)
    assert said(unmeasured, "steps") == "The time of a step was not measured."
    assert "<h1>" in study_html(unmeasured)


def test_without_folding_there_is_still_a_page():
    unmeasured = sampling()
    for variant in unmeasured["variants"]:
        variant["folding"] = None
    found = read_study(unmeasured, cost(), unbiasedness(), DATASET)
    assert said(found, "folding") == "Folding was not measured."
    assert "<h1>" in study_html(found)


def test_the_worst_bias_is_told_with_and_without_correction(shown: SamplingStudy):
    text = said(shown, "kl")
    assert "with logQ correction at most 0.0050 nats (in-batch)" in text
    assert "without correction at most 0.8000 nats (in-batch)" in text
    assert "the full softmax ends at 0.0001" in text


def said_where(kl: dict[tuple[str, bool], float]) -> str:
    """What is said of unbiasedness where training ended so far from the truth, by sampler and correction."""
    like: dict[str, Any] = unbiasedness()["samplers"][1]
    rows = [like | {"sampler": name, "corrected": corrected, "kl": end} for (name, corrected), end in kl.items()]
    return said(read_study(sampling(), cost(), {"samplers": rows}, DATASET), "kl")


def test_the_uniform_sampler_is_said_to_need_the_correction_only_where_it_ends_far_off_without():
    near, far = said_where({("uniform", True): 0.002, ("uniform", False): 0.02}), ("uniform", False)
    assert "The uniform sampler ends at 0.0200 without correction and 0.0020 with it." in near
    assert "Even the uniform" not in near
    assert "Even the uniform" in said_where({("uniform", True): 0.002, far: 0.03})
    assert "niform sampler" not in said_where({far: 0.03})


def test_top_k_selection_is_no_part_of_what_correction_achieves():
    text = said_where({("top-k", True): 0.39, ("top-k", False): 0.45, ("hard", True): 0.002})
    assert "with logQ correction at most 0.0020 nats (hard)" in text
    assert "without correction at most" not in text
    assert text.startswith("At convergence, apart from top-k selection, the distance")
    assert "Top-k selection ends at 0.3900 with logQ correction and 0.4500 without correction: " in text
    assert "Top-k" not in said_where({("hard", True): 0.002})


def test_without_figures_of_samplers_nothing_is_said_of_convergence():
    assert said_where({("uniform", True): nan}) == "No sampler was trained to convergence."


def test_every_term_of_the_study_is_linked_and_explained(html: str):
    explained = set(re.findall(r'<dt id="term-([^"]+)"', html))
    assert explained == set(re.findall(r'href="#term-([^"]+)"', html))
    assert {"logq", "kl", "folding", "spurious", "in-batch", "top-k"} <= explained <= set(glossary(["mf", "softmax"]))


def test_the_metric_of_another_study_is_explained():
    recall = sampling()
    for each in recall["variants"]:
        each["metric"] = "recall@20"
    html = study_html(read_study(recall, cost(), unbiasedness(), DATASET))
    assert 'href="#term-recall"' in html
    assert "term-ndcg" not in html


def test_the_full_softmax_stands_among_the_samplers_with_nothing_to_correct(shown: SamplingStudy, html: str):
    full = shown.converged.iloc[0]
    assert (full.pool, full.series, full.kl) == ("full softmax", NEITHER, 0.0)
    assert "0.00005" in html  # a tenth of the uniform sampler's 0.0005: with exact targets


def test_every_chart_has_its_words_and_its_table_in_a_page_of_less_than_two_megabytes(html: str):
    keys = json.loads(html.partition('id="specs">')[2].partition("</script>")[0]).keys()
    assert keys == {"quality", "lift", "folding", "steps", "kl"}
    for key in keys:
        assert re.search(rf'id="chart-{key}" role="img" aria-label="[^"]+"', html)
        assert f'id="table-{key}-caption"' in html
    assert len(html.encode()) < 2_000_000


def test_markup_in_the_files_is_text(html: str):
    assert "Invented &lt;i&gt;shop&lt;/i&gt;" in html
    assert "&lt;b&gt;all&lt;/b&gt;" in html


def test_the_same_files_give_the_same_bytes(html: str, shown: SamplingStudy):
    assert study_html(shown) == html
