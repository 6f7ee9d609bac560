import ast
from dataclasses import replace

import pytest
from synthetic import NOISE

from bakeoff.report import formats
from bakeoff.report.cards import card_markdown, load_code, quality_tables
from bakeoff.report.evidence import Evidence
from bakeoff.report.summary import Summary


@pytest.fixture(scope="module")
def texts(summary: Summary, evidence: Evidence) -> dict[str, str]:
    return render_cards(summary, evidence)


def render_cards(summary: Summary, evidence: Evidence) -> dict[str, str]:
    return {trained.model: card_markdown(trained, summary, evidence) for trained in summary.training}


def test_every_model_that_was_compared_has_a_card(texts: dict[str, str]):
    assert list(texts) == list(NOISE)


def test_quality_on_the_card_is_that_of_the_report(summary: Summary):
    [estimate] = [e for e in summary.estimates.itertuples() if e.model == "mf" and e.metric == "recall@20"]
    card = quality_tables("mf", summary)["quality"]
    [row] = [row for row in card.rows if row[0].text == "Capped recall"]
    place = [column.label for column in card.columns].index("first 20")
    assert row[place].text == formats.decimal(estimate.mean)
    assert row[place].detail == f"{formats.decimal(estimate.low)} to {formats.decimal(estimate.high)}"


def limits(text: str) -> str:
    """What a card says of where the model ends."""
    return text.partition("## Limits\n")[2].partition("## Cost\n")[0]


def test_a_fallback_is_told_among_limits_and_beside_its_figures(summary: Summary, texts: dict[str, str]):
    assert "- Its fallback: the most popular items" in limits(texts["mf"])
    assert [row[-1].text for row in quality_tables("mf", summary)["new-users"].rows] == ["100 %", "no", "no", "no"]
    assert "fallback" not in limits(texts["softmax"])


def test_who_sees_order_is_told(texts: dict[str, str], summary: Summary):
    words = ("not in which order", "nothing of the user")
    blind = {name for name, text in texts.items() if any(word in limits(text) for word in words)}
    assert blind == set(summary.order_blind)


def test_what_the_user_has_had_is_left_out_unless_repeats_are_kept(
    texts: dict[str, str], summary: Summary, evidence: Evidence
):
    words = ("without those that the user has had", "except which items to leave out")
    assert all(word in texts["popularity"] for word in words)
    kept = render_cards(replace(summary, keep_repeats=True), evidence)["popularity"]
    assert not any(word in kept for word in words)


def test_where_a_training_started_is_told(evidence: Evidence, summary: Summary, texts: dict[str, str]):
    def card(**record: object) -> str:
        model = evidence.models["mf"]
        training = {**model.training, "warm_start": record}
        changed = replace(evidence, models={**evidence.models, "mf": replace(model, training=training)})
        return render_cards(summary, changed)["mf"]

    def start(**record: object) -> str:
        return card(**record).partition("- **Start:** ")[2].partition("\n")[0]

    assert start(fit="full", reason="It is due.") == "a full fit. It is due."
    parent = {"version": "softmax@v2.0.0", "commit": "1a2b3c4d5e", "md5": "0b37"}
    told = "softmax@v2.0.0 (commit 1a2b3c4, MD5 0b37); warm fits in a row: 3"
    assert start(fit="warm", reason=None, parent=parent, nights=3) == told
    assert "then fitted anew with validation\n" in card(fit="warm", parent=parent, nights=3, from_scratch=False)
    refit = card(fit="warm", parent=parent, nights=4, from_scratch=True)
    epochs = len(evidence.models["mf"].training["refit_curve"])
    assert f"fitted anew with validation; what is shipped was trained from scratch, for {epochs} epochs\n" in refit
    assert "MD5 0b37), for the choice of the epoch; warm fits in a row: 4\n" in refit
    assert "**Start:**" not in texts["mf"]  # without warm_start.mode: auto


def test_who_can_rank_items_by_their_features_is_told(evidence: Evidence, summary: Summary):
    def says(reads: bool) -> bool:
        model = evidence.models["softmax"]
        training = {**model.training, "settings": {**model.training["settings"], "use_item_features": reads}}
        changed = replace(evidence, models={**evidence.models, "softmax": replace(model, training=training)})
        return "ranked by their features" in limits(render_cards(summary, changed)["softmax"])

    assert says(True)
    assert not says(False)


def test_the_weakness_of_the_split_is_on_every_card(texts: dict[str, str], evidence: Evidence):
    assert all(evidence.split["weakness"] in text for text in texts.values())


def test_without_new_users_and_time_the_card_has_no_such_tables(summary: Summary):
    assert set(quality_tables("mf", replace(summary, new_users=[], slices=[]))) == {"quality", "lists"}


def test_no_measured_cost_is_on_a_card(texts: dict[str, str], summary: Summary):
    measured = [
        formats.seconds(seconds) for each in summary.training for seconds in (each.wall_seconds, each.cpu_seconds)
    ]
    assert "4.70 s" in measured
    assert not any(cost in text for cost in measured for text in texts.values())


def test_the_code_that_loads_a_model_is_python_and_names_its_features(
    summary: Summary, evidence: Evidence, texts: dict[str, str]
):
    for name, text in texts.items():
        code = load_code(name, summary, evidence)
        ast.parse(code)
        assert f"```python\n{code}\n```" in text
        assert f'"models/{name}/saved_model"' in code
        assert "# age; NaN: not known" in code
        assert "# gender, occupation" in code


def test_a_card_says_how_novel_and_diverse_lists_are_and_what_they_find_of_the_rare(summary: Summary):
    shown = quality_tables("mf", summary)["lists"]
    assert [column.label for column in shown.columns[-3:]] == [
        "Novelty",
        "Intra-list diversity",
        "Debiased NDCG (β 0.5)",
    ]
    assert all(row[-2].text == "0.625" for row in shown.rows)


def test_an_id_can_not_end_the_block_of_code(summary: Summary, evidence: Evidence):
    hostile = evidence.items.assign(item_id="```\n# free")
    text = render_cards(summary, replace(evidence, items=hostile))["mf"]
    assert text.count("```") == 2


def test_an_id_in_the_code_is_the_id(summary: Summary, evidence: Evidence):
    ids = ["🎬\u2028\n", '`ä"']
    code = load_code("mf", summary, replace(evidence, items=evidence.items.head(2).assign(item_id=ids)))
    lists = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.List)]
    assert ids in [[getattr(each, "value", None) for each in node.elts] for node in lists]


def test_markup_in_the_title_of_the_data_is_text(texts: dict[str, str]):
    assert r"Invented \<i\>shop\</i\>" in texts["mf"]


def test_the_same_evidence_gives_the_same_cards(texts: dict[str, str], summary: Summary, evidence: Evidence):
    assert render_cards(summary, evidence) == texts


def test_the_code_of_a_card_names_a_user_only_if_ids_are_shown(summary: Summary, evidence: Evidence):
    user = f'["{evidence.models["mf"].users.user_id.iloc[0]}"]'
    for show_ids in (False, True):
        shown = render_cards(replace(summary, show_ids=show_ids), evidence)
        assert all((user in text) is show_ids for text in shown.values())
