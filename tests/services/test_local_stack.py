"""`make up` as people have it: the Prefect server and a worker, killed one by one under a run.

One stack serves all tests; each run of a flow is a process of its own and costs seconds, so tests share runs too.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError

import psutil
import pytest
from services.listener import Listener, listening
from services.local_stack import REPOSITORY, LocalStack, local_stack
from services.postgres import Postgres
from services.projects import Held, call, dvc
from services.shop import SECRET, Shop
from services.sshd import Sshd, running_sshd
from small_project import EVENTS_PER_USER, NUM_USERS
from waiting import until

WAITING = "Another run is at work"
PROGRAMS = ("server", "worker")


@pytest.fixture(scope="module")
def storage() -> Iterator[Sshd]:
    with running_sshd() as server:
        yield server


@pytest.fixture(scope="module")
def shop(postgres: Postgres, storage: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"), postgres, storage)


@pytest.fixture(scope="module")
def people() -> Iterator[Listener]:
    """Those on call."""
    with listening() as server:
        yield server


@pytest.fixture(scope="module")
def stack(shop: Shop, people: Listener) -> Iterator[LocalStack]:
    with local_stack(given={"BAKEOFF_DATABASE_URL": shop.url, "BAKEOFF_NOTIFY": people.address}) as stack:
        yield stack


@pytest.fixture(scope="module")
def a_night(stack: LocalStack, shop: Shop) -> SimpleNamespace:
    """A night that takes in what the database has, while the store of data and models is gone for some time."""
    begun = shop.at_remote("rev-parse", "HEAD")
    shop.storage.stop()
    id = stack.submit(shop.workspace, "nightly", queries=str(shop.queries), approval=False)
    until(lambda: stack.has_ended(id) or "AwaitingRetry" in stack.task_states(id, "push data"), "nothing is sent")
    before = shop.at_remote("rev-parse", "HEAD")
    shop.storage.start()
    return SimpleNamespace(run=stack.ended(id), begun=begun, while_gone=before)


@pytest.fixture(scope="module")
def stormy(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run under which server and worker were killed, and one from a terminal that waits for it."""
    project = Held(tmp_path_factory.mktemp("stormy") / "workspace")
    id = stack.submit(project.root)
    until(lambda: project.holding, "the stage does not start")
    log = project.root.parent / "log"
    with log.open("w") as output:
        other = subprocess.Popen(
            [sys.executable, REPOSITORY / "flows/pipeline.py"],
            cwd=project.root,
            env=stack.client,
            stdout=output,
            stderr=output,
        )
    until(lambda: WAITING in log.read_text() or other.poll() is not None, "the other run does not come to its lock")
    before = {name: stack.program(name).pid for name in PROGRAMS}
    for name in PROGRAMS:
        os.kill(before[name], signal.SIGKILL)
    for name in PROGRAMS:
        until(lambda name=name: restarted(stack, name, before[name]), f"{name} is not started again")
    project.let_go()
    run, status = stack.ended(id), other.wait()
    return SimpleNamespace(project=project, run=run, before=before, other=status, printed=log.read_text())


def restarted(stack: LocalStack, name: str, before: int) -> bool:
    try:
        return stack.program(name).pid != before and stack.is_healthy()
    except (psutil.Error, ValueError):
        return False


def listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def test_all_of_it_is_up(stack: LocalStack) -> None:
    status = stack.make("status")
    assert status.returncode == 0, status.stdout
    assert [line.split()[:2] for line in status.stdout.splitlines()] == [[name, "RUNNING"] for name in PROGRAMS]


def test_the_nightly_deployment_runs_one_at_a_time_and_asks_before_it_promotes(stack: LocalStack) -> None:
    nightly = stack.deployment("nightly")
    assert nightly["entrypoint"] == "flows/nightly.py:nightly"
    assert nightly["global_concurrency_limit"]["limit"] == 1
    assert nightly["parameters"]["approval"] is True


def test_a_second_up_changes_nothing_and_leaves_the_schedule_that_a_person_resumed(stack: LocalStack) -> None:
    nightly = stack.deployment("nightly")
    (schedule,) = nightly["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 3 * * *", "UTC")
    assert not schedule["active"]  # until a person resumes it
    path = f"deployments/{nightly['id']}/schedules/{schedule['id']}"
    stack.ask(path, {"active": True}, "PATCH")
    before = {name: stack.program(name).pid for name in PROGRAMS}
    assert str(stack.profile) in stack.up()
    assert {name: stack.program(name).pid for name in PROGRAMS} == before
    (schedule,) = stack.deployment("nightly")["schedules"]
    stack.ask(path, {"active": False}, "PATCH")
    assert schedule["active"]


