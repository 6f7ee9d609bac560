import multiprocessing
import time
from itertools import chain, repeat
from types import SimpleNamespace

import objectives
import pytest

from bakeoff.core.parameters import Search
from bakeoff.experiments.tuning import trials as module
from bakeoff.experiments.tuning.trials import FINAL_SHARE, FURTHER_SEEDS, STATES, TuningStudy, outcome, record

SPACE = {"x": Search(low=0.0, high=1.0), "y": Search(choices=("a", "b", None))}
FIRST = {"x": 0.123456, "y": None}
RANDOM_TRIALS = 10
"""Optuna's TPESampler draws these at random before it learns from earlier ones."""
TRIALS_BEFORE_PRUNING = 5
"""Optuna's MedianPruner compares trials with at least these."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.journal"


def open_study(path, seed=1, current=FIRST):
    return TuningStudy(path, SPACE, current, seed, objectives.EPOCHS)


def tune(study, objective=objectives.at_once, trials=3, timeout=600.0):
    ended = []
    study.optimize(objective, trials=trials, timeout=timeout, after_trial=ended.append)
    return ended


def values(study):
    return [trial.user_attrs["values"] for trial in study.tried]


def states(study):
    return [STATES[trial.state] for trial in study.tried]


def tune_in_process(path, objective):
    """Run in a process of its own; returns its exit status."""
    process = multiprocessing.get_context("spawn").Process(target=_tune, args=(path, objective))
    process.start()
    process.join()
    return process.exitcode


def _tune(path, objective):
    tune(open_study(path), objective)


def test_as_many_trials_are_made_as_were_asked_for_in_total(path):
    study = open_study(path)
    ended = [trial for total in (2, 4, 4) for trial in tune(study, objectives.rising, total)]
    assert [trial.number for trial in ended] == [0, 1, 2, 3]
    assert [outcome(trial) for trial in ended] == [(each["x"], objectives.EPOCHS) for each in values(study)]


def test_a_study_that_continues_draws_what_one_in_a_single_run_draws(path, tmp_path):
    # More trials than are drawn at random, so that the sampler's model is continued too.
    count = RANDOM_TRIALS + 4
    single = open_study(tmp_path / "single.journal")
    tune(single, trials=count)
    for total in range(1, count + 1):
        tune(open_study(path), trials=total)
    drawn = values(open_study(path))
    assert drawn == values(single)
    assert len({str(each) for each in drawn}) > count // 2


def test_another_seed_draws_other_values(path, tmp_path):
    studies = open_study(path, seed=1), open_study(tmp_path / "other.journal", seed=2)
    for study in studies:
        tune(study, trials=2)
    assert values(studies[0])[1] != values(studies[1])[1]


def test_the_current_values_are_tried_first_exactly_and_once(path):
    tune(open_study(path), trials=1)
    study = open_study(path)
    tune(study, trials=2)
    assert [each == FIRST for each in values(study)] == [True, False]


def test_an_interrupted_trial_does_not_count_and_is_tried_again_to_the_digit(path):
    with pytest.raises(KeyboardInterrupt):
        tune(open_study(path), objectives.interrupted)
    assert open_study(path).tried == []
    study = open_study(path)
    tune(study, trials=2)
    assert [each == FIRST for each in values(study)] == [True, False]
    assert len(open_study(path).tried) == 2


def test_an_interruption_keeps_what_was_tried(path):
    def interrupt_second(values, report):
        if values != FIRST:
            raise KeyboardInterrupt
        return 0.5, None

    with pytest.raises(KeyboardInterrupt):
        tune(open_study(path), interrupt_second)
    assert values(open_study(path)) == [FIRST]


def test_a_mistake_in_the_code_ends_the_search_and_its_trial_is_tried_again(path):
    with pytest.raises(LookupError, match="a mistake in the code"):
        tune(open_study(path), objectives.buggy)
    study = open_study(path)
    assert study.tried == []
    tune(study, trials=1)
    assert values(study) == [FIRST]


def test_a_trial_whose_process_was_killed_is_tried_again(path):
    assert tune_in_process(path, objectives.killed) == -9
    study = open_study(path)
    tune(study, trials=2)
    assert states(study) == ["complete", "complete"]
    assert values(study)[0] == FIRST


def test_a_trial_that_is_killed_again_fails_and_the_search_continues(path):
    for _ in range(2):
        assert tune_in_process(path, objectives.killed) == -9
    study = open_study(path)
    [trial] = study.tried
    assert trial.user_attrs["reason"] == "its process was killed, and its second attempt ended early too"
    tune(study, trials=2)
    assert states(study) == ["failed", "complete"]
    assert values(study)[1] != FIRST


def test_the_first_of_the_best_complete_trials_is_the_best(path):
    scores = iter((0.1, 0.3, 0.3, 0.2))
    study = open_study(path)
    tune(study, lambda values, report: (next(scores), 2), trials=4)
    assert (study.best.number, *outcome(study.best)) == (1, 0.3, 2)


def test_without_a_complete_trial_there_is_no_best(path):
    study = open_study(path)
    tune(study, objectives.impossible, trials=2)
    assert study.best is None
    assert [trial.user_attrs["reason"] for trial in study.tried] == ["x can't be that"] * 2
    assert open_study(path).tried == study.tried


def test_a_score_that_is_no_number_is_a_failure(path):
    study = open_study(path)
    [trial] = tune(study, objectives.not_a_number, trials=1)
    assert states(study) == ["failed"]
    assert (outcome(trial), trial.user_attrs["reason"]) == ((None, None), "its score is nan")


def test_a_hopeless_trial_is_pruned(path):
    good = iter(0.8 + place / 100 for place in range(TRIALS_BEFORE_PRUNING))

    def objective(values, report):
        return objectives.rising({"x": next(good, 0.02)}, report)

    study = open_study(path)
    *complete, last = tune(study, objective, trials=TRIALS_BEFORE_PRUNING + 1)
    assert states(study) == ["complete"] * len(complete) + ["pruned"]
    # Nothing is pruned in the first quarter of the epochs, and in the second epoch 0.01 is below the median 0.41.
    assert outcome(last) == (0.01, 2)


def test_a_pruned_trial_keeps_the_best_that_it_reached(path):
    def objective(values, report):
        for epoch, score in enumerate((0.1, 0.4, 0.2, float("nan")), start=1):
            report(epoch, score)
        raise AssertionError("a score that is no number ends the trial")

    study = open_study(path)
    [trial] = tune(study, objective, trials=1)
    assert (states(study), outcome(trial)) == (["pruned"], (0.4, 2))


def test_when_the_time_is_spent_no_trial_begins(path):
    def slow(values, report):
        time.sleep(0.2)
        return values["x"], None

    tune(open_study(path), slow, trials=1)
    study = open_study(path)
    assert 0.2 <= study.seconds < 60
    assert tune(study, slow, timeout=0.2) == []


def test_a_trial_at_the_end_of_the_time_is_cut_short_after_its_epoch(path, monkeypatch):
    clock = chain((0.0,), repeat(1000.0))  # when the search begins, and after the first epoch
    study = open_study(path)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    [trial] = tune(study, objectives.rising, trials=1, timeout=900)
    assert (states(study), outcome(trial)) == (["pruned"], (FIRST["x"] / 4, 1))


LUCKY = (0.1, 0.5, 0.4, 0.3, 0.2)
"""Scores of trials 0 to 4 with the seed of the search."""
TYPICAL = {1: 0.25, 2: 0.35, 3: 0.3}
"""Of the best three with other seeds, on average."""


def lucky(path, seed=1):
    """A study of five trials, in which the best one was lucky, and what each trial's values are."""
    study, scores = open_study(path, seed), iter(LUCKY)
    tune(study, lambda values, report: (next(scores), 2), trials=len(LUCKY))
    return study, {str(trial.user_attrs["values"]): trial.number for trial in study.tried}


