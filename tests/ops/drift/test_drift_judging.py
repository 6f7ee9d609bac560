import numpy as np
import pandas as pd
import pytest
from frames import snapshot_of

from bakeoff.data.params import DataParams
from bakeoff.ops.drift.distributions import DAY
from bakeoff.ops.drift.expectations import RECENT_DAYS, DriftOutcome, judge
from bakeoff.ops.params import DriftParams

DATA = DataParams(dataset="shop", user_features={"age": "dense", "country": "categorical"})
LIMITS = DriftParams(max_divergence=0.1, min_volume=0.5, max_volume=3.0)
FIRST_DAY = 18_000


def snapshot(**changes):
    """As `tables`, for judging."""
    return snapshot_of(*tables(**changes))


def tables(users=200, events=400, per_day=10, shift=0.0, country="DE"):
    """Interactions, users, items: ages 20…59 and two countries, `per_day` events a day, two ratings."""
    rows = np.arange(events)
    interactions = pd.DataFrame(
        {
            "user_id": (rows % users).astype(str),
            "item_id": (rows % 20).astype(str),
            "timestamp": (FIRST_DAY + rows // per_day) * DAY,
            "rating": np.where(rows % 2, 4.0, 5.0),
        }
    )
    people = np.arange(users)
    table = pd.DataFrame({"user_id": people.astype(str), "age": 20 + people % 40 + shift})
    table["country"] = np.where(people % 2, country, "FR")
    return interactions, table, pd.DataFrame({"item_id": np.arange(20).astype(str), "title": "T"})


def judged(before, now, limits=LIMITS):
    return judge(before, now, DATA, limits, "softmax#prod#1", "1a2b3c4")


def failed(drift):
    return {(finding.table, finding.column): finding for finding in drift.failed}


def of_days(drift):
    return [finding for finding in drift.findings if finding.subject == "Events per new day"]


@pytest.fixture(scope="module")
def before():
    return snapshot()


def test_the_same_data_have_not_drifted(before):
    drift = judged(before, before)
    assert drift.outcome is DriftOutcome.NONE
    assert all(finding.value <= 0.0101 for _, finding in drift.features)
    assert {finding.column for _, finding in drift.features} == {"rating", "age", "country", None}


def test_a_feature_that_has_shifted_is_found_and_no_other(before):
    drift = judged(before, snapshot(shift=15.0))
    assert drift.outcome is DriftOutcome.WARNING
    [finding] = drift.failed
    assert (finding.table, finding.column, finding.severity) == ("users", "age", "warning")
    assert finding.limit == pytest.approx(0.1 + (10 - 1) / 2 * (1 / 200 + 1 / 200))  # ten bins, 200 users on each side
    assert finding.value > finding.limit


def test_the_divergence_is_that_of_kullback_and_leibler_in_nats(before):
    # Half of the users have moved to a country that was not there. Two empty bins (unseen, missing) count as half of
    # 200 users each: weights of DE, FR, unseen and missing are .4975, .4975, .0025, .0025; shares now 0, .5, .5, 0
    value = failed(judged(before, snapshot(country="AT")))[("users", "country")].value
    expected = 0.5 * np.log(0.5 / 0.4975) + 0.5 * np.log(0.5 / 0.0025)
    assert value == pytest.approx(expected, abs=1e-6)


def test_a_divergence_at_the_limit_holds_and_one_above_it_does_not(before):
    now = snapshot(country="AT")
    value = 0.5 * np.log(0.5 / 0.4975) + 0.5 * np.log(0.5 / 0.0025)
    chance = (3 - 1) / 2 * (1 / 200 + 1 / 200)  # DE, FR and the new one
    limits = (value - chance + 1e-5, value - chance - 1e-5)
    at, below = (LIMITS.model_copy(update={"max_divergence": limit}) for limit in limits)
    assert ("users", "country") not in failed(judged(before, now, at))
    assert ("users", "country") in failed(judged(before, now, below))


def test_few_rows_of_one_distribution_have_not_drifted(before):
    rng = np.random.default_rng(3)
    sides = []
    for interactions, users, items in (tables(users=60), tables(users=60)):
        countries = rng.choice([f"C{number:02d}" for number in range(20)], 60)
        sides.append(snapshot_of(interactions, users.assign(age=rng.integers(20, 60, 60), country=countries), items))
    assert {finding.column for finding in judged(*sides).failed} <= {None}
    strict = {finding.column: finding.value for _, finding in judged(*sides).features}
    assert strict["country"] > LIMITS.max_divergence  # by chance alone


@pytest.mark.parametrize(
    ("events", "outcome"),
    [(200, DriftOutcome.NONE), (199, DriftOutcome.STOP), (1200, DriftOutcome.NONE), (1201, DriftOutcome.WARNING)],
)
def test_volume_at_its_limits(before, events, outcome):
    # Only rows count here: features may drift as they like
    drift = judged(before, snapshot(events=events, per_day=events), LIMITS.model_copy(update={"max_divergence": 99.0}))
    assert drift.outcome is outcome
    rows = drift.findings[0]
    assert (rows.table, rows.value, rows.detail) == ("interactions", events / 400, f"400 → {events:,}")


def test_missing_users_stop_too(before):
    drift = judged(before, snapshot(users=99), LIMITS.model_copy(update={"max_divergence": 99.0}))
    assert [(finding.table, finding.severity) for finding in drift.failed] == [("users", "critical")]


@pytest.mark.parametrize(("per_day", "holds"), [(5, True), (4, False), (30, True), (31, False)])
def test_new_days_are_compared_with_those_before(before, per_day, holds):
    old, users, items = tables()
    new, *_ = tables(events=per_day * 7, per_day=per_day)
    new = new.assign(timestamp=new.timestamp + 40 * DAY, user_id="new")
    now = snapshot_of(pd.concat([old, new]), users, items)
    drift = judged(before, now, LIMITS.model_copy(update={"max_divergence": 99.0}))
    # the last of the seven days may not be over yet
    [days] = of_days(drift)
    assert days.detail == f"median of 6 new days {per_day}, of the {RECENT_DAYS} days before 10"
    assert days.value == per_day / 10
    assert (drift.outcome is DriftOutcome.NONE) == holds
    assert RECENT_DAYS < 40


def test_without_times_there_are_no_days():
    interactions, users, items = tables()
    timeless = snapshot_of(interactions.assign(timestamp=0), users, items)
    assert not of_days(judged(timeless, timeless))
