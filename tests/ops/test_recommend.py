import json
import re

import numpy as np
import pandas as pd
import pytest
import small_split

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.models.base.storage import load_trained, read_known_users
from bakeoff.ops import recommend
from bakeoff.ops.list_options import Filter, ListOptions
from bakeoff.stages import train


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """All three models, trained for an epoch."""
    workspace = Workspace(tmp_path_factory.mktemp("recommend"))
    small_split.write_split(workspace, with_valid=False)
    params = small_split.PARAMS
    params = params.model_copy(update={"softmax": params.softmax.model_copy(update={"max_epochs": 1})})
    for model in ("popularity", "mf", "softmax"):
        train.run(params, workspace, model)
    return workspace


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def ask(workspace, capsys):
    """Asks, and returns what was printed."""

    def run(model="softmax", user=None, history=None, features=(), k=3, why=False, **options):
        recommend.run(workspace, model=model, user=user, history=history, features=features, k=k, why=why, **options)
        return capsys.readouterr().out

    return run


def train_items(workspace, user):
    events = pd.read_parquet(workspace.split / "train.parquet")
    return events[events["user_id"] == user]["item_id"].tolist()


@pytest.mark.parametrize("model", ["popularity", "mf", "softmax"])
def test_a_known_user_gets_titles_beside_the_history(ask, workspace, model):
    printed = ask(model, user="u3")
    assert f"{model} recommends to user u3" in printed
    assert "Last of 3 items in the history" in printed
    history, trained = train_items(workspace, "u3"), load_trained(workspace.trained(model))
    users = read_known_users(workspace.trained(model))
    [query] = trained.embed_queries(users.queries.take(np.array([users.rows["u3"]])))
    scores = pd.Series(trained.item_embeddings @ query, small_split.ITEMS)
    best = scores.drop(history).sort_values(ascending=False, kind="stable").head(3)
    assert recommended(printed) == best.index.tolist()
    for item in [*history, *best.index]:
        assert f"Title [of] {item} :star:" in printed
    for score in best:
        assert f"{score:.4g}" in printed


def test_titles_are_printed_as_they_are(ask):
    # brackets and colons mean styles and emoji to the terminal library, and nothing to a title
    assert "Title [of] i" in (printed := ask(user="u1"))
    assert ":star:" in printed


def test_recommended_items_are_numbered_from_one(ask):
    assert re.findall(r"│ +(\d+) │ +i\d+ │", ask("popularity", history="", k=3)) == ["1", "2", "3"]


def test_someone_new_asks_by_history(ask):
    printed = ask(history="i3, i5")
    assert "softmax recommends to someone new" in printed
    assert "Last of 2 items in the history" in printed
    # most recent first
    assert printed.index("Title [of] i5 :") < printed.index("Title [of] i3 :")


def test_someone_new_may_ask_with_nothing_but_an_empty_history(ask):
    assert "Last of 0 items" in ask(history="")


def test_someone_new_may_ask_by_features_alone(ask):
    assert "recommends to someone new" in ask(features=["age=33", "job=nurse"])


def test_features_reach_the_model(ask):
    assert ask(features=["age=20"], k=12) != ask(features=["age=90"], k=12)
    assert ask(features=["job=cook"], k=12) != ask(features=["job=nurse"], k=12)


def test_an_empty_feature_is_an_unknown_one(ask):
    assert ask(features=["age=", "job="]) == ask(history="")


def test_popularity_recommends_what_most_have(ask, workspace):
    counts = pd.read_parquet(workspace.vocabulary / "items.parquet").set_index("item_id")["fit_count"]
    best = counts.sort_values(ascending=False, kind="stable").index[0]
    [first] = [line for line in ask("popularity", history="", k=1).splitlines() if "Title" in line]
    assert f"Title [of] {best} :star:" in first