def test_no_path_of_the_deploying_machine_is_deployed(stack: LocalStack) -> None:
    deployments = stack.ask("deployments/filter")
    assert {each["name"] for each in deployments} == {"nightly", "promote", "on-demand", "what-if", "study"}
    told = json.dumps(deployments)
    place = told.find(str(REPOSITORY))
    assert place < 0, told[place - 200 : place + 80]


def test_a_wrong_parameter_is_refused_before_there_is_a_run(stack: LocalStack) -> None:
    (on_demand,) = [each for each in stack.ask("deployments/filter") if each["name"] == "on-demand"]
    body = {"parameters": {"stage_timeout_seconds": -1}}
    with pytest.raises(HTTPError, match=r"409|422"):
        stack.ask(f"deployments/{on_demand['id']}/create_flow_run", body)


def test_a_run_outlives_server_and_worker(stormy: SimpleNamespace) -> None:
    assert (stormy.run["state"]["type"], stormy.run["state"]["message"]) == (
        "COMPLETED",
        "2 stages: 2 ran, 0 unchanged, 0 cached.",
    )
    assert (stormy.project.root / "second").read_text() == "first and second"


def test_whatever_dies_is_started_again(stack: LocalStack, stormy: SimpleNamespace) -> None:
    assert all(stack.program(name).pid != stormy.before[name] for name in PROGRAMS)
    assert stack.make("status").returncode == 0


def test_results_reach_another_machine_over_ssh(stormy: SimpleNamespace, storage: Sshd, tmp_path: Path) -> None:
    workspace = stormy.project.root
    storage.remote(dvc, workspace)
    dvc("push", "--quiet", cwd=workspace)
    call("git", "add", "--all", cwd=workspace)
    call("git", "commit", "--quiet", "--message", "all", cwd=workspace)
    assert str(storage.keyfile) not in call("git", "grep", "--cached", "", cwd=workspace)
    clone = tmp_path / "clone"
    call("git", "clone", "--quiet", str(workspace), str(clone), cwd=tmp_path)
    (clone / ".dvc/config.local").write_text((workspace / ".dvc/config.local").read_text())
    dvc("pull", "--quiet", cwd=clone)
    assert (clone / "second").read_text() == "first and second"


def test_two_runs_at_once_in_one_workspace_both_end_well(stormy: SimpleNamespace) -> None:
    assert stormy.other == 0, stormy.printed
    assert WAITING in stormy.printed
    # Prefect may say after it that events still wait to be sent.
    assert "2 stages: 0 ran, 2 unchanged, 0 cached." in stormy.printed.splitlines()


def test_the_next_run_goes_on_after_one_was_killed_with_its_worker(stack: LocalStack, stormy: SimpleNamespace) -> None:
    project = stormy.project
    project.change()
    first = stack.submit(project.root)
    until(lambda: project.holding, "the stage does not start")
    second = stack.submit(project.root)
    worker = stack.program("worker")
    (engine,) = (child for child in worker.children() if "prefect.engine" in child.cmdline())
    worker.kill()
    engine.kill()
    state = stack.ended(first)["state"]
    assert state["type"] == "CRASHED"
    assert "Start it again" in state["message"]
    project.let_go()  # the stage of the first run, which the second waits for
    assert stack.ended(second)["state"]["message"].startswith("2 stages: 0 ran, ")
    assert (project.root / "second").read_text() == "first and second"
    assert all(limit["active_slots"] == 0 for limit in stack.ask("v2/concurrency_limits/filter"))


def test_runs_that_went_silent_are_watched_for(stack: LocalStack) -> None:
    (automation,) = (each for each in stack.ask("automations/filter") if each["name"] == "Crash runs that went silent")
    assert automation["enabled"]
    assert automation["trigger"]["posture"] == "Proactive"
    assert automation["trigger"]["within"] == 90
    assert automation["actions"][0]["state"] == "CRASHED"


def is_at_work(run: str) -> bool:
    """Whether a process of that flow run is alive."""
    environments = (process.info["environ"] or {} for process in psutil.process_iter(["environ"]))
    return any(environment.get("PREFECT__FLOW_RUN_ID") == run for environment in environments)


