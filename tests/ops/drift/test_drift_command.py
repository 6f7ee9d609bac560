import json
import re
import subprocess

import numpy as np
import pandas as pd
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.params import DataParams
from bakeoff.ops.drift import command as drift
from bakeoff.params import Params

PARAMS = Params(data=DataParams(dataset="shop", user_features={"age": "dense", "name": "categorical"}))
HOSTILE = "<script>alert(1)</script>"


def call(*command, cwd):
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)


def tables(root, shift=0, users=60, events=300, name="a"):
    """Validated tables."""
    folder = root / "artifacts/validated"
    folder.mkdir(parents=True, exist_ok=True)
    people, rows = np.arange(users), np.arange(events)
    pd.DataFrame({"user_id": people.astype(str), "age": 20.0 + people % 30 + shift, "name": name}).to_parquet(
        folder / "users.parquet"
    )
    pd.DataFrame({"item_id": np.arange(10).astype(str), "title": "T"}).to_parquet(folder / "items.parquet")
    pd.DataFrame(
        {
            "user_id": (rows % users).astype(str),
            "item_id": (rows % 10).astype(str),
            "timestamp": 1_600_000_000 + rows * 40_000,
        }
    ).to_parquet(folder / "interactions.parquet")


@pytest.fixture(scope="module")
def first_version(tmp_path_factory, warm):
    """A repository with a commit whose validated tables lie in DVC's cache."""
    root = tmp_path_factory.mktemp("repository")
    call("git", "init", "--quiet", ".", cwd=root)
    call("git", "config", "user.name", "Test", cwd=root)
    call("git", "config", "user.email", "test@localhost", cwd=root)
    call(f"{warm}/dvc", "init", "--quiet", cwd=root)
    (root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    tables(root, name=HOSTILE)
    call(f"{warm}/dvc", "add", "--quiet", "artifacts/validated", cwd=root)
    call("git", "add", "--all", cwd=root)
    call("git", "commit", "--quiet", "-m", "first", cwd=root)
    call("git", "tag", "softmax@v1.0.0", "--message", "x", cwd=root)
    call("git", "tag", "softmax#prod#1", "--message", "x", cwd=root)
    (root / "later.txt").touch()
    call("git", "add", "--all", cwd=root)
    call("git", "commit", "--quiet", "-m", "later", cwd=root)
    return root


@pytest.fixture
def run(first_version, capsys):
    def call_stage(since=None):
        drift.run(Workspace(first_version), PARAMS.data, PARAMS.drift, since)
        return capsys.readouterr().out

    return call_stage


def written(root):
    return {path.name: path.read_bytes() for path in (root / "reports/drift").iterdir()}


def report_of(root):
    return json.loads(written(root)["drift.json"])


def test_the_same_data_as_in_production_have_not_drifted_and_bytes_are_the_same_each_time(run, first_version):
    tables(first_version, name=HOSTILE)
    assert run().startswith("No drift: the volume and ")
    before = written(first_version)
    assert sorted(before) == ["drift.html", "drift.json", "drift.md"]
    run()
    assert written(first_version) == before
    report = report_of(first_version)
    assert (report["since"], report["outcome"]) == ("softmax#prod#1", "no drift")
    assert re.fullmatch("[0-9a-f]{7}", report["commit"])
    rows = report["findings"][0]
    assert (rows["table"], rows["value"], rows["detail"]) == ("interactions", 1.0, "300 → 300")
    everything = b"".join(before.values()).decode()
    assert not [name for name, content in before.items() if name != "drift.json" and HOSTILE in content.decode()]
    assert "&lt;script&gt;" in before["drift.html"].decode()
    assert str(first_version) not in everything


def test_drift_is_a_warning_with_the_feature_its_value_and_its_limit(run, first_version):
    tables(first_version, shift=12, name=HOSTILE)
    assert run("softmax#prod#1").startswith("Drift: age of the users.")
    report = report_of(first_version)
    assert report["outcome"] == "warning"
    [finding] = [each for each in report["findings"] if not each["success"]]
    assert (finding["table"], finding["column"]) == ("users", "age")
    assert finding["limit"] == pytest.approx(0.1 + 0.15)  # what 60 users on each side differ by in ten bins by chance
    assert finding["value"] > 0.1
    assert "Age of the users: distributed as before" in written(first_version)["drift.md"].decode()


def test_missing_rows_stop_the_run_after_the_report_is_written(run, first_version):
    tables(first_version, events=149, name=HOSTILE)
    with pytest.raises(BakeoffError, match=r"Stop: too few interactions.*drift\.min_volume.*drift\.html"):
        run()
    assert report_of(first_version)["outcome"] == "stop"


def test_a_version_that_cannot_be_read_is_no_evidence(run, first_version):
    tables(first_version, shift=50)
    cache = first_version / ".dvc/cache"
    cache.rename(first_version / ".dvc/elsewhere")
    try:
        assert run().startswith("Drift: no evidence.")
    finally:
        (first_version / ".dvc/elsewhere").rename(cache)
    report = report_of(first_version)
    assert report["outcome"] == "no evidence"
    assert "softmax#prod#1 can't be read" in report["reason"]
    assert sorted(written(first_version)) == ["drift.html", "drift.json", "drift.md"]


def test_a_first_version_is_no_evidence(tmp_path):
    tables(tmp_path)
    drift.run(Workspace(tmp_path), PARAMS.data, PARAMS.drift)
    assert report_of(tmp_path)["outcome"] == "no evidence"


def test_a_revision_that_is_not_there_is_an_error(run):
    with pytest.raises(BakeoffError, match="'nowhere' is no revision"):
        run("nowhere")


def test_before_validation_there_is_nothing_to_compare(tmp_path):
    with pytest.raises(BakeoffError, match="dvc repro validate"):
        drift.run(Workspace(tmp_path), PARAMS.data, PARAMS.drift)
