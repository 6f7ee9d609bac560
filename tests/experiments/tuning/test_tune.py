import hashlib
import json
import re
import subprocess

import fake_trials
import pandas as pd
import pytest
import small_split
from ruamel.yaml import YAML

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import locked
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.tuning import tune
from bakeoff.params import load_params

PARAMS_TEXT = """\
seed: 7
mf: # implicit ALS
  dim: 4 # of the embeddings
  max_epochs: 3
  regularization: 0.02 # L2
  recency_scale: null
ease: {regularization: 20.0}
"""


@pytest.fixture
def workspace(tmp_path):
    """A split without a test part: tuning never opens one."""
    workspace = Workspace(tmp_path / "workspace")
    small_split.write_split(workspace)
    for part in ("test", "new_users"):
        (workspace.split / f"{part}.parquet").unlink()
    workspace.params.write_text(PARAMS_TEXT, encoding="utf-8")
    return workspace


@pytest.fixture
def faked(monkeypatch):
    monkeypatch.setattr(tune, "make_objective", fake_trials.make_objective)


def run(workspace, model="mf", **arguments):
    params = load_params(workspace.params)
    budget = {"trials": 3, "timeout": 600, "apply": False}
    tune.run(
        workspace,
        model,
        params.section(model),
        params.seed,
        params.data,
        params.split,
        **{**budget, **arguments},
    )


def record(workspace, model="mf"):
    return json.loads((workspace.root / "tuning" / f"{model}.json").read_text(encoding="utf-8"))


def outcomes(workspace):
    return [(trial["value"], trial["params"]) for trial in record(workspace)["history"]]


def test_the_same_seed_gives_the_same_trials(workspace, faked):
    run(workspace, trials=4)
    first = outcomes(workspace)
    for path in (workspace.root / ".bakeoff/tuning").iterdir():
        path.unlink()
    run(workspace, trials=2)
    run(workspace, trials=4)
    assert outcomes(workspace) == first


def test_a_process_finds_for_its_values_what_training_with_them_gives(workspace):
    run(workspace, trials=3)
    params = load_params(workspace.params)
    again = tune.make_objective(load_prepared(workspace), "mf", params.mf, params.seed)
    found = [
        (again(trial["params"], lambda *reached: None)[0], trial["params"]) for trial in record(workspace)["history"]
    ]
    assert found == outcomes(workspace)
    assert len({score for score, _ in found}) > 1


@pytest.mark.parametrize("model", ["recent_popularity", "ease", "mf", "softmax"])
def test_a_trial_scores_validation_at_the_best_epoch(workspace, model):
    told = []
    params = small_split.PARAMS
    values = {"mf": {"regularization": 0.05}, "softmax": {"dropout": 0.1}, "ease": {"regularization": 3.0}}.get(
        model, {}
    )
    objective = tune.make_objective(load_prepared(workspace), model, params.section(model), params.seed)
    score, epoch = objective(values, lambda *reached: told.append(reached))
    assert 0 < score < 1
    if model in ("mf", "softmax"):
        assert [number for number, _ in told] == list(range(1, getattr(params, model).max_epochs + 1))
        assert (epoch, score) == max(told, key=lambda reached: reached[1])
    else:
        assert (epoch, told) == (None, [])
    assert objective(values, lambda *reached: None) == (score, epoch)


def test_the_record_holds_every_trial_and_what_it_cost(workspace, faked):
    run(workspace, trials=2)
    found = record(workspace)
    assert found["split"] == load_params(workspace.params).split.model_dump(mode="json") | {"event_weights": {}}
    assert {name: found[name] for name in ("model", "dataset", "metric", "seed", "trials", "pruned", "failed")} == {
        "model": "mf",
        "dataset": "ml-100k",
        "metric": "ndcg@10",
        "seed": 7,
        "trials": 2,
        "pruned": 0,
        "failed": 0,
    }
    assert found["data"] is None
    assert found["timeout"] == 600
    assert 0 < found["wall_seconds"] < 600
    assert [trial["number"] for trial in found["history"]] == [0, 1]
    assert all(set(trial) == {"number", "value", "state", "seconds", "params"} for trial in found["history"])
    best = max(found["history"], key=lambda trial: trial["value"])
    assert found["best"] == {"value": best["value"], "seeds": 3, "epoch": 2, "params": best["params"]}
    assert [(final["seed"], final["trial"]) for final in found["finals"]] == [
        (seed, number) for seed in (8, 9, 10) for number in sorted((0, 1), key=lambda n: -found["history"][n]["value"])
    ]
    assert all(set(final) == {"trial", "seed", "value", "epoch", "seconds"} for final in found["finals"])


def test_the_record_names_the_version_of_the_data(workspace, faked):
    (workspace.root / "data.dvc").write_text("outs:\n- md5: 0123.dir\n  path: data\n", encoding="utf-8")
    run(workspace, trials=1)
    assert record(workspace)["data"] == "0123.dir"


