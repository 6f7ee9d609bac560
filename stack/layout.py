"""Where the stack keeps its files, and what it was asked for."""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
POOL = "bakeoff"
LOOPBACK = ("127.0.0.1", "::1", "localhost")

MARK = "BAKEOFF_STACK"
"""Environment variable by which a process is known as one of the stack's; its value is the stack's home."""

_LONGEST_SOCKET_PATH = 100
"""Linux allows 107 bytes, macOS 103."""


class StackError(Exception):
    """Something that a person can put right: what, why, and how."""


@dataclass(frozen=True)
class Options:
    """What `up` was asked for. Kept, so that `down` and `status` know it."""

    host: str = "127.0.0.1"
    """Address of the Prefect server; anything but loopback needs a password for the API."""
    port: int = 4200
    workers: int = 1
    database: str = "postgresql"
    """`postgresql` or `sqlite`."""
    database_port: int = 0
    """Of PostgreSQL, on loopback; chosen when it is first started."""

    @property
    def url(self) -> str:
        """The server's address as seen from this machine."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{'127.0.0.1' if self.host in ('0.0.0.0', '::') else name}:{self.port}"  # noqa: S104 - compared


@dataclass(frozen=True)
class Layout:
    """The stack's files, all of them below one directory."""

    home: Path

    @property
    def logs(self) -> Path:
        """One file per program, rotated."""
        return self.home / "logs"

    @property
    def secrets(self) -> Path:
        """For this user's eyes only."""
        return self.home / "secrets"

    @property
    def password(self) -> Path:
        """The password of PostgreSQL's superuser."""
        return self.secrets / "postgresql-password"

    @property
    def postgresql(self) -> Path:
        """Belongs to the user that PostgreSQL runs as."""
        return self.home / "postgresql"

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.postgresql / "data"

    @property
    def prefect_home(self) -> Path:
        """PREFECT_HOME: the embedded database, leases, profiles."""
        return self.home / "prefect"

    @property
    def configuration(self) -> Path:
        """Of supervisord."""
        return self.home / "supervisord.conf"

    @property
    def options(self) -> Path:
        """What `up` was asked for."""
        return self.home / "options.json"

    @property
    def socket(self) -> Path:
        """Where supervisord listens; elsewhere if the path were too long for a socket."""
        path = self.home / "supervisor.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        name = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir(), f"bakeoff-{os.getuid()}-{name}", "supervisor.sock")

    def make(self) -> None:
        """Make the directories. Secrets and logs are closed to others; PostgreSQL's user must pass the others."""
        for path, mode in (
            (self.home, 0o711),
            (self.logs, 0o700),
            (self.secrets, 0o700),
            (self.prefect_home, 0o700),
            (self.socket.parent, 0o711),
        ):
            try:
                path.mkdir(parents=True, exist_ok=True)
                if path.stat().st_uid != os.getuid():
                    raise StackError(f"{path} belongs to someone else: run this as its owner, or remove it.")
                path.chmod(mode)
            except OSError as error:
                raise StackError(
                    f"{path} cannot be made: {error.strerror}. Choose another place with --home."
                ) from None

    def load(self) -> Options | None:
        """The options of the last `up`; None if there was none."""
        try:
            return Options(**json.loads(self.options.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise StackError(f"{self.options} cannot be read ({error}): remove it and start again.") from None

    def save(self, options: Options) -> None:
        """Keep the options: written beside and renamed."""
        beside = self.options.with_suffix(".new")
        beside.write_text(json.dumps(asdict(options), indent=1) + "\n", encoding="utf-8")
        beside.replace(self.options)
