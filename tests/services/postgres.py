"""A PostgreSQL server of the tests' own: loopback only, in a temporary directory, with a password of its own.

`postgres` refuses to run as root; there it runs as the user `postgres`, which Debian's package makes. Tests take the
fixtures `postgres` (one server for the session) and `database` (the URL of an empty database) of tests/conftest.py;
what needs a server that it may break makes its own: `with running_postgres() as server: …`.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import until

USER = "bakeoff"
"""Superuser of the server."""
HOST = "127.0.0.1"
_HANGING = 60.0  # seconds after which a server that neither starts nor stops is given up
_SETTINGS = {
    "listen_addresses": HOST,
    "fsync": "off",  # nobody needs the data after a crash of the machine
    "shared_buffers": "16MB",
    "max_connections": "60",
}


class Postgres:
    """A server that can be started, stopped and started again on the same port with the same data."""

    def __init__(self, binaries: Path, owner: str | None) -> None:
        self.binaries = binaries
        self.owner = owner
        self.password = secrets.token_urlsafe(12)
        self.port = _free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.data = self.directory / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._initialise()

    def url(self, driver: str = "postgresql", database: str = "postgres", password: str | None = None) -> str:
        """A connection string: `postgresql` for libpq, `postgresql+asyncpg` or `postgresql+psycopg` for SQLAlchemy."""
        return f"{driver}://{USER}:{password or self.password}@{HOST}:{self.port}/{database}"

    @property
    def log(self) -> str:
        """What the server has logged."""
        return (self.directory / "log").read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, and wait until connections are taken."""
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.directory, *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,  # an interrupt of the tests reaches it through `stop`
                **self._as_owner(),
            )
        ready = [self.binaries / "pg_isready", "-q", "-h", HOST, "-p", str(self.port)]
        until(lambda: not self.running or not subprocess.run(ready).returncode, "PostgreSQL does not start")
        if not self.running:
            raise RuntimeError(f"PostgreSQL does not start:\n{self.log}")

    def stop(self, at_once: bool = False) -> None:
        """Stop: connections are closed, transactions rolled back; `at_once` as in a crash, without a word."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
            self._process.wait(_HANGING)
        self._process = None

    def restart(self, at_once: bool = False) -> None:
        """Stop and start again: same port, same data, no connection survives."""
        self.stop(at_once)
        self.start()

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run statements through psql; rows as text, columns separated by |."""
        done = subprocess.run(
            [self.binaries / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.url(database=database)],
            input=sql,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def new_database(self) -> str:
        """The name of an empty database."""
        self._number += 1
        name = f"test_{self._number}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def remove(self) -> None:
        """Stop and leave nothing behind."""
        self.stop(at_once=True)
        shutil.rmtree(self.directory)

    def _initialise(self) -> None:
        passwords = self.directory / "password"
        passwords.write_text(self.password)
        if self.owner:
            for path in (self.directory, passwords):
                shutil.chown(path, self.owner, self._as_owner()["group"])
        command = [self.binaries / "initdb", "-D", self.data, "-U", USER, f"--pwfile={passwords}"]
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, cwd=self.directory, **self._as_owner()
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stderr}")
        passwords.unlink()

    def _as_owner(self) -> dict:
        if not self.owner:
            return {}
        return {"user": self.owner, "group": pwd.getpwnam(self.owner).pw_gid, "extra_groups": []}


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server from start to removal; the test is skipped where PostgreSQL is not installed."""
    server = Postgres(*require_postgres())
    try:
        server.start()
        yield server
    finally:
        server.remove()


def require_postgres() -> tuple[Path, str | None]:
    """The newest version's programs, and whom to run them as; skips the test where there are none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    binaries = found[-1].parent if found else Path(str(on_path)).resolve().parent
    if os.geteuid() != 0:
        return binaries, None
    try:
        return binaries, pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("PostgreSQL refuses to run as root, and there is no user `postgres` to run it as")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
