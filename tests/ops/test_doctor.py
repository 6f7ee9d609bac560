"""Each check of `bakeoff doctor` where all is well and where it is not; and the command, whatever is broken."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.ops import doctor as checks
from bakeoff.ops.doctor import Finding, Subject
from bakeoff.params import Params

ROOT = Path(__file__).parents[2]
PARAMS = Params()


def run(*arguments, cwd):
    subprocess.run(arguments, cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A workspace with Git, DVC, data, and a remote that has them."""
    root = tmp_path_factory.mktemp("sound") / "workspace"
    (root / "data").mkdir(parents=True)
    (root / "data/interactions.csv").write_text("user_id,item_id,timestamp\n" + "u1,i1,1000\n" * 50)
    (root / "data/items.csv").write_text("item_id,title\n" + "i1,One\n" * 8)
    (root / "params.yaml").write_text("seed: 1\n")
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "dvc.lock").write_text("schema: '2.0'\n")
    run("git", "init", "--quiet", cwd=root)
    for name in ("user.name", "user.email"):
        run("git", "config", name, "somebody", cwd=root)
    run("dvc", "init", "--quiet", cwd=root)
    run("dvc", "remote", "add", "--default", "backup", str(root.parent / "remote"), cwd=root)
    run("dvc", "add", "--quiet", "data", cwd=root)
    run("dvc", "push", "--quiet", cwd=root)
    run("git", "add", "--all", cwd=root)
    run("git", "commit", "--quiet", "--message", "all", cwd=root)
    return root


@pytest.fixture(autouse=True)
def _legacy_keras(monkeypatch):
    """As importing bakeoff sets it; other tests of the same process start with an environment of their own."""
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")


@pytest.fixture
def _no_prefect(monkeypatch):
    """Prefect reads its settings once in a process, and a test of flows may have started a server in this one."""
    nothing = SimpleNamespace(api=SimpleNamespace(url=None))
    monkeypatch.setattr("prefect.settings.get_current_settings", lambda: nothing)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture
