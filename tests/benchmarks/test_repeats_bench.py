"""Synthetic data on which users have items again: what is planted is what comes, and lists are judged by it."""

import numpy as np
import pytest
import repeats


@pytest.fixture
def small(monkeypatch):
    """Sixty users of six groups, twenty events each."""
    for name, value in {"GROUPS": 6, "USERS": 60, "ITEMS": 60, "EVENTS": 20, "VALID": 2, "TEST": 5}.items():
        monkeypatch.setattr(repeats, name, value)
    return repeats.made(1)


def test_users_stay_in_their_group_and_have_items_again_as_often_as_planted(small):
    items, chances = small
    assert (items % 6 == (np.arange(60) % 6)[:, np.newaxis]).all()
    again = [len(set(row[: place + 1])) == len(set(row[:place])) for row in items for place in range(1, 12)]
    assert abs(np.mean(again) - repeats.AGAIN) < 0.1  # later some have had all ten items of their group
    np.testing.assert_allclose(chances.sum(axis=1), 1)


def test_the_parts_follow_each_other_and_a_target_is_there_once(small):
    items, _ = small
    splits, test = repeats.splits_of(items)
    kept, first = splits[repeats.KEPT], splits[repeats.FIRST]
    assert len(kept.train.items) == 60 * 13
    assert len(first.train.items) == sum(len(set(row[:13])) for row in items)
    assert kept.train.timestamps.max() < kept.valid.timestamps.min() < test.timestamps.min()
    for part, rows in ((kept.valid, items[:, 13:15]), (test, items[:, 15:])):
        assert [set(each) for each in np.split(part.items, part.offsets[1:-1])] == [set(row) for row in rows]
        assert part.lengths.sum() == sum(len(set(row)) for row in rows)


def test_the_planted_chances_are_the_best_guess_and_what_was_had_most_comes_next(small):
    items, chances = small
    splits, test = repeats.splits_of(items)
    known = repeats.histories(items[:, :-5], 0)
    people = repeats.EvalSet.of(splits[repeats.KEPT], known, test)
    planted, frequency, nothing = (
        repeats.figures(scores, people)
        for scores in (repeats.Scores(chances), repeats.frequency(known), repeats.Scores(np.zeros((60, 60))))
    )
    assert planted["all"].mean() > frequency["all"].mean() > nothing["all"].mean()
    assert np.nanmean(planted["new"]) > np.nanmean(frequency["new"])
    had = [np.isin([*set(row[15:])], row[:15]).mean() for row in items]
    np.testing.assert_allclose(planted["had"], had)
    assert np.isnan(planted["new"][np.array(had) == 1]).all()