def again(numbers, seeds=None):
    """Objectives of further seeds: typical scores, a little higher with each seed; `seeds` collects them."""

    def make(seed):
        def objective(values, report):
            report(1, 0.1)
            number = numbers[str(values)]
            if seeds is not None:
                seeds.append((seed, number))
            return TYPICAL[number] + seed / 1000, 3

        return objective

    return make


def test_further_seeds_decide_between_the_best_few(path):
    study, numbers = lucky(path)
    assert study.best.number == 1
    fitted, told = [], []
    study.run_finals(again(numbers, fitted), 600, told.append)
    assert fitted == [(seed, number) for seed in (2, 3, 4) for number in (1, 2, 3)]
    assert [(final.seed, final.trial) for final in told] == fitted
    assert study.best.number == 2
    assert study.score(study.best) == pytest.approx(TYPICAL[2] + 0.003)
    found = record(study, study.best, 600)
    assert found["best"]["value"] == study.score(study.best)
    assert (found["best"]["seeds"], found["best"]["epoch"], len(found["finals"])) == (3, 2, 9)
    assert found["wall_seconds"] == round(study.seconds, 3) >= sum(final.seconds for final in study.finals)


def test_a_model_without_epochs_draws_nothing_and_has_no_finals(path):
    study = TuningStudy(path, SPACE, FIRST, 1, 0)
    tune(study)
    study.run_finals(lambda seed: pytest.fail("it was fitted again"), 600, print)
    assert study.finals == []


