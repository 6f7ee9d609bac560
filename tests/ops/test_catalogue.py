"""New items are embedded by a model that was trained without them, and ranked by `recommend` and by a real server."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pandas as pd
import pytest
import small_split
from promotion_repo import OUT, commit, name_outputs, new_repo
from running_server import listed, model, promote, running
from scipy.sparse import csr_array
from waiting import until

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.params import DataParams
from bakeoff.models.base.new_items import NEIGHBOURS, mean_of_nearest
from bakeoff.ops import catalogue, recommend
from bakeoff.ops.catalogue import EMBEDDING, embeddings_of, read_additions, write_additions
from bakeoff.ops.list_options import Filter, ListOptions
from bakeoff.ops.server.approximate import ApproximateSearch
from bakeoff.ops.server.loading import refreshed
from bakeoff.ops.server.serve import load_named
from bakeoff.stages import export, train

MODELS = ("mf", "two_tower")
DATA = small_split.PARAMS.data


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Two models, MF exported too; and popularity, which can't take new items."""
    workspace = new_repo(tmp_path_factory.mktemp("catalogue") / "repo", MODELS)
    name_outputs(workspace, OUT, MODELS, "models/{0}/trained")
    small_split.write_split(workspace, with_valid=False)
    for name in (*MODELS, "popularity"):
        train.run(small_split.PARAMS, workspace, name)
    export.run(workspace, "mf")
    return workspace


@pytest.fixture(scope="module")
def promoted(workspace):
    """Both models committed, two_tower in production."""
    export.run(workspace, "two_tower")
    promote(workspace, "two_tower", commit(workspace))
    return workspace


@pytest.fixture
def folder(workspace):
    """Where added items are; empty before and after a test."""
    folder = workspace.root / ".bakeoff/catalogue"
    yield folder
    for path in folder.glob("*"):
        path.unlink()


def table(path, *rows, columns="item_id,title,year,genres"):
    path.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return path


def twin_of(workspace, item, name):
    """A row with the features of an item that the split has."""
    items = pd.read_parquet(workspace.vocabulary / "items.parquet").set_index("item_id")
    return f"{name},Twin,{float(items.year[item])!r},{items.genres[item]}"


def added(folder, model):
    [path] = folder.glob(f"{model}-*.parquet")
    return read_additions(path)


def test_the_tower_embeds_a_new_item_as_it_embedded_one_without_events(workspace, folder, tmp_path):
    """The last item of the split has no event, so that its embedding is the tower's of its features alone."""
    catalogue.add(workspace, DATA, table(tmp_path / "items.csv", twin_of(workspace, "i12", "n")), "two_tower")
    stored = np.load(workspace.trained("two_tower") / "arrays/item_embeddings.npy")
    np.testing.assert_allclose(embeddings_of(added(folder, "two_tower"))[0], stored[-1], rtol=1e-5, atol=1e-6)


def test_added_items_are_listed_and_taken_out_again(workspace, folder, tmp_path, capsys):
    catalogue.show(workspace, "mf")
    assert capsys.readouterr().out == "Nothing was added to mf.\n"
    rows = [twin_of(workspace, "i1", name) for name in ("n1", "n2")]
    catalogue.add(workspace, DATA, table(tmp_path / "items.csv", *rows), "mf")
    capsys.readouterr()
    catalogue.show(workspace, "mf")
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("Added to mf", "n1", "n2", "Twin"))
    with pytest.raises(BakeoffError, match="'i1' was not added to mf: `bakeoff catalogue list` shows what was"):
        catalogue.remove(workspace, ["n1", "i1"], "mf")
    catalogue.remove(workspace, ["n1"], "mf")
    assert capsys.readouterr().out == "mf no longer ranks 'n1'; added items that are left: 1.\n"
    assert added(folder, "mf")["item_id"].tolist() == ["n2"]
    catalogue.remove(workspace, ["n2"], "mf")
    assert list(folder.glob("mf-*")) == []
    with pytest.raises(BakeoffError, match="'n2' was not added to mf"):
        catalogue.remove(workspace, ["n2"], "mf")