def test_a_night_delivers_and_a_person_promotes_though_the_store_was_gone_for_a_while(
    a_night: SimpleNamespace, stack: LocalStack, shop: Shop, people: Listener
) -> None:
    assert a_night.run["state"]["type"] == "COMPLETED", a_night.run["state"]["message"]
    assert "mf may go into production." in a_night.run["state"]["message"]
    assert a_night.while_gone == a_night.begun  # readers of a commit find what it names
    assert shop.at_remote("tag") == ""  # the first promotion always asks
    (asked,) = [run for run in stack.ask("flow_runs/filter") if run["name"].startswith("promote ")]
    until(lambda: stack.run(asked["id"])["state"]["name"] == "Suspended", "nobody is asked")
    until(lambda: not is_at_work(asked["id"]), "its process does not end")  # no person answers within that second
    stack.ask(f"flow_runs/{asked['id']}/resume", {"run_input": {"approve": True, "by": "Ada"}})
    assert stack.ended(asked["id"])["state"]["type"] == "COMPLETED"
    assert shop.at_remote("tag").split() == ["mf#prod#1", "mf@v1.0.0"]
    assert "data.dvc" in shop.at_remote("show", "--name-only", "--format=", "HEAD").split()
    until(lambda: len(people.taken) == 2, "people are not told")
    told = {each["title"]: each["message"] for each in people.taken}
    assert "mf may go into production. Commit " in told[f"Bakeoff: {a_night.run['name']} ended as Completed"]
    assert "mf is in production." in told[f"Bakeoff: {asked['name']} ended as Completed"]


def test_somebody_elsewhere_gets_the_data_and_the_model_of_the_night(
    a_night: SimpleNamespace, shop: Shop, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    call("git", "clone", "--quiet", str(shop.remote), str(clone), cwd=tmp_path)
    (clone / ".dvc/config.local").write_text((shop.workspace / ".dvc/config.local").read_text())
    dvc("pull", "--quiet", "data.dvc", "export@mf", cwd=clone)
    assert (clone / "models/mf/saved_model/saved_model.pb").exists()
    assert len((clone / "data/interactions.csv").read_text().splitlines()) == 1 + NUM_USERS * EVENTS_PER_USER + 1


def test_the_figures_of_the_night_are_kept(a_night: SimpleNamespace, stack: LocalStack) -> None:
    artifacts = {each["key"]: each["data"] for each in stack.ask("artifacts/latest/filter")}
    (figures,) = json.loads(artifacts["history"])
    assert (figures["run"], figures["ended"]) == (a_night.run["name"], "Completed")
    assert (figures["rows"], figures["decision"]) == (NUM_USERS * EVENTS_PER_USER + 1, "promote")


@pytest.mark.usefixtures("a_night")
def test_secrets_are_nowhere_but_in_their_file(stack: LocalStack, stormy: SimpleNamespace, shop: Shop) -> None:
    secrets = [stack.password, SECRET, Listener.secret]
    assert all(len(secret) > 10 for secret in secrets)
    commands = "\n".join(" ".join(process.cmdline()) for process in stack.processes())
    answers = str(
        [stack.ask(path) for path in ("flow_runs/filter", "artifacts/filter", "logs/filter", "variables/filter")]
    )
    places = (stack.home, stormy.project.root, shop.workspace, shop.remote, shop.storage.storage)
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    kept = {path for path in files for secret in secrets if secret.encode() in path.read_bytes()}
    assert "stages: " in answers
    assert [secret for secret in secrets if secret in commands + answers] == []
    assert kept == {stack.profile}


def test_up_brings_the_history_back_after_a_power_cut_and_down_ends_a_run_too(
    stack: LocalStack, tmp_path: Path
) -> None:
    runs, listeners = stack.ask("flow_runs/count"), stack.listeners()
    stack.lose_power()
    assert stack.make("status").returncode != 0
    stack.up()
    assert stack.ask("flow_runs/count") == runs
    project = Held(tmp_path / "workspace")
    stack.submit(project.root)
    until(lambda: project.holding, "the stage does not start")
    stack.down()
    assert stack.processes() == []  # the stage neither
    assert stack.make("status").returncode != 0
    assert not [port for port in listeners if listens(*port)]