@pytest.mark.parametrize(
    ("model", "part"),
    [("popularity", "number of events"), ("mf", "Title [of] i"), ("softmax", "user features, activity and bias")],
)
@pytest.mark.parametrize("width", ["80", "160"])
def test_the_reasons_are_printed_below_each_item_and_add_up(ask, monkeypatch, model, part, width):
    monkeypatch.setenv("COLUMNS", width)
    printed = ask(model, user="u3", why=True)
    assert f"{model} recommends to user u3, and why" in printed
    assert part in printed
    assert max(map(len, printed.splitlines())) <= int(width)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if line.startswith("│")]
    blocks = [place for place, row in enumerate(rows) if row[0]]
    assert [rows[place][0] for place in blocks] == ["1", "2", "3"]
    for start, end in zip(blocks, [*blocks[1:], len(rows)], strict=True):
        score, *parts = (float(row[3]) for row in rows[start:end] if row[3])  # a long title has several lines
        assert parts
        assert sum(parts) == pytest.approx(score, rel=2e-3, abs=1e-3)


def test_someone_without_history_is_told_so(ask):
    assert "no history: the mean user" in ask("mf", history="", why=True)


def test_a_model_without_reasons_says_so(ask, monkeypatch):
    from bakeoff.models.mf.graph import MFEncoder

    monkeypatch.delattr(MFEncoder, "explain")
    with pytest.raises(BakeoffError, match=r"mf can't say why: its encoder has no `explain`.*Ask without why"):
        ask("mf", user="u3", why=True)


def test_a_list_may_be_shorter_than_k_where_everything_else_is_seen(ask):
    printed = ask("popularity", history=",".join(small_split.ITEMS[:-1]), k=5)
    # ten of eleven items of the history, and the one that is left
    assert printed.count("Title [of]") == 11
    assert printed.count("Title [of] i12 ") == 1


def test_a_narrow_terminal_gets_one_table_above_the_other(ask, monkeypatch):
    monkeypatch.setenv("COLUMNS", "45")
    # both tables have borders of their own, and no line holds two of them
    printed = ask(user="u1")
    assert printed.count("┏") == 2
    assert not any(line.count("┏") == 2 for line in printed.splitlines())
    monkeypatch.setenv("COLUMNS", "80")
    assert any(line.count("┏") == 2 for line in ask(user="u1").splitlines())


def recommended(printed):
    return re.findall(r"│ +\d+ │ +(i\d+) │", printed)


def test_a_plain_list_needs_no_features_of_the_items(ask, monkeypatch):
    monkeypatch.setattr(recommend, "ItemFeatures", None)  # to encode those of a large catalogue takes seconds
    assert "recommends to user u3" in ask(user="u3")


@pytest.mark.parametrize("model", ["popularity", "mf", "softmax"])
def test_options_choose_among_the_items_and_scores_stay_the_models_own(ask, model):
    everything = recommended(ask(model, user="u3", k=9))
    assert recommended(ask(model, user="u3", k=9, allow="i1, i2,i5")) == [
        i for i in everything if i in ("i1", "i2", "i5")
    ]
    filters = [Filter.parse("genres=Comedy"), Filter.parse("genres!=Drama")]
    comedies = recommended(ask(model, user="u3", k=9, options=ListOptions(filters=filters)))
    assert 0 < len(comedies) < 9
    assert comedies == [item for item in everything if item in comedies]
    other = ask(model, user="u3", k=9, options=ListOptions(diversity=0.5, debias=0.5))
    assert sorted(recommended(other)) == sorted(everything)
    assert recommended(other) != everything


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({}, r"Who asks\? Give --user ID.*--history"),
        ({"user": "u1", "history": "i1"}, "--user u1 already says.*leave --user out"),
        ({"user": "u1", "features": ["age=3"]}, "--user u1 already says.*leave --history and features out"),
        ({"user": "nobody"}, r"User 'nobody' is not among those that softmax was trained on.*--history and --feature"),
        ({"user": "n1"}, "User 'n1' is not among"),
        (
            {"user": "u1", "model": "als"},
            "'als' is not a model.*popularity, recent_popularity, ease, mf, softmax, two_tower",
        ),
        ({"history": "i1,x9,y8"}, r"--history names 'x9', 'y8', which the catalogue does not have.*such as i1, i2, i3"),
        ({"user": "u1", "allow": "x9"}, r"--allow names 'x9', which the catalogue does not have.*such as i1, i2, i3"),
        ({"user": "u1", "options": ListOptions(diversity=1.5)}, "diversity 1.5 and debias 0 are not possible"),
        ({"user": "u1", "options": ListOptions(debias=float("nan"))}, "diversity 0 and debias nan are not possible"),
        (
            {"user": "u1", "options": ListOptions(filters=[Filter.parse("job=cook")])},
            "'job' is not a feature to filter",
        ),
        ({"user": "u1", "k": 0}, "-k 0 is not possible: it must be between 1 and the 12 items"),
        ({"user": "u1", "k": -4}, "-k -4 is not possible"),
        ({"user": "u1", "k": 13}, "-k 13 is not possible"),
        ({"features": ["age"]}, "--feature 'age' must be name=value"),
        ({"features": ["shoe=43"]}, "'shoe' is not a feature of users: they have age, job"),
        ({"features": ["age=old"]}, "age='old' is not a number"),
        ({"features": ["job=pilot"]}, "job='pilot' is not known: it must be one of cook, nurse"),
    ],
    ids=str,
)
def test_a_question_that_can_not_be_answered_says_what_to_do(ask, question, said):
    with pytest.raises(BakeoffError, match=said):
        ask(**question)


