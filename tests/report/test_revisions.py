from collections.abc import Mapping
from dataclasses import replace

import pytest
from versions import compared, version

from bakeoff.ops.revisions import command as revision_sheet
from bakeoff.ops.revisions.revisions import Revisions, differing_settings

FLAT = {"mf": [0.1] * 40, "softmax": [0.2] * 40}
RAISED = FLAT | {"mf": [0.3] * 40}


def test_a_difference_is_the_second_version_minus_the_first_on_the_same_users():
    before = version("a", {"mf": [0.1, 0.2, 0.3]}, ids=["x", "y", "z"])
    after = version("b", {"mf": [0.9, 0.4, 0.2]}, ids=["z", "y", "x"])
    [change] = compared(before, after).primary
    # x +0.1, y +0.2, z +0.6
    assert change.difference.mean == pytest.approx(0.3)
    assert (change.before, change.after) == (pytest.approx(0.2), pytest.approx(0.5))


def test_users_of_one_version_only_are_left_out_of_the_pairs_and_this_is_said():
    before = version("a", {"mf": [0.1, 0.2]}, ids=["x", "y"])
    after = version("b", {"mf": [0.4, 0.5]}, ids=["y", "z"])
    found = compared(before, after)
    assert found.primary[0].difference.num_users == 1
    assert found.primary[0].difference.mean == pytest.approx(0.2)
    assert any("Paired over the 1 users" in note for note in revision_sheet.remarks(found)[1:])


def test_models_that_differ_in_their_users_do_not_shorten_each_other():
    before = version("a", {"mf": [0.1, 0.2], "softmax": [0.1, 0.1]})
    after = version("b", {"mf": [0.1, 0.2], "softmax": [0.3, 0.3]})
    shorter = replace(after, users=after.users | {"softmax": after.users["softmax"].head(1)})
    counts = {change.model: change.difference.num_users for change in compared(before, shorter).primary}
    assert counts == {"mf": 2, "softmax": 1}


def test_a_version_has_the_headline_that_its_own_report_had():
    said = "No verdict yet: the contenders were not tuned on this data"
    found = compared(version("a", FLAT), replace(version("b", FLAT), headline=said))
    assert revision_sheet.verdicts(found) == [("b", said)]


def test_the_same_values_for_every_user_are_called_the_same():
    found = compared(version("a", FLAT), version("b", FLAT))
    assert revision_sheet.revisions_headline(found) == "Every user has the same NDCG@10 in both"
    assert {row[-1].text for row in revision_sheet.accuracy_table(found).rows} == {"the same"}


def unpaired(before: Mapping[str, list[float]], after: Mapping[str, list[float]], *lost: str) -> Revisions:
    """Two versions of which the second has no figures per user of the models in `lost`."""
    whole = version("b", after)
    users = {model: table for model, table in whole.users.items() if model not in lost}
    return compared(version("a", before), replace(whole, users=users))


def test_the_same_values_of_some_models_say_nothing_of_those_that_could_not_be_paired():
    found = unpaired(FLAT, FLAT | {"softmax": [0.3] * 40}, "softmax")
    said = "Every user of MF has the same NDCG@10 in both; of the softmax DNN (+0.1000) only the means can be compared"
    assert revision_sheet.revisions_headline(found) == said
    assert f"{said}. An interval that contains 0" in revision_sheet.pages(found)["html"]


def test_no_evidence_and_a_better_model_speak_for_those_that_were_paired_alone():
    before, after = {"mf": [0.1, 0.3] * 20, "ease": [0.2] * 40}, {"mf": [0.3, 0.1] * 20, "ease": [0.1] * 40}
    rest = "; of EASE (−0.1000) only the means can be compared"
    assert revision_sheet.revisions_headline(unpaired(before, after, "ease")) == (
        f"No evidence of a difference on NDCG@10 of MF{rest}"
    )
    raised = after | {"mf": [0.4] * 40}
    assert revision_sheet.revisions_headline(unpaired(before, raised, "ease")) == f"MF better on NDCG@10{rest}"


def test_a_model_that_one_version_lacks_is_named_as_such():
    found = compared(version("a", {"mf": [0.1] * 40}), version("b", {"mf": [0.1] * 40, "ease": [0.2] * 40}))
    assert revision_sheet.revisions_headline(found) == (
        "Every user of MF has the same NDCG@10 in both; EASE without NDCG@10 in one version"
    )


def test_a_model_that_is_better_for_everyone_is_named():
    found = compared(version("a", FLAT), version("b", RAISED))
    assert revision_sheet.revisions_headline(found) == "MF better on NDCG@10"
    back = compared(version("b", RAISED), version("a", FLAT))
    assert revision_sheet.revisions_headline(back) == "MF worse on NDCG@10"


