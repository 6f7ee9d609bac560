import pytest

from bakeoff.core.parameters import Search
from bakeoff.experiments.tuning.study import STARTUP_TRIALS, Study

SPACE = {"x": Search(low=0.0, high=1.0), "y": Search(choices=("a", "b", None))}
FIRST = {"x": 0.123456, "y": None}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.log"


def open_study(path, seed=1):
    return Study(path, SPACE, seed, max_epochs=4)


def run(study, count):
    """Trials that each score their x."""
    for _ in range(count):
        trial, values = study.next()
        study.complete(trial, values["x"], 1)


def test_a_study_that_goes_on_draws_what_one_in_a_single_run_would(path, tmp_path):
    # More trials than are drawn at random, so that the sampler's model is taken up too.
    count = STARTUP_TRIALS + 4
    single = open_study(tmp_path / "single.log")
    run(single, count)
    for _ in range(count):
        run(open_study(path), 1)
    drawn = [trial.values for trial in open_study(path).tried()]
    assert drawn == [trial.values for trial in single.tried()]
    assert len({str(values) for values in drawn}) > count // 2


def test_another_seed_draws_other_values(path, tmp_path):
    studies = open_study(path, seed=1), open_study(tmp_path / "other.log", seed=2)
    for study in studies:
        run(study, 2)
    assert studies[0].tried()[1].values != studies[1].tried()[1].values


def test_what_stands_is_tried_first_and_exactly(path):
    study = open_study(path)
    study.try_first(FIRST)
    assert study.next()[1] == FIRST


def test_what_stands_is_not_tried_twice(path):
    study = open_study(path)
    study.try_first(FIRST)
    study.try_first(FIRST)
    run(study, 1)
    open_study(path).try_first(FIRST)
    run(study, 1)
    assert [trial.values == FIRST for trial in study.tried()] == [True, False]


def test_a_trial_that_was_running_when_the_process_was_killed_is_tried_again(path):
    study = open_study(path)
    run(study, 1)
    _, killed = study.next()
    again = open_study(path)
    assert len(again.tried()) == 1
    assert again.next()[1] == killed
    assert [trial.number for trial in again.tried()] == [0]


def test_a_killed_trial_of_the_standing_values_is_tried_again_to_the_digit(path):
    study = open_study(path)
    study.try_first(FIRST)
    study.next()
    again = open_study(path)
    again.try_first(FIRST)
    assert again.next()[1] == FIRST
    assert again.next()[1] != FIRST


def test_a_trial_that_kills_its_process_twice_failed(path):
    study = open_study(path)
    trial, values = study.next()
    assert study.try_again(trial, crashed=True) is None
    trial, second = study.next()
    assert second == values
    tried = study.try_again(trial, crashed=True)
    assert (tried.state, tried.values) == ("failed", values)
    assert [each.state for each in study.tried()] == ["failed"]


def test_the_first_of_the_best_complete_trials_is_the_best(path):
    study = open_study(path)
    for score in (0.1, 0.3, 0.3, 0.2):
        study.complete(study.next()[0], score, 2)
    pruned, _ = study.next()
    pruned.report(0.9, 1)
    study.prune(pruned)
    assert (study.best().number, study.best().value, study.best().epoch) == (1, 0.3, 2)


def test_without_a_complete_trial_there_is_no_best(path):
    study = open_study(path)
    study.fail(study.next()[0], "too large")
    assert study.best() is None
    assert study.tried()[0].reason == "too large"


def test_a_score_that_is_no_number_is_a_failure(path):
    study = open_study(path)
    tried = study.complete(study.next()[0], float("nan"), 1)
    assert (tried.state, tried.value, tried.reason) == ("failed", None, "its score is nan")


def test_a_pruned_trial_keeps_the_best_that_it_reached(path):
    study = open_study(path)
    trial, _ = study.next()
    for epoch, score in enumerate((0.1, 0.4, 0.2), start=1):
        trial.report(score, epoch)
    tried = study.prune(trial)
    assert (tried.state, tried.value, tried.epoch) == ("pruned", 0.4, 2)


def test_seconds_and_jobs_outlive_the_process(path):
    study = open_study(path)
    study.spent(12.5)
    study.worked_on_by(3)
    study.worked_on_by(2)
    again = open_study(path)
    assert (again.seconds, again.jobs) == (12.5, 3)


def test_half_a_line_and_a_lock_that_a_killed_process_left_are_cleared(path):
    run(open_study(path), 2)
    with path.open("a") as log:
        log.write('{"op_code": 5, "wor')
    path.with_name(f"{path.name}.lock").symlink_to(path)
    study = open_study(path)
    run(study, 1)
    assert len(open_study(path).tried()) == 3
