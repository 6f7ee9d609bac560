"""Running systems: each in its process, failures reported, results reused when asked for."""

import json

import pytest
import tiny_bench as tiny
from harness import processes
from harness.measuring import measure_all
from harness.processes import Runner, SystemFailedError
from harness.systems import ORDER_BLIND, SYSTEMS, System, by_name
from harness.tables import markdown, results_of


def run(systems, settings, runner, folder, say=lambda text: None):
    return measure_all(systems, tiny.split(folder), {}, lambda s: settings.get(s.name), runner, folder, say)


def test_a_peer_is_scored_on_test_and_what_it_cost_is_there(runner, tmp_path):
    [measured] = run([tiny.FAKE], {"fake": {"orders": [tiny.BEST]}}, runner, tmp_path)
    assert measured.scores["ndcg@10"].tolist() == [1, 1, 1]
    assert measured.cost["fit_seconds"] >= 0
    assert measured.cost["peak_memory_bytes"] >= measured.cost["memory_before_bytes"] > 0


def test_a_peer_that_fails_is_reported_with_its_last_words_and_the_others_go_on(runner, tmp_path):
    broken, fine = System("broken", "Broken", "fake_peer"), tiny.FAKE
    settings = {"broken": {"raise": "out of luck"}, "fake": {"orders": [tiny.BEST]}}
    results = run([broken, fine], settings, runner, tmp_path)
    assert results[0].note == "failed: RuntimeError: out of luck"
    assert not results[0].succeeded
    assert results[1].succeeded
    page = markdown(results_of(tiny.BENCHMARK, tiny.split(tmp_path).facts, results, "make bench", 2, 1, 100))
    assert "- Broken: failed: RuntimeError: out of luck." in page


def test_each_seed_is_a_run_of_its_own_and_what_draws_nothing_runs_once(runner, tmp_path):
    still = System("still", "Still", "fake_peer", draws_nothing=True)
    settings = {name: {"orders": [tiny.BEST]} for name in ("fake", "still")}
    found = measure_all(
        [tiny.FAKE, still], tiny.split(tmp_path), {}, lambda s: settings[s.name], runner, tmp_path, lambda _: None, 2
    )
    assert [len(each.seeds["ndcg@10"]) for each in found] == [2, 1]
    jobs = [json.loads(path.read_text())["seed"] for path in sorted((tmp_path / "runs/fake").rglob("job.json"))]
    assert sorted(jobs) == [42, 43]


def test_a_system_too_slow_for_several_seeds_has_one_and_the_page_says_so(runner, tmp_path):
    slow = System("slow", "Slow", "fake_peer")
    setting, split = {"orders": [tiny.BEST]}, tiny.split(tmp_path)
    found = measure_all([tiny.FAKE, slow], split, {}, lambda _: setting, runner, tmp_path, lambda _: None, 2, ["slow"])
    assert [len(each.seeds["ndcg@10"]) for each in found] == [2, 1]
    page = markdown(results_of(tiny.BENCHMARK, split.facts, found, "make bench", 2, 42, 100))
    quality = page.split("## Quality on test")[1].split("##")[0]
    assert [row.split(" | ")[3] for row in quality.splitlines() if row.startswith("| ")] == ["seeds", "2", "1"]


def test_scores_that_are_no_numbers_are_a_failure(runner, tmp_path):
    [measured] = run([tiny.FAKE], {"fake": {"orders": [[0]], "nan": True}}, runner, tmp_path)
    assert measured.note.startswith("failed: ValueError: scores hold NaN")


def test_a_peer_without_a_setting_for_this_data_says_how_to_get_one(runner, tmp_path):
    [measured] = run([tiny.FAKE], {}, runner, tmp_path)
    assert measured.note.startswith("left out: ")
    assert "--tune" in measured.note


def test_a_system_that_the_data_does_not_suit_is_left_out_with_the_reason(runner, tmp_path):
    large = System("large", "Large", "fake_peer", max_items=5)
    [measured] = run([large], {"large": {"orders": [tiny.BEST]}}, runner, tmp_path)
    assert measured.note.startswith("left out: a catalogue of 6 items")


def test_without_times_a_system_that_needs_them_is_left_out():
    [system] = by_name(["ease_recency"])
    assert system.obstacle(10, has_times=False)
    assert system.obstacle(10, has_times=True) is None


def test_systems_run_in_one_order_whatever_the_order_of_the_names():
    names = [system.name for system in by_name(["softmax", "popularity", "ease"])]
    assert names == ["popularity", "ease", "softmax"]
    assert [system.name for system in by_name(None)] == [each.name for each in SYSTEMS if not each.on_request]


