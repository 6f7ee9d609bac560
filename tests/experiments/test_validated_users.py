"""Whom validation asks about."""

import numpy as np

from bakeoff.experiments import selection
from bakeoff.experiments.runner import validated_users


def test_all_users_with_validation_events_are_asked_about():
    assert validated_users(np.array([2, 0, 1]), seed=1).tolist() == [0, 2]


def test_of_too_many_a_seeded_sample_is(monkeypatch):
    monkeypatch.setattr(selection, "MOST_VALIDATED", 10)
    lengths = np.arange(100) % 2
    users = validated_users(lengths, seed=1)
    assert len(set(users)) == 10
    assert (np.diff(users) > 0).all()
    assert lengths[users].all()
    assert users.tolist() == validated_users(lengths, seed=1).tolist() != validated_users(lengths, seed=2).tolist()
