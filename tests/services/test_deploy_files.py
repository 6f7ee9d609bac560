"""What is given to those who have Docker or Kubernetes, and the commands of docs/operations.md, without either."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from dvc.cli.parser import get_main_parser
from ruamel.yaml import YAML
from services.local_stack import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
TEXTS = ["docs/operations.md", *(str(p.relative_to(REPOSITORY)) for p in sorted(DEPLOY.rglob("*")) if p.is_file())]
SERVICE_KEYS = {
    "build", "command", "depends_on", "env_file", "environment", "healthcheck", "image", "init", "ports", "restart",
    "stop_grace_period", "stop_signal", "volumes",
}  # fmt: skip
IMAGE = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)?:[0-9][a-z0-9.-]*")
"""A plain name and a version: no host, and no `latest`."""

SETTING_FILES = {"", ".conf", ".py", ".sh", ".yaml", ".yml"}
NOT_SETTINGS = {
    "BAKEOFF_SUPERVISED",  # marks the processes of a stack
    "PREFECT_HOME",  # the Makefile's and the compose file's own
    "PREFECT_SERVER_API_PORT",  # of the profile that the Makefile writes: PORT
    "PREFECT_API_REQUEST_TIMEOUT",  # of one command of the Makefile
    "PREFECT_SERVER_UI_API_URL",
    "PREFECT_SERVER_ANALYTICS_ENABLED",
}


def read(path: Path) -> list[Any]:
    return list(YAML(typ="safe").load_all(path))


def compose() -> dict[str, Any]:
    (content,) = read(DEPLOY / "docker-compose.yml")
    return content


def locked(package: str) -> str:
    found = re.search(rf"^{package}==(\S+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.y*ml")), ids=lambda path: path.name)
def test_every_file_is_yaml(path: Path) -> None:
    assert all(read(path))


@pytest.mark.parametrize("name", compose()["services"])
def test_a_service_has_keys_that_compose_knows_and_a_pinned_image(name: str) -> None:
    service = compose()["services"][name]
    assert set(service) <= SERVICE_KEYS
    assert IMAGE.fullmatch(service["image"])


def test_services_wait_for_services_that_can_be_waited_for() -> None:
    services = compose()["services"]
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            needs = {"service_healthy": "healthcheck", "service_completed_successfully": "command"}
            assert needs[how["condition"]] in services[other]


def test_volumes_are_declared_and_ports_are_this_machines_alone() -> None:
    content = compose()
    used = [volume for service in content["services"].values() for volume in service.get("volumes", [])]
    assert {volume.split(":")[0] for volume in used if not volume.startswith(".")} == set(content["volumes"])
    ports = [port for service in content["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


SECRETS = {
    "secrets.env": {
        "POSTGRES_PASSWORD",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL",
        "PREFECT_SERVER_API_AUTH_STRING",
    },
    "worker.env": {
        "PREFECT_API_AUTH_STRING",
        *(f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")),
        "BAKEOFF_DATABASE_URL",
        "BAKEOFF_NOTIFY",
    },
}


@pytest.mark.parametrize("file", SECRETS)
def test_secrets_come_from_a_file_that_git_does_not_take(file: str) -> None:
    text = (DEPLOY / "docker-compose.yml").read_text()
    names = re.findall(r"^#? ?([A-Z_]+)=", (DEPLOY / f"{file}.example").read_text(), re.MULTILINE)
    assert set(names) == SECRETS[file]
    assert not re.search(rf"({'|'.join(names)})\s*[:=]", text)
    assert file in (DEPLOY / ".gitignore").read_text().split()


def test_every_client_is_given_the_password_of_the_api_and_none_that_of_the_database() -> None:
    given = {name: service.get("env_file", []) for name, service in compose()["services"].items()}
    assert given["worker"] == given["deploy"] == ["worker.env"]
    assert {name for name, files in given.items() if "secrets.env" in files} == {"postgresql", "server"}
    jobs = [read(DEPLOY / "kubernetes/work-pool.yaml")[0]["job_configuration"]["job_manifest"]]
    jobs += [resource for resource in read(DEPLOY / "kubernetes/resources.yaml") if resource["kind"] == "Job"]
    for job in jobs:
        sources = job["spec"]["template"]["spec"]["containers"][0]["envFrom"]
        assert {"secretRef": {"name": "bakeoff-secrets"}} in sources


def test_a_run_imports_the_code_of_its_workspace_and_not_the_images() -> None:
    template = read(DEPLOY / "kubernetes/work-pool.yaml")[0]
    for environment in (
        compose()["services"]["worker"]["environment"],
        template["variables"]["properties"]["env"]["default"],
    ):
        assert environment["PYTHONPATH"] == f"{environment['BAKEOFF_HOME']}/src"
    assert 'PYTHONPATH="%(ENV_BAKEOFF_HOME)s/src"' in (DEPLOY / "supervisord.conf").read_text()
    for path in (REPOSITORY / "prefect.yaml", DEPLOY / "kubernetes/prefect.yaml"):
        steps = [next(iter(step)) for step in read(path)[0]["pull"]]
        assert steps[-2:] == [
            "bakeoff.core.workspace.check_own_code",
            "prefect.deployments.steps.set_working_directory",
        ]


def test_the_server_takes_calls_of_its_own_origin_only() -> None:
    server = compose()["services"]["server"]
    assert server["environment"]["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1:4200"
    assert server["ports"] == ["127.0.0.1:4200:4200"]


@pytest.mark.parametrize("path", ["prefect.yaml", "deploy/kubernetes/prefect.yaml"])
def test_schedules_are_paused_and_a_night_asks_before_it_promotes(path: str) -> None:
    (content,) = read(REPOSITORY / path)
    scheduled = [deployment for deployment in content["deployments"] if "schedules" in deployment]
    assert scheduled
    for deployment in scheduled:
        assert all(schedule["active"] is False for schedule in deployment["schedules"])
        assert deployment["parameters"]["approval"] is True


def test_versions_are_those_of_the_lock() -> None:
    assert compose()["services"]["server"]["image"] == f"prefecthq/prefect:{locked('prefect')}-python3.11"
    (kubernetes,) = read(DEPLOY / "kubernetes/prefect.yaml")
    (local,) = read(REPOSITORY / "prefect.yaml")
    assert kubernetes["prefect-version"] == local["prefect-version"] == locked("prefect")
    version = re.search(r'^version = "(.+)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    for path in (DEPLOY / "docker-compose.yml", *(DEPLOY / "kubernetes").iterdir()):
        assert set(re.findall(r"\bbakeoff:([\w.]+)", path.read_text())) <= {version[1]}


def test_the_template_of_a_job_fills_in_variables_that_it_has() -> None:
    (template,) = read(DEPLOY / "kubernetes/work-pool.yaml")
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(template["job_configuration"])))
    assert used == set(template["variables"]["properties"])
    job = template["job_configuration"]["job_manifest"]
    claims = [
        volume["persistentVolumeClaim"]["claimName"] for volume in volumes(job) if "persistentVolumeClaim" in volume
    ]
    made = [r["metadata"]["name"] for r in read(DEPLOY / "kubernetes/resources.yaml") if r["kind"] != "Job"]
    assert claims == made


def volumes(job: dict[str, Any]) -> list[dict[str, Any]]:
    return job["spec"]["template"]["spec"]["volumes"]


def test_what_is_deployed_to_the_cluster_is_there_and_has_variables_of_the_template() -> None:
    (template,) = read(DEPLOY / "kubernetes/work-pool.yaml")
    (content,) = read(DEPLOY / "kubernetes/prefect.yaml")
    for deployment in content["deployments"]:
        file, function = deployment["entrypoint"].split(":")
        assert f"def {function}(" in (REPOSITORY / file).read_text()
        assert set(deployment["work_pool"]["job_variables"]) <= set(template["variables"]["properties"])


def test_the_image_holds_code_and_nothing_of_this_machine() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copied = {name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]} - {"."}
    rules = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    taken = {rule[1:] for rule in rules if rule.startswith("!")}
    assert rules[0] == "*"  # what no rule names, such as .dvc/config.local, stays out
    assert copied <= taken
    assert all((REPOSITORY / name).exists() and not name.startswith(".") for name in taken)
    assert {"deploy/*.env", "deploy/ssh"} <= set(rules[rules.index("!deploy") :])
    assert not list(DEPLOY.glob("*.dockerignore"))  # it would come before that of the root
    assert IMAGE.fullmatch(next(line for line in lines if line.startswith("FROM")).split()[1])


def test_containers_do_not_run_as_root() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER")][-1] == "USER bakeoff"
    for path in sorted(DEPLOY.rglob("*.y*ml")):
        assert "/root" not in path.read_text()
        assert path.read_text().count("runAsNonRoot: true") == path.read_text().count("restartPolicy:")


def test_supervisord_is_configured_in_one_short_file() -> None:
    text = (DEPLOY / "supervisord.conf").read_text()
    assert len(text.splitlines()) <= 60
    assert "--host 127.0.0.1" in text
    assert "inet_http_server" not in text


def commands(program: str) -> set[tuple[str, ...]]:
    """The first two words after a program's name, wherever it is called; compose lists its words."""
    found = set()
    for name in TEXTS:
        text = (REPOSITORY / name).read_text().replace(", ", " ").replace("--no-prompt ", "")
        for call in re.findall(rf"(?:^[#\s]*|[`\[|&;] ?){program} ([a-z][a-z -]*)", text, re.MULTILINE):
            found.add(tuple(word for word in shlex.split(call)[:2] if not word.startswith("-")))
    return found


