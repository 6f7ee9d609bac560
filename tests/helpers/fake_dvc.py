"""DVC's command line as fetch calls it, without DVC: a copy of data/ in .dvc/cache, and a hash in data.dvc."""

import hashlib
import json
import shutil
import subprocess

from bakeoff.data.fetch import versioning


def fake_dvc(monkeypatch) -> None:
    """Let fetch call this instead of `dvc`."""
    monkeypatch.setattr(versioning, "read_output", read_output)
    monkeypatch.setattr(versioning, "succeeds", succeeds)


def read_output(command, root):
    """In place of `core.subprocesses.read_output`."""
    return _dvc(root, *command[1:]).stdout


def succeeds(root, _, *arguments):
    """In place of `core.subprocesses.succeeds`."""
    return _dvc(root, *arguments).returncode == 0


def recorded_hash(root) -> str:
    """`current` where data.dvc records what is in data/."""
    return "current" if (root / "data.dvc").read_text() == _record(root) else "other"


def _record(root) -> str:
    files = sorted((root / "data").iterdir())
    content = b"".join(path.name.encode() + path.read_bytes() for path in files)
    return f"outs:\n- md5: {hashlib.md5(content).hexdigest()}.dir\n  path: data\n"


def _dvc(root, *arguments):
    words = [word for word in arguments if not word.startswith("--")]
    out, status = "", 0
    if words[0] == "add":
        shutil.rmtree(root / ".dvc/cache", ignore_errors=True)
        shutil.copytree(root / "data", root / ".dvc/cache")
        (root / "data.dvc").write_text(_record(root))
    elif words[0] == "status":
        out = "{}" if recorded_hash(root) == "current" else json.dumps({"data.dvc": [{"changed outs": {}}]})
    elif words[0] == "get":
        status = 0 if (root / ".dvc/cache").is_dir() else 1
        if not status:
            shutil.copytree(root / ".dvc/cache", root / words[-1])
    return subprocess.CompletedProcess(arguments, status, out, "")
