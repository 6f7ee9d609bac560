import numpy as np
import pandas as pd
import pytest
import small_split

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.evaluation.results import EMBEDDINGS
from bakeoff.stages import items

NUM_ITEMS = len(small_split.ITEMS)
CIRCLE = np.linspace(0, 3, NUM_ITEMS)
EMBEDDINGS_ON_A_CIRCLE = np.float32(np.stack([np.cos(CIRCLE), np.sin(CIRCLE)], axis=1))


def evaluated(workspace, embeddings):
    """Leave what `evaluate` leaves of the item embeddings."""
    workspace.evaluation("mf").mkdir(parents=True, exist_ok=True)
    np.save(workspace.evaluation("mf") / EMBEDDINGS, np.float32(embeddings))
    (workspace.evaluation("mf") / "metrics.json").write_text("{}", encoding="utf-8")


def run(workspace, embeddings=EMBEDDINGS_ON_A_CIRCLE, **evidence):
    evaluated(workspace, embeddings)
    params = small_split.PARAMS
    items.run(params.model_copy(update={"evidence": params.evidence.model_copy(update=evidence)}), workspace, ["mf"])


def table(workspace, name):
    return pd.read_parquet(workspace.items("mf") / f"{name}.parquet")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_item_has_its_ten_nearest_items(workspace):
    run(workspace)
    found = table(workspace, "neighbours")
    assert found.columns.tolist() == ["item_id", "rank", "neighbour_id", "similarity"]
    assert found["rank"].tolist() == list(range(1, 11)) * NUM_ITEMS
    assert found["rank"].dtype == np.int32
    assert found["similarity"].dtype == np.float32
    first = found[found["item_id"] == "i1"]
    # From the end of the arc the others follow in order.
    assert first["neighbour_id"].tolist() == [f"i{j}" for j in range(2, 12)]
    np.testing.assert_allclose(first["similarity"], np.cos(CIRCLE[1:11]), atol=1e-6)


def test_the_map_shows_items_with_events(workspace):
    run(workspace)
    found = table(workspace, "map")
    assert found.columns.tolist() == ["item_id", "x", "y"]
    assert found["item_id"].tolist() == [f"i{j}" for j in range(1, 12)]  # i12 has none
    assert found[["x", "y"]].dtypes.tolist() == [np.float32] * 2
    assert found[["x", "y"]].abs().max().max() == 1


def test_the_map_shows_no_more_items_than_it_may_and_those_with_most_events(workspace):
    run(workspace, map_items=3)
    vocabulary = pd.read_parquet(workspace.vocabulary / "items.parquet").set_index("item_id")
    shown = table(workspace, "map")["item_id"]
    assert len(shown) == 3
    assert vocabulary["fit_count"][shown].min() >= vocabulary["fit_count"].drop(shown).max()


def test_an_item_without_a_vector_has_no_neighbours_and_no_place(workspace):
    embeddings = EMBEDDINGS_ON_A_CIRCLE.copy()
    embeddings[3] = 0
    run(workspace, embeddings)
    neighbours = table(workspace, "neighbours")
    assert "i4" not in set(neighbours["item_id"]) | set(neighbours["neighbour_id"]) | set(
        table(workspace, "map")["item_id"]
    )
    assert len(set(neighbours["item_id"])) == NUM_ITEMS - 1


def test_a_model_of_one_dimension_has_neither(workspace, capsys):
    run(workspace, np.ones((NUM_ITEMS, 1)))
    for name, columns in (("neighbours", 4), ("map", 3)):
        assert table(workspace, name).shape == (0, columns)
    assert capsys.readouterr().out == "mf: neighbours of 0 items, 0 items on the map\n"
    assert workspace.cost("items").exists()


def test_empty_tables_have_the_types_of_full_ones(workspace):
    run(workspace)
    full = [table(workspace, name).dtypes.to_dict() for name in ("neighbours", "map")]
    run(workspace, np.ones((NUM_ITEMS, 1)))
    assert [table(workspace, name).dtypes.to_dict() for name in ("neighbours", "map")] == full


def test_a_skipped_model_has_neither(workspace):
    workspace.evaluation("mf").mkdir(parents=True)
    (workspace.evaluation("mf") / "metrics.json").write_text('{"skipped": "Too large."}', encoding="utf-8")
    items.run(small_split.PARAMS, workspace, ["mf"])
    assert len(table(workspace, "neighbours")) == len(table(workspace, "map")) == 0


def test_items_that_are_all_equal_are_neighbours_in_the_order_of_the_catalogue(workspace):
    run(workspace, np.ones((NUM_ITEMS, 2)))
    found = table(workspace, "neighbours")
    assert found.loc[found["item_id"] == "i3", "neighbour_id"].tolist() == [f"i{j}" for j in range(1, 12) if j != 3]
    assert found["similarity"].unique().tolist() == [1]
    assert (table(workspace, "map")[["x", "y"]] == 0).all(axis=None)


def test_a_single_item_has_no_neighbours_and_lies_at_the_origin(workspace):
    path = workspace.vocabulary / "items.parquet"
    pd.read_parquet(path).head(1).assign(fit_count=1).to_parquet(path)
    run(workspace, [[3, 4]])
    assert len(table(workspace, "neighbours")) == 0
    assert table(workspace, "map").to_numpy().tolist() == [["i1", 0, 0]]


def test_the_same_embeddings_give_the_same_bytes_whatever_the_size_of_blocks(workspace):
    run(workspace)
    first = contents(workspace.items("mf"))
    params = small_split.PARAMS
    small = params.evaluate.model_copy(update={"users_per_block": 5})
    items.run(params.model_copy(update={"evaluate": small}), workspace, ["mf"])
    assert contents(workspace.items("mf")) == first


def test_embeddings_that_are_no_numbers_are_refused_and_the_former_tables_stay(workspace):
    run(workspace)
    before = contents(workspace.items("mf"))
    bad = EMBEDDINGS_ON_A_CIRCLE.copy()
    bad[5] = np.nan
    with pytest.raises(BakeoffError, match="1 of 12 item embeddings hold NaN"):
        run(workspace, bad)
    assert contents(workspace.items("mf")) == before


def test_embeddings_of_another_catalogue_are_refused(workspace):
    with pytest.raises(BakeoffError, match=r"shape \[5, 2\] and the split's catalogue has 12 items.*evaluate mf"):
        run(workspace, np.ones((5, 2)))


def test_a_model_that_was_not_evaluated_is_refused(workspace):
    with pytest.raises(
        BakeoffError, match=r"item_embeddings\.npy can't be read \(No such file .*run `bakeoff evaluate mf`"
    ):
        items.run(small_split.PARAMS, workspace, ["mf"])


def test_a_damaged_file_of_embeddings_says_what_to_run(workspace):
    evaluated(workspace, EMBEDDINGS_ON_A_CIRCLE)
    path = workspace.evaluation("mf") / EMBEDDINGS
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(BakeoffError, match=r"can't be read.*run `bakeoff evaluate mf`"):
        items.run(small_split.PARAMS, workspace, ["mf"])


def test_a_split_that_is_not_there_says_what_to_run(tmp_path):
    with pytest.raises(BakeoffError, match="run `bakeoff split` first"):
        run(Workspace(tmp_path))