def test_a_title_reaches_the_terminal_without_its_control_characters(workspace, folder, tmp_path, capsys):
    row = twin_of(workspace, "i1", "n").replace("Twin", "\x1b]0;owned\x07\x1b[2J title")
    catalogue.add(workspace, DATA, table(tmp_path / "items.csv", row), "mf")
    catalogue.show(workspace, "mf")
    assert r"\x1b]0;owned\x07\x1b[2J title" in (printed := capsys.readouterr().out)
    assert printed.replace("\n", "").isprintable()


def test_names_of_features_are_shown_as_they_are_and_without_control_characters(workspace, folder, tmp_path, capsys):
    catalogue.add(workspace, DATA, table(tmp_path / "items.csv", twin_of(workspace, "i1", "n")), "mf")
    [path] = folder.glob("mf-*.parquet")
    write_additions(path, read_additions(path).rename(columns={"year": "size[/cm]", "genres": "\x1b[2J"}))
    capsys.readouterr()
    catalogue.show(workspace, "mf")
    printed = capsys.readouterr().out
    assert "size[/cm]" in printed
    assert r"\x1b[2J" in printed
    assert printed.replace("\n", "").isprintable()


def test_additions_and_removals_at_once_lose_nothing(workspace, folder, tmp_path, monkeypatch):
    """Each takes a moment between reading the file and writing it, so that without a lock the last one wins."""

    def slowly(path, read=read_additions):
        found = read(path)
        time.sleep(0.3)
        return found

    catalogue.add(workspace, DATA, table(tmp_path / "old.csv", twin_of(workspace, "i1", "old")), "mf")
    monkeypatch.setattr(catalogue, "read_additions", slowly)
    sources = [table(tmp_path / f"{name}.csv", twin_of(workspace, "i1", name)) for name in ("a", "b", "c")]
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(catalogue.add, workspace, DATA, source, "mf") for source in sources]
        calls.append(threads.submit(catalogue.remove, workspace, ["old"], "mf"))
        for call in calls:
            call.result()
    assert sorted(added(folder, "mf")["item_id"]) == ["a", "b", "c"]


def test_others_get_the_mean_of_the_nearest_items_as_long_as_these_are():
    """Two groups of ten: one at feature 0 with vectors (±3, 4), one at feature 9. Mean (0, 4), length 5."""
    assert NEIGHBOURS == 10
    known = csr_array(np.array([[0.0]] * 10 + [[9.0]] * 10))
    vectors = np.array([[3, 4], [-3, 4]] * 5 + [[7, 0]] * 10, np.float32)
    found = mean_of_nearest(known, vectors, csr_array(np.array([[1.0], [8.0]])))
    np.testing.assert_allclose(found, [[0, 5], [7, 0]])


def test_neighbours_are_items_with_events(workspace, folder, tmp_path):
    """MF has no vector for the last item: its twin gets one from others, and 11 of them have events."""
    catalogue.add(workspace, DATA, table(tmp_path / "items.csv", twin_of(workspace, "i12", "n")), "mf")
    stored = np.load(workspace.trained("mf") / "arrays/item_embeddings.npy")
    assert not stored[-1].any()
    assert embeddings_of(added(folder, "mf")).any()


def test_it_says_what_was_added_and_an_item_that_is_added_again_replaces_itself(workspace, folder, tmp_path, capsys):
    columns = "item_id,title,year,genres,url"
    catalogue.add(
        workspace, DATA, table(tmp_path / "a.csv", "n,Old,1999,Drama,x", "m,M,,Drama,", columns=columns), "mf"
    )
    assert "mf ranks 2 items" in (printed := capsys.readouterr().out)
    assert "by the 10 nearest items; 2 in all" in printed
    assert "does not read: url" in printed
    catalogue.add(
        workspace, DATA, table(tmp_path / "b.tsv", "n\tNew\t2001\tComedy", columns="item_id\ttitle\tyear\tgenres"), "mf"
    )
    assert "1 item" in (printed := capsys.readouterr().out)
    assert "2 in all" in printed
    found = added(folder, "mf").set_index("item_id")
    assert found.title.to_dict() == {"m": "M", "n": "New"}
    assert np.isnan(found.year["m"])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "no item|holds no|empty"),
        ([",T,2000,Drama"], "1 rows without an item_id"),
        (["n,T,2000,Drama", "n,U,2000,Drama"], "more than one row for 'n'"),
        (["i3,T,2000,Drama"], "names 'i3', which mf was trained on"),
        (["n,T,soon,Drama"], "item 'n': year='soon' is not a number"),
        (["n,T,2000,Drama|Western"], "item 'n': genres='Western' is not known.*--ignore-unknown"),
        (["n,T,,"], "item 'n': it has no feature but texts"),
    ],
)
def test_a_table_with_a_fault_is_refused_whole(workspace, folder, tmp_path, rows, says):
    with pytest.raises(BakeoffError, match=says):
        catalogue.add(workspace, DATA, table(tmp_path / "items.csv", "ok,T,2000,Drama" if rows else "", *rows), "mf")
    assert not [*folder.glob("*")]


