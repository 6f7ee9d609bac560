from dataclasses import replace
from typing import Any

import pytest
from synthetic_reports import search_record

from bakeoff.core.errors import BakeoffError
from bakeoff.report.evidence import Evidence
from bakeoff.report.training import progress, searches, warnings

MODELS = ("popularity", "ease", "mf", "softmax")


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


def test_equal_effort_needs_no_warning(evidence: Evidence):
    found = searched(evidence, mf=search_record("mf"), softmax=search_record("softmax", wall_seconds=650))
    assert warnings(found, MODELS, "invented") == []


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"trials": 17}, "20 trials for MF and 17 trials for the softmax DNN"),
        ({"wall_seconds": 700.0}, "10 min 0 s for MF and 11 min 40 s for the softmax DNN"),
    ],
)
def test_effort_that_differs_by_more_than_a_tenth_is_said(evidence: Evidence, other: dict[str, Any], words: str):
    found = searched(evidence, mf=search_record("mf"), softmax=search_record("softmax", **other))
    [line] = warnings(found, MODELS, "invented")
    assert words in line


def test_a_contender_that_was_not_searched_counts_as_no_effort(evidence: Evidence):
    [line] = warnings(searched(evidence, mf=search_record("mf")), MODELS, "invented")
    assert "0 trials for the softmax DNN" in line


def test_a_search_on_other_data_is_said(evidence: Evidence):
    records = {name: search_record(name, dataset="ml-1m") for name in ("mf", "softmax")}
    [line] = warnings(searched(evidence, **records), MODELS, "invented")
    assert "searched on ml-1m and not on this data" in line


def test_without_records_nothing_is_said(evidence: Evidence):
    assert warnings(searched(evidence), MODELS, "invented") == []
    assert progress([]).empty


def test_a_record_that_lacks_something_is_named_with_the_way_out(evidence: Evidence):
    record = search_record("mf")
    del record["wall_seconds"]
    with pytest.raises(BakeoffError, match=r"search for mf can't be read .*wall_seconds.*bakeoff tune mf"):
        searched(evidence, mf=record)