def test_the_record_names_the_data_with_which_the_search_began(workspace, monkeypatch):
    def fetched_meanwhile(*arguments):
        (workspace.root / "data.dvc").write_text("outs:\n- md5: 4567.dir\n  path: data\n", encoding="utf-8")
        return fake_trials.make_objective(*arguments)

    monkeypatch.setattr(tune, "make_objective", fetched_meanwhile)
    (workspace.root / "data.dvc").write_text("outs:\n- md5: 0123.dir\n  path: data\n", encoding="utf-8")
    run(workspace, trials=1)
    assert record(workspace)["data"] == "0123.dir"


@pytest.mark.usefixtures("warm_children")
def test_a_split_that_is_missing_or_stale_is_made_first(workspace, faked):
    """Else the record would name settings of the split that it was not made with."""
    workspace.split.rename(workspace.root / "made")
    stage = "{cmd: cp -r made artifacts/split && echo >> runs, params: [split], outs: [artifacts/split]}"
    (workspace.root / "dvc.yaml").write_text(f"stages: {{split: {stage}}}\n", encoding="utf-8")
    subprocess.run(["dvc", "init", "--quiet", "--no-scm"], cwd=workspace.root, check=True)
    for share, runs in ((0.3, 1), (0.3, 1), (0.4, 2)):
        workspace.params.write_text(f"{PARAMS_TEXT}split: {{test_share: {share}}}\n", encoding="utf-8")
        run(workspace, trials=1)
        assert record(workspace)["split"]["test_share"] == share
        assert (workspace.root / "runs").read_text(encoding="utf-8").count("\n") == runs


def test_without_a_number_of_trials_the_time_alone_ends_a_search(workspace, faked, capsys):
    run(workspace, trials=None, timeout=0.5)
    assert record(workspace)["trials"] > 1
    assert "mf: 0 trials are done" in capsys.readouterr().out
    run(workspace, trials=None, timeout=0.01)
    assert record(workspace)["timeout"] == 0.01


def test_the_first_trial_has_the_current_values(workspace, faked):
    run(workspace, trials=1)
    first = record(workspace)["history"][0]["params"]
    assert {name: first[name] for name in ("dim", "regularization", "recency_scale")} == {
        "dim": 4,
        "regularization": 0.02,
        "recency_scale": None,
    }


def test_the_same_command_continues_to_the_total(workspace, faked, capsys):
    run(workspace, trials=2)
    before = record(workspace)["history"]
    run(workspace, trials=4)
    after = record(workspace)
    assert "mf: 2 of 4 trials are done" in capsys.readouterr().out
    assert after["history"][:2] == before
    assert after["trials"] == 4


def test_the_diff_is_printed_and_nothing_is_written(workspace, faked, capsys):
    run(workspace, trials=12)
    printed = capsys.readouterr().out
    best = record(workspace)["best"]["params"]["regularization"]
    assert best > 0.02
    assert "\n-  regularization: 0.02 # L2\n" in printed
    assert f"\n+  regularization: {best} # L2\n" in printed
    assert "--apply writes this" in printed
    assert workspace.params.read_text(encoding="utf-8") == PARAMS_TEXT


def test_apply_writes_the_best_values_and_a_later_run_keeps_them(workspace, faked, capsys):
    run(workspace, apply=True)
    best = record(workspace)["best"]["params"]
    written = workspace.params.read_text(encoding="utf-8")
    assert written.startswith("seed: 7\nmf: # implicit ALS\n")
    assert {name: value for name, value in YAML(typ="safe").load(written)["mf"].items() if name in best} == best
    capsys.readouterr()
    run(workspace)
    assert "params.yaml has these values already" in capsys.readouterr().out
    assert record(workspace)["trials"] == 3


def test_applied_values_are_the_same_study(workspace, faked):
    # Of the searched values, only dim 4 lies outside the declared ones: let it be inside.
    workspace.params.write_text(PARAMS_TEXT.replace("dim: 4", "dim: 32"), encoding="utf-8")
    run(workspace, apply=True)
    run(workspace, trials=4)
    assert record(workspace)["trials"] == 4


def test_other_data_or_settings_begin_another_study(workspace, faked):
    run(workspace, trials=2)
    workspace.params.write_text(PARAMS_TEXT.replace("max_epochs: 3", "max_epochs: 4"), encoding="utf-8")
    run(workspace, trials=1)
    assert record(workspace)["trials"] == 1
    valid = pd.read_parquet(workspace.split / "valid.parquet")
    valid[1:].to_parquet(workspace.split / "valid.parquet")
    run(workspace, trials=1)
    assert len(list((workspace.root / ".bakeoff/tuning").glob("mf-*.journal"))) == 3


def test_the_record_is_pinned_for_dvc(workspace, faked):
    run(workspace, trials=1)
    path = workspace.root / "tuning/mf.json"
    pinned = YAML(typ="safe").load(path.with_name("mf.json.dvc"))
    assert pinned["outs"] == [
        {
            "md5": hashlib.md5(path.read_bytes()).hexdigest(),
            "size": path.stat().st_size,
            "hash": "md5",
            "path": "mf.json",
            "cache": False,
        }
    ]


