"""Real processes, objectives that cost nothing."""

from functools import partial

import objectives
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.core.parameters import Search
from bakeoff.experiments.tuning.scheduler import conduct
from bakeoff.experiments.tuning.study import TRIALS_BEFORE_PRUNING, Study
from bakeoff.experiments.tuning.workers import Worker

SPACE = {"x": Search(low=0.0, high=1.0)}


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path / "study.log", SPACE, 1, objectives.EPOCHS)


def tune(study, kind, folder=None, trials=3, timeout=600, jobs=1, told=lambda tried: None, threads=1):
    make = partial(objectives.make, kind, folder)
    conduct(study, partial(Worker, make, threads), trials=trials, timeout=timeout, jobs=jobs, told=told)


def test_as_many_trials_are_made_as_were_asked_for_in_total(study):
    told = []
    tune(study, "rising", trials=2, told=told.append)
    tune(study, "rising", trials=4, told=told.append)
    tune(study, "rising", trials=4, told=told.append)
    assert [trial.number for trial in told] == [0, 1, 2, 3]
    assert [trial.value for trial in told] == [trial.values["x"] for trial in told]
    assert {trial.epoch for trial in told} == {objectives.EPOCHS}


def test_two_processes_share_the_trials(study, tmp_path):
    tune(study, "threads", tmp_path, trials=8, jobs=2, threads=3)
    assert len(study.tried()) == 8
    threads = [path.read_text() for path in tmp_path.iterdir() if path.name.isdigit()]
    assert threads == ["3", "3"]


def test_a_hopeless_trial_is_pruned_and_recorded_as_such(study):
    good = [0.8 + place / 100 for place in range(TRIALS_BEFORE_PRUNING)]
    for x in (*good, 0.02):
        study.try_first({"x": x})
    tune(study, "rising", trials=len(good) + 1)
    *complete, last = study.tried()
    assert [trial.state for trial in complete] == ["complete"] * len(good)
    # Nothing is pruned in the first quarter of the epochs, and in the second epoch 0.01 is below the median 0.41.
    assert (last.state, last.epoch, last.value) == ("pruned", 2, 0.01)


def test_when_the_time_is_spent_no_trial_begins(study):
    study.spent(10.0)
    tune(study, "rising", timeout=10)
    assert study.tried() == []


def test_what_earlier_runs_took_counts(study):
    study.spent(50.0)
    tune(study, "at_once", trials=1)
    assert 50 < study.seconds < 50 + 60


def test_a_trial_at_the_end_of_the_time_is_cut_short_after_its_epoch(study, monkeypatch):
    # The clock jumps once the trial has begun.
    from bakeoff.experiments.tuning import scheduler as module

    begun = []
    hand_out = module._Conductor._hand_out

    def late(self, worker):
        begun.append(worker)
        hand_out(self, worker)
        self._start -= 1000

    monkeypatch.setattr(module._Conductor, "_hand_out", late)
    tune(study, "rising", timeout=900)
    [tried] = study.tried()
    assert (tried.state, tried.epoch, len(begun)) == ("pruned", 1, 1)


def test_values_that_can_not_be_fail_and_others_are_tried(study):
    tune(study, "impossible", trials=2)
    assert [(trial.state, trial.reason) for trial in study.tried()] == [("failed", "x can't be that")] * 2


def test_a_score_that_is_no_number_fails(study):
    tune(study, "not_a_number", trials=1)
    assert study.tried()[0].state == "failed"


def test_a_mistake_in_the_code_ends_the_search_and_its_trial_is_kept(study, tmp_path):
    with pytest.raises(BakeoffError, match="stopped with an error"):
        tune(study, "buggy")
    assert study.tried() == []
    tune(study, "at_once", trials=1)
    assert len(study.tried()) == 1


def test_a_trial_whose_process_is_killed_is_tried_again(study, tmp_path):
    tune(study, "killed_once", tmp_path, trials=2)
    assert [trial.state for trial in study.tried()] == ["complete", "complete"]
    assert (tmp_path / "killed").exists()


def test_a_trial_that_is_killed_again_fails_and_the_search_goes_on(study):
    told = []
    tune(study, "always_killed", trials=1, told=told.append)
    assert [trial.state for trial in told] == ["failed"]


def test_where_nothing_can_be_tried_the_reason_is_said(study):
    with pytest.raises(BakeoffError, match="there is nothing to try on"):
        tune(study, "refused", jobs=2)


def test_an_interrupted_search_can_be_gone_on_with(study):
    def interrupt(tried):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(study, "at_once", trials=4, jobs=2, told=interrupt)
    done = len(study.tried())
    assert 1 <= done < 4
    tune(study, "at_once", trials=4)
    assert len(study.tried()) == 4