def test_values_that_training_did_not_see_are_left_out_if_asked_and_named(workspace, folder, tmp_path, capsys):
    rows = ["n,T,2000,Drama| Western|Noir", "m,U,2000,Western", "o,V,2000,Drama"]
    catalogue.add(workspace, DATA, table(tmp_path / "items.csv", *rows), "mf", ignore_unknown=True)
    assert "Values of genres that mf did not learn are left out: 'Noir', 'Western'." in capsys.readouterr().out
    found = added(folder, "mf").set_index("item_id")
    assert found.genres.fillna("").to_dict() == {"n": "Drama", "m": "", "o": "Drama"}
    np.testing.assert_array_equal(found[EMBEDDING]["n"], found[EMBEDDING]["o"])
    with pytest.raises(BakeoffError, match="item 'x': it has no feature but texts"):
        catalogue.add(workspace, DATA, table(tmp_path / "items.csv", "x,T,,Western"), "mf", ignore_unknown=True)
    catalogue.add(workspace, DATA, table(tmp_path / "items.csv", "p,T,2000,Drama"), "mf", ignore_unknown=True)
    assert "left out" not in capsys.readouterr().out


def test_a_table_without_a_feature_and_models_that_need_events_are_refused(workspace, folder, tmp_path):
    with pytest.raises(BakeoffError, match=r"'genres'.*only 'item_id', 'title', 'year'"):
        catalogue.add(workspace, DATA, table(tmp_path / "items.csv", "n,T,2000", columns="item_id,title,year"), "mf")
    with pytest.raises(BakeoffError, match=r"popularity can't take new items.*mf, softmax, two_tower"):
        catalogue.add(workspace, DATA, table(tmp_path / "items.csv", "n,T,2000,Drama"), "popularity")


def test_data_without_features_of_items_is_refused(tmp_path):
    workspace = Workspace(tmp_path / "plain")
    small_split.write_split(workspace, with_valid=False)
    features = small_split.FEATURES | {"item": {}}
    (workspace.vocabulary / "features.json").write_text(json.dumps(features), encoding="utf-8")
    train.run(small_split.PARAMS, workspace, "mf")
    with pytest.raises(BakeoffError, match="mf knows no features of items"):
        catalogue.add(workspace, DATA, table(tmp_path / "items.csv", "n,T", columns="item_id,title"), "mf")