def test_every_command_of_prefect_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.cli import app

    called = commands("prefect")
    assert ("worker", "start") in called
    for call in called:
        monkeypatch.setattr("sys.argv", ["prefect", *call, "--help"])
        with pytest.raises(SystemExit) as ended:
            app()
        assert not ended.value.code, call


def test_every_command_of_dvc_exists() -> None:
    (known,) = (action.choices for action in get_main_parser()._actions if action.dest == "cmd")
    assert {call[0] for call in commands("dvc")} <= set(known)


def test_the_docs_list_every_variable_that_can_be_set() -> None:
    listed = (REPOSITORY / "docs/settings.md").read_text()
    files = [path for name in ("deploy", "flows", "benchmarks") for path in (REPOSITORY / name).rglob("*")]
    files += [*(REPOSITORY / "src").rglob("*.py"), REPOSITORY / "prefect.yaml", REPOSITORY / "Makefile"]
    texts = [path.read_text() for path in files if path.is_file() and path.suffix in SETTING_FILES]
    used = set(re.findall(r"\b(?:BAKEOFF|PREFECT)_[A-Z_]*[A-Z]\b", "\n".join(texts)))
    assert {"BAKEOFF_HOME", "BAKEOFF_DATABASE_URL", "PREFECT_API_URL"} <= used
    assert {name for name in used - NOT_SETTINGS if f"`{name}" not in listed} == set()


def test_every_target_of_make_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    called = set(
        re.findall(r"(?:^|[`=]|&& |; )make ([a-z]+)", (REPOSITORY / "docs/operations.md").read_text(), re.MULTILINE)
    )
    assert {"up", "down", "status"} <= called <= targets
