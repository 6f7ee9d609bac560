"""The page: quality with intervals, cost with ratios to ours, paired differences."""

import json
from dataclasses import replace

import pytest
import tiny_bench as tiny
from harness.measuring import Measured, over_seeds
from harness.systems import System
from harness.tables import ABOUT_TIMES, STALE, markdown, results_of

FACTS = {"users": 4, "items": 6, "train": 4, "valid": 6, "test": 6, "days": ["2000-01-01", "2000-02-01"]}
OURS = tiny.measured("mf", [0.5, 0.7, 0.6], seconds=2.0, memory=2**30, title="bakeoff MF")
PEER = tiny.measured("als", [0.4, 0.4, 0.4], seconds=6.0, memory=2**29, title="Peer")


def page(results, facts=FACTS):
    return markdown(figures(results, facts))


def figures(results, facts=FACTS):
    return results_of(tiny.BENCHMARK, facts, results, 'make bench BENCH="tiny"', 2, 1, 200, lambda _: 30.0)


def row(text, heading, name):
    section = text.split(f"## {heading}")[1].split("##")[0]
    [line] = [line for line in section.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_quality_has_its_interval():
    assert row(page([PEER]), "Quality", "Peer")[1:5] == ["ids", "30", "1", "0.4000 [0.4000, 0.4000]"]


def test_several_seeds_are_one_figure_with_their_spread():
    found = over_seeds([PEER, tiny.measured("als", [0.5, 0.5, 0.5], seconds=8.0, title="Peer")])
    # 0.4 and 0.5: mean 0.45, standard deviation 0.1/√2, of a mean 0.05, times 12.706 of Student's t; seconds 6 and 8
    assert row(page([found]), "Quality", "Peer")[3:5] == ["2", "0.4500 [-0.1853, 1.0853] ± 0.0707"]
    assert row(page([found]), "Cost", "Peer")[1] == "7.00"


def test_who_reads_the_time_of_the_query_says_so():
    asked = replace(PEER, setting={"dim": 3, "use_query_time": True})
    assert row(page([asked]), "Quality", "Peer")[1] == "ids, time of the query"
    assert ABOUT_TIMES in page([asked])
    blind = page([replace(PEER, setting={"use_query_time": False})])
    assert row(blind, "Quality", "Peer")[1] == "ids"
    assert ABOUT_TIMES not in blind


def test_a_page_is_made_from_its_json_alone_and_says_if_the_code_has_changed():
    found = json.loads(json.dumps(figures([PEER, OURS])))
    assert markdown(found) == page([PEER, OURS])
    assert markdown(found, found["code"]) == page([PEER, OURS])
    assert "Older than the code" not in markdown(found, found["code"])
    assert STALE.format("this project's systems") in markdown(found, found["code"] | {"ours": "another"})
    assert STALE.format("this project's systems and the peers") in markdown(found, {"ours": "1", "peers": "2"})


def test_cost_is_given_as_a_multiple_of_ours():
    # time 6 s ÷ 2 s, CPU 12 s ÷ 4 s, memory 512 MiB ÷ 1,024 MiB
    assert row(page([PEER, OURS]), "Cost", "Peer")[1:] == ["6.00", "12.00", "512", "256", "3.00", "3.00", "0.50"]


def test_difference_is_ours_less_theirs_on_the_same_users():
    # 0.1, 0.3, 0.2: mean 0.2; ratio of the means 0.6 ÷ 0.4
    cells = row(page([PEER, OURS]), "NDCG@10", "Peer")
    assert cells[1].startswith("+0.2000 [+0.1")
    assert cells[2] == "1.50"


def test_without_ours_there_is_no_difference_and_no_ratio():
    text = page([PEER])
    assert "ours minus theirs" not in text
    assert "÷" not in text.split("## Cost")[1]


def test_the_page_names_the_command_the_dates_of_the_data_and_no_date_of_the_run():
    text = page([PEER])
    assert '`make bench BENCH="tiny"`' in text
    assert "events from 2000-01-01 to 2000-02-01" in text
    assert page([PEER]) == text


def test_data_without_times_has_no_dates():
    assert "events without times" in page([PEER], {**FACTS, "days": None})


def test_settings_are_listed():
    assert row(page([PEER]), "Settings", "Peer")[1] == "dim 3"


def test_parts_of_a_setting_are_listed_by_their_dotted_names():
    nested = replace(PEER, setting={"dim": 3, "negatives": {"sampler": "mixed", "logq_correction": True}})
    shown = "dim 3, negatives.sampler mixed, negatives.logq_correction true"
    assert row(page([nested]), "Settings", "Peer")[1] == shown


def test_a_setting_at_the_edge_of_the_grid_is_named():
    found = results_of(tiny.BENCHMARK, FACTS, [PEER], "c", 2, 1, 100, edges=lambda _: ["dim"])
    assert row(markdown(found), "Settings", "Peer")[1] == "dim 3; at the edge of what was tried: dim"


@pytest.mark.parametrize(("tuned", "effort"), [(True, "not recorded"), (False, "–")])
def test_seconds_of_tuning_that_nobody_recorded_are_not_those_of_a_system_without_settings(tuned, effort):
    peer = replace(PEER, system=replace(PEER.system, tuned=tuned))
    text = markdown(results_of(tiny.BENCHMARK, FACTS, [peer], "c", 2, 1, 100))
    assert row(text, "Quality", "Peer")[2] == effort


def test_a_table_says_what_a_system_reads_of_what_the_data_has():
    system = replace(PEER.system, information="ids, order, features, words of titles")
    bare = replace(tiny.BENCHMARK, params={"data": {"item_features": {}}})
    found = [
        results_of(benchmark, facts, [replace(PEER, system=system)], "c", 2, 1, 100)["systems"][0]["information"]
        for benchmark, facts in ((tiny.BENCHMARK, FACTS), (bare, {**FACTS, "days": None}))
    ]
    assert found == ["ids, order, features, words of titles", "ids"]


def test_a_system_without_a_result_is_in_no_table_but_named():
    text = page([PEER, Measured(System("x", "Broken", "x"), note="failed: ValueError: no")])
    assert "| Broken" not in text
    assert "- Broken: failed: ValueError: no." in text
