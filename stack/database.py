"""PostgreSQL's cluster of the stack: made once, kept, and never shared with another."""

import os
import pwd
import secrets
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from .layout import Layout, StackError

USER = "bakeoff"
NAME = "prefect"
HOST = "127.0.0.1"

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # loopback with a password is the only way in
    "max_connections": "100",
    "log_connections": "off",
    "timezone": "UTC",
}


def find_binaries(data: Path) -> Path | None:
    """The directory of PostgreSQL's programs: of the version that made the data, or else of the newest.

    Raises:
        StackError: there is data, and no program of its version.
    """
    found = {int(path.parts[-3]): path.parent for path in Path("/usr/lib/postgresql").glob("[0-9]*/bin/initdb")}
    on_path = shutil.which("initdb")
    if on_path:
        version = subprocess.run([on_path, "--version"], capture_output=True, text=True, check=False).stdout.split()
        with suppress(ValueError, IndexError):
            found.setdefault(int(version[2].split(".")[0]), Path(on_path).resolve().parent)
    try:
        wanted = int((data / "PG_VERSION").read_text())
    except FileNotFoundError:
        return found[max(found)] if found else None
    if wanted not in found:
        raise StackError(
            f"{data} was made by PostgreSQL {wanted}, which is not installed any more. Install it, or move the data "
            f"to the new version as docs/operations.md tells under “Upgrading”."
        )
    return found[wanted]


def owner() -> str | None:
    """Whom PostgreSQL must run as if not as this user: it refuses root.

    Raises:
        StackError: this is root, and there is no user `postgres`.
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise StackError(
            "PostgreSQL refuses to run as root, and there is no user `postgres`: run this as another user, or with "
            "--database sqlite."
        ) from None


def as_owner() -> dict[str, Any]:
    """Arguments of `subprocess` that run a program as the owner of the cluster."""
    name = owner()
    return {} if name is None else {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def prepare(layout: Layout, binaries: Path) -> None:
    """Make the cluster if there is none, and see that it can be started.

    Raises:
        StackError: directories or files that PostgreSQL would stumble over.
    """
    _make_password(layout)
    layout.postgresql.mkdir(exist_ok=True)
    name = owner()
    if name:
        shutil.chown(layout.postgresql, name, pwd.getpwnam(name).pw_gid)
    layout.postgresql.chmod(0o700)
    passage = subprocess.run(["test", "-w", layout.postgresql], cwd="/", check=False, **as_owner())
    if passage.returncode:
        raise StackError(
            f"The user {name} that PostgreSQL runs as cannot reach {layout.postgresql}: a directory above it is closed "
            "to others. Choose another place with --home, or run this as a user that is not root, or with --database "
            "sqlite."
        )
    if (layout.data / "PG_VERSION").exists():
        _check_data(layout.data, name)
    else:
        _initialise(layout, binaries)


def leftover(layout: Layout) -> psutil.Process | None:
    """A PostgreSQL that runs on this cluster, whoever started it."""
    with suppress(FileNotFoundError, ValueError, IndexError, psutil.Error, PermissionError):
        process = psutil.Process(int((layout.data / "postmaster.pid").read_text().splitlines()[0]))
        if str(layout.data) in process.cmdline():
            return process
    return None


def clear(layout: Layout) -> int:
    """End a PostgreSQL that nobody watches and remove the pid file of one that is gone; how many were ended.

    After a machine was switched off, another program may have the number in the pid file, and PostgreSQL would then
    refuse to start.
    """
    process = leftover(layout)
    ended = 0
    if process is not None:
        children = process.children(recursive=True)
        process.send_signal(2)  # SIGINT: connections are closed, nothing is lost
        with suppress(psutil.TimeoutExpired):
            process.wait(60)
        for left in (process, *children):
            with suppress(psutil.Error):
                left.kill()
        psutil.wait_procs([process, *children], timeout=10)
        ended = 1
    (layout.data / "postmaster.pid").unlink(missing_ok=True)
    return ended


def command(layout: Layout, binaries: Path, port: int) -> list[str | Path]:
    """How it is started."""
    settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
    return [binaries / "postgres", "-D", layout.data, "-p", str(port), *settings]


def connection_url(layout: Layout, port: int) -> str:
    """What Prefect's server connects with; holds the password, so it goes into its environment and nowhere else."""
    return f"postgresql+asyncpg://{USER}:{read_password(layout)}@{HOST}:{port}/{NAME}"


def read_password(layout: Layout) -> str:
    """The password of the cluster's only user."""
    try:
        return layout.password.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise StackError(
            f"{layout.password} is gone, and with it the way into {layout.data}: put it back from a backup."
        ) from None


def _make_password(layout: Layout) -> None:
    if layout.password.exists() or (layout.data / "PG_VERSION").exists():
        layout.password.chmod(0o600) if layout.password.exists() else read_password(layout)
        return
    descriptor = os.open(layout.password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32))


def _check_data(data: Path, name: str | None) -> None:
    state = data.stat()
    wanted = pwd.getpwnam(name).pw_uid if name else os.geteuid()
    if state.st_uid != wanted:
        raise StackError(
            f"{data} belongs to user {state.st_uid} and PostgreSQL would run as {name or wanted}: give it back with "
            f"`chown -R {name or wanted} {data}`."
        )
    if state.st_mode & 0o027:
        data.chmod(0o700)  # PostgreSQL refuses a directory that others can read


def _initialise(layout: Layout, binaries: Path) -> None:
    """`initdb` beside, then rename: one that was killed leaves no half cluster."""
    beside, given = layout.postgresql / "new", layout.postgresql / "given"
    shutil.rmtree(beside, ignore_errors=True)
    given.unlink(missing_ok=True)
    descriptor = os.open(given, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(read_password(layout))
    identity = as_owner()
    if identity:
        shutil.chown(given, identity["user"], identity["group"])
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]
    done = subprocess.run(
        [binaries / "initdb", "-D", beside, "-U", USER, f"--pwfile={given}", *options],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        **identity,
    )
    given.unlink()
    if done.returncode:
        shutil.rmtree(beside, ignore_errors=True)
        raise StackError(f"initdb failed: {done.stderr.strip()}")
    beside.rename(layout.data)
