from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence
from bakeoff.report.slices import (
    GAPS,
    Slice,
    all_slices,
    events_by_repeat,
    share_within_an_hour,
    visit_slices,
)
from bakeoff.report.summary import Summary, metrics

STATISTICS = Statistics(confidence=0.95, resamples=200, seed=1)


def at_gap(evidence: Evidence, seconds: int) -> Evidence:
    """Every test event comes `seconds` after the last known one; users' first events are earlier."""
    times = np.where(evidence.events.part == "test", 1_000_000 + seconds, 1_000_000)
    times[evidence.events.position == 0] = 900_000
    return replace(evidence, events=evidence.events.assign(timestamp=times))


def by_gap(evidence: Evidence) -> list[Slice]:
    return all_slices(evidence, "ndcg@10", STATISTICS)[0]


@pytest.mark.parametrize(
    ("seconds", "name"),
    [(0, "same second"), (1, "< 1 min"), (60, "< 1 min"), (61, "< 1 h"), (3601, "< 1 day"), (86_401, "later")],
)
def test_an_event_falls_into_the_span_of_its_gap(evidence: Evidence, seconds: int, name: str):
    [part] = by_gap(at_gap(evidence, seconds))
    assert part.name == name
    assert part.num_events == (evidence.events.part == "test").sum()


def test_a_span_that_holds_everything_gives_the_figures_of_the_evaluation(evidence: Evidence):
    [part] = by_gap(at_gap(evidence, 5))
    for estimate in part.estimates.itertuples():
        assert estimate.mean == pytest.approx(evidence.models[estimate.model].users["ndcg@10"].mean())


def test_spans_come_in_order_and_cover_all_test_events(evidence: Evidence):
    parts = by_gap(evidence)
    assert [part.name for part in parts] == list(GAPS)
    assert sum(part.num_events for part in parts) == (evidence.events.part == "test").sum()


def test_the_share_within_an_hour_counts_events(evidence: Evidence):
    assert share_within_an_hour(by_gap(at_gap(evidence, 3600))) == 1
    assert share_within_an_hour(by_gap(at_gap(evidence, 3601))) == 0


def test_metrics_carry_the_figures_of_each_slice(evidence: Evidence, summary: Summary):
    found = metrics(replace(summary, slices=by_gap(at_gap(evidence, 5))), evidence)
    [(name, span)] = found["time_since_last_event"].items()
    [part] = by_gap(at_gap(evidence, 5))
    assert (name, span["num_users"]) == ("< 1 min", part.num_users)
    assert span["softmax"] == pytest.approx(evidence.models["softmax"].users["ndcg@10"].mean(), rel=1e-5)
    assert span["p"] == pytest.approx(part.difference.p_holm, rel=1e-5)


def test_every_span_has_a_figure_of_every_model(evidence: Evidence):
    for part in by_gap(evidence):
        assert part.estimates.model.tolist() == list(evidence.models)


def test_the_better_contender_stands_beside_the_best_baseline(evidence: Evidence):
    [part] = by_gap(at_gap(evidence, 5))
    means = part.estimates.set_index("model")["mean"]
    assert part.standing.mean == pytest.approx(max(means["mf"], means["softmax"]))
    assert part.standing.baseline_mean == pytest.approx(
        max(means[name] for name in ("popularity", "recent_popularity", "ease"))
    )


@pytest.mark.parametrize("time", [0, 1_600_000_000])
def test_data_without_times_that_differ_has_no_spans(evidence: Evidence, time: int):
    timeless = replace(evidence, events=evidence.events.assign(timestamp=time))
    assert by_gap(timeless) == []


def test_a_split_that_ignores_time_has_no_spans(evidence: Evidence):
    assert by_gap(at_gap(evidence, -1)) == []


def test_items_had_again_stand_apart_from_new_ones(evidence: Evidence, summary: Summary):
    assert not summary.repeats
    assert events_by_repeat(evidence) == {}
    events = evidence.events
    test = events[events.part == "test"]
    known = test.groupby("user_id").head(1).assign(part="train")  # each user had one of the test items before
    again = replace(evidence, events=pd.concat([events, known], ignore_index=True))
    *_, parts = all_slices(again, "ndcg@10", STATISTICS)
    assert [(part.name, part.num_events) for part in parts] == [
        ("had before", len(known)),
        ("new to the user", len(test) - len(known)),
    ]
    found = metrics(replace(summary, repeats=parts), evidence)["repeats"]
    assert found["had before"]["num_users"] == test.user_id.nunique()
    assert "repeats" not in metrics(summary, evidence)


def with_visits(evidence: Evidence) -> Evidence:
    """Users have three visits, the first two one after a pause, on which the metric is half as high; others none."""

    def table(users: pd.DataFrame) -> pd.DataFrame:
        late = np.arange(len(users)) < 2
        halved = np.where(late, users["ndcg@10"] / 2, np.nan)
        visits = {"visits": 3.0, "visits_ndcg@10": users["ndcg@10"]}
        return users.assign(**visits, after_pause=late * 1.0, **{"after_pause_ndcg@10": halved})

    models = {name: replace(model, users=table(model.users)) for name, model in evidence.models.items()}
    return replace(evidence, models=models)


def test_visits_have_a_slice_of_all_and_one_after_a_pause(evidence: Evidence):
    both, late = visit_slices(with_visits(evidence), "ndcg@10", STATISTICS)
    num_users = len(evidence.models["mf"].users)
    assert (both.name, both.num_users, both.num_events) == ("all visits", num_users, 3 * num_users)
    assert (late.name, late.num_users, late.num_events) == ("after a pause of an hour", 2, 2)
    for estimate in late.estimates.itertuples():
        users = evidence.models[estimate.model].users
        assert estimate.mean == pytest.approx(users["ndcg@10"].head(2).mean() / 2)


def test_where_visits_were_not_asked_there_is_no_slice(evidence: Evidence):
    assert visit_slices(evidence, "ndcg@10", STATISTICS) == []


def test_metrics_carry_the_figures_of_visits(evidence: Evidence, summary: Summary):
    parts = visit_slices(with_visits(evidence), "ndcg@10", STATISTICS)
    found = metrics(replace(summary, visits=parts), evidence)["visits"]
    assert list(found) == ["all visits", "after a pause of an hour"]
    assert found["all visits"]["softmax"] == pytest.approx(evidence.models["softmax"].users["ndcg@10"].mean(), rel=1e-5)
