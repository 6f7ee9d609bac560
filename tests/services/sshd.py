"""An SSH server of the tests' own: loopback only, own host key, own authorised key, in a temporary directory."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

HOST = "127.0.0.1"
_HANGING = 60.0
_CONFIGURATION = """
ListenAddress {host}:{port}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


class Sshd:
    """A server that can be stopped at once and started again on the same port."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="sshd-"))
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port: int = probe.getsockname()[1]
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.keyfile = self.directory / "home/.ssh/id_ed25519"
        self._process: subprocess.Popen[bytes] | None = None
        self.keyfile.parent.mkdir(parents=True, mode=0o700)
        for key in (self.directory / "host_key", self.keyfile):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        shutil.copy(self.keyfile.with_suffix(".pub"), self.directory / "authorized_keys")
        public = (self.directory / "host_key.pub").read_text()
        self.keyfile.with_name("known_hosts").write_text(f"[{HOST}]:{self.port} {public}")
        (self.directory / "sshd_config").write_text(
            _CONFIGURATION.format(host=HOST, port=self.port, directory=self.directory)
        )

    @property
    def storage(self) -> Path:
        """What the remote's files lie in."""
        return self.directory / "storage"

    @property
    def environment(self) -> dict[str, str]:
        """With this as HOME, DVC knows the server's key, as ~/.ssh/known_hosts would have it."""
        return {**os.environ, "HOME": str(self.directory / "home")}

    def remote(self, call, workspace: Path) -> None:
        """Make this server the workspace's default remote; what differs between machines stays out of Git."""
        url = f"ssh://{self.user}@{HOST}:{self.port}{self.storage}"
        call("remote", "add", "--quiet", "--default", "store", url, cwd=workspace)
        call("remote", "modify", "--local", "store", "keyfile", str(self.keyfile), cwd=workspace)

    def start(self) -> None:
        """Start, and wait until connections are taken."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it separates its privileges
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [require_sshd(), "-D", "-e", "-f", self.directory / "sshd_config"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + _HANGING
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"sshd does not start:\n{(self.directory / 'log').read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """As in a power cut: the server and every session are killed."""
        if self._process is None:
            return
        server = psutil.Process(self._process.pid)
        for process in (server, *server.children(recursive=True)):
            process.send_signal(signal.SIGKILL)
        self._process.wait(_HANGING)
        self._process = None

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0


@contextmanager
def running_sshd() -> Iterator[Sshd]:
    """A server from start to removal; the test is skipped where OpenSSH's server is not installed."""
    require_sshd()
    server = Sshd()
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.directory)


def require_sshd() -> str:
    """The program, by its whole path, as it insists; skips the test where there is none."""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if not found or not shutil.which("ssh-keygen"):
        pytest.skip("OpenSSH's server is not installed (Debian: apt-get install openssh-server)")
    return found
