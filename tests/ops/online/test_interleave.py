"""Team draft and sampled lists, against probabilities worked out by hand or counted."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.ops.online.experiment import CHALLENGER, CHAMPION, NO_TEAM, team_draft


class Coins:
    """Tosses these coins: True lets the challenger pick first."""

    def __init__(self, *coins):
        self._coins = iter(coins)

    def random(self):
        return 0.0 if next(self._coins) else 1.0


def test_each_round_a_coin_says_who_picks_first_and_taken_items_are_passed_over():
    # The second round: a, b and d are taken (round 1: a, d), so the champion picks b and the challenger c.
    draft = team_draft("abc", "dac", 4, Coins(False, True))
    assert draft.items == ["a", "d", "c", "b"]
    assert draft.teams == [CHAMPION, CHALLENGER, CHALLENGER, CHAMPION]


def test_an_item_that_both_pick_belongs_to_nobody():
    draft = team_draft("abc", "acb", 3, Coins(True))
    assert draft.items == ["a", "c", "b"]
    assert draft.teams == [NO_TEAM, CHALLENGER, CHAMPION]
    assert draft.propensities == [1.0, 0.5, 0.5]


def test_what_only_one_ranking_still_has_belongs_to_nobody():
    draft = team_draft("ab", "abcd", 5, Coins())
    assert draft.items == ["a", "b", "c", "d"]
    assert draft.teams == [NO_TEAM] * 4
    assert team_draft("", "", 3, Coins()).items == []


rankings = st.permutations("abcdefg").map(lambda items: items[:5])


@given(rankings, rankings, st.integers(1, 7), st.randoms(use_true_random=False))
def test_a_draft_has_no_item_twice_and_as_many_picks_of_each_team(champion, challenger, k, rng):
    draft = team_draft(champion, challenger, k, rng)
    assert len(draft.items) == len(draft.teams) == len(draft.propensities) == min(k, len({*champion, *challenger}))
    assert len(set(draft.items)) == len(draft.items)
    assert {*draft.items} <= {*champion, *challenger}
    teams = Counter(draft.teams)
    assert abs(teams[CHAMPION] - teams[CHALLENGER]) <= 1
    assert draft.propensities == [1.0 if team == NO_TEAM else 0.5 for team in draft.teams]
    for item, team in zip(draft.items, draft.teams, strict=True):
        assert item in {CHAMPION: champion, CHALLENGER: challenger, NO_TEAM: draft.items}[team]


@given(rankings, rankings, st.integers(1, 7))
def test_what_coins_change_is_the_order_within_a_round_alone(champion, challenger, k):
    drafts = [team_draft(champion, challenger, k, Random(seed)) for seed in range(6)]
    for place, certain in enumerate(zip(*(draft.propensities for draft in drafts), strict=True)):
        assert len({*certain}) == 1
        assert len({draft.items[place] for draft in drafts}) <= (1 if certain[0] == 1 else 2)


def test_propensities_are_how_often_an_item_is_shown_at_a_place():
    rng, counts, propensities = Random(3), [Counter() for _ in range(3)], [{} for _ in range(3)]
    for _ in range(20_000):
        draft = team_draft("abc", "adb", 3, rng, 0.4)
        for place, item in enumerate(draft.items):
            counts[place][item] += 1
            propensities[place][item] = draft.propensities[place]
    # Place 1: a unless sampled: 0.6 + 0.4 / 4. Place 2: b or d by the coin: 0.3 + 0.1; a and c only by sampling: 0.1.
    assert propensities[0] == pytest.approx({"a": 0.7, "b": 0.1, "c": 0.1, "d": 0.1})
    assert propensities[1] == pytest.approx({"a": 0.1, "b": 0.4, "c": 0.1, "d": 0.4})
    for seen, known in zip(counts, propensities, strict=True):
        for item, p in known.items():
            assert seen[item] / 20_000 == pytest.approx(p, abs=0.015)  # more than 4 standard errors


def test_the_list_of_one_model_is_what_it_is_and_certain():
    assert team_draft("abcdef", "abcdef", 3, Coins()) == ([*"abc"], [NO_TEAM] * 3, [1.0] * 3)
    assert team_draft("", "", 3, Random(0), 0.5) == ([], [], [])


def test_one_model_is_explored_among_all_that_it_ranked():
    drafts = [team_draft("abcdef", "abcdef", 3, Random(seed), 0.6) for seed in range(200)]
    assert {item for draft in drafts for item in draft.items} == {*"abcdef"}
    for draft in drafts:
        expected = [(0.4 if item == own else 0) + 0.1 for item, own in zip(draft.items, "abc", strict=True)]
        assert draft.propensities == pytest.approx(expected)