def test_a_single_complete_trial_needs_no_finals(path):
    study = open_study(path)
    tune(study, trials=1)
    study.run_finals(lambda seed: pytest.fail("it was fitted again"), 600, print)
    assert study.best.number == 0


def test_interrupted_finals_go_on_where_they_were(path):
    study, numbers = lucky(path)
    fitted = []

    def interrupt_fifth(seed):
        def objective(values, report):
            if len(fitted) == 4:
                raise KeyboardInterrupt
            return again(numbers, fitted)(seed)(values, report)

        return objective

    with pytest.raises(KeyboardInterrupt):
        study.run_finals(interrupt_fifth, 600, lambda _: None)
    # Only the first further seed was had by all: it decides alone so far.
    assert {final.seed for final in study.finals} == {2}
    later = open_study(path)
    later.run_finals(again(numbers, fitted), 600, lambda _: None)
    assert fitted == [(seed, number) for seed in (2, 3, 4) for number in (1, 2, 3)]
    assert {final.seed for final in later.finals} == {2, 3, 4}


@pytest.mark.parametrize("problem", [ValueError("singular"), float("nan")], ids=["an error", "no number"])
def test_a_seed_with_which_a_finalist_fails_counts_for_none(path, problem):
    study, numbers = lucky(path)

    def make(seed):
        def objective(values, report):
            if (seed, numbers[str(values)]) != (3, 2):
                return again(numbers)(seed)(values, report)
            if isinstance(problem, Exception):
                raise problem
            return problem, 1

        return objective

    study.run_finals(make, 600, lambda _: None)
    assert {final.seed for final in study.finals} == {2, 4}
    assert study.best.number == 2


def test_finals_end_with_the_time_and_a_fit_that_is_cut_short_leaves_nothing(path, monkeypatch):
    study, numbers = lucky(path)
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def make(seed):
        def objective(values, report):
            clock.now += 100
            return again(numbers)(seed)(values, report)

        return objective

    study.run_finals(make, 450, lambda _: None)
    assert [(final.seed, final.trial) for final in study.finals] == [(2, 1), (2, 2), (2, 3)]
    assert study.best.number == 2
    study.run_finals(lambda seed: pytest.fail("the time is spent"), 300, lambda _: None)


@pytest.mark.parametrize(("seconds", "left"), [(1, 9), (10, FINAL_SHARE * 100)])
def test_a_search_leaves_time_for_its_finals_and_no_more_than_their_share(path, monkeypatch, seconds, left):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(module, "trial_seconds", lambda trial: seconds)

    def objective(values, report):
        clock.now += seconds
        return values["x"], 2

    study = open_study(path)
    study.optimize(objective, None, 100, lambda _: None, FINAL_SHARE * 100)
    assert left == min(FURTHER_SEEDS * 3 * seconds, FINAL_SHARE * 100)
    assert len(study.tried) == -(-(100 - left) // seconds)


def test_more_trials_bring_other_finalists(path):
    study, numbers = lucky(path)
    study.run_finals(again(numbers), 600, lambda _: None)
    tune(study, lambda values, report: (0.9, 4), trials=len(LUCKY) + 1)
    assert [trial.number for trial in study.finalists] == [5, 1, 2]
    assert (study.finals, study.best.number) == ([], 5)


def test_half_a_line_of_a_killed_process_is_dropped(path):
    tune(open_study(path), trials=2)
    with path.open("a") as journal:
        journal.write('{"op_code": 5, "wor')
    tune(open_study(path), trials=3)
    assert len(open_study(path).tried) == 3