@pytest.mark.parametrize("user", ["nobody"])
@pytest.mark.parametrize("model", ["popularity", "mf", "softmax"])
def test_every_model_says_that_it_does_not_know_a_user(ask, model, user):
    with pytest.raises(BakeoffError, match=f"not among those that {model} was trained on"):
        ask(model, user=user)


def test_a_model_that_is_not_there_says_how_to_make_it(tmp_path):
    with pytest.raises(BakeoffError, match=r"A file of .*models/mf/trained can't be read .*: run `bakeoff train mf`"):
        recommend.run(Workspace(tmp_path), model="mf", user="u1", history=None, features=(), k=3, why=False)


def test_a_damaged_model_says_how_to_restore_it(tmp_path):
    workspace = Workspace(tmp_path)
    small_split.write_split(workspace)
    train.run(small_split.PARAMS, workspace, "popularity")
    (workspace.trained("popularity") / "arrays" / "item_embeddings.npy").write_bytes(b"\x00garbage")
    with pytest.raises(BakeoffError, match=r"A file of .*can't be read.*dvc checkout --force"):
        recommend.run(workspace, model="popularity", user="u1", history=None, features=(), k=3, why=False)


def test_a_model_without_its_feature_encoding_says_how_to_restore_it(tmp_path):
    workspace = Workspace(tmp_path)
    small_split.write_split(workspace)
    train.run(small_split.PARAMS, workspace, "popularity")
    (workspace.trained("popularity") / "features.json").unlink()
    with pytest.raises(BakeoffError, match=r"can't be read.*features\.json"):
        recommend.run(workspace, model="popularity", user="u1", history=None, features=(), k=3, why=False)


def test_data_without_user_features_refuses_them(tmp_path):
    workspace = Workspace(tmp_path)
    small_split.write_split(workspace)
    (workspace.vocabulary / "features.json").write_text(json.dumps({}), encoding="utf-8")
    train.run(small_split.PARAMS, workspace, "popularity")
    with pytest.raises(BakeoffError, match="they have none"):
        recommend.run(workspace, model="popularity", user=None, history=None, features=["age=3"], k=3, why=False)


def test_an_item_that_is_named_twice_counts_once_where_it_stands_last() -> None:
    assert recommend._parse_ids(" 50, 181,50 ,, 7") == ["181", "50", "7"]


@pytest.mark.parametrize("options", [ListOptions(), ListOptions(debias=0.1)], ids=["plain", "debiased"])
def test_items_of_the_history_are_recommended_where_they_are_asked_for(ask, options):
    everything = recommended(ask("popularity", user="u3", k=12, exclude_seen=False, options=options))
    assert len(everything) == 12
    assert len(recommended(ask("popularity", user="u3", k=12, options=options))) < 12