def root(sound, tmp_path, monkeypatch, _no_prefect):
    """A copy of it, as the current directory."""
    shutil.copytree(sound, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def found(check, root=Path(), params=PARAMS) -> Finding:
    return checks.examine(Subject(Workspace(root), params), check)


def is_problem(finding, *, says, fix):
    assert (finding.state, says in finding.found, fix in finding.fix) == ("problem", True, True), finding
    return True


def is_warning(finding, *, says, fix):
    assert (finding.state, says in finding.found, fix in finding.fix) == ("warning", True, True), finding
    return True


def test_a_sound_workspace_has_no_problem_and_its_table_fits_a_terminal(root, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert checks.run(Subject(Workspace(), PARAMS), as_json=False)
    printed = capsys.readouterr().out
    assert len([line for line in printed.splitlines() if line.startswith(("ok", "not applicable"))]) == 15, printed
    assert max(map(len, printed.splitlines())) <= 80
    assert "→" not in printed


@pytest.mark.usefixtures("_no_prefect")
def test_every_finding_that_is_not_ok_names_a_fix(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    error = BakeoffError("params.yaml does not exist: run bakeoff in the project's directory.")
    assert not checks.run(Subject(Workspace(), error), as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert [each["check"] for each in printed][:3] == ["python", "packages", "keras"]
    states = {each["check"]: each["state"] for each in printed}
    broken = {"keras", "parameters", "git", "dvc", "data"}
    assert {name for name, state in states.items() if state == "problem"} == broken
    assert all(bool(each["fix"]) == (each["state"] in ("problem", "warning")) for each in printed)


def test_whatever_a_check_raises_is_a_finding():
    def broken(subject):
        raise RuntimeError("first line\nsecond line")

    assert is_problem(found(broken), says="RuntimeError: first line", fix="install bakeoff again")
    silent = found(lambda _: (_ for _ in ()).throw(KeyError()))
    assert is_problem(silent, says="KeyError: no reason given", fix="install bakeoff again")

    def slow(subject):
        raise subprocess.TimeoutExpired(["dvc", "status"], 15)

    assert is_warning(found(slow), says="took longer than 15 s", fix="dvc status")


def test_parameters():
    assert found(checks.parameters).state == "ok"
    error = BakeoffError("params.yaml is not valid: seed must be a number")
    assert is_problem(found(checks.parameters, params=error), says="params.yaml is not valid", fix="seed must be")


@pytest.mark.parametrize(("mode", "margin", "state"), [("auto", 0, "warning"), ("auto", 0.01, "ok"), ("off", 0, "ok")])
def test_warm_starts_of_a_champion_that_hardly_anything_succeeds(mode, margin, state):
    params = Params.model_validate({"warm_start": {"mode": mode}, "promotion": {"margin": margin}})
    finding = found(checks.parameters, params=params)
    assert finding.state == state
    assert ("promotion.margin in params.yaml" in finding.fix) is (state == "warning")


def test_python(monkeypatch):
    assert found(checks.python).found == ".".join(map(str, sys.version_info[:3]))
    monkeypatch.setattr(checks.platform, "python_version", lambda: "3.14.0")
    assert is_problem(found(checks.python), says="3.14.0, and it must be 3.11, 3.12, 3.13", fix="make PYTHON=")


def test_packages(monkeypatch):
    assert "tensorflow 2.21" in found(checks.packages).found
    monkeypatch.setattr(
        checks, "requires", lambda _: ["prefect>=99", "dvc[ssh]<1", "numpy>=99", "tensorflow-gone; extra == 'x'"]
    )
    wrong = found(checks.packages)
    assert is_problem(wrong, says="prefect 3.", fix="pip install -r requirements.txt")
    assert "instead of >=99; dvc 3." in wrong.found
    assert "numpy" not in wrong.found


def test_keras(monkeypatch):
    assert found(checks.keras).state == "ok"
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    assert is_problem(found(checks.keras), says="TF_USE_LEGACY_KERAS=0", fix="unset TF_USE_LEGACY_KERAS")


def test_code(root):
    assert found(checks.code, root) == checks.ok("the installed package")
    assert found(checks.code, ROOT) == checks.ok("of this workspace")
    (root / "src/bakeoff").mkdir(parents=True)
    assert is_problem(found(checks.code, root), says="is not that of this workspace", fix="PYTHONPATH=")


def test_git(root, monkeypatch):
    assert found(checks.git).found.endswith(", uncommitted changes: 0")
    (root / "new").touch()
    assert found(checks.git).found.endswith(", uncommitted changes: 1")
    run("git", "config", "--unset", "user.email", cwd=root)
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(root))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    run("git", "config", "user.useConfigOnly", "true", cwd=root)
    for name in ("EMAIL", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    assert is_problem(found(checks.git), says="Git has no identity", fix="user.email ADDRESS")
    shutil.rmtree(root / ".git")
    assert is_problem(found(checks.git), says="is in no Git repository", fix="git init")
    run("git", "init", "--quiet", cwd=root)
    assert is_problem(found(checks.git), says="has no commit yet", fix="git commit")
    monkeypatch.setenv("PATH", str(root))
    assert found(checks.git).state == "problem"  # no git at all


def test_dvc(root):
    assert found(checks.dvc).state == "ok"
    (root / "dvc.lock").unlink()
    assert is_warning(found(checks.dvc), says="no stage has run yet", fix="bakeoff run")
    shutil.rmtree(root / ".dvc")
    assert is_problem(found(checks.dvc), says=".dvc missing", fix="bakeoff init DIR")


def test_data(root):
    assert found(checks.data).state == "ok"
    (root / "data/items.csv").write_text("item_id,title\n")
    assert is_problem(found(checks.data), says="modified", fix="dvc add data")
    shutil.rmtree(root / "data")
    assert is_problem(found(checks.data), says="deleted", fix="bakeoff fetch")
    (root / "data.dvc").write_text("outs: [")
    assert is_problem(found(checks.data), says="`dvc status --json data.dvc` fails", fix="--verbose")
    (root / "data.dvc").unlink()
    assert is_problem(found(checks.data), says="no data.dvc", fix="bakeoff fetch")


def test_a_held_lock_of_dvc(root, monkeypatch):
    with (root / ".dvc/tmp/lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        threading.Timer(5, fcntl.flock, (lock, fcntl.LOCK_UN)).start()  # DVC without the option gives up after 3 s
        assert found(checks.data).state == "ok"
        fcntl.flock(lock, fcntl.LOCK_EX)
        monkeypatch.setattr(checks, "DVC_SECONDS", 1.0)
        assert is_warning(found(checks.data), says="took longer than 1 s", fix="dvc --wait-for-lock status")
    monkeypatch.setattr(checks, "DVC_SECONDS", 15.0)
    monkeypatch.setenv("PATH", str(root))
    monkeypatch.setattr(checks, "environment", lambda _: {"PATH": str(root)})
    assert is_problem(found(checks.data), says="FileNotFoundError", fix="install bakeoff again")


def test_remote(root):
    assert found(checks.dvc_remote) == checks.ok("backup has the data")
    shutil.rmtree(root.parents[0] / "remote", ignore_errors=True)
    run("dvc", "remote", "add", "--default", "--force", "backup", str(root.parent / "empty"), cwd=root)
    assert is_warning(found(checks.dvc_remote), says="backup lacks the data", fix="dvc push")
    run("dvc", "remote", "add", "--default", "--force", "backup", "ssh://nobody@127.0.0.1:1/x", cwd=root)
    assert is_problem(found(checks.dvc_remote), says="--remote backup", fix="--verbose")
    run("dvc", "remote", "add", "--default", "--force", "backup", str(root.parent / "empty"), cwd=root)
    shutil.rmtree(root / ".dvc/cache")
    assert is_warning(found(checks.dvc_remote), says="neither backup nor DVC's cache has the data", fix="dvc push")
    run("dvc", "remote", "remove", "backup", cwd=root)
    assert is_warning(found(checks.dvc_remote), says="no default", fix="dvc remote add")
    (root / "data.dvc").unlink()
    assert found(checks.dvc_remote).state == "not applicable"


def test_locks(root):
    assert found(checks.locks).state == "not applicable"
    path = root / ".dvc/tmp/pipeline.lock"
    path.touch()
    assert found(checks.locks) == checks.ok("no run is at work")
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_warning(found(checks.locks), says="a run is at work", fix="wait")
    assert found(checks.locks).state == "ok"  # the check itself holds it no longer


@pytest.fixture
def prefect_api(monkeypatch):
    """The one route that is asked of a Prefect server, behind a password or not: `secret=None`."""
    state = SimpleNamespace(secret="Basic dXNlcjpzZWNyZXQ=")  # user:secret

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            allowed = state.secret in (None, self.headers.get("Authorization"))
            self.send_response(200 if allowed else 401)
            self.end_headers()
            self.wfile.write(b'"3.9.1"' if allowed else b"{}")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        state.url = f"http://127.0.0.1:{server.server_port}/api"
        yield state
        server.shutdown()


def ask_prefect(url, password=None):
    """The finding where the environment or Prefect's profile sets these, which Prefect reads once in a process."""
    with temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: password}):
        return found(checks.prefect)


def test_prefect(prefect_api):
    url = prefect_api.url
    assert ask_prefect(url, "user:secret") == checks.ok(f"{url}, version 3.9.1, behind a password")
    assert is_problem(ask_prefect(url, "user:wrong"), says="HTTP 401", fix="PREFECT_API_AUTH_STRING")
    assert is_problem(ask_prefect(url), says="HTTP 401", fix="PREFECT_API_AUTH_STRING")
    prefect_api.secret = None
    assert is_warning(ask_prefect(url), says="without a password", fix="PREFECT_SERVER_API_AUTH_STRING")
    assert is_problem(ask_prefect("http://127.0.0.1:1/api"), says="127.0.0.1:1/api does not answer", fix="make up")
    assert is_problem(ask_prefect("no address"), says="no address does not answer", fix="make up")
    assert ask_prefect(None).state == "not applicable"


def test_java(tmp_path, monkeypatch):
    assert found(checks.java).state == "not applicable"
    monkeypatch.setenv("BAKEOFF_ENGINE", "spark")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert is_problem(found(checks.java), says="no java", fix="openjdk-21-jre-headless")
    java = tmp_path / "bin/java"
    java.parent.mkdir()
    for number, state in (("21.0.2", "ok"), ("17.0.1", "ok"), ("11.0.2", "problem"), ("1.8.0", "problem")):
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{number}\"' >&2\n")
        java.chmod(0o755)
        assert found(checks.java).state == state
    monkeypatch.setenv("BAKEOFF_ENGINE", "abacus")
    assert is_problem(found(checks.java), says="The environment is not valid", fix="BAKEOFF_ENGINE='abacus'")


def test_java_for_mllib(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    mllib = Params.model_validate({"mf": {"solver": "mllib"}})
    assert is_problem(found(checks.java, params=mllib), says="no java", fix="JAVA_HOME")


def test_disk(root, monkeypatch):
    assert "a run takes 0.1 GiB (estimated)" in found(checks.disk).found
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    assert is_problem(found(checks.disk), says="0.0 GiB are free", fix="dvc gc --workspace")


def test_memory(root, monkeypatch):
    monkeypatch.setattr(checks, "CGROUP", root / "memory.max")
    assert "takes 1.6 GiB (estimated)" in found(checks.memory).found
    (root / "memory.max").write_text(f"{2**30}\n")
    assert is_warning(found(checks.memory), says="1.0 GiB are free", fix="docs/scale.md")
    (root / "memory.max").write_text("max\n")
    cost = Workspace().cost("train/mf")
    cost.parent.mkdir(parents=True)
    cost.write_text(json.dumps({"peak_memory_bytes": 3 * 2**30}))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=4 * 2**30))
    assert found(checks.memory) == checks.ok("the largest stage takes 3.0 GiB (measured), 4.0 GiB are free")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**30))
    assert is_warning(found(checks.memory), says="1.0 GiB are free", fix="end other programs")
    cost.write_text("{")
    assert is_problem(found(checks.memory), says="JSONDecodeError", fix="install")