def test_dvc_calls_the_record_clean_changed_when_edited_and_runs_nothing(workspace, faked, warm):
    run(workspace, trials=1)

    def dvc(*arguments):
        command = [f"{warm}/dvc", *arguments]
        done = subprocess.run(command, cwd=workspace.root, capture_output=True, text=True)
        assert done.returncode == 0, done
        return done.stdout

    dvc("init", "--quiet", "--no-scm")
    assert json.loads(dvc("status", "--json")) == {}
    path = workspace.root / "tuning/mf.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert "tuning/mf.json.dvc" in json.loads(dvc("status", "--json"))
    dvc("repro", "--all-pipelines")
    assert record(workspace)["trials"] == 1


def test_after_an_interruption_it_says_how_to_continue(workspace, monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(tune, "make_objective", lambda *arguments: interrupted)
    with pytest.raises(SystemExit) as ended:
        run(workspace)
    assert ended.value.code == 130
    assert "interrupted after 0 of 3 trials; the same command continues" in capsys.readouterr().out
    assert not (workspace.root / "tuning").exists()


def test_a_lock_that_a_killed_run_left_does_not_delay_the_next_one(workspace, faked):
    run(workspace, trials=1)
    [journal] = (workspace.root / ".bakeoff/tuning").glob("*.journal")
    journal.with_name(f"{journal.name}.lock").symlink_to(journal)
    run(workspace, trials=2)
    assert record(workspace)["trials"] == 2


def test_each_trial_is_a_line(workspace, faked, capsys):
    run(workspace, trials=2)
    first, second = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mf: trial ")]
    assert re.fullmatch(r"mf: trial 0, 0\.0400 at epoch 2 in \d+\.\d s \(best 0\.0400, trial 0\)", first)
    assert second.startswith("mf: trial 1, ")


def test_each_fit_of_the_best_few_is_a_line_and_their_mean_is_said(workspace, faked, capsys):
    run(workspace, trials=4)
    printed = capsys.readouterr().out
    finals = re.findall(r"^mf: seed (8|9|10), trial \d, 0\.\d{4} in \d+\.\d s$", printed, re.MULTILINE)
    assert finals == [seed for seed in ("8", "9", "10") for _ in range(3)]
    assert re.search(
        r"\n  with 3 further seeds, on average, it has 0\.\d{4}, the most of the 3 that scored highest\n", printed
    )


def test_a_file_that_was_broken_during_the_search_is_left_alone(workspace, faked, monkeypatch):
    def make_objective(*arguments):
        workspace.params.write_text("mf: [", encoding="utf-8")
        return fake_trials.make_objective(*arguments)

    monkeypatch.setattr(tune, "make_objective", make_objective)
    with pytest.raises(BakeoffError, match=r"params.yaml is not valid YAML"):
        run(workspace, apply=True)
    assert workspace.params.read_text(encoding="utf-8") == "mf: ["
    assert record(workspace)["trials"] == 3


def test_when_every_trial_fails_the_reasons_are_said(workspace, faked):
    with pytest.raises(BakeoffError, match=r"None of 2 trials of softmax ran to its end \(it is too large\)"):
        run(workspace, "softmax", trials=2)


def test_two_at_a_time_on_one_study_are_refused(workspace, faked):
    run(workspace, trials=1)
    [lock] = (workspace.root / ".bakeoff/tuning").glob("*.lock")
    with locked(lock), pytest.raises(BakeoffError, match="Another `bakeoff tune` uses this study"):
        run(workspace, trials=1)


def test_without_a_split_it_says_what_to_run(tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS_TEXT, encoding="utf-8")
    with pytest.raises(BakeoffError, match="is missing: run `bakeoff split` first"):
        run(Workspace(tmp_path))


def test_without_validation_events_it_says_what_to_change(tmp_path):
    workspace = Workspace(tmp_path)
    small_split.write_split(workspace, with_valid=False)
    with pytest.raises(BakeoffError, match=r"no event to choose on: raise split\.valid_share"):
        tune.make_objective(load_prepared(workspace), "mf", small_split.PARAMS.mf, small_split.PARAMS.seed)


@pytest.mark.parametrize(
    ("model", "reason"),
    [("ease", "more than ease.max_items = 2"), ("two_tower", "name some under data.item_features")],
)
def test_a_model_that_training_would_skip_is_not_searched(workspace, model, reason):
    features = workspace.vocabulary / "features.json"
    features.write_text(json.dumps({**json.loads(features.read_text(encoding="utf-8")), "item": {}}), encoding="utf-8")
    params = load_params(workspace.params)
    params = params.model_copy(update={"ease": params.ease.model_copy(update={"max_items": 2})})
    with pytest.raises(BakeoffError, match=reason):
        tune.make_objective(load_prepared(workspace), model, params.section(model), params.seed)
