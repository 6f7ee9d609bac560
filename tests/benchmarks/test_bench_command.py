"""The command line, and the step times."""

import json
import subprocess
import sys
from pathlib import Path

import bench
import numpy as np
import pytest
import tiny_bench as tiny
from harness import code, studies
from harness.code import made_with, meaning, peers_code
from harness.measuring import Measured


@pytest.fixture
def refused(monkeypatch, capsys):
    """What the command says of arguments that it refuses."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["bench.py", *arguments])
        with pytest.raises(SystemExit) as ended:
            bench.main()
        assert ended.value.code == 2
        return capsys.readouterr().err

    return call


def test_help_names_data_sets_and_systems():
    command = [sys.executable, str(Path(bench.__file__)), "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert all(word in shown for word in ("ml-100k-random", "gowalla", "--tune", "--resume", "mult_vae", "softmax"))


def test_an_unknown_data_set_is_refused_with_those_there_are(refused):
    said = refused("netflix")
    assert "'netflix'" in said
    assert "gowalla" in said


def test_studies_are_named_like_data_sets_and_take_no_options_of_tables(refused):
    assert "ladder" in refused("netflix")
    assert "--tune, --check and --only are for data sets" in refused("ladder", "--tune")


def run_studies(monkeypatch, tmp_path, *arguments, fails=""):
    """Exit status of the command, and what it would have run: scripts with their options."""
    called = []

    def run(command, check):
        called.append([Path(command[1]).name, *command[2:]])
        return subprocess.CompletedProcess(command, int(command[1].endswith(fails or "none")))

    monkeypatch.setattr(studies.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["bench.py", *arguments, "--results", str(tmp_path)])
    return bench.main(), called


def test_a_study_is_a_script_of_its_own_with_its_folders(monkeypatch, tmp_path, capsys):
    assert run_studies(monkeypatch, tmp_path, "sampling") == (1, [])
    said = " ".join(capsys.readouterr().err.split())
    assert "it needs gowalla in the folder of raw data: name that by --data" in said
    (tmp_path / "gowalla").mkdir()
    status, called = run_studies(monkeypatch, tmp_path, "sampling", "repeats", "--data", str(tmp_path))
    assert status == 0
    assert [script for script, *_ in called] == ["sampling.py", "sampling.py", "repeats.py"]
    assert called[0][-4:] == ["--results", str(tmp_path), "--data", str(tmp_path)]
    assert called[2][1:] == ["--write", str(tmp_path / "repeats.json")]


def test_a_study_that_fails_is_told_and_the_others_go_on(monkeypatch, tmp_path):
    status, called = run_studies(monkeypatch, tmp_path, "ladder", "repeats", fails="ladder.py")
    assert (status, [script for script, *_ in called]) == (1, ["ladder.py", "repeats.py"])


def test_without_names_all_that_there_is_data_for_is_run(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "present", lambda _: [])
    _, called = run_studies(monkeypatch, tmp_path)
    assert {script for script, *_ in called} == {f"{name}.py" for name in studies.ready(None)}
    assert "ladder.py" in {script for script, *_ in called}
    assert run_studies(monkeypatch, tmp_path, "--check") == (0, [])


@pytest.mark.parametrize("command", [command for study in studies.STUDIES.values() for command in study.commands])
def test_every_study_is_a_script_that_takes_its_options(command):
    script, *options = command.split()
    text = (Path(bench.__file__).parent / script).read_text()
    assert all(f'"{option}"' in text for option in options if option.startswith("--"))


def test_an_unknown_system_is_refused_with_those_there_are(refused):
    assert "implicit_als" in refused("--only", "als")


def test_step_times_are_given_as_a_ratio():
    import step_time

    times = {"items": 100_000, "full_step_seconds": 0.2, "sampled_step_seconds": 0.01}
    figures = {"command": "python benchmarks/step_time.py", "cores": 2, "queries_per_step": 256, "turns": 5}
    page = step_time.markdown(figures | {"rows": [times]})
    assert "| 100,000 | 200.0 | 10.0 | 0.050 | ≤ 0.1 |" in page


class Stand:
    """What `_check` and `_measure` need of the command line."""

    def __init__(self, results):
        self.results, self.seeds, self.resamples = results, 5, 100


def page_of(folder, seeds):
    """A page of both contenders, measured by other code, with these figures of the first seed."""
    systems = [
        {"name": name, "title": name, "ours": True, "figures": {}, "seeds": {"ndcg@10": [value]}, "note": "skipped"}
        for name, value in seeds.items()
    ]
    rest = {"title": "T", "command": "c", "split": "s", "metrics": ["ndcg@10"], "differences": []}
    rest["code"] = {"ours": "another", "peers": "theirs"}
    facts = {"users": 1, "items": 1, "train": 1, "valid": 1, "test": 1, "days": None}
    found = rest | {"facts": facts, "machine": {"cores": 2, "memory": "1", "threads": 2}, "systems": systems}
    path = folder / f"{tiny.BENCHMARK.name}.json"
    path.write_text(json.dumps(found))
    return path


@pytest.mark.parametrize(("mf", "status"), [(0.25002, 0), (0.2501, 1)])
def test_a_page_is_up_to_date_where_a_seed_reaches_what_it_says(tmp_path, monkeypatch, mf, status):
    path = page_of(tmp_path, {"mf": 0.25, "softmax": 0.5})
    found = [
        Measured(system, scores={"ndcg@10": np.zeros(1)}, seeds={"ndcg@10": [value]})
        for system, value in zip(bench.by_name(["mf", "softmax"]), (mf, 0.5), strict=True)
    ]
    monkeypatch.setattr(bench, "settings_of", lambda _: {})
    monkeypatch.setattr(bench, "measure_all", lambda *_: found)
    assert bench._check(tiny.BENCHMARK, None, (), None, tmp_path, Stand(tmp_path)) == status
    ours = "another" if status else code.today([])["ours"]
    assert json.loads(path.read_text())["code"] == {"ours": ours, "peers": "theirs"}  # whom it did not fit
    assert status or "**Older than the code:** the source of the peers has" in path.with_suffix(".md").read_text()


def test_a_system_that_fails_is_not_up_to_date(tmp_path, monkeypatch):
    page_of(tmp_path, {"mf": 0.25})
    found = [Measured(system, note="failed: so") for system in bench.by_name(["mf"])]
    monkeypatch.setattr(bench, "settings_of", lambda _: {})
    monkeypatch.setattr(bench, "measure_all", lambda *_: found)
    assert bench._check(tiny.BENCHMARK, None, (), None, tmp_path, Stand(tmp_path)) == 1


def test_a_page_without_a_contender_is_not_called_up_to_date(tmp_path, monkeypatch):
    path = page_of(tmp_path, {})
    found = [Measured(system, scores={"ndcg@10": np.zeros(1)}) for system in bench.by_name(["mf"])]
    monkeypatch.setattr(bench, "settings_of", lambda _: {})
    monkeypatch.setattr(bench, "measure_all", lambda *_: found)
    assert bench._check(tiny.BENCHMARK, None, (), None, tmp_path, Stand(tmp_path)) == 1
    assert json.loads(path.read_text())["code"]["ours"] == "another"


def test_a_page_does_not_lose_systems_that_are_not_named(tmp_path, capsys):
    page_of(tmp_path, {"mf": 0.25, "softmax": 0.5})
    assert bench._measure(tiny.BENCHMARK, None, bench.by_name(["mf"]), None, tmp_path, Stand(tmp_path)) == 1
    assert bench._left_out(tmp_path / "elsewhere.json", ()) == []
    assert bench._left_out(tmp_path / f"{tiny.BENCHMARK.name}.json", bench.by_name(["mf"])) == ["softmax"]


def test_comments_and_docstrings_are_no_change_of_the_code():
    plain, told = "def f(x):\n    return x\n", '"""Says."""\n\ndef f(x):\n    """Gives x."""\n    return x  # so\n'
    assert meaning(plain) == meaning(told) != meaning(plain.replace("return x", "return -x"))


def test_a_peer_rests_on_what_it_imports_and_not_on_other_peers():
    shared = {path.name for path in peers_code(["harness.ours"])}
    assert shared == {"worker.py", "data.py", "lists.py"}
    assert {path.name for path in peers_code(["peers.gsasrec"])} - shared == {
        "gsasrec.py",
        "sasrec.py",
        "sequences.py",
        "windows.py",
    }


def test_a_fit_is_kept_under_its_code_and_its_settings(monkeypatch):
    settings = {"mf": {"dim": 2}, "seed": 42}
    found = made_with(settings)
    assert found == made_with({"seed": 42, "mf": {"dim": 2}})
    assert found != made_with({"mf": {"dim": 4}, "seed": 42})
    monkeypatch.setattr(code, "code_hash", lambda _: "another")
    assert found != made_with(settings)