def test_an_unknown_system_is_refused_by_name():
    with pytest.raises(KeyError, match="als"):
        by_name(["als"])


def test_resume_reuses_the_result_of_the_same_job_and_only_of_that(tmp_path, runner):
    settings = {"fake": {"orders": [tiny.BEST]}}
    run([tiny.FAKE], settings, runner, tmp_path)
    result = tmp_path / "runs/fake/result.json"
    result.write_text(json.dumps({**json.loads(result.read_text()), "fit_seconds": 123.0}))
    resumed = Runner(resume=True, pythons=runner.pythons)
    assert run([tiny.FAKE], settings, resumed, tmp_path)[0].cost["fit_seconds"] == 123
    other = {"fake": {"orders": [tiny.WORST]}}
    assert run([tiny.FAKE], other, resumed, tmp_path)[0].cost["fit_seconds"] < 123
    result.write_text(json.dumps({**json.loads(result.read_text()), "fit_seconds": 123.0}))
    assert run([tiny.FAKE], other, runner, tmp_path)[0].cost["fit_seconds"] < 123


@pytest.mark.parametrize("what", ["file_hash", "code_hash"])
def test_resume_takes_nothing_of_other_data_or_code(tmp_path, runner, monkeypatch, what):
    settings = {"fake": {"orders": [tiny.BEST]}}
    run([tiny.FAKE], settings, runner, tmp_path)
    result = tmp_path / "runs/fake/result.json"
    result.write_text(json.dumps({**json.loads(result.read_text()), "fit_seconds": 123.0}))
    monkeypatch.setattr(processes, what, lambda *_: "another")
    resumed = Runner(resume=True, pythons=runner.pythons)
    assert run([tiny.FAKE], settings, resumed, tmp_path)[0].cost["fit_seconds"] < 123


def test_a_missing_environment_is_a_failure_that_says_how_to_make_it(tmp_path):
    runner = Runner(pythons={"main": tmp_path / "python"})
    (tmp_path / "data.npz").touch()
    with pytest.raises(SystemFailedError, match="make bench"):
        runner.run(tiny.FAKE, "fit", tmp_path / "data.npz", {}, tmp_path)


def test_a_model_that_reads_the_time_of_the_query_is_asked_at_the_last_known_moment(monkeypatch, tmp_path):
    jobs = {}

    def work(self, system, action, data, setting, folder, **more):
        if action == "select":
            return {"epochs": 3, "of": 5, "valid": {"ndcg@10": 0.5}}
        jobs[system.name] = setting
        raise SystemFailedError("far enough")

    monkeypatch.setattr(Runner, "run", work)
    split, systems = tiny.split(tmp_path), by_name(["softmax_untimed", "softmax"])
    values = {"softmax": {"dim": 4, "use_query_time": True}}
    measure_all(systems, split, values, None, Runner(), tmp_path, lambda text: None)
    assert jobs["softmax"]["params"]["softmax"] == values["softmax"]
    assert jobs["softmax"]["asked"] == max(split.data["test"].timestamps) == 4
    assert jobs["softmax_untimed"]["params"]["softmax"] == {"dim": 4, "use_query_time": False}
    assert "asked" not in jobs["softmax_untimed"]


def test_a_contender_is_run_with_the_epoch_of_validation_and_its_variants_settings(monkeypatch, tmp_path):
    jobs = []

    def work(self, system, action, data, setting, folder, **more):
        jobs.append((action, setting["model"], setting["params"]["mf"], setting.get("epochs")))
        if action == "select":
            return {"epochs": 3, "of": 5, "valid": {"ndcg@10": 0.5}}
        raise SystemFailedError("far enough")

    monkeypatch.setattr(Runner, "run", work)
    values = {"mf": {"solver": "cg", "dim": 4, "recency_scale": 6}}
    measure_all(
        by_name(["mf_order_blind", "mf"]), tiny.split(tmp_path), values, None, Runner(), tmp_path, lambda text: None
    )
    order_blind, shipped = {"solver": "cg", **ORDER_BLIND}, values["mf"]
    assert jobs == [
        ("select", "mf", order_blind, None),
        ("fit", "mf", order_blind, 3),
        ("select", "mf", shipped, None),
        ("fit", "mf", shipped, 3),
    ]


def test_every_process_is_given_as_many_threads(runner, tmp_path):
    environment = Runner(threads=3)._environment()
    assert {environment[name] for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NUMBA_NUM_THREADS")} == {"3"}


def test_every_process_keeps_freed_memory_as_this_projects_networks_do():
    assert Runner()._environment().items() >= {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "2147483647"}.items()