def test_better_and_worse_stand_in_one_headline():
    found = compared(version("a", FLAT), version("b", {"mf": [0.3] * 40, "softmax": [0.1] * 40}))
    assert revision_sheet.revisions_headline(found) == "MF better, the softmax DNN worse on NDCG@10"


def test_a_change_without_evidence_is_called_so():
    found = compared(version("a", {"mf": [0.1, 0.3] * 20}), version("b", {"mf": [0.3, 0.1] * 20}))
    assert revision_sheet.revisions_headline(found) == "No evidence of a difference on NDCG@10"


def test_without_figures_per_user_means_are_compared_and_the_reason_is_told():
    found = compared(version("a", FLAT, read=False), version("b", RAISED))
    assert [change.difference for change in found.primary] == [None, None]
    [row, _] = revision_sheet.accuracy_table(found).rows
    assert (row[3].text, row[3].detail, row[-1].text) == ("+0.2000", "of the means", "not paired")
    assert any(
        "its per-user metrics of a. `dvc fetch`" in note and "MF and the softmax DNN" in note
        for note in revision_sheet.remarks(found)[1:]
    )
    assert "nothing could be paired" in revision_sheet.revisions_headline(found)


def test_a_model_of_one_version_only_has_a_row_and_a_note():
    found = compared(version("a", {"mf": [0.1]}), version("b", {"mf": [0.1], "ease": [0.2]}))
    assert [change.model for change in found.primary] == ["ease", "mf"]
    assert "EASE was not compared in a." in revision_sheet.remarks(found)[1:]


def test_other_test_events_of_the_same_users_are_pointed_out():
    found = compared(version("a", FLAT), version("b", FLAT, num_test=4))
    assert found.other_truth == ["mf", "softmax"]
    assert any("other test events" in note for note in revision_sheet.remarks(found)[1:])


def test_parameters_that_changed_came_or_went_are_listed_in_the_order_of_the_second():
    before = {"seed": 1, "mf": {"dim": 32, "gone": True, "kept": [1, 2]}}
    after = {"mf": {"dim": 64, "kept": [1, 2], "new": None}, "seed": 1}
    assert differing_settings(before, after) == [
        ("mf.dim", "32", "64"),
        ("mf.new", None, "null"),
        ("mf.gone", "true", None),
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (version("a", FLAT), version("b", FLAT), "The data is the same; no parameter differs."),
        (
            version("a", FLAT),
            version("b", RAISED),
            "Data and parameters are the same: what differs comes from the code",
        ),
        (version("a", FLAT), version("b", FLAT, data_hash="4567"), "The data differs; no parameter differs."),
        (version("a", FLAT), version("b", FLAT, params={"seed": 2}), "The data is the same; 1 parameter differs."),
        (version("a", FLAT), version("b", FLAT, data_hash=None), "Whether the data is the same is not known"),
    ],
)
def test_causes_are_told_by_data_and_parameters(before, after, said):
    assert revision_sheet.remarks(compared(before, after))[0].startswith(said)


def test_sizes_that_drift_are_shown_with_their_share():
    before = version("a", FLAT, split={"sizes": {"train": 200}})
    after = version("b", FLAT, split={"sizes": {"train": 250}})
    [row] = revision_sheet.size_table(compared(before, after)).rows
    assert [cell.text for cell in row] == ["Events to train on", "200", "250", "+50"]
    assert row[-1].detail == "+25.0 %"


def test_the_page_has_its_chart_with_the_table_below_it_and_names_the_scripts_that_may_run():
    html = revision_sheet.pages(compared(version("a", FLAT), version("b", RAISED)))["html"]
    assert html.index('id="chart-accuracy"') < html.index('id="table-accuracy-caption"')
    assert "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-" in html
    assert len(html) < 2_000_000


def test_a_page_without_a_chart_has_its_table_and_runs_no_script():
    html = revision_sheet.pages(unpaired(FLAT, RAISED, *FLAT))["html"]
    assert 'id="table-accuracy-caption"' in html
    assert "<script" not in html
    assert "script-src" not in html


def test_markup_in_the_name_of_a_revision_is_text():
    found = compared(version("<b>|x", FLAT), version("b", FLAT, params={"<i>": "<script>"}))
    html = revision_sheet.pages(found)["html"]
    assert "<b>|x" not in html
    assert "<script>" not in html.partition("</main>")[0]
    assert r"\<b\>\|x" in revision_sheet.pages(found)["md"]


def test_the_same_versions_give_the_same_bytes():
    pages = {revision_sheet.pages(compared(version("a", FLAT), version("b", RAISED)))["html"] for _ in range(2)}
    assert len(pages) == 1


def test_the_markdown_tells_what_changed_before_its_tables():
    text = revision_sheet.pages(compared(version("a", FLAT), version("b", RAISED, params={"seed": 2})))["md"]
    assert text.startswith("# From a to b\n\n**MF better on NDCG@10.**")
    assert "| MF | 0.1000 | 0.3000 |" in text
    assert "| seed | – | 2 |" in text
