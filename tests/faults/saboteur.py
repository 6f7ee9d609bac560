"""Watches a process from within: what stands on the disk before each change of it, and a kill at a chosen one.

A kill keeps what the system has been told, so that what is seen before a change is what a kill would leave there.
"""

import hashlib
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "open", "os.link", "os.symlink")


def digest(path: Path) -> str | None:
    """Of all names and bytes of a file or directory; None where there is nothing."""
    if not path.exists():
        return None
    found = hashlib.sha256()
    for each in [path, *sorted(path.rglob("*"))]:
        found.update(each.relative_to(path).as_posix().encode() + b"\0")
        found.update(each.read_bytes() if each.is_file() else b"\0")
    return found.hexdigest()[:16]


def install(command: Mapping[str, Any]) -> None:
    """Watch this process from now on.

    Args:
        command: `watch`, paths that are looked at; `seen`, a file for what is seen of them; `kill_at`, the path that
            is never renamed to; `kill_before`, a word of a command that is never started; `largest_file`, in bytes:
            whoever writes on is killed in the middle of it, once the directory `within` is made, if one is named.
    """
    if "largest_file" in command and "within" not in command:
        _limit(command["largest_file"])
    if {"watch", "kill_at", "kill_before", "within"} & set(command):
        sys.addaudithook(Watch(command))


def _limit(largest_file: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file,) * 2)


def _stamp(path: Path) -> list[tuple[str, int, int]]:
    """Changes whenever the digest does, and is quickly read."""
    found = [path, *path.rglob("*")] if path.exists() else []
    return [(str(each), stat.st_size, stat.st_mtime_ns) for each in found for stat in [each.stat()]]


class Watch:
    """An audit hook: Python calls it before every change."""

    def __init__(self, command: Mapping[str, Any]) -> None:
        self._paths = {name: Path(name).absolute() for name in command.get("watch", [])}
        self._kill_at = os.path.abspath(command["kill_at"]) if "kill_at" in command else None
        self._kill_before = command.get("kill_before")
        self._within = os.path.abspath(command["within"]) if "within" in command else None
        self._largest_file = command.get("largest_file", 0)
        self._seen = open(command["seen"], "a", buffering=1) if "seen" in command else None  # noqa: SIM115
        self._last: dict[str, object] = {}
        self._looking = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Look, and perhaps die."""
        if event == "subprocess.Popen" and self._kill_before in arguments[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        if event not in CHANGES or self._looking or not self._is_change(event, arguments):
            return
        self._looking = True
        if event == "os.mkdir" and os.path.abspath(os.fsdecode(arguments[0])) == self._within:
            _limit(self._largest_file)
        self._look()
        if event == "os.rename" and os.path.abspath(os.fsdecode(arguments[1])) == self._kill_at:
            os.killpg(0, signal.SIGKILL)  # forking has made it a group of its own, and what it started is in it
        self._looking = False

    def _is_change(self, event: str, arguments: tuple[Any, ...]) -> bool:
        return event != "open" or bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))

    def _look(self) -> None:
        for name, path in self._paths.items():
            stamp = _stamp(path)
            if self._seen and stamp != self._last.get(name):
                self._last[name] = stamp
                self._seen.write(json.dumps([name, digest(path)]) + "\n")


def seen(path: Path) -> Iterator[tuple[str, str | None]]:
    """What was seen, as name and digest."""
    for line in path.read_text().splitlines():
        name, found = json.loads(line)
        yield name, found
