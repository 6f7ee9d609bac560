from dataclasses import replace
from typing import Any

import pytest
from synthetic_reports import search_record

from bakeoff.core.errors import BakeoffError
from bakeoff.report.evidence import Evidence
from bakeoff.report.render.tables import search_table
from bakeoff.report.training import progress, searches


def searched(evidence: Evidence, **records: Any) -> list[Any]:
    return searches(replace(evidence, tuning=records))


def test_searches_come_in_the_order_of_the_report(evidence: Evidence):
    found = searched(evidence, softmax=search_record("softmax"), mf=search_record("mf"))
    assert [search.model for search in found] == ["mf", "softmax"]


def test_the_best_so_far_never_falls_and_ends_at_the_best(evidence: Evidence):
    [search] = searched(evidence, mf=search_record("mf"))
    values = progress([search]).value
    assert values.is_monotonic_increasing
    assert values.iloc[-1] == search.best


def test_a_trial_that_was_not_completed_leaves_the_line_where_it_was(evidence: Evidence):
    record = search_record("mf", trials=3)
    for trial, value, state in zip(record["history"], (0.1, 0.9, 0.2), ("complete", "pruned", "complete"), strict=True):
        trial |= {"value": value, "state": state}
    line = progress(searched(evidence, mf=record))
    assert line.value.tolist() == [0.1, 0.1, 0.2]
    assert line.better.tolist() == [True, False, True]
    assert line.trial.tolist() == [1, 2, 3]


def test_the_line_begins_at_the_first_completed_trial(evidence: Evidence):
    record = search_record("mf", trials=2)
    record["history"][0] |= {"value": None, "state": "failed"}
    line = progress(searched(evidence, mf=record))
    assert line.trial.tolist() == [2]
    assert line.better.tolist() == [True]


def test_without_records_there_is_no_line():
    assert progress([]).empty


def test_a_mean_over_further_seeds_is_shown_as_such(evidence: Evidence):
    record, usual = search_record("mf"), search_record("softmax")
    record["best"] |= {"value": 0.1949, "seeds": 3}
    rows = search_table(searched(evidence, mf=record, softmax=usual)).rows
    assert [row[3].detail for row in rows] == ["mean of 3 further seeds", ""]
    assert rows[0][3].text == "0.1949"


def test_seconds_that_are_not_recorded_are_shown_as_such(evidence: Evidence):
    record = search_record("mf")
    del record["wall_seconds"]
    [row] = search_table(searched(evidence, mf=record)).rows
    assert [cell.text for cell in row][2] == "–"


def test_a_record_that_lacks_something_is_named_with_the_way_out(evidence: Evidence):
    record = search_record("mf")
    del record["trials"]
    with pytest.raises(BakeoffError, match=r"search for mf can't be read .*trials.*bakeoff tune mf"):
        searched(evidence, mf=record)
