from types import SimpleNamespace

import numpy as np

from bakeoff.experiments import step_time
from bakeoff.experiments.step_time import FEWEST_TURNS, Steps, made_queries, measure_steps, needed_bytes

QUICK = Steps(users_per_batch=2, full=1, sampled=2, turns=2)


def test_made_histories_are_of_distinct_items_and_few_items_are_frequent():
    histories = made_queries(10_000, 200, seed=0).histories
    assert len(histories) == 200
    assert all(len(set(row)) == len(row) for row in np.split(histories.items, histories.offsets[1:-1]))
    counts = np.sort(np.bincount(histories.items, minlength=10_000))[::-1]
    assert counts[:10].sum() > counts[1000:].sum()


def test_both_kinds_of_step_are_timed_over_all_turns_but_the_first():
    times = measure_steps(300, QUICK, seed=0)
    for name in ("full_step_seconds", "sampled_step_seconds"):
        assert 0 < times[f"{name}_low"] < times[name] < times[f"{name}_high"]
    assert times["repeats"] == 2


def test_no_turn_begins_after_the_time_is_over_but_a_few_are_measured(monkeypatch):
    monkeypatch.setattr(step_time, "_trainer", lambda *_: SimpleNamespace(run_epoch=lambda: sum(range(1000))))
    late = Steps(users_per_batch=2, full=1, sampled=2, turns=5, seconds=0)
    assert measure_steps(300, late, seed=0)["repeats"] == FEWEST_TURNS


def test_memory_grows_in_step_with_the_catalogue():
    assert needed_bytes(1_000_000, QUICK) == 1000 * needed_bytes(1000, QUICK)