def test_recommend_ranks_filters_and_never_repeats_an_added_item(workspace, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    catalogue.add(workspace, DATA, table(tmp_path / "items.csv", "n,Newest,2050,Drama", "m,Other,2050,Comedy"), "mf")
    capsys.readouterr()

    def ask(history, **options):
        run = {"model": "mf", "user": None, "history": history, "features": (), "k": 3, "why": False} | options
        recommend.run(workspace, **run)
        return capsys.readouterr().out

    late = ListOptions(filters=[Filter.parse("year>=2040")])
    assert "Newest" in (printed := ask("i1,i2", options=late))
    assert "Other" in printed
    assert "Newest" not in ask(
        "i1,i2", options=ListOptions(filters=[Filter.parse("year>=2040"), Filter.parse("genres=Comedy")])
    )
    assert "m" in ask("i1,i2", allow="m")
    # In a history it is left out of the list, and the rest of the list is as without it.
    listing = ask("i1,n", options=late)
    assert listing.count("Newest") == 1  # in the history
    assert "an added item, whose score is not divided" in ask("i1,i2", why=True, allow="n,m")


def test_a_server_ranks_an_added_item_within_a_second_and_drops_no_request(promoted, folder, tmp_path):
    """The model in production: it is asked all the time, while an item comes, changes and goes."""
    source = table(tmp_path / "items.csv", twin_of(promoted, "i12", "n"))
    asked = {"user_id": "u3", "k": 12}
    with running(promoted, tmp_path / "log") as (_, client):
        assert "n" not in listed(client, **asked)
        statuses, end = [], threading.Event()

        def hammer():
            with httpx.Client(base_url=client.base_url) as mine:
                while not end.is_set():
                    statuses.append(mine.post("/recommend", json=asked).status_code)

        others = threading.Thread(target=hammer, daemon=True)
        others.start()
        catalogue.add(promoted, DATA, source, None)
        until(lambda: "n" in listed(client, **asked))
        assert (model(client)["items"], model(client)["added_items"]) == (13, 1)
        # Its twin, which has the same embedding, has the same score.
        scores = {
            each["item_id"]: each["score"]
            for each in client.post("/recommend", json={"history": ["i1"], "k": 13}).json()["items"]
        }
        assert scores["n"] == pytest.approx(scores["i12"], rel=1e-4, abs=1e-6)
        assert listed(client, history=["i1"], k=2, allow=["n"]) == ["n"]
        assert "n" not in listed(client, history=["i1", "n"], k=12)
        assert "n" not in listed(client, user_id="u3", k=12, exclude=["n"])
        genre = pd.read_parquet(promoted.vocabulary / "items.parquet").genres.iloc[-1].split("|")[0]
        assert "n" in listed(client, history=["i1"], k=13, filters=[{"feature": "genres", "any_of": [genre]}])
        assert "n" not in listed(client, history=["i1"], k=13, filters=[{"feature": "genres", "none_of": [genre]}])
        assert client.get("/items/n").json()["title"] == "Twin"
        why = client.post("/recommend", json={"history": ["i1"], "k": 1, "allow": ["n"], "why": True}).json()
        [part] = why["items"][0]["why"][-1:]
        assert part["title"].startswith("an added item")
        [path] = folder.glob("*")
        path.unlink()
        until(lambda: "n" not in listed(client, **asked))
        end.set()
        others.join()
    assert set(statuses) == {200}
    assert len(statuses) > 10


def test_a_server_takes_what_was_added_before_it_began_and_goes_on_with_it_when_the_file_breaks(
    workspace, folder, tmp_path
):
    catalogue.add(workspace, DATA, table(tmp_path / "items.csv", "n,T,2000,Drama"), "mf")
    served = load_named(workspace, "mf", "off")
    assert served.item_ids[-1] == "n"
    served.source.write_text("broken")
    assert refreshed(served, served.source).item_ids[-1] == "n"
    served.source.unlink()
    assert len(refreshed(served, served.source).item_ids) == 12


def test_what_was_added_to_another_version_is_left_out(workspace, folder, tmp_path, caplog):
    catalogue.add(workspace, DATA, table(tmp_path / "items.csv", "n,T,2000,Drama"), "mf")
    [path] = folder.glob("*")
    path.rename(folder / "mf-0123456789abcdef.parquet")
    with caplog.at_level("INFO", "bakeoff.serve"):
        assert len(load_named(workspace, "mf", "off").item_ids) == 12
    assert "added to other models or versions than mf@workspace" in caplog.text


def test_approximate_search_finds_added_items():
    rng = np.random.default_rng(0)
    items = rng.normal(size=(500, 8)).astype(np.float32)
    search = ApproximateSearch(items)
    search.tune(items[:20], [np.zeros(0, np.int64)] * 20)
    extended = search.joined(5 * items[:1])
    [found] = extended.find(items[:1], [np.zeros(0, np.int64)], 3)
    assert found.items[0] == 500
    assert (extended.description, extended.recall) == (search.description, search.recall)
    [before] = search.find(items[:1], [np.zeros(0, np.int64)], 3)
    assert 500 not in before.items


def test_the_file_keeps_what_it_was_given(tmp_path):
    items = pd.DataFrame({"item_id": ["a", "b"], "title": ["A", "B"], "embedding": [1.0, np.nan]})
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_additions(tmp_path / "x/y.parquet", items.assign(**{EMBEDDING: [*vectors]}))
    found = read_additions(tmp_path / "x/y.parquet")
    pd.testing.assert_frame_equal(found.drop(columns=EMBEDDING), items, check_dtype=False)
    assert embeddings_of(found).tolist() == vectors.tolist()
    assert embeddings_of(found).dtype == np.float32
    (tmp_path / "x/y.parquet").write_bytes(b"broken")
    with pytest.raises(BakeoffError, match="delete it, and run `bakeoff catalogue add` again"):
        read_additions(tmp_path / "x/y.parquet")


def test_a_vector_alone_embeds_a_new_item_and_one_of_another_length_is_refused(tmp_path):
    """Three components of a look, as columns; the last item of the split, without an event, has the same look."""
    workspace, looks = Workspace(tmp_path / "looks"), np.random.default_rng(0).normal(size=(12, 3)).round(2)
    small_split.write_split(workspace, with_valid=False)
    vocabulary = workspace.vocabulary
    encoding = small_split.FEATURES | {"item": {"vector": {"look": 3}}}
    (vocabulary / "features.json").write_text(json.dumps(encoding), encoding="utf-8")
    units = pd.Series([*(looks / np.linalg.norm(looks, axis=1, keepdims=True)).astype(np.float32)])
    pd.DataFrame({"item_index": np.arange(12, dtype=np.int32), "look": units}).to_parquet(
        vocabulary / "item_features.parquet"
    )
    features = {**small_split.PARAMS.data.model_dump(), "item_features": {"look": "vector"}}
    params = small_split.PARAMS.model_copy(update={"data": DataParams(**features)})
    train.run(params, workspace, "two_tower")
    rows = [f"n,Twin,{','.join(map(str, looks[-1]))}"]
    source = table(tmp_path / "items.csv", *rows, columns="item_id,title,look_0,look_1,look_2")
    catalogue.add(workspace, params.data, source, "two_tower")
    stored = np.load(workspace.trained("two_tower") / "arrays/item_embeddings.npy")
    np.testing.assert_allclose(
        embeddings_of(added(workspace.root / ".bakeoff/catalogue", "two_tower"))[0], stored[-1], rtol=1e-5, atol=1e-6
    )
    shorter = table(tmp_path / "other.csv", "n,Twin,0.1,0.2", columns="item_id,title,look_0,look_1")
    with pytest.raises(BakeoffError, match=r"item 'n': look='0.1\|0.2' is not 3 numbers"):
        catalogue.add(workspace, params.data, shorter, "two_tower")


def test_by_the_nearest_items_a_vector_alone_says_nothing(tmp_path):
    workspace = Workspace(tmp_path / "looks")
    small_split.write_split(workspace, with_valid=False)
    vocabulary, item = workspace.vocabulary, small_split.FEATURES["item"]
    encoding = small_split.FEATURES | {"item": item | {"vector": {"look": 3}}}
    (vocabulary / "features.json").write_text(json.dumps(encoding), encoding="utf-8")
    encoded = pd.read_parquet(vocabulary / "item_features.parquet")
    looks = pd.Series([np.ones(3, np.float32)] * len(encoded))
    encoded.assign(look=looks).to_parquet(vocabulary / "item_features.parquet")
    features = {**DATA.model_dump(), "item_features": {**DATA.item_features, "look": "vector"}}
    params = small_split.PARAMS.model_copy(update={"data": DataParams(**features)})
    train.run(params, workspace, "mf")
    rows = ["ok,T,2000,Drama,1,1,1", "bare,T,,,1,1,1"]
    source = table(tmp_path / "items.csv", *rows, columns="item_id,title,year,genres,look_0,look_1,look_2")
    with pytest.raises(BakeoffError, match="Item 'bare' has no year or genres, by which mf finds"):
        catalogue.add(workspace, params.data, source, "mf")
    assert not [*(workspace.root / ".bakeoff/catalogue").glob("*.parquet")]