@pytest.mark.parametrize(
    ("events", "items", "measured"),  # benchmarks/results/scale.md and memory.md
    [
        (1_000_000, 10_000, 1.66),
        (10_000_000, 100_000, 3.37),
        (10_000_000, 1_000_000, 4.57),
    ],
)
def test_the_estimate_of_memory_is_near_what_was_measured(tmp_path, monkeypatch, events, items, measured):
    (tmp_path / "data").mkdir()
    for table in ("interactions", "items"):
        (tmp_path / f"data/{table}.csv").write_text("a\n")
    monkeypatch.setattr(checks, "rows", lambda file: events if file.stem == "interactions" else items)
    dims = {name: {"dim": 64} for name in ("mf", "softmax", "two_tower")}
    params = Params.model_validate({"ease": {"max_items": 1_000}, **dims})
    memory, _ = checks.estimate(Subject(Workspace(tmp_path), params))
    assert 0.66 < memory / 2**30 / measured < 1.5


def test_rows_are_counted_by_the_length_of_the_first(tmp_path):
    file = tmp_path / "some.csv"
    file.write_text("id,name\n" + "".join(f"{n:06},somebody\n" for n in range(5_000)))
    assert checks.rows(file) == pytest.approx(5_000, rel=0.01)
    file.write_text("")
    assert checks.rows(file) <= 0


