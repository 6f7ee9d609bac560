"""What the page holds to answer searches and clicks."""

import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic import GENRES, HOSTILE_TITLE

from bakeoff.params import Params
from bakeoff.report.evidence import Evidence
from bakeoff.report.topics import explore
from bakeoff.report.topics.explore import Explorer


@pytest.fixture(scope="module")
def found(evidence: Evidence, params: Params) -> Explorer:
    explorer = explore.explorer(evidence, params)
    assert explorer is not None
    return explorer


def test_models_without_embeddings_are_left_out(found: Explorer):
    assert list(found.neighbours) == ["ease", "mf", "softmax", "two_tower"]


def test_items_with_most_events_come_first(found: Explorer, evidence: Evidence):
    most = evidence.items.sort_values("fit_count", ascending=False, kind="stable").title.iloc[0]
    assert found.titles[0] == most
    assert found.chosen == 0


def test_neighbours_are_those_of_the_file_in_its_order(found: Explorer, evidence: Evidence):
    place = found.titles.index(HOSTILE_TITLE)
    places, percent = found.neighbours["mf"][place]
    table = evidence.models["mf"].neighbours
    ids = table[table.item_id == "1"].sort_values("rank").neighbour_id
    titles = evidence.items.set_index("item_id").title
    assert [found.titles[other] for other in places] == [titles[item] for item in ids]
    assert percent == [98, 97, 96, 95, 94, 93, 92, 91, 90, 89]


def test_positions_keep_their_proportions_within_the_grid(found: Explorer, evidence: Evidence):
    grid = found.positions["mf"]
    known = grid[grid[:, 0] >= 0]
    assert len(known) == len(evidence.models["mf"].positions)
    assert known.min() == 0
    assert known.max() == explore.GRID
    xy = evidence.models["mf"].positions[["x", "y"]].to_numpy()
    assert np.ptp(known[:, 1]) / np.ptp(known[:, 0]) == pytest.approx(np.ptp(xy[:, 1]) / np.ptp(xy[:, 0]), abs=0.01)


def test_colours_are_the_most_frequent_first_tags(found: Explorer):
    assert found.feature == "genres"
    assert set(found.tags) == {*GENRES, explore.OTHER}
    place = found.titles.index("Drama no. 2 (1990)")
    assert found.tags[found.tag[place]] == "Drama"


def test_a_tag_that_is_called_other_shares_the_colour_of_all_others(evidence: Evidence, params: Params):
    named = evidence.items.assign(genres=evidence.items.genres.replace("Drama", explore.OTHER))
    explorer = explore.explorer(replace(evidence, items=named), params)
    assert explorer is not None
    assert sorted(explorer.tags) == sorted({*GENRES, explore.OTHER} - {"Drama"})
    assert explorer.tags[explorer.tag[explorer.titles.index("Drama no. 2 (1990)")]] == explore.OTHER


def test_without_tags_everything_has_one_colour(evidence: Evidence, params: Params):
    plain = params.model_copy(update={"data": params.data.model_copy(update={"item_features": {}})})
    explorer = explore.explorer(evidence, plain)
    assert explorer is not None
    assert (list(explorer.tags), set(explorer.tag)) == ([explore.OTHER], {0})


def test_an_item_without_title_is_named_by_its_id(evidence: Evidence, params: Params):
    items = evidence.items.assign(title=evidence.items.title.mask(evidence.items.item_id == "2"))
    explorer = explore.explorer(replace(evidence, items=items), params)
    assert explorer is not None
    assert "item 2" in explorer.titles


def test_without_embeddings_there_is_nothing_to_explore(evidence: Evidence, params: Params):
    models = {
        name: replace(model, neighbours=model.neighbours.head(0), positions=model.positions.head(0))
        for name, model in evidence.models.items()
    }
    assert explore.explorer(replace(evidence, models=models), params) is None


def test_what_the_script_reads_is_plain_json(found: Explorer):
    data = json.loads(json.dumps(found.page_data()))
    assert len(data["positions"]["mf"]) == 2 * len(data["titles"])
    assert data["near"]["mf"][str(data["chosen"])][0]


def test_marks_of_the_legend_are_those_of_the_map(found: Explorer):
    scale = explore.map_spec(found.tags, found.feature)["layer"][0]["encoding"]["shape"]["scale"]
    assert scale["domain"] == list(found.tags)
    assert [path for _, _, path in found.legend] == [explore.PATHS[name] for name in scale["range"]]
