from dataclasses import replace

import numpy as np
import pytest

from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence
from bakeoff.report.slices import GAPS, share_within_an_hour, slices_by_gap
from bakeoff.report.summary import Summary, metrics

STATISTICS = Statistics(confidence=0.95, resamples=200, seed=1)


def at_gap(evidence: Evidence, seconds: int) -> Evidence:
    """Every test event comes `seconds` after the last known one."""
    times = np.where(evidence.events.part == "test", 1_000_000 + seconds, 1_000_000)
    return replace(evidence, events=evidence.events.assign(timestamp=times))


@pytest.mark.parametrize(
    ("seconds", "name"),
    [(0, "same second"), (1, "< 1 min"), (60, "< 1 min"), (61, "< 1 h"), (3601, "< 1 day"), (86_401, "later")],
)
def test_an_event_falls_into_the_span_of_its_gap(evidence: Evidence, seconds: int, name: str):
    [part] = slices_by_gap(at_gap(evidence, seconds), "ndcg@10", STATISTICS)
    assert part.name == name
    assert part.num_events == (evidence.events.part == "test").sum()


def test_a_span_that_holds_everything_gives_the_figures_of_the_evaluation(evidence: Evidence):
    [part] = slices_by_gap(at_gap(evidence, 5), "ndcg@10", STATISTICS)
    for estimate in part.estimates:
        assert estimate.mean == pytest.approx(evidence.models[estimate.model].users["ndcg@10"].mean())


def test_spans_come_in_order_and_cover_all_test_events(evidence: Evidence):
    parts = slices_by_gap(evidence, "ndcg@10", STATISTICS)
    assert [part.name for part in parts] == list(GAPS)
    assert sum(part.num_events for part in parts) == (evidence.events.part == "test").sum()


def test_the_share_within_an_hour_counts_events(evidence: Evidence):
    assert share_within_an_hour(slices_by_gap(at_gap(evidence, 3600), "ndcg@10", STATISTICS)) == 1
    assert share_within_an_hour(slices_by_gap(at_gap(evidence, 3601), "ndcg@10", STATISTICS)) == 0


def test_metrics_carry_the_figures_of_each_slice(evidence: Evidence, summary: Summary):
    found = metrics(replace(summary, slices=slices_by_gap(at_gap(evidence, 5), "ndcg@10", STATISTICS)), evidence)
    [(name, span)] = found["time_since_last_event"].items()
    [part] = slices_by_gap(at_gap(evidence, 5), "ndcg@10", STATISTICS)
    assert (name, span["num_users"]) == ("< 1 min", part.num_users)
    assert span["softmax"] == pytest.approx(evidence.models["softmax"].users["ndcg@10"].mean(), rel=1e-5)
    assert span["p"] == pytest.approx(part.difference.p_holm, rel=1e-5)


def test_every_span_has_a_figure_of_every_model(evidence: Evidence):
    for part in slices_by_gap(evidence, "ndcg@10", STATISTICS):
        assert [estimate.model for estimate in part.estimates] == list(evidence.models)


def test_the_better_contender_stands_beside_the_best_baseline(evidence: Evidence):
    [part] = slices_by_gap(at_gap(evidence, 5), "ndcg@10", STATISTICS)
    means = {estimate.model: estimate.mean for estimate in part.estimates}
    assert part.standing.mean == pytest.approx(max(means["mf"], means["softmax"]))
    assert part.standing.baseline_mean == pytest.approx(
        max(means[name] for name in ("popularity", "recent_popularity", "ease"))
    )


def test_data_without_time_has_no_spans(evidence: Evidence):
    timeless = replace(evidence, events=evidence.events.assign(timestamp=0))
    assert slices_by_gap(timeless, "ndcg@10", STATISTICS) == []


def test_a_split_that_ignores_time_has_no_spans(evidence: Evidence):
    assert slices_by_gap(at_gap(evidence, -1), "ndcg@10", STATISTICS) == []
