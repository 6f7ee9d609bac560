"""Team draft and sampled lists, against probabilities worked out by hand or counted."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.ops.online.interleave import CHALLENGER, CHAMPION, NO_TEAM, explored, plain, team_draft


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
    assert draft.slots == [{"a": 1.0}, {"b": 0.5, "c": 0.5}, {"b": 0.5, "c": 0.5}]


def test_what_only_one_ranking_still_has_belongs_to_nobody():
    draft = team_draft("ab", "abcd", 5, Coins())
    assert draft.items == ["a", "b", "c", "d"]
    assert draft.teams == [NO_TEAM] * 4
    assert team_draft("", "", 3, Coins()).items == []


rankings = st.permutations("abcdefg").map(lambda items: items[:5])


@given(rankings, rankings, st.integers(1, 7), st.randoms(use_true_random=False))
def test_a_draft_has_no_item_twice_and_as_many_picks_of_each_team(champion, challenger, k, rng):
    draft = team_draft(champion, challenger, k, rng)
    assert len(draft.items) == len(draft.teams) == len(draft.slots) == min(k, len({*champion, *challenger}))
    assert len(set(draft.items)) == len(draft.items)
    assert {*draft.items} <= {*champion, *challenger}
    teams = Counter(draft.teams)
    assert abs(teams[CHAMPION] - teams[CHALLENGER]) <= 1
    assert all(sum(slot.values()) == pytest.approx(1) for slot in draft.slots)
    for item, team in zip(draft.items, draft.teams, strict=True):
        assert item in {CHAMPION: champion, CHALLENGER: challenger, NO_TEAM: draft.items}[team]


@given(rankings, rankings, st.integers(1, 7))
def test_the_set_of_each_round_is_fixed_so_that_the_probabilities_are_those_of_every_draft(champion, challenger, k):
    slots = [team_draft(champion, challenger, k, Random(seed)).slots for seed in range(4)]
    assert all(each == slots[0] for each in slots)


def test_propensities_are_how_often_an_item_is_shown_at_a_place():
    rng, counts, propensities = Random(3), [Counter() for _ in range(3)], [{} for _ in range(3)]
    for _ in range(20_000):
        draft, found = explored(team_draft("abc", "adb", 3, rng), "abcd", 0.4, rng)
        for place, item in enumerate(draft.items):
            counts[place][item] += 1
            propensities[place][item] = found[place]
    # Place 1: a unless sampled: 0.6 + 0.4 / 4. Place 2: b or d by the coin: 0.3 + 0.1; a and c only by sampling: 0.1.
    assert propensities[0] == pytest.approx({"a": 0.7, "b": 0.1, "c": 0.1, "d": 0.1})
    assert propensities[1] == pytest.approx({"a": 0.1, "b": 0.4, "c": 0.1, "d": 0.4})
    for seen, known in zip(counts, propensities, strict=True):
        for item, p in known.items():
            assert seen[item] / 20_000 == pytest.approx(p, abs=0.015)  # more than 4 standard errors


def test_without_sampling_a_list_is_what_it_is_and_certain():
    draft, propensities = explored(plain("abc"), "abcdef", 0.0, Coins())
    assert (draft.items, draft.teams, propensities) == ("abc", [NO_TEAM] * 3, [1.0] * 3)
    assert explored(plain(""), "", 0.5, Random(0))[1] == []