def test_clock(root):
    assert "no file, commit or event is later" in found(checks.clock).found
    events = Workspace().validated / "interactions.parquet"
    events.parent.mkdir(parents=True)
    pd.DataFrame({"timestamp": [1_000, 2_000]}).to_parquet(events)
    assert found(checks.clock).state == "ok"
    pd.DataFrame({"timestamp": [1_000, 2_000_000_000_000]}).to_parquet(events)
    assert is_warning(found(checks.clock), says="an event", fix="data.columns.timestamp_unit")
    os.utime(root / "params.yaml", (4e9, 4e9))
    assert "later than that: params.yaml, an event" in found(checks.clock).found


def test_the_command_ends_with_status_1_without_a_trace_whatever_is_broken(root):
    def doctor(*arguments):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "bakeoff", "doctor", *arguments], capture_output=True, text=True
        )
        assert "Traceback" not in done.stderr
        assert "tensorflow.python" not in done.stderr  # importtime names what is imported
        return done

    done = doctor("--json")
    assert (done.returncode, len(json.loads(done.stdout))) == (0, 15), done.stdout
    (root / "params.yaml").write_text("seed: [")
    (root / "src/bakeoff").mkdir(parents=True)
    done = doctor()
    assert done.returncode == 1
    assert "params.yaml" in done.stdout
    assert "is not that of this workspace" in " ".join(done.stdout.split())


def test_hostile_text_is_printed_as_text(root, monkeypatch, capsys):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "[red]\x1b[31m")
    checks.run(Subject(Workspace(), PARAMS), as_json=False)
    assert r"TF_USE_LEGACY_KERAS=[red]\x1b[31m" in " ".join(capsys.readouterr().out.split())
